"""Plain Django views that stand beside Socket.IO, and a few that let the tests look inside the server."""

import hashlib
import json
import os
import secrets
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from dtws_sio import sio
from playground import sockets


def home(request: HttpRequest) -> HttpResponse:
    """Say under which prefix the project is."""
    return HttpResponse(f"home at {request.path}")


def pid(request: HttpRequest) -> HttpResponse:
    """Tell which process answers."""
    return HttpResponse(str(os.getpid()))


def upload(request: HttpRequest) -> HttpResponse:
    """Answer with the digest of the body."""
    return HttpResponse(hashlib.sha256(request.body).hexdigest())


def file(request: HttpRequest) -> FileResponse:
    """Send this file."""
    return FileResponse(Path(__file__).open("rb"), as_attachment=True)


def lives(request: HttpRequest, tag: str) -> JsonResponse:
    """Give what happened to the clients that brought this tag, in order."""
    return JsonResponse(sockets.lives.get(tag, []), safe=False)


def members(request: HttpRequest) -> JsonResponse:
    """Give the sids in a room of a namespace; without a room, all of the namespace."""
    room = request.GET.get("room")
    participants = sio.manager.get_participants(request.GET.get("namespace", "/"), room)
    return JsonResponse([sid for sid, _ in participants], safe=False)


def emit(request: HttpRequest) -> HttpResponse:
    """Emit what the body says, a JSON object with the arguments of `sio.emit`."""
    sio.emit(**json.loads(request.body))
    return HttpResponse("emitted")


def disconnect(request: HttpRequest) -> HttpResponse:
    """Disconnect the client that the query names."""
    sio.disconnect(request.GET["sid"], namespace=request.GET.get("namespace"))
    return HttpResponse("disconnected")


def bars(request: HttpRequest) -> HttpResponse:
    """Give an empty page for progress bars, under a policy that allows no inline styles."""
    context = {name: request.GET.get(name, "") for name in ("lang", "dir", "bootstrap")}
    nonce = secrets.token_urlsafe(16)
    page = render(request, "playground/bars.html", {**context, "csp_nonce": nonce})
    page["Content-Security-Policy"] = f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; img-src data:"
    return page


def signals(request: HttpRequest) -> HttpResponse:
    """Give an empty page for signals, with what the template tag would write, under a policy that trusts no HTML."""
    nonce = secrets.token_urlsafe(16)
    settings = {
        "path": "/socket.io/",
        "namespace": "/stub",
        "window": request.GET.get("window", "good"),
        "renew": "/signals/renew/",
        "csrf_token": "C",
        "max_payload": 1_000_000,
    }
    page = render(request, "playground/signals.html", {"settings": settings, "csp_nonce": nonce})
    page["Content-Security-Policy"] = (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; img-src data:; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types dtws-sio"
    )
    return page


def renew(request: HttpRequest) -> JsonResponse:
    """Renew a token of signals, where the page keeps to what the server's side asks for."""
    asked = json.loads(request.body)
    if request.method != "POST" or request.headers.get("X-CSRFToken") != "C" or asked != {"window": "expired"}:
        return JsonResponse({}, status=403)
    return JsonResponse({"window": "good"})
