"""Django's own views for signing in and out, and one that lets a test change whatever it likes, as a view would."""

import json
import os
import time
from typing import Any

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from dtws_sio import sio
from dtws_sio.authenticators import make_token
from people import sockets
from people.models import Article, Membership

NAMES: dict[str, Any] = {
    each.__name__: each for each in (AnonymousUser, Group, Permission, User, Session, Article, Membership, make_token)
} | {
    "connection": connection,
    "ends": sockets.ends,
    "group": sockets.group,
    "json": json,
    "lives": sockets.lives,
    "sio": sio,
    "timezone": timezone,
    "transaction": transaction,
}
"""What the code that a test sends may use."""


def pid(request: HttpRequest) -> HttpResponse:
    """Tell which process answers."""
    return HttpResponse(str(os.getpid()))


def me(request: HttpRequest) -> HttpResponse:
    """Tell who asks."""
    return HttpResponse(request.user.get_username())


@csrf_exempt
def run(request: HttpRequest) -> JsonResponse:
    """Run what the body says: Python, which may assign to `result`; also tell at what time it was done."""
    names = {**NAMES, "result": None}
    exec(request.body.decode(), names)
    return JsonResponse({"result": names["result"], "at": time.time()})
