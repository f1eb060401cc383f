"""
The tools for projects' own tests, used as projects use them. Rows D-85, S-52 and W-F19.

The cases below are Django's; pytest runs them with its database in memory.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
import urllib.request
from copy import copy
from typing import TYPE_CHECKING, Any

import pytest
import socketio
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.utils import translation

from dtws_sio import sio
from dtws_sio.exceptions import CallError, EmitError, QueueError, TopicError
from dtws_sio.permissions import login_required
from dtws_sio.signals import BROADCAST, SERVER, USER, everyone, registry, signal, trigger, trigger_signal
from dtws_sio.signals.namespace import register
from dtws_sio.testing import (
    ClientTestMixin,
    Emit,
    Event,
    RefusedError,
    SignalQueue,
    SocketIOClient,
    SocketIOLiveServerTestCase,
    recording,
)
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def registrations() -> Iterator[None]:
    """Forget the handlers of a test after it: `sio` and the signals belong to the process."""
    tables: list[dict[Any, Any]] = [sio.table._handlers, sio.table._terms, sio._namespaces, registry.REGISTERED]
    before = [copy(table) for table in tables]
    for table in tables[:-1]:
        table.clear()
    registered = {name: list(connected) for name, connected in registry.REGISTERED.items()}
    yield
    for table, contents in zip(tables, [*before[:-1], registered], strict=True):
        table.clear()
        table.update(contents)


# ---- SignalQueue


def ran() -> list[Any]:
    """Connect a function that keeps what it is called with, and give that list."""
    seen: list[Any] = []

    @signal("shop.order")
    def order(window_info: Any, item: int = 0) -> int:
        seen.append(item)
        return item

    @signal("shop.report", queue="slow")
    def report(window_info: Any, item: int = 0) -> int:
        seen.append(item)
        return item

    return seen


@pytest.fixture(autouse=True)
def queues(settings: Any) -> None:
    settings.DTWS_SIO = {"QUEUES": {"slow": "celery"}, "RUNTIME": "threading"}


def test_emits_are_recorded_by_topic_in_their_order() -> None:
    with SignalQueue() as queue:
        trigger(None, "html.text", to="news", content="a")
        trigger(None, "html.text", to=["news", "sport"], content=datetime.date(2024, 2, 29))
        trigger(None, "html.focus", to=BROADCAST)
    assert queue.emits_to("news") == [
        Emit("html.text", {"content": "a"}),
        Emit("html.text", {"content": "2024-02-29"}),
    ]
    assert queue.emits_to("sport") == queue.emits_to("news")[1:]
    assert queue.emits_to(BROADCAST) == queue.emits[BROADCAST] == [Emit("html.focus")]
    assert queue.emits_to("weather") == []
    assert queue.calls == {}


def test_what_is_for_a_user_is_found_by_the_user() -> None:
    user = User(pk=7)
    user._state.adding = False
    with SignalQueue() as queue:
        trigger(None, "hello", to=user)
    assert queue.emits_to(user) == [Emit("hello")]


@pytest.mark.parametrize("to", [SERVER, [], ["a", "b"], [SERVER]])
def test_what_is_no_single_recipient_is_told(to: Any) -> None:
    with pytest.raises(TopicError, match=r"emits_to\(.* What was for SERVER is in `calls`"):
        SignalQueue().emits_to(to)


def test_a_delayed_emit_is_recorded_too() -> None:
    """The peer's is a coroutine that nobody awaits; row W-F9."""
    with SignalQueue() as queue:
        trigger_signal(None, "hello", "news", {"a": 1}, countdown=60)
    assert queue.emits_to("news") == [Emit("hello", {"a": 1})]


@pytest.mark.parametrize("to", ["news", SERVER])
def test_what_could_not_be_sent_is_told(to: Any) -> None:
    ran()
    with SignalQueue(), pytest.raises((EmitError, CallError), match=r"shop\.order"):
        trigger(None, "shop.order", to=to, item=object())


def test_calls_wait_until_they_are_executed_first_come_first_served() -> None:
    """Row W-F19: the peer runs the last one first. Celery is not asked."""
    seen = ran()
    with SignalQueue() as queue:
        for item in (1, 2):
            trigger(None, "shop.order", to=SERVER, item=item)
            trigger(None, "shop.report", to=SERVER, item=-item)
        assert seen == []
        assert [call.kwargs["item"] for call in queue.calls["default"]] == [1, 2]
        assert [call.signal for call in queue.calls["slow"]] == ["shop.report"] * 2
        assert queue.execute() == [1, -1, 2, -2]
        assert queue.execute() == []
    assert seen == [1, -1, 2, -2]


def test_only_the_queues_that_are_named_are_executed() -> None:
    ran()
    with SignalQueue() as queue:
        trigger(None, "shop.report", to=SERVER, item=1)
        trigger(None, "shop.order", to=SERVER, item=2)
        assert queue.execute(["default"]) == [2]
        assert queue.execute(["slow"]) == [1]
        with pytest.raises(QueueError, match="there is no queue 'nowhere'"):
            queue.execute(["nowhere"])


def test_what_a_call_queues_is_executed_too() -> None:
    seen = ran()

    @signal("shop.first")
    def first(window_info: Any) -> None:
        trigger(window_info, "shop.order", to=SERVER, item=5)
        trigger(window_info, "done", to="news")

    with SignalQueue() as queue:
        trigger(None, "shop.first", to=SERVER)
        queue.execute()
        assert queue.emits_to("news") == [Emit("done")]
    assert seen == [5]


def test_a_function_that_triggers_itself_for_ever_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_FOLLOWING", 5)
    seen: list[int] = []

    @signal("shop.poll")
    def poll(window_info: Any) -> None:
        seen.append(1)
        trigger_signal(window_info, "shop.poll", SERVER, countdown=60)

    with SignalQueue() as queue:
        trigger(None, "shop.poll", to=SERVER)
        with pytest.raises(RuntimeError, match=r"6 calls were executed, and 'shop\.poll' .* trigger itself again"):
            queue.execute()
    assert len(seen) == 6


def test_a_failing_call_raises_and_those_after_it_still_wait() -> None:
    @signal("shop.fails")
    def fails(window_info: Any, divisor: int) -> float:
        return 1 / divisor

    with SignalQueue() as queue:
        for divisor in (0, 1):
            trigger(None, "shop.fails", to=SERVER, divisor=divisor)
        with pytest.raises(ZeroDivisionError):
            queue.execute()
        assert queue.execute() == [1.0]


def test_calls_run_at_once_if_wanted() -> None:
    seen = ran()
    with SignalQueue(immediate=True) as queue:
        trigger(None, "shop.order", to=SERVER, item=1)
        trigger_signal(None, "shop.report", SERVER, {"item": 2}, countdown=60)
        assert seen == [1, 2]
        assert queue.execute() == []
    assert [call.kwargs for call in queue.calls["slow"]] == [{"item": 2}]


def test_they_nest_and_the_innermost_gets_everything() -> None:
    with SignalQueue() as outer:
        trigger(None, "a", to="news")
        with SignalQueue() as inner:
            trigger(None, "b", to="news")
        trigger(None, "c", to="news")
    assert [emit.signal for emit in outer.emits_to("news")] == ["a", "c"]
    assert inner.emits_to("news") == [Emit("b")]


def test_it_can_be_activated_by_hand_and_leaves_nothing_behind(publisher: Any) -> None:
    queue, other = SignalQueue(), SignalQueue()
    queue.activate()
    other.activate()
    with pytest.raises(RuntimeError, match="deactivated first"):
        queue.deactivate()
    other.deactivate()
    trigger(None, "a", to="news")
    queue.deactivate()
    with pytest.raises(RuntimeError):
        queue.deactivate()
    with pytest.raises(Exception, match="serves no Socket"):
        trigger(None, "a", to="news")
    assert queue.emits_to("news") == [Emit("a")]


def test_other_threads_are_recorded_too() -> None:
    with SignalQueue() as queue:
        thread = threading.Thread(target=trigger, args=(None, "a"), kwargs={"to": "news"})
        thread.start()
        thread.join(5)
    assert queue.emits_to("news") == [Emit("a")]


def test_a_queued_call_speaks_its_windows_language_and_no_longer() -> None:
    """Rows S-43 and W-F12."""
    spoken: list[str] = []

    @signal("speak")
    def speak(window_info: Any) -> None:
        spoken.append(translation.get_language())
        translation.activate("fr")

    from django.test import RequestFactory

    request = RequestFactory().get("/", headers={"accept-language": "de"})
    with SignalQueue() as queue, translation.override("it"):
        trigger(request, "speak", to=SERVER)
        trigger(None, "speak", to=SERVER)
        queue.execute()
        assert translation.get_language() == "it"
    assert spoken == ["de", "en-us"]


class QueueInATransaction(TestCase):
    """What functions do is in the test's transaction; row W-F19: the peer's immediate mode cannot use the ORM."""

    def test_functions_use_the_database(self) -> None:
        @signal("make.user")
        def make(window_info: Any, name: str) -> int:
            return int(User.objects.create_user(name).pk)

        with SignalQueue(immediate=True):
            trigger(None, "make.user", to=SERVER, name="mia")
        with SignalQueue() as queue:
            trigger(None, "make.user", to=SERVER, name="jo")
            queue.execute()
        assert set(User.objects.values_list("username", flat=True)) == {"mia", "jo"}


# ---- the client


class Clients(ClientTestMixin, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.user = User.objects.create_user("mia")

    def test_events_and_acknowledgements_travel(self) -> None:
        sio.on("add", lambda sid, a, b: a + b)
        sio.on("pair", lambda sid: (1, [2]))
        sio.on("nothing", lambda sid: None)
        sio.on("raw", lambda sid, value: value[::-1])
        client = self.socketio()
        client.connect()
        assert client.call("add", 1, 2) == 3
        assert client.call("pair") == (1, [2])
        assert client.call("nothing") is None
        assert client.call("raw", b"\x00\xff") == b"\xff\x00"
        assert client.call("unknown")["error"]["code"] == "unknown_event"

    def test_a_handler_has_ended_when_emit_returns(self) -> None:
        ran: list[Any] = []
        sio.on("note", lambda sid, value: ran.append((value, threading.get_ident())))
        client = self.socketio()
        client.connect()
        for number in range(3):
            client.emit("note", number)
        assert ran == [(number, threading.get_ident()) for number in range(3)]

    def test_what_is_emitted_arrives_in_order_with_its_namespace(self) -> None:
        sio.on("ask", lambda sid: sio.emit("told", ({"a": 1}, b"x"), to=sid, namespace="/shop"), namespace="/shop")
        client, other = self.socketio(), self.socketio()
        client.connect("/shop")
        other.connect("/shop")
        client.emit("ask", namespace="/shop")
        sio.emit("news", "é", namespace="/shop")
        assert client.received() == [Event("told", ({"a": 1}, b"x"), "/shop"), Event("news", ("é",), "/shop")]
        assert client.received() == []
        assert other.received() == [Event("news", ("é",), "/shop")]

    def test_the_session_is_that_of_djangos_test_client(self) -> None:
        sio.on("who", lambda sid: sio.user(sid).get_username())
        client = self.socketio()
        client.connect()
        assert client.call("who") == ""
        self.client.force_login(self.user)
        client = self.socketio()
        client.connect()
        assert client.call("who") == "mia"
        known = self.socketio(user=User.objects.create_user("jo"))
        known.connect()
        assert known.call("who") == "jo"

    def test_a_connection_keeps_the_cookies_of_its_handshake(self) -> None:
        sio.on("who", lambda sid: sio.user(sid).get_username())
        client = self.socketio(user=self.user)
        client.connect()
        client.http.cookies.clear()
        assert client.call("who") == "mia"

    def test_handlers_are_in_the_tests_transaction(self) -> None:
        def rename(sid: str, name: str) -> None:
            assert connection.in_atomic_block
            User.objects.filter(pk=self.user.pk).update(username=name)

        sio.on("rename", rename)
        client = self.socketio()
        client.connect()
        client.call("rename", "Mia")
        self.user.refresh_from_db()
        assert self.user.username == "Mia"

    def test_a_refusal_says_why(self) -> None:
        @login_required
        def connect(sid: str, environ: Any) -> None: ...

        sio.on("connect", connect, namespace="/members")
        client = self.socketio()
        with pytest.raises(RefusedError) as caught:
            client.connect("/members")
        assert caught.value.data["code"] == "login_required"
        with pytest.raises(RefusedError) as caught:
            client.connect("/nowhere")
        assert caught.value.message == "Invalid namespace"
        self.socketio(user=self.user).connect("/members")

    def test_a_foreign_origin_is_refused_at_the_gate(self) -> None:
        sio.on("a", lambda sid: None)
        client = self.socketio(headers={"Origin": "https://evil.example"})
        with self.assertRaisesMessage(RefusedError, "403 Forbidden"):
            client.connect()
        self.socketio(headers={"Origin": "http://testserver"}).connect()

    def test_disconnects_run_their_handler(self) -> None:
        left: list[str] = []
        sio.on("disconnect", lambda sid, reason: left.append(reason))
        sio.on("leave", lambda sid: sio.disconnect(sid))
        client = self.socketio()
        client.connect()
        assert client.is_connected()
        client.disconnect()
        assert not client.is_connected()
        client.connect()
        client.emit("leave")
        assert not client.is_connected()
        client.connect()
        client.disconnect("/")
        assert left == ["transport close", "server disconnect", "client namespace disconnect"]

    def test_who_loses_the_account_is_thrown_out(self) -> None:
        """Without a thread that would not see the test's transaction."""
        sio.on("a", lambda sid: None)
        client = self.socketio(user=self.user)
        client.connect()
        assert client.is_connected()
        self.user.is_active = False
        with self.captureOnCommitCallbacks(execute=True):
            self.user.save()
        assert not client.is_connected()

    def test_a_client_can_acknowledge(self) -> None:
        got: list[Any] = []
        sio.on("a", lambda sid: None)
        client = self.socketio()
        sid = client.connect()
        client.on("question", lambda text: (text, 42))
        sio.emit("question", "why", to=sid, callback=lambda *values: got.append(values))
        assert client.received() == [Event("question", ("why",))]
        assert eventually(lambda: got)
        assert got == [("why", 42)]

    def test_what_a_thread_sends_can_be_waited_for(self) -> None:
        def work(sid: str) -> None:
            sio.start_background_task(lambda: (time.sleep(0.02), sio.emit("done", 1, to=sid)))

        sio.on("work", work)
        client = self.socketio()
        client.connect()
        client.emit("work")
        assert client.wait_for("done") == Event("done", (1,))
        assert client.received() == []
        with self.assertRaisesMessage(TimeoutError, "in vain for the event 'done'"):
            client.wait_for("done", seconds=0.01)

    def test_a_client_that_is_not_connected_says_so(self) -> None:
        with self.assertRaisesMessage(ConnectionError, "call connect() first"):
            self.socketio().emit("a")

    def test_a_client_without_a_namespace_has_no_sid(self) -> None:
        with self.assertRaisesMessage(ConnectionError, "call connect() first"):
            _ = self.socketio().sid

    def test_a_connection_that_the_server_closes_is_told_at_once(self) -> None:
        sio.on("leave", lambda sid: sio.disconnect(sid))
        sio.on("close", lambda sid: sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, "/")))
        sio.on("leave", lambda sid: sio.disconnect(sid, namespace="/shop"), namespace="/shop")
        for event, namespace in (("leave", "/"), ("close", "/"), ("leave", "/shop")):
            client = self.socketio()
            client.connect()
            if namespace != "/":
                client.connect(namespace)
            with self.subTest(event=event, namespace=namespace):
                began = time.monotonic()
                with self.assertRaisesMessage(ConnectionResetError, f"an acknowledgement of '{event}'"):
                    client.call(event, namespace=namespace)
                assert time.monotonic() - began < 2

    def test_signals_reach_functions_and_pages(self) -> None:
        """A function that is queued runs in the transaction too."""
        register(sio)

        @signal("shop.order", is_allowed_to=everyone, queue="slow")
        def order(window_info: Any, item: int) -> str:
            trigger(window_info, "html.text", to=USER, content=window_info.user.username)
            return f"{item} for {User.objects.get(pk=self.user.pk).username}"

        client = self.socketio(user=self.user)
        client.connect("/signals")
        message = {"signal": "shop.order", "opts": {"item": 7}}
        answer = client.call("signal", message, namespace="/signals")
        assert answer == {"ok": True, "results": ["7 for mia"], "errors": []}
        (event,) = client.received()
        assert event.name == "signal"
        assert event.arguments[0]["opts"] == {"content": "mia"}

    def test_a_function_that_fails_tells_the_page_and_no_more(self) -> None:
        register(sio)

        @signal("shop.order", is_allowed_to=everyone, queue="slow")
        def order(window_info: Any) -> None:
            raise ZeroDivisionError("secret")

        client = self.socketio()
        client.connect("/signals")
        with self.assertLogs("dtws_sio.signals", "ERROR"):
            answer = client.call("signal", {"signal": "shop.order", "opts": {}}, namespace="/signals")
        assert [error["code"] for error in answer["errors"]] == ["handler_failed"]


class OtherSettings(ClientTestMixin, TestCase):
    socketio_settings = {"ACK_ERRORS": False, "SERVER": {"cookie": "io"}}

    def test_keys_can_be_different(self) -> None:
        sio.on("fail", lambda sid: 1 / 0)
        client = self.socketio()
        client.connect()
        with self.assertLogs("dtws_sio.events"), pytest.raises(TimeoutError):
            client.call("fail", seconds=0.01)


class AfterAll(SimpleTestCase):
    def test_nothing_serves_without_the_mixin(self) -> None:
        assert not sio.serving
        with pytest.raises(RefusedError):
            SocketIOClient().connect()


# ---- the live server


class Live(SocketIOLiveServerTestCase):
    def setUp(self) -> None:
        self.user = User.objects.create_user("mia")

    def connect(self, *transports: str, **headers: str) -> socketio.SimpleClient:
        client = socketio.SimpleClient()
        client.connect(self.live_server_url, transports=list(transports), headers=headers)
        self.addCleanup(client.disconnect)
        return client

    def test_a_real_client_talks_to_it_by_every_transport(self) -> None:
        sio.on("add", lambda sid, a, b: a + b)
        for transports, used in (
            (["polling"], "polling"),
            (["websocket"], "websocket"),
            (["polling", "websocket"], "websocket"),
        ):
            with self.subTest(transports=transports):
                client = self.connect(*transports)
                assert client.call("add", (1, 2), timeout=5) == 3
                assert client.transport == used
                sio.emit("news", b"\xff", to=client.sid)
                assert client.receive(timeout=5) == ["news", b"\xff"]

    def test_handlers_see_what_the_test_saved_and_the_test_what_they_did(self) -> None:
        def rename(sid: str, name: str) -> str:
            user = sio.user(sid)
            user.username, before = name, user.username
            user.save()
            return str(before)

        sio.on("rename", rename)
        self.client.force_login(self.user)
        session = self.client.session
        assert isinstance(session, SessionBase)
        client = self.connect("websocket", Cookie=f"sessionid={session.session_key}")
        assert client.call("rename", "Mia", timeout=5) == "mia"
        self.user.refresh_from_db()
        assert self.user.username == "Mia"

    def test_a_handler_may_wait_for_its_client(self) -> None:
        def ask(sid: str) -> Any:
            return sio.call("question", to=sid, timeout=5)

        sio.on("ask", ask)
        client = socketio.Client()
        client.on("question", lambda: 42)
        client.connect(self.live_server_url, transports=["websocket"])
        self.addCleanup(client.disconnect)
        assert client.call("ask", timeout=5) == 42

    def test_pages_and_static_files_are_served_beside_it(self) -> None:
        with urllib.request.urlopen(f"{self.live_server_url}/static/dtws_sio/socket.io.min.js", timeout=5) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{self.live_server_url}/socket.io/?EIO=4&transport=polling", timeout=5) as answer:
            assert "sid" in json.loads(answer.read()[1:])
