"""People in front of the site: browsers that sign in through Django's own views, and what they open."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests

from tests.live import sites, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.servers import Server

PASSWORD: Final = "correct horse battery"

LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"]},
}

AUTH: Final = "django.contrib.auth"

SETTINGS: Final[dict[str, Any]] = {
    "INSTALLED_APPS": [
        "dtws_sio",
        "django.contrib.staticfiles",
        AUTH,
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "people",
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{AUTH}.middleware.AuthenticationMiddleware",
    ],
    "AUTHENTICATION_BACKENDS": [f"{AUTH}.backends.ModelBackend", "people.backends.Owners"],
    "PASSWORD_HASHERS": [f"{AUTH}.hashers.MD5PasswordHasher"],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    "ROOT_URLCONF": "people.urls",
    "LOGGING": LOGGING,
    "LANGUAGE_CODE": "en",
    "TIME_ZONE": "America/Chicago",
}
"""Of the project with users; a database is added."""


def sqlite(path: Path) -> dict[str, Any]:
    """Give Django's settings for a database in a file, which two processes may write to."""
    options = {"timeout": 10, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=wal"}
    return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}}


def settings(databases: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the settings of the project with users."""
    return {**SETTINGS, "DATABASES": databases, **more}


def command(*arguments: str, settings: dict[str, Any]) -> str:
    """Run a command of `manage.py`, which serves nobody, and give what it printed."""
    done = sites.run(*sites.manage(*arguments), settings=settings)
    assert done.returncode == 0, done.stdout
    return done.stdout


def migrate(settings: dict[str, Any]) -> None:
    """Make the tables."""
    command("migrate", "--run-syncdb", "--verbosity", "0", settings=settings)


@dataclass(frozen=True)
class Ran:
    """What code gave that was run in a server, and when it was done, in seconds since the epoch."""

    result: Any
    at: float


def change(site: Server, code: str) -> Ran:
    """Run code in a server, within a request; it may assign to `result`."""
    with urllib.request.urlopen(f"{site.url}/run/", code.encode(), timeout=10) as answer:
        return Ran(**json.loads(answer.read()))


def run(site: Server, code: str) -> Any:
    """Run code in a server, and give its `result`."""
    return change(site, code).result


def evaluate(site: Server, expression: str) -> Any:
    """Give the value of an expression in a server."""
    return run(site, f"result = {expression}")


@dataclass(frozen=True)
class Person:
    """A user of the site."""

    pk: int
    name: str

    def browser(self, site: Server, **headers: str) -> Browser:
        """Sign in with a new browser."""
        browser = Browser(site, **headers)
        browser.sign_in(self.name)
        return browser


def register(site: Server, name: str, *, groups: tuple[str, ...] = (), permissions: tuple[str, ...] = ()) -> Person:
    """Make a user; its groups are made too where they do not exist."""
    return Person(
        run(
            site,
            f"user = User.objects.create_user({name!r}, password={PASSWORD!r})\n"
            f"user.groups.set([group(name) for name in {groups!r}])\n"
            f"user.user_permissions.set(Permission.objects.filter(codename__in={permissions!r}))\n"
            "result = user.pk",
        ),
        name,
    )


class Browser:
    """A browser: it keeps cookies, and gets CSRF tokens from the forms that it sends."""

    def __init__(self, site: Server, **headers: str) -> None:
        self.site = site
        self.http = requests.Session()
        self.http.headers.update(headers)

    def at(self, site: Server) -> Browser:
        """Look at another process of the same site; browsers send cookies to all ports of a host."""
        other = Browser(site)
        other.http = self.http
        return other

    def fill_in(self, path: str, **fields: str) -> float:
        """Send a form of a page, and tell when it was answered, in seconds since the epoch."""
        self.http.get(self.site.url + path, timeout=10).raise_for_status()
        return self._post(path, **fields)

    def _post(self, path: str, **fields: str) -> float:
        token = self.http.cookies["csrftoken"]
        answer = self.http.post(
            self.site.url + path, {"csrfmiddlewaretoken": token, **fields}, allow_redirects=False, timeout=10
        )
        at = time.time()
        assert answer.status_code == 302, answer.text
        return at

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Sign in by Django's LoginView."""
        self.fill_in("/login/", username=name, password=password)
        assert self.who() == name

    def sign_out(self) -> float:
        """Sign out by Django's LogoutView."""
        return self._post("/logout/")

    def change_password(self, new: str = "staple battery horse") -> float:
        """Change the password by Django's PasswordChangeView, which keeps this session signed in."""
        return self.fill_in("/password/", old_password=PASSWORD, new_password1=new, new_password2=new)

    def who(self) -> str:
        """Ask a view who this is."""
        return self.http.get(f"{self.site.url}/me/", timeout=10).text

    @property
    def session_key(self) -> str:
        """The key of the session."""
        key: str = self.http.cookies["sessionid"]
        return key

    @property
    def cookie(self) -> str:
        """The cookies, as the browser sends them."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)

    @contextmanager
    def socket(self, namespace: str | None = "/", auth: Any = None, **headers: str) -> Iterator[wire.Socket]:
        """Open a WebSocket while the block runs, and join a namespace."""
        with wire.connected(self.site, cookie=self.cookie, header=headers) as socket:
            if namespace is not None:
                socket.join(namespace, auth)
            yield socket

    def polling(self, namespace: str | None = "/", auth: Any = None) -> wire.Polling:
        """Begin to poll, and join a namespace."""
        page = wire.Polling(self.site, cookie=self.cookie)
        if namespace is not None:
            prefix = "" if namespace == "/" else f"{namespace},"
            assert page.post(f"40{prefix}{'' if auth is None else json.dumps(auth)}") == 200
            (answer,) = page.receive()
            assert answer.startswith(f"40{prefix}"), answer
        return page


def lives(site: Server, tag: str) -> list[str]:
    """Give what happened to the clients that brought a tag."""
    happened: list[str] = evaluate(site, f"lives[{tag!r}]")
    return happened
