"""Views that make windows, and others that trigger signals."""

import json

from django.contrib.auth.models import Group, User
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from dtws_sio.signals import BROADCAST, SERVER, SESSION, USER, WINDOW, set_topics, trigger

TARGETS = {"WINDOW": WINDOW, "USER": USER, "SESSION": SESSION, "BROADCAST": BROADCAST, "SERVER": SERVER}


def target(name):
    """Give what a name in a test stands for: a constant, a group, or text."""
    if name.startswith("group:"):
        return Group.objects.get_or_create(name=name)[0]
    return TARGETS.get(name, name)


def page(request):
    """Make a page that watches what the query names."""
    set_topics(request, *map(target, request.GET.getlist("topic")))
    return render(request, "watchers/page.html")


def trigger_one(request):
    """Trigger a signal, as the script of a page has asked."""
    body = json.loads(request.body)
    outcome = trigger(request, body["signal"], to=[target(name) for name in body["to"]], **body.get("opts", {}))
    return JsonResponse(outcome.as_answer())


@csrf_exempt
def rights(request):
    """Give a user rights, or take them."""
    body = json.loads(request.body)
    user = User.objects.get(username=body.pop("username"))
    for name, value in body.items():
        setattr(user, name, value)
    user.save()
    return JsonResponse({"saved": True})
