"""URLs of the project with users of another kind."""

import time

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from guests.urls import pid

from crew.models import Sailor, Watch
from dtws_sio import sio


def enter(request: HttpRequest, name: str) -> HttpResponse:
    """Sign a sailor in, who is on watch."""
    sailor = Sailor.objects.create(name=name)
    Watch.objects.create().sailors.add(sailor)
    login(request, sailor, "django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(sailor.pk))


@csrf_exempt
def run(request: HttpRequest) -> JsonResponse:
    """Run what the body says: Python, which may assign to `result`."""
    names = {"Sailor": Sailor, "Watch": Watch, "sio": sio, "result": None}
    exec(request.body.decode(), names)
    return JsonResponse({"result": names["result"], "at": time.time()})


urlpatterns = [path("pid/", pid), path("enter/<str:name>/", enter), path("run/", run)]
