"""
Rights that end, in two processes that share a PostgreSQL and a Redis: what happens here reaches who is there.

Each change is timed from the moment at which it was made to the moment at which the client's connection ended.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.live import wire
from tests.live.people import visitors
from tests.live.people.visitors import Browser, Person, change, evaluate, run
from tests.live.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.people.conftest import Pair
    from tests.live.servers import Server

pytestmark = pytest.mark.live

LIMIT: Final = 1.0
"""Seconds within which a change that Django tells of takes effect."""

SWEEP_LIMIT: Final = 2.0
"""The same for one that nothing tells of: the sweep of the pair, and some."""


@pytest.fixture
def ann(pair: Pair, tag: str) -> Person:
    """A user who may change groups, by itself and by a group."""
    return visitors.register(pair.here, tag, groups=(tag,), permissions=("change_group",))


@pytest.fixture
def here(pair: Pair, ann: Person) -> Browser:
    """Ann's browser, which signed in here."""
    return ann.browser(pair.here)


@pytest.fixture
def there(pair: Pair, here: Browser) -> Browser:
    """The same browser, for what it opens there."""
    return here.at(pair.there)


@pytest.fixture(autouse=True)
def no_failures(pair: Pair) -> Iterator[None]:
    """Fail where a server logged one."""
    before = {site: len(site.log()) for site in (pair.here, pair.there)}
    yield
    for site, start in before.items():
        assert "Traceback" not in site.log()[start:], site.log()[start:]


SETTLED: Final = """
watch = sio.clients.revocation
result = watch.is_idle and all(each.looks for each in watch._clients.values())
"""


def settled(site: Server) -> None:
    """Wait until all newcomers have been looked at, so that what comes now has to be noticed by itself."""
    eventually(lambda: run(site, SETTLED), "newcomers to have been looked at")


def took(what: str, since: float, *, until: float | None = None, limit: float = LIMIT) -> None:
    """Assert that something that ended, now if not before, did not take too long; pytest -rP shows the time."""
    seconds = (time.time() if until is None else until) - since
    print(f"{what}: {seconds:.3f} s")  # noqa: T201
    assert seconds < limit


USER: Final = "user = User.objects.get(username={name!r})\n"

CHANGES: Final = {
    "inactive": "user.is_active = False; user.save()",
    "password": "user.set_password('x'); user.save()",
    "deleted": "user.delete()",
    "session": "Session.objects.get(pk={key!r}).delete()",
}
"""What Django's signals tell of, and what ends a user's connections."""


# ---- by views


def test_a_logout_closes_the_sockets_of_its_session_in_the_other_process(
    pair: Pair, ann: Person, here: Browser, there: Browser, tag: str
) -> None:
    phone = ann.browser(pair.there)
    with there.socket("/", {"tag": tag}) as page, there.socket("/members") as second, phone.socket() as other:
        at = here.sign_out()
        assert page.is_closed()
        took("logout", at)
        assert second.is_closed()
        assert other.ask("who") == [ann.name], "another session of the same user is not concerned"
        eventually(lambda: visitors.lives(pair.there, tag) == ["connect", "rights revoked"], "the disconnect handler")


def test_a_new_password_closes_all_sessions_and_its_own_is_let_in_again(
    pair: Pair, ann: Person, here: Browser, there: Browser
) -> None:
    phone = ann.browser(pair.there)
    with there.socket() as page, phone.socket() as other:
        at = here.change_password()
        assert other.is_closed()
        took("password", at)
        assert page.is_closed()
    with there.socket("/members") as page, phone.socket(None) as other:
        assert page.ask("who", namespace="/members") == [ann.name], "Django kept the session that changed it"
        other.send("40/members,")
        assert other.receive().startswith("44/members,")


def test_a_client_that_comes_back_is_who_its_cookies_say_by_then(here: Browser, there: Browser) -> None:
    with there.socket() as page:
        here.sign_out()
        assert page.is_closed()
    with there.socket() as page:
        assert page.ask("who") == [""]


# ---- by anybody


@pytest.mark.parametrize("transport", ["websocket", "polling", "upgrade"])
@pytest.mark.parametrize("what", CHANGES)
def test_what_ends_a_users_rights_closes_its_connections(
    pair: Pair, ann: Person, there: Browser, tag: str, what: str, transport: str
) -> None:
    """Also of one whose GET waits, and of one that is about to change to a WebSocket."""
    with ExitStack() as stack:
        is_closed: Callable[[], bool]
        if transport == "websocket":
            page = stack.enter_context(there.socket("/", {"tag": tag}))
            is_closed = page.is_closed
        else:
            poll = there.polling("/", {"tag": tag})
            is_closed = poll.is_closed  # its GET waits
            if transport == "upgrade":
                candidate = stack.enter_context(probing(pair.there, poll))
                is_closed = lambda: candidate.is_closed() and poll.is_closed()  # noqa: E731
        settled(pair.there)
        done = change(pair.here, USER.format(name=ann.name) + CHANGES[what].format(key=there.session_key))
        assert is_closed()
        took(f"{what}, {transport}", done.at)
    eventually(lambda: visitors.lives(pair.there, tag) == ["connect", "rights revoked"], "the disconnect handler")


class probing:  # noqa: N801
    """A WebSocket that has asked to take a session over and was answered, and says no more."""

    def __init__(self, site: Server, poll: wire.Polling) -> None:
        url = f"ws://127.0.0.1:{site.port}{wire.endpoint('websocket', sid=poll.session)}"
        cookie = poll.headers["cookie"]  # a browser sends it along
        self.connection = wire.websocket.create_connection(url, timeout=10, suppress_origin=True, cookie=cookie)

    def __enter__(self) -> wire.Socket:
        self.connection.send("2probe")
        assert self.connection.recv() == "3probe"
        page = wire.Socket.__new__(wire.Socket)
        page.connection = self.connection
        return page

    def __exit__(self, *error: object) -> None:
        self.connection.close()
        self.connection.shutdown()


def test_a_management_command_reaches_both_processes(
    pair: Pair, ann: Person, here: Browser, there: Browser, tag: str
) -> None:
    """It serves nobody itself."""
    code = (
        "import time\nfrom django.contrib.auth.models import User\n"
        f"user = User.objects.get(pk={ann.pk}); user.is_active = False; user.save(); print('at', time.time())"
    )
    with here.socket("/", {"tag": tag}) as near, there.socket("/", {"tag": tag}) as far:
        printed = visitors.command("shell", "-v0", "-c", code, settings=pair.settings)
        assert near.is_closed()
        assert far.is_closed()
    at = float(printed.split()[-1])
    for site in (pair.here, pair.there):
        eventually(lambda site=site: tag in evaluate(site, "ends"), "the disconnect handler")
        took("command", at, until=evaluate(site, f"ends[{tag!r}]"))


def test_all_namespaces_of_a_connection_end_with_it(pair: Pair, ann: Person, there: Browser, tag: str) -> None:
    with there.socket("/", {"tag": tag}) as page:
        page.join("/members", {"tag": tag})
        page.join("/editors", {"tag": tag})
        settled(pair.there)
        change(pair.here, USER.format(name=ann.name) + "user.user_permissions.clear()")
        assert page.is_closed(), "it may not be in /editors any more"
    happened = ["connect"] * 3 + ["rights revoked"] * 3
    eventually(lambda: visitors.lives(pair.there, tag) == happened, "the disconnect handlers")


# ---- lost groups and permissions


@pytest.mark.parametrize(
    "code",
    [
        "user.user_permissions.clear()",
        "user.user_permissions.remove(Permission.objects.get(codename='change_group'))",
        "Permission.objects.get(codename='change_group').user_set.remove(user)",
    ],
)
def test_a_lost_permission_closes_where_it_is_needed(pair: Pair, ann: Person, there: Browser, code: str) -> None:
    with there.socket("/editors") as editing, there.socket() as reading:
        settled(pair.there)
        done = change(pair.here, USER.format(name=ann.name) + code)
        assert editing.is_closed()
        took("permission", done.at)
        assert reading.ask("rename")[0]["error"]["code"] == "permission_denied"


@pytest.mark.parametrize(
    "code", ["user.groups.clear()", "group({name!r}).delete()", "group({name!r}).user_set.clear()"]
)
def test_a_client_hears_of_a_group_no_more_that_its_user_has_left(
    pair: Pair, ann: Person, there: Browser, code: str
) -> None:
    with there.socket() as page:
        settled(pair.there)
        emit = f"sio.emit('news', 1, to=group({ann.name!r}))"
        run(pair.here, emit)
        assert page.receive() == '42["news",1]'
        group = evaluate(pair.here, f"group({ann.name!r}).pk")
        done = change(pair.here, USER.format(name=ann.name) + code.format(name=ann.name))
        eventually(lambda: not members(pair.there, group), "the group's room to be empty", seconds=LIMIT)
        took("group", done.at)
        run(pair.here, f"sio.emit('news', 2, to='dtws_sio:auth.group:{group}')")
        assert page.ask("who") == [ann.name], "it stays connected, and heard nothing"


def members(site: Server, group: int) -> list[str]:
    found: list[str] = evaluate(site, f"sio.members('/', 'dtws_sio:auth.group:{group}')")
    return found


def test_a_client_leaves_the_rooms_that_a_rule_does_not_allow_any_more(pair: Pair, ann: Person, there: Browser) -> None:
    """What the rule looks at is the project's, so it tells of a change by `recheck`."""
    run(pair.here, f"[Membership.objects.create(user_id={ann.pk}, room=room) for room in ('blue', 'red')]")
    with there.socket("/library") as page:
        for room in ("blue", "red"):
            assert page.ask("enter", room, namespace="/library") == []
        settled(pair.there)
        code = "Membership.objects.filter(room='red').delete(); sio.recheck(user)"
        done = change(pair.here, USER.format(name=ann.name) + code)
        eventually(lambda: not evaluate(pair.there, "sio.members('/library', 'red')"), "the room to be empty")
        took("room", done.at)
        run(pair.here, "sio.emit('news', 'red', room='red', namespace='/library')")
        run(pair.here, "sio.emit('news', 'blue', room='blue', namespace='/library')")
        assert page.receive() == '42/library,["news","blue"]'


# ---- what sends no signal, and what ends by itself


@pytest.mark.parametrize(
    "code",
    [
        "User.objects.filter(pk=user.pk).update(is_active=False)",
        "User.objects.filter(pk=user.pk).update(password='x')",
        "Session.objects.all()._raw_delete('default')",
        "connection.cursor().execute('delete from auth_user_user_permissions where user_id = %s', [user.pk])",
    ],
    ids=["inactive", "password", "session", "permission"],
)
def test_the_sweep_finds_what_sends_no_signal(pair: Pair, ann: Person, there: Browser, code: str) -> None:
    with there.socket("/editors") as page:
        settled(pair.there)
        done = change(pair.here, USER.format(name=ann.name) + code)
        assert page.is_closed()
        took("sweep", done.at, limit=SWEEP_LIMIT)


def test_a_session_that_expires_closes_its_clients_at_its_expiry(pair: Pair, there: Browser) -> None:
    key = there.session_key
    ends = evaluate(
        pair.here,
        f"(Session.objects.filter(pk={key!r}).update(expire_date=timezone.now() + timezone.timedelta(seconds=1.2)),"
        f" Session.objects.get(pk={key!r}).expire_date.timestamp())[1]",
    )
    with there.socket() as page:
        assert page.is_closed()
        assert time.time() >= ends
        took("expiry", ends)


def test_what_is_rolled_back_has_not_happened(pair: Pair, ann: Person, there: Browser, tag: str) -> None:
    bob = visitors.register(pair.here, f"bob-{tag}")
    with there.socket() as page, bob.browser(pair.there).socket() as other:
        code = "with transaction.atomic(): user.is_active = False; user.save(); transaction.set_rollback(True)"
        change(pair.here, USER.format(name=ann.name) + code)
        change(pair.here, USER.format(name=bob.name) + CHANGES["inactive"])
        assert other.is_closed()
        assert page.ask("who") == [ann.name]


# ---- in between


def test_a_client_that_is_still_joining_is_closed_too(pair: Pair, ann: Person, there: Browser, tag: str) -> None:
    """Its user is known already, its connect handler still runs, and it is in no list of clients yet."""
    with there.socket(None) as page:
        page.send(f"40/slow,{json.dumps({'tag': tag, 'seconds': 1})}")
        eventually(lambda: visitors.lives(pair.there, tag), "its connect handler")
        change(pair.here, USER.format(name=ann.name) + CHANGES["inactive"])
        assert page.receive().startswith("40/slow,")
        joined = time.time()
        assert page.is_closed()
        took("joining", joined)
    eventually(lambda: visitors.lives(pair.there, tag) == ["connect", "rights revoked"], "the disconnect handler")


def test_a_handler_that_runs_ends_before_the_disconnect_handler(
    pair: Pair, ann: Person, there: Browser, tag: str
) -> None:
    """What it still looks at is nobody's."""
    with there.socket("/", {"tag": tag}) as page:
        settled(pair.there)
        page.send(f'42["nap",0.8,"{tag}"]')
        done = change(pair.here, USER.format(name=ann.name) + CHANGES["inactive"])
        assert page.is_closed()
        took("while a handler runs", done.at)
    happened = ["connect", "slept: ", "rights revoked"]
    eventually(lambda: visitors.lives(pair.there, tag) == happened, "the disconnect handler")
