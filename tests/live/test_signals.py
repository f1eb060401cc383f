"""
Signals over the network: pages that Django's own views made, tokens, logouts, and two processes that Redis joins.

Rows S-04 to S-11, S-30 to S-36, W-F1 to W-F7 and W-F9, with users who signed in through Django's view.
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest
import websocket

from tests.live import sites, wire
from tests.live.servers import Server, eventually
from tests.live.services import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

PASSWORD: Final = "open sesame"
USERS: Final = ("ann", "bob")
CREATE: Final = (
    "from django.contrib.auth.models import User\n"
    f"for name in {USERS!r}: User.objects.create_user(name, password={PASSWORD!r}, is_staff=True)"
)


def settings_of(database: Path, **keys: Any) -> dict[str, Any]:
    """Give the settings of a project with users, sessions and the app `watchers`."""
    contrib = "django.contrib."
    return {
        "INSTALLED_APPS": [
            "dtws_sio",
            *(contrib + name for name in ("staticfiles", "auth", "contenttypes", "sessions")),
            "playground",
            "watchers",
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
        "ROOT_URLCONF": "watchers.urls",
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        "DTWS_SIO": {"QUEUES": {"slow": "threads"}, **keys},
    }


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with two users."""
    path = tmp_path_factory.mktemp("watchers") / "db.sqlite3"
    for arguments in (("migrate", "-v0"), ("shell", "-v0", "-c", CREATE)):
        made = sites.run(*sites.manage(*arguments), settings=settings_of(path))
        assert made.returncode == 0, made.stdout
    return path


@pytest.fixture(scope="module")
def start(database: Path) -> Iterator[Callable[[str], Server]]:
    """Give the server of a kind, which runs until the end of the module."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def give(kind: str) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(sites.running(kind, settings=settings_of(database)))
            return running[kind]

        yield give


@pytest.fixture(params=list(sites.KINDS))
def site(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Server:
    return start(request.param)


@pytest.fixture(scope="module")
def joined(database: Path) -> Iterator[dict[str, Any]]:
    """Run Redis, and give the settings of processes that it joins."""
    with redis_server() as url:
        yield settings_of(database, MESSAGE_QUEUE=url)


@pytest.fixture(scope="module")
def pair(joined: dict[str, Any]) -> Iterator[tuple[Server, Server]]:
    """Serve with two of them."""
    with sites.running("gunicorn", settings=joined) as one, sites.running("runsocketio", settings=joined) as other:
        yield one, other


class Browser:
    """A browser: cookies, forms, pages, and the windows that they open."""

    def __init__(self, site: Server, username: str | None = None) -> None:
        self.site = site
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))
        if username is not None:
            self.get("/login/")
            self.send("/login/", {"username": username, "password": PASSWORD})

    def at(self, site: Server) -> Browser:
        """Give this browser with the same cookies at another process of the site."""
        there = Browser(site)
        there._jar, there._opener = self._jar, self._opener
        return there

    @property
    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)

    @property
    def csrf(self) -> str:
        return next((str(cookie.value) for cookie in self._jar if cookie.name == "csrftoken"), "")

    def get(self, path: str) -> str:
        with self._opener.open(self.site.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def send(self, path: str, fields: dict[str, str]) -> str:
        """Send a form."""
        data = urlencode({**fields, "csrfmiddlewaretoken": self.csrf}).encode()
        with self._opener.open(self.site.url + path, data, timeout=10) as answer:
            return str(answer.read().decode())

    def post(self, path: str, body: Any, token: str | None = None) -> Any:
        """Send JSON, as a script of the page does, which knows the page's token; an error is given with its status."""
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.csrf}
        if token is not None:
            headers["X-Socket-Window"] = token
        request = urllib.request.Request(self.site.url + path, json.dumps(body).encode(), headers)
        try:
            with self._opener.open(request, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def settings(self, *topics: str) -> Any:
        """Open a page that watches some topics, and give the settings that it hands to scripts."""
        text = self.get("/page/?" + urlencode({"topic": topics}, doseq=True))
        found = re.search(r'<script id="dtws-sio-signals" type="application/json">(.*?)</script>', text)
        assert found, text
        return json.loads(found[1])

    @contextmanager
    def window(self, *topics: str, token: str | None = None) -> Iterator[Window]:
        """Open a page and its connection."""
        token = token or self.settings(*topics)["window"]
        with wire.connected(self.site, cookie=self.cookies) as socket:
            socket.join("/signals", {"window": token})
            yield Window(socket, token)

    def refusal(self, token: str | None) -> Any:
        """Connect with a token, and give the code with which it is refused, or None."""
        with wire.connected(self.site, cookie=self.cookies) as socket:
            socket.send(f"40/signals,{json.dumps({'window': token})}")
            answer = socket.receive()
            return json.loads(answer.partition(",")[2])["data"]["code"] if answer.startswith("44/signals,") else None


class Window:
    """A window that is connected."""

    def __init__(self, socket: wire.Socket, token: str) -> None:
        self.socket = socket
        self.token = token

    def next(self) -> tuple[str, Any]:
        """Wait for the next signal."""
        frame = self.socket.receive()
        assert frame.startswith("42/signals,"), frame
        event, message = json.loads(frame.removeprefix("42/signals,"))
        assert event == "signal"
        return message["signal"], message["opts"]

    def call(self, name: str, **opts: Any) -> Any:
        """Trigger a signal, and give the answer, which has to be what comes next."""
        self.socket.send("42/signals,5" + json.dumps(["signal", {"signal": name, "opts": opts, "id": "1"}]))
        answer = self.socket.receive()
        assert answer.startswith("43/signals,5"), answer
        [told] = json.loads(answer.removeprefix("43/signals,5"))
        return told

    def hears_nothing(self) -> bool:
        """Tell whether nothing came so far."""
        return [error["code"] for error in self.call("no.such")["errors"]] == ["unknown_signal"]


def code_of(answer: Any) -> list[str]:
    return [error["code"] for error in answer["errors"]]


# ---- one process


def test_a_page_calls_the_server_and_learns_what_became_of_it(site: Server) -> None:
    """With nothing but one server: no Redis, no cache, no worker beside it. Row W-F21."""
    with Browser(site, "ann").window() as window:
        assert window.call("who")["results"][0]["name"] == "ann"
        assert window.call("plan", day="2030-01-31") == {"ok": True, "results": ["1 on Thursday"], "errors": []}
        refused = window.call("plan", day="soon", seats="2")
        assert code_of(refused) == ["invalid"]
        assert set(refused["errors"][0]["fields"]) == {"day", "seats"}
        assert code_of(window.call("secret")) == code_of(window.call("no.such")) == ["unknown_signal"]


def test_a_stranger_is_told_to_sign_in(site: Server) -> None:
    with Browser(site).window() as window:
        assert window.call("who")["results"][0]["name"] is None
        assert code_of(window.call("plan", day="2030-01-31")) == ["login_required"]


def test_functions_of_a_queue_of_threads_answer_and_reach_their_window(site: Server) -> None:
    browser = Browser(site)
    with browser.window() as window, browser.window() as other:
        window.socket.send('42/signals,9["signal",{"signal":"report","opts":{"year":2030}}]')
        assert window.next() == ("progress", {"year": 2030})
        told = json.loads(window.socket.receive().removeprefix("43/signals,9"))
        assert told == [{"ok": True, "results": ["report of 2030"], "errors": []}]
        assert other.hears_nothing()


def test_a_function_tells_its_own_window_while_it_runs(site: Server) -> None:
    browser = Browser(site)
    with browser.window() as window, browser.window() as other:
        window.socket.send('42/signals,9["signal",{"signal":"work","opts":{"n":5}}]')
        assert window.next() == ("worked", {"n": 5})
        assert window.socket.receive() == '43/signals,9[{"ok":true,"results":[null],"errors":[]}]'
        assert other.hears_nothing()


def test_what_is_delayed_comes_when_it_is_due_to_its_window_only(site: Server) -> None:
    browser = Browser(site)
    with browser.window() as window, browser.window() as other:
        started = time.monotonic()
        assert window.call("remind", seconds=0.3)["ok"]
        assert window.next() == ("reminded", {})
        assert time.monotonic() - started >= 0.3
        assert other.hears_nothing()


def test_two_tabs_are_two_windows_also_for_what_their_scripts_post(site: Server) -> None:
    ann = Browser(site, "ann")
    with ann.window() as first, ann.window() as second:
        for number, window in enumerate((first, second)):
            body = {"signal": "saved", "to": ["WINDOW"], "opts": {"n": number}}
            assert ann.post("/trigger/", body, window.token) == {"ok": True, "results": [], "errors": []}
        assert [first.next(), second.next()] == [("saved", {"n": 0}), ("saved", {"n": 1})]
        for target in ("USER", "SESSION"):
            ann.post("/trigger/", {"signal": "all", "to": [target, "WINDOW"]}, first.token)
            assert [first.next(), second.next()] == [("all", {}), ("all", {})]
        assert first.hears_nothing()
        assert second.hears_nothing()


def test_a_token_is_of_no_use_to_anybody_else(site: Server) -> None:
    ann, bob, stranger = Browser(site, "ann"), Browser(site, "bob"), Browser(site)
    token = ann.settings("secret")["window"]
    assert ann.refusal(token) is None
    for thief in (bob, stranger, Browser(site, "ann")):
        assert thief.refusal(token) == "token_invalid"
        thief.get("/login/")  # a CSRF cookie
        assert thief.post("/signals/window/", {"window": token})[0] == 403
    assert [each.refusal(token[:-1] + "x") for each in (ann, bob)] == ["token_invalid"] * 2


def test_a_page_renews_its_token_by_the_settings_that_it_has(site: Server) -> None:
    ann = Browser(site, "ann")
    page = ann.settings("news")
    assert page["renew"] == "/signals/window/"
    renewed = ann.post(page["renew"], {"window": page["window"]})["window"]
    with ann.window(token=renewed) as window:
        ann.post("/trigger/", {"signal": "told", "to": ["news"]})
        assert window.next() == ("told", {})


def test_a_logout_ends_the_window_and_its_token(site: Server) -> None:
    ann = Browser(site, "ann")
    with ann.window("secret") as window:
        ann.send("/logout/", {})
        assert window.socket.is_closed()
        assert ann.refusal(window.token) == "token_invalid"
        assert ann.refusal(None) is None


def test_a_lost_right_takes_the_topics_away(site: Server) -> None:
    bob = Browser(site, "bob")
    try:
        with bob.window("for staff") as window:
            assert window.call("staff")["ok"]
            bob.post("/rights/", {"username": "bob", "is_staff": False})
            assert window.socket.is_closed()
            assert bob.refusal(window.token) == "token_invalid"
        with bob.window() as window:
            assert code_of(window.call("staff")) == ["permission_denied"]
    finally:
        bob.post("/rights/", {"username": "bob", "is_staff": True})


def test_a_foreign_page_cannot_connect(site: Server) -> None:
    """Rows F-16 and W-F1."""
    ann = Browser(site, "ann")
    with (
        pytest.raises(websocket.WebSocketBadStatusException),
        wire.connected(site, cookie=ann.cookies, origin="https://evil.example"),
    ):
        pytest.fail("it connected")


# ---- two processes


def test_windows_of_both_processes_hear_a_signal_once(pair: tuple[Server, Server]) -> None:
    here, there = pair
    ann = Browser(here, "ann")
    with (
        ann.window("news", "group:editors") as near,
        ann.at(there).window("news", "group:editors") as far,
        Browser(there).window("sport") as stranger,
    ):
        assert near.call("who")["results"][0]["pid"] != far.call("who")["results"][0]["pid"]
        ann.post("/trigger/", {"signal": "changed", "to": ["news", "group:editors", "USER"], "opts": {"n": 1}})
        ann.post("/trigger/", {"signal": "everybody", "to": ["BROADCAST", "news"]})
        for window in (near, far):
            assert [window.next(), window.next()] == [("changed", {"n": 1}), ("everybody", {})]
            assert window.hears_nothing()
        assert stranger.next() == ("everybody", {})
        assert stranger.hears_nothing()


def test_a_window_is_reached_wherever_it_is_connected(pair: tuple[Server, Server]) -> None:
    """Its page came from one process, its connection is with the other, its script posts to either."""
    here, there = pair
    ann = Browser(here, "ann")
    token = ann.settings("news")["window"]
    with ann.at(there).window(token=token) as window:
        for number, browser in enumerate((ann, ann.at(there))):
            browser.post("/trigger/", {"signal": "saved", "to": ["WINDOW"], "opts": {"n": number}}, token)
            assert window.next() == ("saved", {"n": number})


def test_the_shell_reaches_windows_of_both_processes(pair: tuple[Server, Server], joined: dict[str, Any]) -> None:
    here, there = pair
    with Browser(here).window("news") as near, Browser(there).window("news") as far:
        code = "from dtws_sio.signals import trigger; trigger(None, 'told', to='news', text='é')"
        done = sites.run(*sites.manage("shell", "-v0", "-c", code), settings=joined)
        assert (done.returncode, done.stdout) == (0, "")
        assert [near.next(), far.next()] == [("told", {"text": "é"})] * 2


def test_a_logout_at_one_process_ends_windows_at_the_other(pair: tuple[Server, Server]) -> None:
    here, there = pair
    ann = Browser(here, "ann")
    with ann.at(there).window("secret") as window:
        ann.send("/logout/", {})
        eventually(window.socket.is_closed, "the end of the window")
        assert ann.at(there).refusal(window.token) == "token_invalid"
