"""URLs of a project without users and sessions."""

import os

from django.http import HttpRequest, HttpResponse
from django.urls import path


def pid(request: HttpRequest) -> HttpResponse:
    """Tell which process answers."""
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("pid/", pid)]
