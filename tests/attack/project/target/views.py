"""A page, a door, and a look at what the server holds."""

import gc
from typing import Final

from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse

from dtws_sio import sio

LARGE: Final = b"x" * 10_000_000
"""More than the kernel takes for a client that does not read."""


def home(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse(str(request.user))


def large(request: HttpRequest) -> HttpResponse:
    """Answer at length."""
    return HttpResponse(LARGE)


def login(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in, who need not have been there before."""
    user, _ = User.objects.get_or_create(username=name)
    auth.login(request, user)
    return HttpResponse(name)


def held(request: HttpRequest) -> JsonResponse:
    """Count what the server holds for clients."""
    gc.collect()
    hub = sio.eio._hub
    return JsonResponse(
        {
            "sessions": len(sio.eio.sockets),
            "carriers": len(sio.clients._carriers),
            "clients": len(sio.manager._clients),
            "rooms": len(sio.manager._members),
            "callbacks": len(sio.manager.callbacks),
            "readers": len(hub.listeners["read"]) + sum(map(len, hub.secondaries.values())),
            "writers": len(hub.listeners["write"]),
        }
    )
