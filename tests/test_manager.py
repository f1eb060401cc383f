"""
What joins processes: publishing to a message queue and taking in what others published.

A list stands in for Redis here; a real one is driven in tests/live. Emits of one process are in test_server.py.
"""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING, Any

import pytest
import redis.exceptions

from dtws_sio import conf, json, manager
from dtws_sio.exceptions import EmitError, MissingDependencyError, NotServingError
from dtws_sio.manager import Manager, Publisher, RedisManager
from tests.page import Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server

NOBODY_LISTENS = "redis://:secret@127.0.0.1:8269/0"


class Queue:
    """As much of a Redis client as publishing needs; it fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.published: list[tuple[str, str]] = []

    def publish(self, channel: str, text: str) -> None:
        if self.failures:
            self.failures -= 1
            raise redis.exceptions.ConnectionError("gone away")
        self.published.append((channel, text))


def settings(**values: Any) -> conf.Settings:
    return conf.Settings(message_queue=NOBODY_LISTENS, **values)


def with_queue(made: Any, queue: Queue) -> Any:
    made.redis, made.connected = queue, True
    made._redis_connect = lambda: setattr(made, "connected", True)
    return made


@pytest.fixture
def queue() -> Queue:
    """What was published."""
    return Queue()


@pytest.fixture
def publisher_to(queue: Queue) -> Publisher:
    """The publisher of a process that serves nobody."""
    publisher = with_queue(manager.for_publisher(settings()), queue)
    assert isinstance(publisher, Publisher)
    return publisher


@pytest.fixture
def joined(server: Server, queue: Queue) -> Server:
    """A server whose manager is joined with others by the queue."""
    joined = with_queue(manager.for_server(settings()), queue)
    joined.set_server(server)
    server.manager = server.clients._manager = joined
    server.manager_initialized = True
    return server


def take_in(server: Server, queue: Queue) -> None:
    """Do what the listening thread does with what another process published."""
    handle = {"emit": "_handle_emit", "disconnect": "_handle_disconnect", "close_room": "_handle_close_room"}
    handle |= {"enter_room": "_handle_enter_room", "leave_room": "_handle_leave_room"}
    for _, text in queue.published:
        message = json.loads(text)
        getattr(server.manager, handle[message["method"]])(message)
    queue.published.clear()


@pytest.mark.parametrize(("url", "expected"), [(None, Manager), (NOBODY_LISTENS, RedisManager)])
def test_the_setting_tells_which_manager_serves(url: str | None, expected: type) -> None:
    assert type(manager.for_server(conf.Settings(message_queue=url))) is expected


def test_a_process_that_serves_nobody_needs_a_queue_row_d_30() -> None:
    with pytest.raises(NotServingError, match=r"reach nobody; set DTWS_SIO\['MESSAGE_QUEUE'\]"):
        manager.for_publisher(conf.Settings())


def test_a_missing_redis_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> None:
        assert name == "redis"

    monkeypatch.setattr(manager, "find_spec", find_spec)
    for make in (manager.for_server, manager.for_publisher):
        with pytest.raises(MissingDependencyError, match=r"pip install 'dtws_sio\[redis\]'"):
            make(settings())


@pytest.mark.parametrize("make", [manager.for_server, manager.for_publisher])
def test_projects_that_share_a_queue_have_channels_of_their_own(
    make: Callable[[conf.Settings], Any], queue: Queue
) -> None:
    made = make(settings(message_channel="shop"))
    assert (made.channel, made.redis_url) == ("shop", NOBODY_LISTENS)


MOMENT = datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc)

DATA: list[tuple[Any, list[Any]]] = [
    (None, []),
    ((), []),
    ("", [""]),
    (0, [0]),
    ([], [[]]),
    ([1, 2], [[1, 2]]),
    ((1, 2), [1, 2]),
    (([1, 2],), [[1, 2]]),
    ({"a": MOMENT}, [{"a": "2024-05-06T00:00:00Z"}]),
    ("\ud83d", ["\ud83d"]),
    (2**70, [2**70]),
    (b"\x00\xff", [b"\x00\xff"]),
    ((b"1", "x", b"2"), [b"1", "x", b"2"]),
    ({"a": [b"1", {"b": b"2"}]}, [{"a": [b"1", {"b": b"2"}]}]),
    ({"a": (b"1", 2)}, [{"a": [b"1", 2]}]),
    (bytearray(b"1"), [b"1"]),
    ({"a": b"1", "at": MOMENT}, [{"a": b"1", "at": "2024-05-06T00:00:00Z"}]),
]


@pytest.mark.parametrize(("data", "arguments"), DATA, ids=repr)
def test_clients_are_told_the_same_by_their_own_process_and_through_the_queue(
    visit: Callable[..., Page], joined: Server, publisher_to: Publisher, queue: Queue, data: Any, arguments: list[Any]
) -> None:
    """Row D-30."""
    page = visit("/")
    joined.emit("news", data)
    queue.published.clear()
    publisher_to.emit("news", data, "/")
    take_in(joined, queue)
    assert [each.data for each in page.arrived()] == [["news", *arguments]] * 2


@pytest.mark.parametrize(("data", "arguments"), DATA, ids=repr)
def test_what_a_serving_process_emits_reaches_its_own_clients_and_the_queue(
    visit: Callable[..., Page], joined: Server, queue: Queue, data: Any, arguments: list[Any]
) -> None:
    page = visit("/")
    joined.emit("news", data)
    assert [each.data for each in page.arrived()] == [["news", *arguments]]
    ((channel, _),) = queue.published
    assert channel == "socketio"
    take_in(joined, queue)
    assert [each.data for each in page.arrived()] == [["news", *arguments]]


def test_an_emit_for_this_process_alone_is_not_published(
    visit: Callable[..., Page], joined: Server, queue: Queue
) -> None:
    page = visit("/")
    joined.emit("news", 1, ignore_queue=True)
    assert [each.data for each in page.arrived()] == [["news", 1]]
    assert queue.published == []


def test_addresses_go_through_the_queue(
    visit: Callable[..., Page], joined: Server, publisher_to: Publisher, queue: Queue
) -> None:
    ada, bob = visit("/"), visit("/")

    def reach(**address: Any) -> list[int]:
        publisher_to.emit("news", 1, "/", **address)
        take_in(joined, queue)
        return [len(ada.arrived()), len(bob.arrived())]

    publisher_to.enter_room(ada.sid, "/", "readers")
    take_in(joined, queue)
    assert reach(room="readers") == reach(to=ada.sid) == reach(skip_sid=bob.sid) == reach(to=["readers", "x"]) == [1, 0]
    assert reach(skip_sid=[ada.sid, bob.sid]) == reach(to=["x"]) == [0, 0]
    publisher_to.leave_room(ada.sid, "/", "readers")
    take_in(joined, queue)
    assert reach(room="readers") == [0, 0]
    joined.enter_room(ada.sid, "readers")
    publisher_to.close_room("readers", "/")
    take_in(joined, queue)
    assert reach(room="readers") == [0, 0]
    assert reach() == [1, 1]


@pytest.mark.parametrize("several", [list, tuple, set, frozenset])
def test_several_addresses_go_through_the_queue_whatever_holds_them(
    visit: Callable[..., Page], joined: Server, publisher: Server, publisher_to: Publisher, queue: Queue, several: Any
) -> None:
    publisher.manager = publisher_to
    ada, bob = visit("/"), visit("/")
    publisher.emit("news", 1, to=several([ada.sid]))
    publisher.emit("news", 2, skip_sid=several([ada.sid]))
    publisher.emit("news", 3, to=several([]))
    take_in(joined, queue)
    assert [[each.data for each in page.arrived()] for page in (ada, bob)] == [[["news", 1]], [["news", 2]]]


def test_a_client_is_sent_away_through_the_queue(
    visit: Callable[..., Page], joined: Server, publisher_to: Publisher, queue: Queue
) -> None:
    left = []
    joined.on("disconnect", lambda sid, reason: left.append((sid, reason)))
    page = visit("/")
    publisher_to.disconnect(page.sid, "/")
    take_in(joined, queue)
    assert eventually(lambda: left == [(page.sid, "server disconnect")])


def test_a_callback_needs_a_process_that_serves(publisher_to: Publisher, queue: Queue) -> None:
    with pytest.raises(NotServingError, match=r"emit\('news', callback=\.\.\.\) needs a process that serves clients"):
        publisher_to.emit("news", callback=print, data=1)
    assert queue.published == []


@pytest.mark.parametrize("data", [object(), {"a": {1}}, (b"1", object())], ids=["object", "set", "beside bytes"])
def test_data_that_cannot_be_sent_is_not_published(publisher_to: Publisher, queue: Queue, data: Any) -> None:
    with pytest.raises(TypeError):
        publisher_to.emit("news", data)
    assert queue.published == []


@pytest.mark.parametrize("data", [object(), {"a": {1}}, (b"1", object())], ids=["object", "set", "beside bytes"])
def test_data_that_cannot_be_sent_reaches_nobody(
    visit: Callable[..., Page], joined: Server, queue: Queue, data: Any
) -> None:
    page = visit("/")
    with pytest.raises(EmitError):
        joined.emit("news", data)
    assert (page.arrived(), queue.published) == ([], [])


def test_a_connection_to_the_queue_that_went_stale_is_replaced_once(publisher_to: Publisher, queue: Queue) -> None:
    queue.failures = 1
    publisher_to.emit("news", 1)
    assert len(queue.published) == 1


def test_a_queue_that_cannot_be_reached_is_told_row_d_63(publisher_to: Publisher, queue: Queue) -> None:
    queue.failures = 2
    with pytest.raises(EmitError) as caught:
        publisher_to.emit("news", 1)
    message = str(caught.value)
    assert "redis://127.0.0.1:8269/0 cannot be reached" in message
    assert "secret" not in message
    assert "DTWS_SIO['MESSAGE_QUEUE']" in message
    publisher_to.emit("news", 1)
    assert len(queue.published) == 1


def test_a_queue_that_was_never_there_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    """With redis itself: nothing listens on that port."""
    with caplog.at_level(logging.DEBUG), pytest.raises(EmitError, match="cannot be reached"):
        manager.for_publisher(settings()).emit("news", 1)
    assert "secret" not in caplog.text


def test_a_serving_process_whose_queue_cannot_be_reached_tells_too_row_d_63(
    visit: Callable[..., Page], joined: Server, queue: Queue
) -> None:
    """Its own clients have the event; those of other processes miss it, which the caller must be able to see."""
    page = visit("/")
    queue.failures = 2
    with pytest.raises(EmitError, match="cannot be reached"):
        joined.emit("news", 1)
    assert [each.data for each in page.arrived()] == [["news", 1]]
