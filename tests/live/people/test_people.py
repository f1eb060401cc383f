"""Emits to people, and who is where: in one process, and in two that share a PostgreSQL and a Redis."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites, wire
from tests.live.people import visitors
from tests.live.people.visitors import Browser, Person, evaluate, run
from tests.live.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.people.conftest import Pair
    from tests.live.servers import Server

pytestmark = pytest.mark.live

NEWS = '42["news",%d]'


def user(person: Person) -> str:
    """Write how code in a server gets a user."""
    return f"User.objects.get(pk={person.pk})"


def heard_nothing(*pages: wire.Socket, namespace: str = "/") -> None:
    """Assert that nothing came to clients before the answer to a question."""
    for page in pages:
        assert isinstance(page.ask("who", namespace=namespace)[0], str)


# ---- to whom


def test_an_emit_to_a_user_reaches_all_its_pages_and_nobody_else(
    site: Server, anns: Browser, ann: Person, bob: Person
) -> None:
    """Whatever carries them, and from whichever session."""
    phone = ann.browser(site)
    with anns.socket() as page, phone.socket() as other, bob.browser(site).socket() as bobs, wire.connected(site) as no:
        no.join()
        poll = anns.polling()
        run(site, f"sio.emit('news', 1, to={user(ann)})")
        assert page.receive() == other.receive() == NEWS % 1
        assert poll.receive() == [NEWS % 1]
        heard_nothing(bobs, no)


def test_an_emit_reaches_users_groups_and_those_who_watch_an_object(site: Server, tag: str) -> None:
    ann, bob, eve = (
        visitors.register(site, f"{name}-{tag}", groups=(tag,) * (name == "bob")) for name in ("ann", "bob", "eve")
    )
    article, other = (evaluate(site, f"Article.objects.create(owner_id={eve.pk}).pk") for _ in range(2))
    with ExitStack() as stack:
        anns, bobs, eves = (stack.enter_context(each.browser(site).socket()) for each in (ann, bob, eve))
        assert eves.ask("watch", article) == []
        for number, to in enumerate(
            (
                f"group({tag!r})",
                f"[{user(ann)}, group({tag!r})]",
                f"User.objects.filter(username__endswith={tag!r})",
                f"Article.objects.get(pk={article})",
                f"Article.objects.defer('owner').get(pk={article})",
                f"Article.objects.get(pk={other})",
                "User.objects.none()",
            ),
            1,
        ):
            run(site, f"sio.emit('news', {number}, to={to})")
        heard = []
        for page, count in ((anns, 2), (bobs, 3), (eves, 3)):
            heard.append([page.receive() for _ in range(count)])
        assert heard == [[NEWS % number for number in numbers] for numbers in ((2, 3), (1, 2, 3), (3, 4, 5))]
        heard_nothing(anns, bobs, eves)


@pytest.mark.parametrize(
    ("to", "complaint"),
    [
        ("AnonymousUser()", "anonymous users have none"),
        ("User(username='new')", "is not saved"),
        ("User(pk=5)", "is not saved"),
        ("Article()", "is not saved"),
    ],
)
def test_what_has_no_room_is_refused(site: Server, to: str, complaint: str) -> None:
    attempt = f"try:\n    sio.emit('news', 1, to={to})\n"
    code = f"{attempt}except Exception as error:\n    result = [type(error).__name__, str(error)]"
    name, message = run(site, code)
    assert name == "TopicError"
    assert complaint in message


def test_no_room_that_a_page_may_name_is_that_of_an_object(site: Server, anns: Browser, ann: Person) -> None:
    with anns.socket() as page:
        for room in (f"dtws_sio:auth.user:{ann.pk}", "dtws_sio:public"):
            assert page.ask("enter", room)[0]["error"]["code"] != ""
        assert page.ask("enter", f"public:auth.user:{ann.pk}") == []
        run(site, f"sio.emit('news', 1, to={user(ann)})")
        assert page.receive() == NEWS % 1
        heard_nothing(page)
    assert "Traceback" not in site.log()


# ---- in two processes


@pytest.fixture
def people(pair: Pair, tag: str) -> list[Person]:
    """Two users; the first is in a group."""
    return [visitors.register(pair.here, f"{name}-{tag}", groups=(tag,) * (name == "ann")) for name in ("ann", "bob")]


def test_an_emit_to_a_user_or_group_reaches_both_processes_once(pair: Pair, people: list[Person], tag: str) -> None:
    ann, bob = people
    browser = ann.browser(pair.here)
    with browser.socket() as near, browser.at(pair.there).socket() as far, bob.browser(pair.there).socket() as other:
        run(pair.here, f"sio.emit('news', 1, to={user(ann)})")
        run(pair.there, f"sio.emit('news', 2, to=group({tag!r}))")
        run(pair.here, f"sio.emit('news', 3, to=[{user(ann)}, group({tag!r})])")
        for page in (near, far):
            assert sorted(page.receive() for _ in range(3)) == [NEWS % number for number in (1, 2, 3)]
        heard_nothing(near, far, other)


def test_a_management_command_emits_to_a_user(pair: Pair, people: list[Person]) -> None:
    code = (
        "from django.contrib.auth.models import User\nfrom dtws_sio import sio\n"
        f"sio.emit('news', 1, to={user(people[0])})\nprint(len(sio.sockets({user(people[0])})))"
    )
    with people[0].browser(pair.there).socket() as page:
        eventually(lambda: evaluate(pair.here, f"sio.sockets({user(people[0])})"), "it to be noted")
        printed = visitors.command("shell", "-v0", "-c", code, settings=pair.settings)
        assert page.receive() == NEWS % 1
    assert printed.split()[-1] == "1"


def test_the_sockets_of_a_user_are_known_in_both_processes(pair: Pair, people: list[Person]) -> None:
    ann, bob = people
    browser = ann.browser(pair.here)

    def sockets(site: Server, *namespace: str) -> list[list[str]]:
        found = evaluate(site, f"sio.sockets({user(ann)}, *{namespace!r})")
        return sorted(found)

    with browser.socket(None) as near, browser.at(pair.there).socket(None) as far, bob.browser(pair.here).socket():
        expected = sorted([["/", near.join()], ["/", far.join()], ["/members", far.join("/members")]])
        for site in (pair.here, pair.there):
            eventually(lambda site=site: sockets(site) == expected, "all to be noted")
            assert sockets(site, "/members") == [each for each in expected if each[0] == "/members"]
        far.send("41/members,")
        eventually(lambda: len(sockets(pair.here)) == 2, "its end")
    eventually(lambda: sockets(pair.there) == [], "the end of all")


def who(person: Person) -> dict[str, Any]:
    """Give what others see of a user."""
    return {"id": person.pk, "name": person.name}


def told(event: str, room: str | None, person: Person) -> str:
    text = json.dumps([event, {"room": room, "who": who(person)}], separators=(",", ":"))
    return f"42/hall,{text}"


def test_a_user_with_tabs_in_two_processes_is_present_once(pair: Pair, people: list[Person], tag: str) -> None:
    ann, bob = people
    browser = ann.browser(pair.here)
    with bob.browser(pair.there).socket("/hall") as bobs:
        assert bobs.ask("enter", tag, namespace="/hall") == [[who(bob)]]
        with browser.socket("/hall") as near:
            assert bobs.receive() == told("presence_joined", None, ann)
            assert near.ask("enter", tag, namespace="/hall") == [[who(bob), who(ann)]]
            assert bobs.receive() == told("presence_joined", tag, ann)
            with browser.at(pair.there).socket("/hall") as far:
                assert far.ask("enter", tag, namespace="/hall") == [[who(bob), who(ann)]]
                assert near.ask("leave", tag, namespace="/hall") == []
                assert evaluate(pair.here, f"sio.present({tag!r}, '/hall')") == [who(bob), who(ann)]
                heard_nothing(bobs, namespace="/hall")
            assert sorted([bobs.receive()]) == [told("presence_left", tag, ann)]
        assert bobs.receive() == told("presence_left", None, ann)


def test_whoever_is_thrown_out_is_not_present_any_more(pair: Pair, people: list[Person], tag: str) -> None:
    ann, bob = people
    with bob.browser(pair.there).socket("/hall") as bobs, ann.browser(pair.here).socket("/hall") as anns:
        assert bobs.receive() == told("presence_joined", None, ann)
        anns.ask("enter", tag, namespace="/hall")
        run(pair.there, f"user = {user(ann)}; user.is_active = False; user.save()")
        assert anns.is_closed()
        assert bobs.receive() == told("presence_left", None, ann)
        eventually(lambda: evaluate(pair.there, f"sio.present({tag!r}, '/hall')") == [], "the room to be empty")
        assert evaluate(pair.there, f"sio.sockets({user(ann)})") == []


def test_a_limit_counts_what_a_user_does_in_both_processes(pair: Pair, people: list[Person]) -> None:
    browser = people[0].browser(pair.here)
    with browser.socket() as near, browser.at(pair.there).socket() as far:
        assert near.ask("vote") == far.ask("vote") == ["voted"]
        for page in (near, far):
            assert page.ask("vote")[0]["error"]["code"] == "rate_limited"


# ---- a process that is killed


@pytest.fixture
def third(pair: Pair) -> Iterator[Server]:
    """One more process that joins the pair."""
    with sites.running("gunicorn", settings=pair.settings) as site:
        yield site


def test_who_was_in_a_killed_process_is_gone_when_its_lease_has_run_out(
    pair: Pair, third: Server, people: list[Person], tag: str
) -> None:
    """Fifteen seconds, as documented, and five until it is told."""
    ann, bob = people
    with bob.browser(pair.here).socket("/hall") as bobs, ann.browser(third).socket("/hall") as anns:
        assert bobs.receive() == told("presence_joined", None, ann)
        bobs.ask("enter", tag, namespace="/hall")
        anns.ask("enter", tag, namespace="/hall")
        assert bobs.receive() == told("presence_joined", tag, ann)
        os.killpg(third.process.pid, signal.SIGKILL)  # master and worker
        bobs.connection.settimeout(25)
        assert {bobs.receive(), bobs.receive()} == {told("presence_left", room, ann) for room in (None, tag)}
    assert evaluate(pair.there, f"sio.sockets({user(ann)})") == []
