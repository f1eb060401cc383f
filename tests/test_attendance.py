"""Who is in a room, as namespaces and pages see it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

from dtws_sio import Namespace
from dtws_sio.exceptions import NotServingError, TopicError
from dtws_sio.presence import JOINED, LEFT
from tests.page import Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


class Chat(Namespace):
    tracks_presence = True

    def on_join(self, sid: str, room: str) -> list[dict[str, Any]]:
        self.enter_room(sid, room)
        return self.present(room)

    def on_leave(self, sid: str, room: str) -> None:
        self.leave_room(sid, room)


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann")


@pytest.fixture
def chat(server: Server) -> Server:
    server.register_namespace(Chat("/chat"))
    return server


def join(page: Page, room: str = "novels") -> Any:
    return page.ask("join", room, namespace="/chat")[0]


def told(page: Page) -> list[Any]:
    return [event.data for event in page.arrived()]


def test_a_room_knows_who_is_in_it_and_hears_who_comes_and_goes(
    chat: Server, visit: Callable[..., Page], ann: User, sign_in: Callable[..., Any]
) -> None:
    known, guest = {"id": ann.pk, "name": "ann"}, {"id": None, "name": "guest"}
    page = visit("/chat", **sign_in(ann))
    assert join(page) == [known]
    other = visit("/chat")
    assert join(other) == [known, guest]
    assert [JOINED, {"room": "novels", "who": guest}] in told(page)
    assert chat.present("novels", "/chat") == [known, guest]
    other.ask("leave", "novels", namespace="/chat")
    assert told(page) == [[LEFT, {"room": "novels", "who": guest}]]
    page.close()
    assert eventually(lambda: chat.present("novels", "/chat") == [])


def test_two_tabs_are_one_person(
    chat: Server, visit: Callable[..., Page], ann: User, sign_in: Callable[..., Any]
) -> None:
    watcher = visit("/chat")
    join(watcher)
    first = visit("/chat", **sign_in(ann))
    join(first)  # she has been announced by now; otherwise it could be the second who hears of it
    second = visit("/chat", **sign_in(ann))
    assert len(join(second)) == 2
    first.close()
    assert eventually(lambda: chat.manager._clients and len(chat.members("/chat", "novels")) == 2)
    second.close()
    assert eventually(lambda: len(chat.present("novels", "/chat")) == 1)
    of_the_room = [event for event in told(watcher) if event[1]["room"] == "novels"]
    assert [event[0] for event in of_the_room] == [JOINED, LEFT]


def test_a_guest_with_a_session_is_one_person_in_all_tabs(
    chat: Server, visit: Callable[..., Page], people: Any
) -> None:
    first, second = session(), session()
    cookies = (first, first, second, {}, {})
    assert [len(join(visit("/chat", **cookie))) for cookie in cookies] == [1, 1, 2, 3, 4]


def session() -> dict[str, str]:
    """Give the cookie of a guest who has a session."""
    store = SessionStore()
    store["basket"] = [1]
    store.save()
    return {"HTTP_COOKIE": f"sessionid={store.session_key}"}


def test_a_group_is_a_room_like_others(
    chat: Server, visit: Callable[..., Page], ann: User, sign_in: Callable[..., Any]
) -> None:
    """Its members are in it without being put there, and are gone from it with their pages, or with the group."""
    group, other = Group.objects.create(name="staff"), Group.objects.create(name="others")
    ann.groups.add(group)
    known = {"id": ann.pk, "name": "ann"}
    first, second = (visit("/chat", **sign_in(ann)) for _ in range(2))
    assert eventually(lambda: chat.present(group, "/chat") == [known])
    assert {event[1]["room"] for event in told(first)} <= {None}, "they are not told, as nobody goes there"
    chat.enter_room(first.sid, group, "/chat")
    first.close()
    ann.groups.set([other])
    chat.recheck(ann)
    assert eventually(lambda: (chat.present(group, "/chat"), chat.present(other, "/chat")) == ([], [known]))
    second.close()
    assert eventually(lambda: chat.present(other, "/chat") == [])


def test_the_whole_namespace_is_a_room_too(chat: Server, visit: Callable[..., Page]) -> None:
    first = visit("/chat")
    visit("/chat")
    assert len(chat.present(namespace="/chat")) == 2
    assert told(first) == [[JOINED, {"room": None, "who": {"id": None, "name": "guest"}}]]


def test_what_the_connect_handler_enters_counts(server: Server, visit: Callable[..., Page]) -> None:
    @server.event
    def connect(sid: str, environ: Any) -> None:
        server.enter_room(sid, "lobby")

    server.track_presence(lambda sid: {"name": "somebody"})
    page = visit("/")
    assert server.present("lobby") == [{"name": "somebody"}]
    page.leave()
    assert eventually(lambda: server.present("lobby") == [])


def test_closing_a_room_empties_it(chat: Server, visit: Callable[..., Page]) -> None:
    join(visit("/chat"))
    join(visit("/chat"))
    chat.close_room("novels", "/chat")
    assert chat.present("novels", "/chat") == []


def test_an_object_is_a_room_like_others(chat: Server, visit: Callable[..., Page], people: Any) -> None:
    group = Group.objects.create(name="readers")
    page = visit("/chat")
    chat.enter_room(page.sid, group, "/chat")
    assert len(chat.present(group, "/chat")) == 1


def test_where_it_is_not_asked_for_nobody_is_tracked(server: Server, visit: Callable[..., Page]) -> None:
    first, second = visit("/"), visit("/")
    for page in (first, second):
        server.enter_room(page.sid, "novels")
    assert server.present("novels") == []
    assert told(first) == []


def test_a_description_that_fails_is_logged_and_harms_nobody(
    server: Server, visit: Callable[..., Page], caplog: pytest.LogCaptureFixture
) -> None:
    server.track_presence(lambda sid: {"x": 1 / 0})
    page = visit("/")
    assert eventually(lambda: "'presence' of /" in caplog.text)
    assert not page.is_closed


def test_a_client_that_goes_while_it_is_entered_goes_once(server: Server, visit: Callable[..., Page]) -> None:
    left: list[str] = []
    is_asked, may_go_on = threading.Event(), threading.Event()

    def describe(sid: str) -> dict[str, Any]:
        is_asked.set()
        assert may_go_on.wait(10)
        return {}

    server.track_presence(describe)
    server.on("disconnect", lambda sid, reason: left.append(sid))
    page = visit()
    page.join()
    assert is_asked.wait(10)
    page.close()
    may_go_on.set()
    assert eventually(lambda: not server.manager._clients)
    assert left == [page.sid]
    assert server.present() == []


def test_a_users_clients_are_found_wherever_they_are(
    chat: Server, visit: Callable[..., Page], ann: User, sign_in: Callable[..., Any]
) -> None:
    chat.table.open("/")
    bob = User.objects.create_user("bob")
    headers = sign_in(ann)
    here, there, other = visit("/", **headers), visit("/chat", **headers), visit("/chat", **sign_in(bob))
    assert sorted(chat.sockets(ann)) == [("/", here.sid), ("/chat", there.sid)]
    assert chat.sockets(ann, "/chat") == [("/chat", there.sid)]
    assert chat.sockets(bob) == [("/chat", other.sid)]
    here.close()
    assert eventually(lambda: chat.sockets(ann) == [("/chat", there.sid)])
    with pytest.raises(TopicError):
        chat.sockets(User())


def test_a_process_that_serves_nobody_says_so(publisher: Server, ann: User) -> None:
    with pytest.raises(NotServingError, match="message queue"):
        publisher.sockets(ann)
    with pytest.raises(NotServingError, match="message queue"):
        publisher.present("novels")
