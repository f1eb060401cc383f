"""
Handlers for the live tests.

A test brings a tag of its own in its `auth`; what happens to its clients is kept under that tag in `lives`.
"""

import time
from collections import defaultdict
from typing import Any

from django import forms
from django.db import connection
from socketio.exceptions import ConnectionRefusedError as Refusal

from dtws_sio import NO_ACK, EventError, Namespace, concurrent, sio
from dtws_sio.validation import SerializedForm
from playground import bars  # noqa: F401  it registers a namespace

lives: defaultdict[str, list[str]] = defaultdict(list)


class OnPurposeError(Exception):
    """Raised by handlers that fail because a test asks them to; any other traceback in a log is a defect."""


def begin(sid: str, auth: Any, namespace: str = "/") -> None:
    """Note that a client came, and remember its tag."""
    tag = auth.get("tag", "") if isinstance(auth, dict) else ""
    sio.get_session(sid, namespace)["tag"] = tag
    lives[tag].append("connect")


def end(sid: str, reason: str, namespace: str = "/") -> None:
    """Note why a client left."""
    lives[sio.get_session(sid, namespace)["tag"]].append(reason)


@sio.event
def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    begin(sid, auth)


@sio.event
def disconnect(sid: str, reason: str) -> None:
    end(sid, reason)


@sio.event
def echo(sid: str, value: Any) -> Any:
    return value


@sio.event
def several(sid: str, *values: Any) -> tuple[Any, ...]:
    return values


@sio.event
def nothing(sid: str) -> None:
    return None


@sio.event
def silence(sid: str) -> Any:
    return NO_ACK


@sio.event
def pair(sid: str, first: Any, second: Any) -> Any:
    return [first, second]


@sio.event
def fail(sid: str) -> None:
    raise OnPurposeError("a secret")


@sio.event
def deny(sid: str) -> None:
    raise EventError("not today", code="closed")


@sio.event
def send_back(sid: str, event: str, *values: Any) -> None:
    sio.emit(event, values, to=sid)


@sio.event
def join(sid: str, room: str) -> None:
    sio.enter_room(sid, room)


@sio.event
def leave(sid: str, room: str) -> None:
    sio.leave_room(sid, room)


@sio.event
def say(sid: str, room: str, text: Any) -> None:
    sio.emit("said", text, room=room, skip_sid=sid)


@sio.event
def kick(sid: str) -> Any:
    sio.disconnect(sid)
    return NO_ACK


@sio.event
def nap(sid: str, seconds: float, name: str) -> None:
    time.sleep(seconds)
    note(sid, name)


@sio.event
def note(sid: str, name: Any, *more: Any) -> None:
    sio.get_session(sid).setdefault("notes", []).append(name)


@sio.event
def notes(sid: str) -> Any:
    return sio.get_session(sid).get("notes", [])


@sio.event
@concurrent
def note_at_once(sid: str, name: Any) -> Any:
    note(sid, name)
    return name


@sio.event
def count(sid: str, end: int) -> int:
    for number in range(end):
        sio.emit("number", number, to=sid)
    return end


@sio.event
def ask(sid: str, question: str) -> list[Any]:
    return list(sio.call("question", question, to=sid, timeout=5))


@sio.event
def work(sid: str, steps: int) -> None:
    sio.start_background_task(_work, sid, steps)


def _work(sid: str, steps: int) -> None:
    for step in range(steps):
        sio.sleep(0.01)
        sio.emit("step", step, to=sid)


@sio.event
def query(sid: str, seconds: float) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid(), pg_sleep(%s)", [seconds])
        return int(cursor.fetchone()[0])


class Chat(Namespace):
    """A class-based namespace."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        begin(sid, auth, self.namespace)

    def on_disconnect(self, sid: str, reason: str) -> None:
        end(sid, reason, self.namespace)

    def on_echo(self, sid: str, value: Any) -> Any:
        return f"chat: {value}"


class Guarded(Namespace):
    """A namespace that refuses in each way there is; `auth` says in which."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        how = (auth or {}).get("how")
        if how == "reason":
            raise Refusal("wrong password")
        if how == "data":
            raise Refusal("wrong password", {"left": 2})
        if how == "builtin":
            raise ConnectionRefusedError("not you")
        if how == "error":
            raise EventError("not today", code="closed")
        if how == "failure":
            raise OnPurposeError("a secret")
        return how != "false"


class Slow(Namespace):
    """A namespace whose connect handler takes a while, and then does what `auth` says."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> bool:
        begin(sid, auth, self.namespace)
        self.enter_room(sid, auth["tag"])
        time.sleep(auth["seconds"])
        lives[auth["tag"]].append("asked")
        return bool(auth.get("accept", True))

    def on_disconnect(self, sid: str, reason: str) -> None:
        end(sid, reason, self.namespace)


class Greeting(Namespace):
    """A namespace that talks before it has accepted."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> bool:
        self.enter_room(sid, f"greeting-{sid}")
        self.emit("hello", 1, to=sid)
        self.emit("hello", 2, room=f"greeting-{sid}")
        self.emit("hello", (3, b"\x03"), to=sid)
        return not (auth or {}).get("refuse")


class Bars(Namespace):
    """
    Stands in for a namespace with progress bars: the page itself says what it is to be told.

    A summary that it has kept, under the bar's name, is the answer to `watch`.
    """

    summaries: dict[str, dict[str, Any]] = {}

    def on_say(self, sid: str, event: str, data: dict[str, Any]) -> None:
        self.emit(event, data, to=sid)

    def on_keep(self, sid: str, bar: str, summary: dict[str, Any]) -> None:
        self.summaries[bar] = summary

    def on_watch(self, sid: str, data: dict[str, Any]) -> dict[str, Any]:
        self.check(data["bar"])
        if data["bar"] not in self.summaries:
            raise EventError("there is no such bar", code="unknown_bar")
        return {"ok": True, "state": self.summaries[data["bar"]]}

    def on_unwatch(self, sid: str, data: dict[str, Any]) -> None:
        pass

    def on_cancel(self, sid: str, data: dict[str, Any]) -> dict[str, Any]:
        self.check(data["bar"])
        self.emit("cancelled", {"bar": data["bar"]}, to=sid)
        return {"ok": True}

    def on_kick(self, sid: str) -> Any:
        self.disconnect(sid)
        return NO_ACK

    def check(self, bar: str | None) -> None:
        if bar == "secret":
            raise EventError("it is not yours", code="forbidden")


class StubSignals(Namespace):
    """
    Stands in for the server's side of signals: the page itself says what the answer is, and what it is to be sent.

    Its tokens are "good", "expired" and anything else, which is refused.
    """

    messages: dict[str, list[Any]] = {}

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        token = (auth or {}).get("window")
        if token == "expired":
            raise Refusal("the page has been open for too long", {"code": "token_expired"})
        if token != "good":
            raise Refusal("the page belongs to another session", {"code": "token_invalid"})

    def on_signal(self, sid: str, message: dict[str, Any]) -> dict[str, Any]:
        call = getattr(self, f"call_{message['signal']}", None)
        if call is None:
            return self.refuse("unknown_signal", "there is no such signal")
        results = call(sid, **message["opts"])
        return results if isinstance(results, dict) and "ok" in results else self.accept(results)

    def accept(self, result: Any) -> dict[str, Any]:
        return {"ok": True, "results": [result], "errors": []}

    def refuse(self, code: str, message: str, **details: Any) -> dict[str, Any]:
        return {"ok": False, "results": [], "errors": [{"code": code, "message": message, **details}]}

    def call_echo(self, sid: str, **opts: Any) -> Any:
        return opts

    def call_send(self, sid: str, messages: list[Any]) -> None:
        for message in messages:
            self.emit("signal", message, to=sid)

    def call_upload(self, sid: str, form: Any) -> dict[str, Any]:
        try:
            bound = SerializedForm(UploadForm)(form)
        except ValueError as error:
            return self.refuse("invalid", str(error), fields=getattr(error, "errors", None))
        files = bound.files.getlist("file")
        return {"title": bound.cleaned_data["title"], "files": [[each.name, each.size] for each in files]}

    def call_wait(self, sid: str, seconds: float) -> None:
        time.sleep(seconds)

    def call_fail(self, sid: str) -> None:
        raise OnPurposeError("on purpose")

    def call_kick(self, sid: str) -> None:
        self.disconnect(sid)


class UploadForm(forms.Form):
    """What the stub of signals takes as a form."""

    title = forms.CharField(max_length=20)
    file = forms.FileField()
    kinds = forms.MultipleChoiceField(choices=[("a", "a"), ("b", "b"), ("c", "c")], required=False)


for _namespace in (
    Chat("/chat"),
    Guarded("guarded"),
    Slow("/slow"),
    Greeting("/greeting"),
    Bars("/bars"),
    StubSignals("/stub"),
):
    sio.register_namespace(_namespace)
