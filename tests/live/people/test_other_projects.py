"""Projects that are not as most: no users, users of another kind, sessions kept elsewhere, a queue that hangs."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites, wire
from tests.live.people import visitors
from tests.live.people.visitors import AUTH, Browser, change, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.servers import Server

pytestmark = pytest.mark.live


# ---- without users


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], Server]]:
    """Serve a project that has neither users nor sessions."""
    running: dict[str, Server] = {}
    settings = {"INSTALLED_APPS": ["dtws_sio", "guests"], "ROOT_URLCONF": "guests.urls", "LOGGING": visitors.LOGGING}
    with ExitStack() as stack:

        def start(kind: str) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(sites.running(kind, settings=settings))
            return running[kind]

        yield start


def test_strangers_see_each_other_without_users(site: Server, tag: str) -> None:
    guest = {"id": None, "name": "guest"}
    with wire.connected(site, cookie="sessionid=made-up") as first, wire.connected(site) as second:
        first.join("/hall")
        assert first.ask("enter", tag, namespace="/hall") == [[guest]]
        second.join("/hall")
        assert first.receive() == '42/hall,["presence_joined",{"room":null,"who":{"id":null,"name":"guest"}}]'
        assert second.ask("enter", tag, namespace="/hall") == [[guest, guest]]


def test_limits_of_users_count_strangers_without_users(site: Server) -> None:
    with wire.connected(site) as page:
        page.join("/hall")
        answers = [page.ask("vote", namespace="/hall") for _ in range(3)]
        assert answers[:2] == [["voted"]] * 2
        assert answers[2][0]["error"]["code"] == "rate_limited"


def test_everybody_is_a_stranger_without_users(site: Server) -> None:
    with wire.connected(site) as page:
        page.join("/hall")
        assert page.ask("who", namespace="/hall") == [[False, True, False, False, ""]]
        assert page.ask("greet", namespace="/hall")[0]["error"]["code"] == "login_required"


# ---- with users of another kind


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Users without permissions, sessions in a cache, naive dates, and two databases."""
    folder = tmp_path_factory.mktemp("crew")
    databases = {**visitors.sqlite(folder / "db.sqlite3"), "other": visitors.sqlite(folder / "other")["default"]}
    settings = {
        **visitors.SETTINGS,
        "INSTALLED_APPS": ["dtws_sio", AUTH, "django.contrib.contenttypes", "django.contrib.sessions", "crew"],
        "AUTHENTICATION_BACKENDS": [f"{AUTH}.backends.ModelBackend"],
        "AUTH_USER_MODEL": "crew.Sailor",
        "DATABASES": databases,
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "CACHES": {
            "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(folder)}
        },
        "ROOT_URLCONF": "crew.urls",
        "USE_TZ": False,
        "DTWS_SIO": {"RIGHTS_SWEEP": 0.3},
    }
    visitors.migrate(settings)
    with sites.running("gunicorn", settings=settings) as site:
        yield site
        assert "Traceback" not in site.log()


def sailor(ship: Server, name: str) -> tuple[Browser, str]:
    browser = Browser(ship)
    answer = browser.http.get(f"{ship.url}/enter/{name}/", timeout=10)
    answer.raise_for_status()
    return browser, answer.text


@pytest.mark.parametrize(
    "code",
    [
        "sailor.is_active = False; sailor.save()",
        "Sailor.objects.filter(pk=sailor.pk).update(is_active=False)",
        "Sailor.objects.filter(pk=sailor.pk).update(password='other')",
        "sailor.delete()",
        "from django.core.cache import cache; cache.clear()",
    ],
)
def test_users_of_another_kind_are_known_and_watched(ship: Server, tag: str, code: str) -> None:
    browser, pk = sailor(ship, tag)
    with browser.socket("/deck") as page:
        assert page.ask("who", namespace="/deck") == [tag]
        change(ship, f"sio.emit('news', 1, to=Sailor.objects.get(pk={pk!r}), namespace='/deck')")
        assert page.receive() == '42/deck,["news",1]'
        assert len(evaluate(ship, f"sio.sockets(Sailor.objects.get(pk={pk!r}))")) == 1
        change(ship, f"sailor = Sailor.objects.get(pk={pk!r})\n{code}")
        assert page.is_closed()


# ---- a queue that hangs


def test_a_logout_does_not_wait_for_a_queue_that_hangs(new_database: Callable[[], dict[str, Any]], tag: str) -> None:
    """It takes connections and never answers; this process itself has heard of the logout."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as deaf:
        queue = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        settings = visitors.settings(new_database(), DTWS_SIO={"MESSAGE_QUEUE": queue})
        with sites.running("gunicorn", settings=settings) as site:
            browser = visitors.register(site, tag).browser(site)
            with browser.socket() as page:
                started = time.monotonic()
                browser.sign_out()
                assert time.monotonic() - started < 2
                assert page.is_closed()
