"""Namespaces with progress bars, and the pages that watch them; rows P-01 to P-13, D-70 to D-75, D-84, W-D14
and W-D15.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio import Namespace, concurrent
from dtws_sio.exceptions import (
    DuplicateHandlerError,
    EventError,
    InvalidInstanceError,
    NotRunningError,
    NotServingError,
    ProgressError,
    ProgressRangeError,
    ProgressTypeError,
    RoomNameError,
    TopicError,
)
from dtws_sio.permissions import login_required
from dtws_sio.progress import Bar, BarBusyError, ProgressBarMixin, bar, mixin
from dtws_sio.progress.board import board_of
from tests.bars import Mirror, events_of, names_of
from tests.page import ACK, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AnonymousUser, User

    from dtws_sio.progress import Record
    from dtws_sio.server import Server

INIT = ["before_init", "init", "after_init"]
UPDATE = ["before_update", "update", "after_update"]


class Import(ProgressBarMixin, Namespace):
    """Work that goes on step by step as the test says."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gate = threading.Semaphore(0)
        self.running = threading.Event()

    def on_start(self, sid: str, count: int = 3) -> str:
        with self:
            for number in range(count):
                self.running.set()
                assert self.gate.acquire(timeout=10)
                self.check()
                self.tick(f"row {number}")
        return "imported"

    def on_mine(self, sid: str, count: int = 3) -> None:
        for _ in self.bar("rows", room=sid).track(range(count)):
            self.running.set()
            assert self.gate.acquire(timeout=10)

    def on_echo(self, sid: str, value: Any) -> Any:
        return value

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.gate.release()


@pytest.fixture
def imports(server: Server) -> Import:
    namespace = Import("/import", max=3)
    server.register_namespace(namespace)
    return namespace


@pytest.fixture
def open_page(visit: Callable[..., Page], imports: Import) -> Callable[..., Page]:
    """Join the namespace, and read what a newcomer is shown."""

    def open_page(**extra: Any) -> Page:
        page = visit("/import", **extra)
        events_of(page, "after_init")
        return page

    return open_page


def ask(page: Page, event: str, *data: Any) -> Any:
    """Send an event, and give its acknowledgement; other events that came before it are thrown away."""
    number = next(page._numbers)
    page.emit(event, *data, namespace="/import", id=number)
    while (packet := page.next()).type != ACK:
        pass
    assert packet.id == number
    return packet.data[0] if packet.data else None


# ---- the class


def test_the_mixin_alone_is_no_namespace_row_d_70() -> None:
    with pytest.raises(InvalidInstanceError, match=r"write class ProgressBarMixin\(ProgressBarMixin, Namespace\)"):
        ProgressBarMixin("/import")


def test_it_is_declared_with_a_path_and_a_range_rows_d_71_and_p_01() -> None:
    """There is no prefix to go wrong for a bar without a name: row W-D15."""
    shown = Import(" import ", min=2, max=9, label="hello")
    assert (shown.namespace, shown.min, shown.max, shown.current, shown.label) == ("/import", 2, 9, 2, "hello")
    assert (shown.indeterminate, shown.is_done(), shown.status) == (False, False, "idle")
    assert Import("/import", indeterminate=True).indeterminate
    assert Import("/import", min=4, max=4).indeterminate
    with pytest.raises(ProgressRangeError, match="max is 1, less than min, 2"):
        Import("/import", min=2, max=1)
    with pytest.raises(ProgressTypeError):
        Import("/import", max="9")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call", [lambda it: it.tick(), lambda it: it.bar("rows"), lambda it: it.reset(), lambda it: it.__enter__()]
)
def test_before_it_is_registered_it_says_what_to_do_row_d_72(call: Callable[[Import], object]) -> None:
    with pytest.raises(ProgressError, match="Import is not registered yet; call sio"):
        call(Import("/import"))


def test_several_namespaces_of_a_class_are_bars_of_their_own_row_d_72(
    server: Server, visit: Callable[..., Page]
) -> None:
    one, other = Import("/one", max=5), Import("/other", max=5)
    server.register_namespace(one)
    server.register_namespace(other)
    one.tick()
    assert (one.current, other.current) == (1, 0)
    page = visit()
    page.join("/other")
    assert events_of(page, "after_init")[1][1]["current"] == 0


def test_handlers_of_the_subclass_are_its_own_rows_d_73_to_d_75(
    open_page: Callable[..., Page], imports: Import
) -> None:
    page = open_page()
    assert ask(page, "echo", 5) == 5
    imports.emit("news", {"bar": 1})
    assert page.next().data == ["news", {"bar": 1}]


@pytest.mark.parametrize("event", ["watch", "unwatch", "cancel"])
def test_an_event_of_the_mixin_cannot_be_taken_without_a_word(server: Server, event: str) -> None:
    clash = type("Clash", (ProgressBarMixin, Namespace), {f"on_{event}": lambda self, sid: None})
    with pytest.raises(DuplicateHandlerError, match=event):
        server.register_namespace(clash("/import"))


def test_a_client_can_call_what_the_subclass_wrote_and_the_three_and_nothing_else(
    server: Server, open_page: Callable[..., Page], imports: Import
) -> None:
    """Pitfall 10 and row P-12: every name of the class, with and without what could be a prefix."""
    assert dict(server.table)["/import"] == ["cancel", "echo", "mine", "start", "unwatch", "watch"]
    page = open_page()
    imports.tick("safe")
    names = {name for each in (*dir(imports), *dir(imports._bar)) for name in (each, each.removeprefix("on_"))}
    names |= {"open", "module_progressbar_open", "module_progressbar_foo_open", "init", "update", "done"}
    for name in sorted(names - {"cancel", "echo", "mine", "start", "unwatch", "watch", "connect", "disconnect"}):
        assert ask(page, name, {"bar": None})["error"]["code"] == "unknown_event", name
    assert (imports.current, imports.max, imports.label) == (1, 3, "safe")


# ---- joining


def test_a_newcomer_is_shown_the_bar_alone_row_p_04(open_page: Callable[..., Page], imports: Import) -> None:
    first = open_page()
    imports.tick("one")
    assert names_of(first, "after_update") == UPDATE
    second = Page(first._application, first._engine)
    second.join("/import")
    assert events_of(second, "after_init") == [
        ("before_init", {}),
        ("init", {"status": "running", "indeterminate": False, "min": 0, "max": 3, "current": 1, "label": "one"}),
        ("after_init", {}),
    ]
    imports.finish()
    assert names_of(first, "done") == [*UPDATE, "done"], "the newcomer disturbed nobody"


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (lambda it: it.finish("over"), ("done", {"current": 3, "label": "over"})),
        (lambda it: it.fail("no paper"), ("failed", {"message": "no paper"})),
    ],
)
def test_a_newcomer_is_told_how_it_ended_row_p_04(
    visit: Callable[..., Page], imports: Import, end: Any, event: tuple[str, dict[str, Any]]
) -> None:
    imports.tick()
    end(imports)
    assert events_of(visit("/import"), event[0])[3:] == [event]


def test_whom_the_connect_handler_refuses_is_shown_nothing(server: Server, visit: Callable[..., Page]) -> None:
    class Picky(ProgressBarMixin, Namespace):
        def on_connect(self, sid: str, environ: Any) -> bool:
            return False

    server.register_namespace(Picky("/picky"))
    page = visit("/picky")
    assert page.arrived() == []


def test_the_bar_is_shown_after_what_the_connect_handler_sends(server: Server, visit: Callable[..., Page]) -> None:
    """And the subclass need not call anything for it."""

    class Polite(ProgressBarMixin, Namespace):
        def on_connect(self, sid: str, environ: Any) -> None:
            self.emit("hello", to=sid)

    server.register_namespace(Polite("/polite"))
    page = visit("/polite")
    assert page.next().data == ["hello"]
    assert names_of(page, "after_init") == INIT


def test_a_late_joiner_and_a_reload_see_what_the_old_page_sees(open_page: Callable[..., Page], imports: Import) -> None:
    old = open_page()
    old.emit("start", 3, namespace="/import")
    pages = {old: Mirror()}
    for _ in range(2):
        imports.step()
        for page, mirror in pages.items():
            for event, data in events_of(page, "after_update"):
                mirror.take(event, data)
        late = Page(old._application, old._engine)
        late.join("/import")
        pages[late] = Mirror()
        for event, data in events_of(late, "after_init"):
            pages[late].take(event, data)
    imports.step()
    for page, mirror in pages.items():
        for event, data in events_of(page, "done"):
            mirror.take(event, data)
        assert mirror.shown == {**mirror.shown, "status": "done", "current": 3, "label": "row 2", "max": 3}


# ---- starting


def test_a_job_of_the_namespaces_own_bar_rows_p_06_and_p_11(open_page: Callable[..., Page], imports: Import) -> None:
    page, other = open_page(), open_page()
    page.emit("start", 2, namespace="/import", id=1)
    imports.step(2)
    for each in (page, other):
        names = names_of(each, "done")
        assert names[:6] == [*INIT, *UPDATE]
        assert names[-4:] == [*UPDATE, "done"]
    assert page.next().data == ["imported"]


def test_a_second_start_is_answered_at_once_row_p_13(open_page: Callable[..., Page], imports: Import) -> None:
    """By the same page, whose first start still runs in its handler, and by another."""
    page, other = open_page(), open_page()
    page.emit("start", 1, namespace="/import")
    assert imports.running.wait(10)
    for each in (page, other):
        assert ask(each, "start", 1)["error"] == {"code": "busy", "message": "This is running already."}
    imports.step()
    names_of(page, "done")
    assert eventually(lambda: not imports._bar.is_driven)
    imports.step(2)
    assert ask(page, "start", 1) == "imported"


def test_two_starts_at_once_run_one_job_row_p_13(open_page: Callable[..., Page], imports: Import) -> None:
    pages = [open_page() for _ in range(4)]
    for page in pages:
        page.emit("start", 1, namespace="/import", id=900)
    assert imports.running.wait(10)

    def answers() -> list[Any]:
        found = [packet for page in pages for packet in page.arrived() if packet.type == ACK]
        busy.extend(packet.data[0] for packet in found)
        return busy

    busy: list[Any] = []
    assert eventually(lambda: len(answers()) == 3)
    assert {each["error"]["code"] for each in busy} == {"busy"}
    imports.step()
    assert eventually(lambda: len(answers()) == 4)
    assert busy[-1] == "imported"


def test_a_start_that_counts_by_hand_is_a_job_too_rows_p_11_and_p_13(
    server: Server, visit: Callable[..., Page]
) -> None:
    """As row D-83, and those who come from the old library, write it: no second loop runs on the same counter."""
    gate, running = threading.Semaphore(0), threading.Event()

    class Old(ProgressBarMixin, Namespace):
        def on_start(self, sid: str) -> None:
            self.reset()
            for number in range(3):
                running.set()
                assert gate.acquire(timeout=10)
                self.tick(f"[{number + 1}/3]")

        def on_reset(self, sid: str) -> None:
            self.reset()

    server.register_namespace(Old("/old", max=3))
    page = visit("/old")
    names_of(page, "after_init")
    page.emit("start", namespace="/old", id=1)
    assert running.wait(10)
    assert names_of(page, "after_init") == INIT
    for event in ("start", "reset"):
        assert page.ask(event, namespace="/old")[0]["error"]["code"] == "busy"
    for _ in range(3):
        gate.release()
    assert events_of(page, "done")[-1] == ("done", {"current": 3, "label": "[3/3]"})
    assert page.next().type == ACK
    page.emit("reset", namespace="/old", id=2)
    assert names_of(page, "after_init") == INIT
    assert page.next().data == []


def test_a_job_that_starts_beside_its_handler_answers_at_once_row_p_13(
    server: Server, visit: Callable[..., Page]
) -> None:
    gate = threading.Event()

    class Quick(ProgressBarMixin, Namespace):
        def on_start(self, sid: str, text: str) -> str:
            self.start(self.work, text)
            return "started"

        def work(self, text: str) -> None:
            assert gate.wait(10)
            self.tick(text)

    server.register_namespace(Quick("/quick", max=5))
    page = visit("/quick")
    names_of(page, "after_init")
    page.emit("start", "x", namespace="/quick", id=1)
    assert names_of(page, "after_init") == INIT
    assert page.next().data == ["started"]
    assert page.ask("start", "y", namespace="/quick")[0]["error"]["code"] == "busy"
    gate.set()
    assert events_of(page, "done")[-1] == ("done", {"current": 5, "label": "x"})


def test_the_first_example_of_the_guide_runs_to_the_end_of_its_file(server: Server, visit: Callable[..., Page]) -> None:
    """Nobody can tell how many rows there are: the bar is not done after a hundred, and is cancelled after them."""
    gate, reached = threading.Event(), threading.Event()

    class Read(ProgressBarMixin, Namespace):
        def may_cancel(self, sid: str, bar: Record) -> bool:
            return True

        def on_start(self, sid: str) -> None:
            self.start(self.read)

        def read(self) -> None:
            for number in self.track(iter(range(1000)), label="Reading"):
                if number == 150:
                    reached.set()
                    assert gate.wait(10)

    read = Read("/read")
    server.register_namespace(read)
    page = visit("/read")
    names_of(page, "after_init")
    page.emit("start", namespace="/read")
    assert reached.wait(10)
    assert (read.status, read.current, read.indeterminate) == ("running", 150, True)
    page.emit("cancel", namespace="/read")
    assert eventually(lambda: read.cancelled)
    gate.set()
    assert names_of(page, "cancelled")[-1] == "cancelled"


def test_a_range_that_was_given_to_a_namespace_stays_while_it_tracks(server: Server) -> None:
    shown = Import("/shown", min=5, max=10)
    server.register_namespace(shown)
    assert [(shown.min, shown.max) for _ in shown.track("abc")] == [(5, 10)] * 3
    assert (shown.status, shown.current) == ("done", 10)


def test_what_a_start_raises_fails_the_bar_and_is_no_news_to_the_page(
    server: Server, visit: Callable[..., Page]
) -> None:
    class Broken(ProgressBarMixin, Namespace):
        def on_start(self, sid: str) -> None:
            self.tick()
            raise ZeroDivisionError("secret")

    server.register_namespace(Broken("/broken"))
    page = visit("/broken")
    names_of(page, "after_init")
    page.emit("start", namespace="/broken", id=1)
    assert events_of(page, "failed")[-1] == ("failed", {"message": "The task failed."})
    assert page.next().data[0]["error"]["code"] == "handler_failed"


def test_a_start_that_was_refused_shows_nothing_to_anybody(server: Server, visit: Callable[..., Page]) -> None:
    class Careful(ProgressBarMixin, Namespace):
        def on_start(self, sid: str, name: str) -> None:
            if name == "broken":
                raise ZeroDivisionError("secret")
            raise EventError("There is no such file.", code="no_file")

    careful = Careful("/careful")
    server.register_namespace(careful)
    page, other = visit("/careful"), visit("/careful")
    for each in (page, other):
        names_of(each, "after_init")
    for name, code in (("x", "no_file"), ("broken", "handler_failed")):
        assert page.ask("start", name, namespace="/careful")[0]["error"]["code"] == code
    assert (other.arrived(), careful.status) == ([], "idle")
    careful.finish()
    names_of(other, "done")
    page.arrived()
    page.ask("start", "x", namespace="/careful")
    assert (other.arrived(), careful.status) == ([], "done")


def test_guards_limits_and_annotations_of_a_start_hold_row_p_11(server: Server, visit: Callable[..., Page]) -> None:
    """Permission-checked, and what is refused begins nothing."""

    class Guarded(ProgressBarMixin, Namespace):
        def on_start(self, sid: str, count: int) -> int:
            return count

    class Private(ProgressBarMixin, Namespace):
        @login_required
        def on_start(self, sid: str, count: int) -> int:
            raise AssertionError

    server.register_namespace(Guarded("/guarded"))
    server.register_namespace(Private("/private"))
    page = visit("/guarded")
    names_of(page, "after_init")
    assert page.ask("start", "x", namespace="/guarded")[0]["error"]["code"] == "invalid"
    assert page.ask("start", 4, namespace="/guarded") == [4]
    page.join("/private")
    names_of(page, "after_init")
    assert page.ask("start", 4, namespace="/private")[0]["error"]["code"] == "login_required"


# ---- bars of one client


def test_a_bar_of_one_client_is_seen_by_it_alone_rows_d_84_and_p_01(
    open_page: Callable[..., Page], imports: Import
) -> None:
    page, other = open_page(), open_page()
    page.emit("mine", 2, namespace="/import")
    other.emit("mine", 1, namespace="/import")
    imports.step(3)
    for each, total in ((page, 2), (other, 1)):
        events = events_of(each, "done")
        assert {data["bar"] for _, data in events} == {"rows"}
        assert events[1][1]["max"] == total
        assert each.arrived() == []


def test_many_bars_at_once_do_not_meet_row_d_84(open_page: Callable[..., Page], imports: Import) -> None:
    page = open_page()
    many = [imports.bar(f"bar {number}", max=number + 1) for number in range(30)]
    for each in many:
        each.start(lambda each=each: [each.tick() for _ in range(int(each.max))])
    shown: dict[str, Mirror] = {each.name or "": Mirror() for each in many}
    done = 0
    while done < 30:
        packet = page.next()
        event, data = packet.data
        shown[data["bar"]].take(event, data)
        done += event == "done"
    assert [mirror.shown["current"] for mirror in shown.values()] == list(range(1, 31))


def test_watching_shows_a_bar_and_says_where_it_stands(open_page: Callable[..., Page], imports: Import) -> None:
    page = open_page()
    page.emit("mine", namespace="/import")
    imports.step()
    names_of(page, "after_update")
    page.emit("watch", {"bar": "rows"}, namespace="/import", id=1)
    init = events_of(page, "init")[-1][1]
    assert (init["max"], init["current"]) == (3, 1)
    while (packet := page.next()).type != ACK:
        pass
    answer = packet.data[0]
    assert answer["ok"] is True
    assert answer["state"] == {
        "bar": "rows",
        "status": "running",
        "indeterminate": False,
        "min": 0,
        "max": 3,
        "current": 1,
        "label": "",
        "message": "",
        "rate": None,
        "remaining": None,
    }
    assert ask(page, "unwatch", {"bar": "rows"}) == {"ok": True}
    assert ask(page, "watch", {"bar": None})["state"]["bar"] is None
    assert ask(page, "watch")["state"]["max"] == 3
    imports.step(2)
    names_of(page, "done")


def test_a_bar_that_nobody_began_is_unknown(open_page: Callable[..., Page], imports: Import) -> None:
    imports.bar("declared", max=5)
    for name in ("rows", "declared"):
        assert ask(open_page(), "watch", {"bar": name})["error"]["code"] == "unknown_bar"
        assert ask(open_page(), "cancel", {"bar": name})["error"]["code"] == "unknown_bar"


def test_a_bar_of_somebody_else_cannot_be_seen_or_cancelled(open_page: Callable[..., Page], imports: Import) -> None:
    page, stranger = open_page(), open_page()
    page.emit("mine", namespace="/import")
    assert imports.running.wait(10)
    for event in ("watch", "cancel"):
        assert ask(stranger, event, {"bar": "rows"})["error"]["code"] == "permission_denied"
    assert stranger.arrived() == []
    imports.step(3)
    names_of(page, "done")


@pytest.mark.parametrize("data", [{"bar": 5}, {"bar": ""}, 7, ["rows"], {"bar": "x" * 201}, True])
@pytest.mark.parametrize("event", ["watch", "unwatch", "cancel"])
def test_what_names_no_bar_is_invalid(open_page: Callable[..., Page], event: str, data: Any) -> None:
    assert ask(open_page(), event, data)["error"]["code"] == "invalid"


class Staff(Import):
    """Staff sees everything; whoever says so is."""

    staff: set[str] = set()

    def may_watch(self, sid: str, bar: Record) -> bool:
        return sid in self.staff or super().may_watch(sid, bar)

    def may_cancel(self, sid: str, bar: Record) -> bool:
        return sid in self.staff


def test_a_subclass_lets_others_watch_until_they_do_not_want_to(server: Server, visit: Callable[..., Page]) -> None:
    namespace = Staff("/import")
    namespace.staff = set()
    server.register_namespace(namespace)
    page, boss, stranger = visit("/import"), visit("/import"), visit("/import")
    namespace.staff.add(boss.sid)
    for each in (page, boss, stranger):
        names_of(each, "after_init")
    page.emit("mine", 5, namespace="/import")
    assert namespace.running.wait(10)
    assert ask(boss, "watch", {"bar": "rows"})["ok"] is True
    namespace.step()
    assert events_of(boss, "after_update")[1][1]["current"] == 1
    assert ask(boss, "unwatch", {"bar": "rows"}) == {"ok": True}
    namespace.step()
    names_of(page, "after_update")
    assert boss.arrived() == []
    assert ask(stranger, "watch", {"bar": "rows"})["error"]["code"] == "permission_denied"
    assert ask(page, "cancel", {"bar": "rows"})["error"]["code"] == "permission_denied"
    assert ask(boss, "cancel", {"bar": "rows"}) == {"ok": True}
    namespace.step()
    assert names_of(page, "cancelled")[-1] == "cancelled"


def test_a_client_that_watches_a_bar_is_not_taken_for_one_in_its_room(
    server: Server, visit: Callable[..., Page]
) -> None:
    """Rooms of watchers hold no bars, and to look into each costs a question to Redis."""
    namespace = Staff("/import")
    namespace.may_watch = lambda sid, bar: True  # type: ignore[method-assign]
    server.register_namespace(namespace)
    page = visit("/import")
    names_of(page, "after_init")
    with namespace.bar("rows", room="a room", max=3) as rows:
        assert ask(page, "watch", {"bar": "rows"})["ok"] is True
        looked: list[str | None] = []
        find = board_of(server).find

        def note(namespace: str, name: str | None, rooms: list[str]) -> Any:
            looked.extend(rooms)
            return find(namespace, name, rooms)

        board_of(server).find = note  # type: ignore[method-assign,assignment]
        assert ask(page, "watch", {"bar": "rows"})["ok"] is True
        assert page.sid in looked
        assert rows.key.watchers not in looked


class Trusting(Import):
    """Who may see what changes with `trusted`."""

    trusted: set[str] = set()

    def may_watch(self, sid: str, bar: Record) -> bool:
        return self.user(sid).get_username() in self.trusted or super().may_watch(sid, bar)


class Ruled(Trusting):
    """It has a rule for rooms as well, which lets nobody into any."""

    def may_enter_room(self, request: Any, room: Any) -> bool:
        return False


@pytest.mark.parametrize("kind", [Trusting, Ruled])
def test_who_may_watch_a_bar_no_longer_is_told_so_and_sees_no_more_of_it(
    server: Server,
    visit: Callable[..., Page],
    people: type[User],
    sign_in: Callable[[User], dict[str, str]],
    kind: type[Trusting],
) -> None:
    namespace = kind("/import")
    namespace.trusted = {"ada", "bob"}
    server.register_namespace(namespace)
    owner = visit("/import")
    ada, bob = (visit("/import", **sign_in(people.objects.create(username=name))) for name in ("ada", "bob"))
    for page in (owner, ada, bob):
        names_of(page, "after_init")
    owner.emit("mine", 9, namespace="/import")
    assert namespace.running.wait(10)
    for page in (ada, bob):
        assert ask(page, "watch", {"bar": "rows"})["ok"] is True
        page.arrived()
    namespace.trusted = {"ada"}
    server.recheck()
    assert events_of(bob, "refused") == [("refused", {"bar": "rows", "message": "You may not see this."})]
    namespace.step()
    assert names_of(ada, "after_update") == UPDATE, "the project's own rule has no say here"
    assert bob.arrived() == []
    namespace.step(8)


def test_a_forgotten_bar_is_watched_by_those_who_may_see_any(
    server: Server, visit: Callable[..., Page], people: type[User], sign_in: Callable[[User], dict[str, str]]
) -> None:
    namespace = Trusting("/import")
    namespace.trusted = {"ada"}
    server.register_namespace(namespace)
    page = visit("/import", **sign_in(people.objects.create(username="ada")))
    namespace.bar("rows: 1/2", room="a room", max=3).tick()
    assert ask(page, "watch", {"bar": "rows: 1/2"})["ok"] is True
    board_of(server)._known._records.clear()
    server.recheck()
    namespace.trusted = set()
    server.recheck()
    assert events_of(page, "refused")[-1][1]["bar"] == "rows: 1/2"


# ---- cancelling


def test_a_page_cancels_its_own_bar_while_the_job_runs_in_its_handler(
    open_page: Callable[..., Page], imports: Import
) -> None:
    page = open_page()
    page.emit("mine", 5, namespace="/import", id=999)
    imports.step()
    names_of(page, "after_update")
    assert ask(page, "cancel", {"bar": "rows"}) == {"ok": True}
    imports.step()
    names = names_of(page, "cancelled")
    assert names[-1] == "cancelled"
    assert page.next().data == [{"error": {"code": "cancelled", "message": "Cancelled."}}]
    assert ask(page, "cancel", {"bar": "rows"})["error"]["code"] == "not_running"
    assert ask(page, "watch", {"bar": "rows"})["state"]["status"] == "cancelled"


def test_the_namespaces_own_bar_is_cancelled_by_nobody_unless_it_says_so(
    server: Server, open_page: Callable[..., Page], imports: Import
) -> None:
    page = open_page()
    assert ask(page, "cancel", {"bar": None})["error"]["code"] == "permission_denied"
    imports.may_cancel = lambda sid, bar: True  # type: ignore[method-assign]
    assert ask(page, "cancel", {"bar": None})["error"]["code"] == "not_running"
    page.emit("start", 3, namespace="/import")
    assert imports.running.wait(10)
    assert ask(page, "cancel") == {"ok": True}
    imports.step()
    assert names_of(page, "cancelled")[-1] == "cancelled"
    assert imports.status == "cancelled"


def test_the_namespaces_own_bar_is_cancelled_from_code(server: Server, imports: Import) -> None:
    with pytest.raises(NotRunningError):
        imports.cancel()
    imports.tick()
    imports.cancel()
    assert imports.cancelled


def test_a_users_bar_is_seen_by_all_its_pages_and_cancelled_by_it_alone(
    open_page: Callable[..., Page], imports: Import, people: type[User], sign_in: Callable[[User], dict[str, str]]
) -> None:
    ada, bob = people.objects.create(username="ada"), people.objects.create(username="bob")
    pages = [open_page(**sign_in(ada)), open_page(**sign_in(ada))]
    other, stranger = open_page(**sign_in(bob)), open_page()
    with imports.bar("mail", room=ada, max=3) as mail, imports.bar("public", owner=ada, max=3):
        for page in pages:
            assert names_of(page, "after_init") == INIT
            names_of(page, "after_init")
        for page in (other, stranger):
            assert ask(page, "cancel", {"bar": "mail"})["error"]["code"] == "permission_denied"
            assert ask(page, "watch", {"bar": "public"})["ok"] is True
            assert ask(page, "cancel", {"bar": "public"})["error"]["code"] == "permission_denied"
        assert ask(pages[1], "cancel", {"bar": "mail"}) == {"ok": True}
        assert ask(pages[1], "cancel", {"bar": "public"}) == {"ok": True}
        assert mail.cancelled


# ---- from any code


def test_a_bar_is_opened_from_any_code(server: Server, open_page: Callable[..., Page], monkeypatch: Any) -> None:
    monkeypatch.setattr(mixin, "sio", server)
    page = open_page()
    for _ in bar("mail", namespace="import", room=page.sid).track("ab", "Sending"):
        pass
    events = events_of(page, "done")
    assert events[1] == (
        "init",
        {"bar": "mail", "status": "running", "indeterminate": False, "min": 0, "max": 2, "current": 0, "label": ""},
    )
    assert events[-1] == ("done", {"bar": "mail", "current": 2, "label": "Sending"})


def test_the_namespaces_own_bar_can_be_driven_from_any_code(
    server: Server, open_page: Callable[..., Page], imports: Import, monkeypatch: Any
) -> None:
    monkeypatch.setattr(mixin, "sio", server)
    page = open_page()
    with bar(namespace="/import", max=7) as task:
        assert names_of(page, "after_init") == INIT
        task.tick()
        assert ask(page, "start", 1)["error"]["code"] == "busy"
        assert (imports.current, imports.max, imports.status) == (1, 7, "running")
        with pytest.raises(BarBusyError):
            imports.tick()
    assert imports.is_done()
    imports.reset()
    assert (imports.max, imports.status) == (3, "idle")


def test_where_nobody_is_served_it_says_what_to_set(publisher: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(mixin, "sio", publisher)
    with pytest.raises(NotServingError, match="MESSAGE_QUEUE"), bar("mail", namespace="/import"):
        raise AssertionError("it does not begin")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": ""}, ProgressTypeError),
        ({"name": 5}, ProgressTypeError),
        ({"name": "x" * 201}, ProgressTypeError),
        ({"room": 5}, ProgressTypeError),
        ({"room": ["a"]}, ProgressTypeError),
        ({"room": "dtws_sio:auth.user:1"}, RoomNameError),
        ({"max": -1}, ProgressRangeError),
        ({"room": "anonymous"}, TopicError),
        ({"owner": "nobody"}, TopicError),
    ],
)
def test_what_cannot_be_a_bar_is_refused_when_it_is_opened(options: dict[str, Any], error: type[Exception]) -> None:
    from django.contrib.auth.models import AnonymousUser

    anonymous: AnonymousUser = AnonymousUser()
    if options.get("room") == "anonymous":
        options = {"room": anonymous}
    with pytest.raises(error):
        bar(**{"name": "rows", **options})


def test_a_thread_drives_a_bar_row_d_30(open_page: Callable[..., Page], imports: Import) -> None:
    page = open_page()

    def work(task: Bar) -> None:
        with task:
            task.tick()

    thread = threading.Thread(target=work, args=[imports.bar("thread", max=1)])
    thread.start()
    thread.join(timeout=10)
    assert names_of(page, "done")[-1] == "done"


def test_a_million_ticks_in_a_handler_send_few_updates_that_leave_while_it_runs(
    server: Server, visit: Callable[..., Page]
) -> None:
    class Long(ProgressBarMixin, Namespace):
        @concurrent
        def on_run(self, sid: str) -> None:
            for _ in self.track(range(1_000_000)):
                pass

    long = Long("/long")
    server.register_namespace(long)
    page = visit("/long")
    names_of(page, "after_init")
    page.emit("run", namespace="/long")
    events_of(page, "after_update")
    assert long.status == "running", "the first update left while it runs"
    updates = [data["current"] for event, data in events_of(page, "done") if event == "update"]
    assert updates[-1] == 1_000_000
    assert len(updates) < 1000


def test_a_board_goes_with_its_server(server: Server) -> None:
    assert board_of(server) is board_of(server)
