"""
Handlers for the live tests of who may do what.

A test brings a tag of its own in its `auth`; what happens to its clients is kept under that tag in `lives`.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Annotated, Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone, translation
from rest_framework import serializers

from dtws_sio import Namespace, rate_limit, sio
from dtws_sio.authenticators import SessionAuthenticator, SignedTokenAuthenticator
from dtws_sio.exceptions import ValidationError
from dtws_sio.identity import HandshakeRequest
from dtws_sio.permissions import login_required, permission_required, request_passes_test, user_passes_test
from dtws_sio.validation import RE, Choice
from people.models import Article, Membership
from people.tokens import Machine

lives: defaultdict[str, list[str]] = defaultdict(list)
ends: dict[str, float] = {}
"""When the last client of a tag left, in seconds since the epoch."""


class OnPurposeError(Exception):
    """Raised by handlers that fail because a test asks them to."""


class Noted(Namespace):
    """Keeps what happened to its clients."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        tag = auth.get("tag", "") if isinstance(auth, dict) else ""
        self.get_session(sid)["tag"] = tag
        lives[tag].append("connect")

    def on_disconnect(self, sid: str, reason: str) -> None:
        tag = self.get_session(sid)["tag"]
        lives[tag].append(reason)
        ends[tag] = time.time()

    def on_who(self, sid: str) -> str:
        return str(self.user(sid).get_username())

    def on_enter(self, sid: str, room: str) -> None:
        self.enter_room(sid, room)


class Everybody(Noted):
    """Where strangers may be too."""

    def on_count(self, sid: str, times: int) -> int:
        """Touch the user so many times, and give how many queries that took."""
        queries: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            queries.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            for _ in range(times):
                bool(self.request(sid).user.is_authenticated)
        return len(queries)

    def on_request(self, sid: str) -> list[str]:
        request = self.request(sid)
        return [request.path, request.get_host(), request.headers.get("X-Shop", "")]

    def on_remember(self, sid: str, key: str, value: Any) -> None:
        self.request(sid).session[key] = value

    def on_recall(self, sid: str, key: str) -> Any:
        return self.request(sid).session.get(key)

    def on_around(self, sid: str) -> list[str]:
        return [str(translation.get_language()), timezone.get_current_timezone_name(), translation.gettext("Yes")]

    def on_nap(self, sid: str, seconds: float, tag: str) -> str:
        time.sleep(seconds)
        lives[tag].append(f"slept: {self.user(sid).get_username()}")
        return "slept"

    def on_watch(self, sid: str, pk: int) -> None:
        self.enter_room(sid, Article.objects.get(pk=pk))

    @login_required
    def on_greet(self, sid: str) -> str:
        return f"hello {self.user(sid).get_username()}"

    @permission_required("auth.change_group")
    def on_rename(self, sid: str) -> str:
        return "renamed"

    @permission_required("people.change_article", of=lambda pk: Article.objects.get(pk=pk))
    def on_publish(self, sid: str, pk: int) -> str:
        return "published"

    @user_passes_test(lambda user: user.is_staff, message="Staff only.")
    def on_audit(self, sid: str) -> str:
        return "audited"

    @request_passes_test(lambda request, room: request.session.get("room") == room)
    def on_speak(self, sid: str, room: str) -> str:
        return "spoken"

    def on_refuse(self, sid: str) -> None:
        raise PermissionDenied("Not on Sundays.")

    @rate_limit("2/h")
    def on_vote(self, sid: str) -> str:
        return "voted"


@login_required
class Members(Noted):
    """Where only users may be."""


@permission_required("auth.change_group")
class Editors(Noted):
    """Where a permission is needed."""


@login_required
class Slow(Noted):
    """Lets in slowly."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        super().on_connect(sid, environ, auth)
        time.sleep(auth["seconds"])


class Library(Noted):
    """Rooms by membership."""

    def may_enter_room(self, request: HandshakeRequest, room: Any) -> bool:
        if room == "cellar":
            raise OnPurposeError("the rule fails")
        return Membership.objects.filter(user=request.user.pk, room=room).exists()


class Hall(Noted):
    """Rooms in which people see each other."""

    tracks_presence = True

    def on_enter(self, sid: str, room: str) -> list[dict[str, Any]]:
        self.enter_room(sid, room)
        return self.present(room)

    def on_leave(self, sid: str, room: str) -> None:
        self.leave_room(sid, room)


class Tokens(Noted):
    """For those with a token, a signed one or a JSON Web Token, and for those with a session."""

    authenticators = (Machine(), SessionAuthenticator())


class Tickets(Noted):
    """For those with a signed token."""

    authenticators = (SignedTokenAuthenticator(),)


@dataclass
class Item:
    name: str
    number: int = 1


@dataclass
class Order:
    street: str
    items: list[Item] = field(default_factory=list)


class Profile(forms.Form):
    name = forms.CharField(max_length=5)
    age = forms.IntegerField(required=False)


class Rating(serializers.Serializer):
    stars = serializers.IntegerField(max_value=5)


class Shop(Namespace):
    """Handlers that annotate their arguments."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: dict[str, int] | None = None) -> None:
        """Take nothing but numbers."""

    def on_order(self, sid: str, order: Order, express: bool = False) -> list[Any]:
        return [type(order).__name__, len(order.items), express]

    def on_profile(self, sid: str, form: Profile) -> Any:
        return form.cleaned_data["name"]

    def on_rate(self, sid: str, rating: Rating) -> Any:
        return rating.validated_data["stars"]

    def on_move(
        self, sid: str, number: Annotated[str, RE(r"A-(\d+)", caster=int)], way: Annotated[str, Choice(["up", "down"])]
    ) -> list[Any]:
        return [number, way]

    def on_deliver(self, sid: str, street: str) -> None:
        raise ValidationError({"street": ["we do not deliver there"]})


for namespace in (
    Everybody("/"),
    Members("/members"),
    Editors("/editors"),
    Slow("/slow"),
    Library("/library"),
    Hall("/hall"),
    Tokens("/tokens"),
    Tickets("/tickets"),
    Shop("/shop"),
):
    sio.register_namespace(namespace)


@sio.room_rule
def may_watch(request: HandshakeRequest, room: Any) -> bool:
    """Let everybody into rooms of objects but groups', and into others that are called so."""
    return getattr(room, "kind", "") == "people.article" or str(room).startswith("public")


def group(name: str) -> Group:
    """Give a group by its name, for what tests send to be run."""
    return Group.objects.get_or_create(name=name)[0]
