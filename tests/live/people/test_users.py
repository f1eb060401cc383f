"""Who a handler talks to: request, session, user, language and time zone; point 1 of the identity rows."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.live import wire
from tests.live.people import visitors
from tests.live.people.visitors import Browser, evaluate, run
from tests.live.servers import eventually

if TYPE_CHECKING:
    from tests.live.people.visitors import Person
    from tests.live.servers import Server

pytestmark = pytest.mark.live

KEY = "a key that is long enough for HS256"
"""As in people/tokens.py."""


def refusal(site: Server, namespace: str, auth: Any = None, **options: Any) -> dict[str, Any]:
    """Ask to join a namespace that does not let this client in, and give what it is told."""
    with wire.connected(site, **options) as page:
        page.send(f"40{namespace},{'' if auth is None else json.dumps(auth)}")
        answer = page.receive()
        assert answer.startswith(f"44{namespace},"), answer
        told: dict[str, Any] = json.loads(answer.partition(",")[2])
        return told


# ---- request, session and user


def test_a_handler_gets_the_request_of_the_handshake(anns: Browser) -> None:
    with anns.socket(**{"X-Shop": "toys"}) as page:
        assert page.ask("request") == [["/socket.io/", f"127.0.0.1:{anns.site.port}", "toys"]]


def test_a_handler_knows_who_signed_in_by_djangos_own_view(site: Server, anns: Browser, ann: Person) -> None:
    with anns.socket() as page, wire.connected(site) as stranger:
        stranger.join()
        assert page.ask("who") == [ann.name]
        assert stranger.ask("who") == [""]
    assert anns.who() == ann.name


def test_a_polling_client_is_known_too(anns: Browser, ann: Person) -> None:
    page = anns.polling()
    assert page.post('421["who"]') == 200
    assert page.receive() == [f'431["{ann.name}"]']


def test_the_user_is_loaded_when_it_is_touched_and_once_in_an_event(anns: Browser) -> None:
    with anns.socket() as page:
        assert page.ask("count", 0) == [0]
        assert page.ask("count", 1) == page.ask("count", 5) == [2], "one query for the session and one for the user"


def test_each_event_has_the_user_as_it_is_then(site: Server, anns: Browser, ann: Person, tag: str) -> None:
    """`update` sends no signal, and the sweep is 30 seconds away."""
    with anns.socket() as page:
        assert page.ask("audit")[0]["error"]["message"] == "Staff only."
        run(site, f"User.objects.filter(pk={ann.pk}).update(username='new-{tag}', is_staff=True)")
        assert page.ask("who") == [f"new-{tag}"]
        assert page.ask("audit") == ["audited"]
        run(site, f"User.objects.filter(pk={ann.pk}).update(is_active=False)")
        assert page.ask("who") == [""]


def test_a_session_goes_from_view_to_handler_and_from_handler_to_handler(site: Server, anns: Browser) -> None:
    key = anns.session_key
    store = f"from django.contrib.sessions.backends.db import SessionStore; session = SessionStore({key!r})\n"
    run(site, f"{store}session['cart'] = [1]; session.save()")
    with anns.socket() as page, anns.socket() as other:
        assert page.ask("recall", "cart") == [[1]]
        assert page.ask("remember", "cart", [1, 2]) == []
        assert other.ask("recall", "cart") == [[1, 2]]
    assert run(site, f"{store}result = session['cart']") == [1, 2]


def test_a_handler_does_not_bring_back_a_session_that_ended_meanwhile(site: Server, anns: Browser, tag: str) -> None:
    key = anns.session_key
    with anns.socket() as page:
        run(site, f"Session.objects.filter(pk={key!r})._raw_delete('default')")  # nobody is told
        page.ask("remember", "cart", [1])
    assert evaluate(site, f"Session.objects.filter(pk={key!r}).count()") == 0


# ---- language and time zone


@pytest.mark.parametrize(
    ("headers", "cookies", "around"),
    [
        ({}, {}, ["en", "America/Chicago", "Yes"]),
        ({"Accept-Language": "de-AT"}, {}, ["de", "America/Chicago", "Ja"]),
        ({}, {"django_language": "fr", "django_timezone": "Europe/Vienna"}, ["fr", "Europe/Vienna", "Oui"]),
        ({}, {"django_timezone": "../../etc/passwd"}, ["en", "America/Chicago", "Yes"]),
    ],
)
def test_handlers_speak_their_clients_language_in_its_time_zone(
    site: Server, anns: Browser, headers: dict[str, str], cookies: dict[str, str], around: list[str]
) -> None:
    anns.http.cookies.update(cookies)
    with anns.socket(**headers) as page, wire.connected(site) as other:
        other.join()
        for _ in range(2):
            assert page.ask("around") == [around]
            assert other.ask("around") == [["en", "America/Chicago", "Yes"]], "nothing of the one shows in the other"


# ---- tokens


def test_a_signed_token_is_a_proof_where_it_is_asked_for(site: Server, ann: Person) -> None:
    token = evaluate(site, f"make_token(User.objects.get(pk={ann.pk}))")
    with wire.connected(site) as page:
        page.join("/tickets", {"token": token})
        assert page.ask("who", namespace="/tickets") == [ann.name]
    with wire.connected(site) as page:
        page.join("/", {"token": token})
        assert page.ask("who") == [""], "elsewhere the session counts"
    assert refusal(site, "/tickets", {"token": f"{token}x"}) == {
        "message": "The token is not valid.",
        "data": {"code": "authentication_failed"},
    }


def test_a_namespace_with_tokens_knows_no_sessions(anns: Browser) -> None:
    with anns.socket("/tickets") as page:
        assert page.ask("who", namespace="/tickets") == [""]


def test_a_signed_token_is_void_with_a_new_password(site: Server, ann: Person) -> None:
    token = evaluate(site, f"make_token(User.objects.get(pk={ann.pk}))")
    ann.browser(site).change_password()
    assert refusal(site, "/tickets", {"token": token})["message"] == "The token is not valid any more."


def test_a_json_web_token_is_a_proof_and_ends_when_it_says(site: Server, ann: Person, tag: str) -> None:
    claims = {"sub": str(ann.pk), "aud": "people"}
    expires = time.time() + 1.5
    with wire.connected(site) as page:
        page.join("/tokens", {"token": jwt.encode({**claims, "exp": expires}, KEY), "tag": tag})
        assert page.ask("who", namespace="/tokens") == [ann.name]
        assert page.is_closed()
        assert 0 <= time.time() - expires < 1
    eventually(lambda: visitors.lives(site, tag) == ["connect", "rights revoked"], "the disconnect handler")
    old = refusal(site, "/tokens", {"token": jwt.encode({**claims, "exp": expires}, KEY)})
    assert old["data"] == {"code": "token_expired"}


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({"aud": "other"}, KEY, "HS256"),
        ({"sub": "0"}, KEY, "HS256"),
        ({"exp": None}, KEY, "HS256"),
        ({}, "another key that is long enough for it", "HS256"),
        ({}, "", "none"),
    ],
    ids=["audience", "nobody", "endless", "key", "unsigned"],
)
def test_a_json_web_token_that_does_not_hold_is_refused(
    site: Server, ann: Person, claims: dict[str, Any], key: str, algorithm: str
) -> None:
    whole = {"sub": str(ann.pk), "aud": "people", "exp": time.time() + 60, **claims}
    token = jwt.encode({name: value for name, value in whole.items() if value is not None}, key, algorithm=algorithm)
    assert refusal(site, "/tokens", {"token": token})["data"] == {"code": "authentication_failed"}


def test_a_session_is_asked_where_no_token_is_shown(anns: Browser, ann: Person) -> None:
    with anns.socket("/tokens") as page:
        assert page.ask("who", namespace="/tokens") == [ann.name]


def test_a_token_in_the_url_is_no_proof(site: Server, ann: Person) -> None:
    token = evaluate(site, f"make_token(User.objects.get(pk={ann.pk}))")
    page = wire.Polling(site)
    page.url += f"&token={token}"
    assert page.post("40/tickets,", '42/tickets,1["who"]') == 200
    packets = page.receive()
    while len(packets) < 2:
        packets += page.receive()
    assert packets[1] == '43/tickets,1[""]'


# ---- anonymous or required, by namespace


@pytest.mark.parametrize(
    ("namespace", "told"),
    [
        ("/members", {"message": "Please sign in.", "data": {"code": "login_required"}}),
        ("/editors", {"message": "You may not do this.", "data": {"code": "permission_denied"}}),
    ],
)
def test_a_namespace_that_wants_users_refuses_strangers(site: Server, namespace: str, told: dict[str, Any]) -> None:
    assert refusal(site, namespace) == told
    assert refusal(site, namespace, cookie="sessionid=made-up") == told


def test_the_same_connection_is_let_in_where_strangers_may_be(site: Server, anns: Browser) -> None:
    with wire.connected(site) as page:
        page.send("40/members,")
        assert page.receive().startswith("44/members,")
        page.join("/")
    with anns.socket("/members"):
        pass
