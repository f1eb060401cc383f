"""Who may do what, and who may enter which room; what comes too often, or is wrong, is answered by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites, wire
from tests.live.people import visitors
from tests.live.people.visitors import evaluate, run
from tests.live.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.people.visitors import Browser, Person
    from tests.live.servers import Server

pytestmark = pytest.mark.live


def denied(message: str, code: str = "permission_denied") -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message}}]


DENIED = denied("You may not do this.")

# ---- handlers


def test_a_handler_for_users_answers_strangers_with_an_error(site: Server, anns: Browser, ann: Person) -> None:
    with anns.socket() as page, wire.connected(site) as stranger:
        stranger.join()
        assert page.ask("greet") == [f"hello {ann.name}"]
        assert stranger.ask("greet") == denied("Please sign in.", "login_required")
        assert stranger.ask("who") == [""], "it stays connected"


def test_a_permission_counts_from_the_event_after_it_was_given(site: Server, anns: Browser, ann: Person) -> None:
    """A permission of a user's own, or of one of its groups; superusers have all."""
    permission = "Permission.objects.get(codename='change_group')"
    user = f"User.objects.get(pk={ann.pk})"
    with anns.socket() as page:
        for give, take in (
            (f"{user}.user_permissions.add({permission})", f"{user}.user_permissions.clear()"),
            (
                f"group('{ann.name}').permissions.add({permission}); {user}.groups.add(group('{ann.name}'))",
                f"{user}.groups.clear()",
            ),
            ("User.objects.update(is_superuser=True)", "User.objects.update(is_superuser=False)"),
        ):
            assert page.ask("rename") == DENIED
            run(site, give)
            assert page.ask("rename") == ["renamed"]
            run(site, take)
        assert page.ask("rename") == DENIED


def test_a_permission_may_be_on_one_object(site: Server, anns: Browser, ann: Person, bob: Person) -> None:
    mine, other = (evaluate(site, f"Article.objects.create(owner_id={owner}).pk") for owner in (ann.pk, bob.pk))
    with anns.socket() as page:
        assert page.ask("publish", mine) == ["published"]
        for number in (other, 0, "x", None, [], {"pk": mine}):
            assert page.ask("publish", number) == DENIED


def test_own_conditions_look_at_user_request_and_data(site: Server, anns: Browser, ann: Person) -> None:
    with anns.socket() as page:
        assert page.ask("audit") == denied("Staff only.")
        run(site, f"User.objects.filter(pk={ann.pk}).update(is_staff=True)")
        assert page.ask("audit") == ["audited"]
        page.ask("remember", "room", "blue")
        assert page.ask("speak", "blue") == ["spoken"]
        assert page.ask("speak", "red") == DENIED


def test_djangos_own_error_means_the_same(anns: Browser) -> None:
    with anns.socket() as page:
        assert page.ask("refuse") == denied("Not on Sundays.")


def test_denials_are_one_line_of_the_security_log(bounded: Server, tag: str) -> None:
    before = len(bounded.log())
    with visitors.register(bounded, tag).browser(bounded).socket(None) as page:
        sid = page.join()
        for _ in range(3):
            page.ask("rename")
        page.ask("who")
    (line,) = [line for line in bounded.log()[before:].splitlines() if sid in line]
    assert line == f"WARNING dtws_sio.security: denied 'rename' of / from {sid}: permission_denied"


# ---- namespaces


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_namespace_lets_in_who_has_the_permission(site: Server, tag: str, transport: str) -> None:
    browser = visitors.register(site, tag, permissions=("change_group",)).browser(site)
    if transport == "polling":
        browser.polling("/editors")
    else:
        with browser.socket("/editors") as page:
            assert page.ask("who", namespace="/editors") == [tag]


def test_a_namespace_tells_why_it_refuses(anns: Browser, tag: str) -> None:
    with anns.socket(None) as page:
        page.send(f'40/editors,{{"tag":"{tag}"}}')
        assert page.receive() == ('44/editors,{"message":"You may not do this.","data":{"code":"permission_denied"}}')
        page.join("/members")
    assert visitors.lives(anns.site, tag) == [], "its connect handler did not run"


# ---- rooms


def test_a_rule_decides_who_enters_which_room(site: Server, anns: Browser, ann: Person) -> None:
    run(site, f"Membership.objects.create(user_id={ann.pk}, room='blue')")
    with anns.socket("/library") as page, wire.connected(site) as stranger:
        stranger.join("/library")
        assert page.ask("enter", "blue", namespace="/library") == []
        assert page.ask("enter", "red", namespace="/library") == denied("You may not enter this room.", "room_denied")
        assert stranger.ask("enter", "blue", namespace="/library")[0]["error"]["code"] == "room_denied"
        run(site, "sio.emit('news', 1, room='blue', namespace='/library')")
        run(site, "sio.emit('news', 2, room='red', namespace='/library')")
        assert page.receive() == '42/library,["news",1]'
        assert page.ask("who", namespace="/library") == [ann.name]
        assert stranger.ask("who", namespace="/library") == [""]


def test_a_client_cannot_name_the_room_of_somebody_else(site: Server, anns: Browser, bob: Person) -> None:
    """Neither another user's, whose name can be guessed, nor another client's."""
    with anns.socket() as page, bob.browser(site).socket(None) as other:
        sid = other.join()
        for room in (f"dtws_sio:auth.user:{bob.pk}", sid, f"public\x00{bob.pk}"):
            page.ask("enter", room)
        run(site, f"sio.emit('news', 1, to=User.objects.get(pk={bob.pk})); sio.emit('news', 2, to={sid!r})")
        assert [other.receive(), other.receive()] == ['42["news",1]', '42["news",2]']
        assert page.ask("who") != [""], "it heard nothing before"


# ---- how often, and in which form


def test_a_handler_that_is_called_too_often_says_so(site: Server, anns: Browser, ann: Person, bob: Person) -> None:
    """A user's calls are counted together, whichever of its clients makes them."""
    with anns.socket() as page, anns.socket() as tab, bob.browser(site).socket() as other:
        assert page.ask("vote") == tab.ask("vote") == ["voted"]
        for each in (page, tab):
            ((error,),) = (answer.values() for answer in each.ask("vote"))
            assert error["code"] == "rate_limited"
            assert error["message"].startswith("Rate limit of 2/h exceeded; try again in 1")
        assert other.ask("vote") == ["voted"]


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (["order", {"street": "Ring 1", "items": [{"name": "ball"}]}, True], ["Order", 1, True]),
        (["order", {"street": "Ring 1"}], ["Order", 0, False]),
        (["profile", {"name": "Ann"}], "Ann"),
        (["rate", {"stars": 5}], 5),
        (["move", "A-7", "up"], [7, "up"]),
    ],
    ids=lambda event: event[0] if isinstance(event, list) else "",
)
def test_a_handler_gets_what_its_annotations_say(site: Server, event: list[Any], answer: Any) -> None:
    with wire.connected(site) as page:
        page.join("/shop")
        assert page.ask(*event, namespace="/shop") == [answer]


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (["order", {"street": 5, "items": [{"name": "a", "colour": 1}]}, "yes"], None),
        (["order", "Ring 1"], ["order"]),
        (["profile", {"name": "Annabelle", "age": "old"}], ["form.age", "form.name"]),
        (["rate", {"stars": 6}], ["rating.stars"]),
        (["move", "B-7", "left"], ["number", "way"]),
        (["deliver", "Ring 1"], ["street"]),
    ],
    ids=lambda event: event[0] if isinstance(event, list) else "",
)
def test_wrong_input_is_answered_with_the_names_of_the_fields(
    site: Server, event: list[Any], fields: list[str] | None
) -> None:
    expected = fields or ["express", "order.items.0.colour", "order.street"]
    with wire.connected(site) as page:
        page.join("/shop")
        ((error,),) = (answer.values() for answer in page.ask(*event, namespace="/shop"))
        assert error["code"] == "invalid"
        assert sorted(error["fields"]) == expected
        assert page.ask("rate", {"stars": 1}, namespace="/shop") == [1]
    assert "Traceback" not in str(error)


def test_wrong_auth_is_refused_with_the_names_of_its_fields(site: Server) -> None:
    with wire.connected(site) as page:
        page.send('40/shop,{"age":"old"}')
        answer = page.receive()
    assert answer.startswith('44/shop,{"message":"auth')
    assert '"code":"invalid","fields":{"auth.age":' in answer


# ---- connections


@pytest.fixture(scope="module")
def bounded(new_database: Callable[[], dict[str, Any]]) -> Iterator[Server]:
    """Serve the project with low limits, to nobody else."""
    limits = {"MAX_CONNECTIONS_PER_SESSION": 2, "MAX_CONNECTIONS_PER_USER": 3}
    settings = visitors.settings(new_database(), DTWS_SIO=limits)
    with sites.running("gunicorn", settings=settings) as site:
        yield site


def test_connections_of_one_session_and_of_one_user_are_bounded(bounded: Server, tag: str) -> None:
    ann = visitors.register(bounded, tag)
    laptop, phone = ann.browser(bounded), ann.browser(bounded)
    with laptop.socket(), laptop.socket() as second, laptop.socket(None) as third:
        third.send("40")
        assert '"code":"too_many_connections"' in third.receive()
        with phone.socket(), phone.socket(None) as fourth:
            fourth.send("40")
            assert "Too many connections of your account" in fourth.receive()
        second.connection.close()
        eventually(lambda: evaluate(bounded, "len(sio.members('/', None))") == 1, "its end")
        with laptop.socket():
            pass
    assert evaluate(bounded, "dict(sio.refusals)")["too_many_connections"] == 2
