"""
The setting `DTWS_SIO`: one dict in the project's settings, read into one frozen `Settings`.

Every key is optional. `problems` looks a dict over and names what is wrong with it, for the system checks;
`settings` gives the values in force and raises for the first problem, so that nothing starts on half of a
configuration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dtws_sio import runtime
from dtws_sio.exceptions import DtwsSioError, RateError
from dtws_sio.rates import Rate

QUEUE_SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "unix")
"""URL schemes of message queues; each is joined by python-socketio's Redis manager."""

BACKLOG_POLICIES: Final = ("close", "drop-oldest", "keep-newest")
"""What the engine knows to do about a client that is behind; `dtws_sio.engine.backlog` says more."""

RENAMED: Final = MappingProxyType(
    {
        "port": "its name is PORT",
        "handlers": "register namespaces in sockets.py; every other URL is Django's",
        "settings": "its name is SERVER; most of its values have a key of their own",
    }
)
"""Keys of django-tornado-websockets' TORNADO setting, and where each went. Source: rows D-03 to D-05."""

SERVER_OPTIONS: Final = (
    "allow_upgrades",
    "compression_threshold",
    "cookie",
    "cors_credentials",
    "http_compression",
    "monitor_clients",
    "namespaces",
    "transports",
)
"""What DTWS_SIO["SERVER"] may hand on to python-socketio; everything else either has a key here or is not for users."""

SERVER_OPTIONS_WITH_A_KEY: Final = MappingProxyType(
    {
        "async_mode": "RUNTIME",
        "client_manager": "MESSAGE_QUEUE",
        "cors_allowed_origins": "ALLOWED_ORIGINS",
        "max_http_buffer_size": "MAX_PAYLOAD",
        "ping_interval": "PING_INTERVAL",
        "ping_timeout": "PING_TIMEOUT",
    }
)


QUEUE_BACKENDS: Final = ("pool", "threads", "processes", "celery", "tasks")
"""Where queued calls of signals run; the first three run them in processes of ours. See `dtws_sio.signals.queues`."""

LOCAL_QUEUE_BACKENDS: Final = QUEUE_BACKENDS[:3]


class ConfigurationError(DtwsSioError, ImproperlyConfigured):
    """The setting DTWS_SIO holds something that cannot be used."""


@dataclass(frozen=True, slots=True)
class Queue:
    """
    Where the calls of one queue run.

    Attributes:
        backend: One of `QUEUE_BACKENDS`.
        size: Calls that run at once in this process; None for what fits the backend.
        most_waiting: Calls that wait for those; one more is refused.
    """

    backend: str = "pool"
    size: int | None = None
    most_waiting: int = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force. Names are those of the keys in lower case; a string under each says what it means."""

    host: str = "127.0.0.1"
    """Address that runsocketio listens on; its argument wins."""

    port: int = 8000
    """Port that runsocketio listens on; its argument wins."""

    path: str = "socket.io"
    """URL path of the Socket.IO endpoint, without slashes around it, below the script prefix."""

    runtime: runtime.Name = "eventlet"
    """Which concurrency library serves the clients."""

    message_queue: str | None = None
    """URL of the message queue that joins processes and hosts."""

    message_channel: str = "socketio"
    """Channel on the message queue; projects that share a queue need different ones."""

    allowed_origins: tuple[str, ...] | str | None = None
    """Origins whose pages may connect; None derives them from ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS, "*" is any."""

    csrf: bool = False
    """Whether a client has to bring Django's CSRF token to join a namespace."""

    ping_interval: float = 25
    """Seconds between two pings."""

    ping_timeout: float = 20
    """Seconds that a client has to answer a ping."""

    connect_timeout: float = 45
    """Seconds that a client has to join a namespace."""

    max_payload: int = 1_000_000
    """Bytes of one incoming message or polling body."""

    max_backlog: int = 1_000_000
    """Bytes that may wait for one slow client."""

    backlog_policy: str = "close"
    """What happens when more waits: "close", "drop-oldest" or "keep-newest"."""

    max_emit: int | None = 10_000_000
    """Bytes of one emitted event with its attachments; None for any size."""

    max_events: str | None = "10000/s"
    """How often one connection may send events; None for no limit."""

    max_connects: str | None = "1200/m"
    """How often one address may try to connect; None for no limit."""

    max_connections_per_address: int | None = 1000
    """Connections of one address to this process; None for any number."""

    max_connections_per_session: int | None = 100
    """Connections of one Django session to this process; None for any number."""

    max_connections_per_user: int | None = 200
    """Connections of one user to this process; None for any number."""

    client_address: str | None = None
    """Dotted path to a function that names a client's address, by the WSGI environ; None for our own guess."""

    compression: bool = False
    """Whether WebSocket messages may be compressed (permessage-deflate)."""

    engine: str = "own"
    """Whose Engine.IO sockets serve: "own", or "stock" for python-engineio's."""

    handler_pool: int = 100
    """How many handlers run at once in a process; also the bound on its database connections."""

    queues: Mapping[str, Queue] = field(default_factory=lambda: MappingProxyType({"default": Queue()}))
    """Where queued calls of signals run, by the names of queues."""

    ack_errors: bool = True
    """Whether an event whose handler failed is acknowledged with {"error": {"code", "message"}}."""

    authenticators: tuple[str, ...] = ("dtws_sio.authenticators.SessionAuthenticator",)
    """Dotted paths of what recognises clients, asked in turn; a namespace may have its own."""

    rights_sweep: float = 30
    """Seconds between two looks at everybody's rights, for changes that send no signal."""

    progress_rate: float = 20
    """How many updates of one progress bar are sent in a second, at most."""

    progress_expiry: float = 600
    """Seconds for which it is known where a progress bar stood that is not driven any more."""

    language: str = "dtws_sio.surroundings.language_of"
    """Dotted path of a function that chooses a client's language from its request."""

    time_zone: str = "dtws_sio.surroundings.time_zone_of"
    """Dotted path of a function that chooses a client's time zone from its request."""

    token_max_age: float = 36_000
    """Seconds for which a page's token is good for connecting; the page renews it after that."""

    window_processors: tuple[str, ...] = ()
    """Dotted paths of classes that add to `WindowInfo`, in this order."""

    server: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further keyword arguments for python-socketio's server."""

    @property
    def url_path(self) -> str:
        """The endpoint as a path with slashes around it, below the script prefix."""
        return f"/{self.path}/"


KEYS: Final = tuple(f.name.upper() for f in fields(Settings))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with DTWS_SIO: the number of its system check, what it is, and the remedy."""

    number: int
    message: str
    hint: str


LONGEST_TIME: Final = 1_000_000
"""Seconds of the longest time that can be set; eleven days are beyond what timers of any use here wait."""

Rule = tuple[Callable[[Any], bool], str]
"""A test of a value, and what the value should have been."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LONGEST_TIME


def _is_path(value: Any) -> bool:
    return _is_text(value) and value == value.strip("/") and not set(value) & set("?#% \\")


def _is_origins(value: Any) -> bool:
    if value is None or value == "*":
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(origin, str) and _is_origin(origin) for origin in value)


def _is_origin(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) and not (parts.path or parts.query or parts.fragment)


def _is_queue(value: Any) -> bool:
    try:
        return value is None or (isinstance(value, str) and urlsplit(value).scheme in QUEUE_SCHEMES)
    except ValueError:
        return False


def _is_rate(value: Any) -> bool:
    try:
        return value is None or bool(Rate.parse(value))
    except RateError:
        return False


def _is_dotted_path(value: Any) -> bool:
    return isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split("."))


def _is_dotted_paths(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_dotted_path, value))


_QUEUE_NAME: Final = re.compile(r"[\w.-]+")


def _is_queues(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and _QUEUE_NAME.fullmatch(name) and _is_queue_options(options)
        for name, options in value.items()
    )


def _is_queue_options(value: Any) -> bool:
    if not isinstance(value, dict):
        return value in QUEUE_BACKENDS if isinstance(value, str) else False
    backend = value.get("BACKEND")
    allowed = {"BACKEND", "SIZE", "MOST_WAITING"} if backend in LOCAL_QUEUE_BACKENDS else {"BACKEND"}
    return backend in QUEUE_BACKENDS and value.keys() <= allowed and all(map(_is_count, _sizes(value)))


def _sizes(options: Mapping[str, Any]) -> list[Any]:
    return [size for key, size in options.items() if key != "BACKEND"]


_SECONDS: Final[Rule] = (_is_seconds, f"a number of seconds above 0, {LONGEST_TIME} at most")
_COUNT: Final[Rule] = (_is_count, "a whole number above 0")
_COUNT_OR_NONE: Final[Rule] = (lambda value: value is None or _is_count(value), "a whole number above 0, or None")
_RATE: Final[Rule] = (_is_rate, "a rate such as '10/s', '600/m' or '5/10m', or None")
_FLAG: Final[Rule] = (lambda value: isinstance(value, bool), "True or False")

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "HOST": (_is_text, "a host name or address such as '127.0.0.1'"),
        "PORT": (lambda value: _is_count(value) and value < 65536, "a whole number from 1 to 65535"),
        "PATH": (_is_path, "a URL path without slashes around it, such as 'socket.io'"),
        "RUNTIME": (lambda value: value in runtime.NAMES, "one of " + ", ".join(map(repr, runtime.NAMES))),
        "MESSAGE_QUEUE": (_is_queue, "None or a URL such as 'redis://localhost:6379/0'"),
        "MESSAGE_CHANNEL": (_is_text, "a name such as 'socketio'"),
        "ALLOWED_ORIGINS": (_is_origins, "None, '*', or a list of origins such as ['https://example.com']"),
        "CSRF": _FLAG,
        "PING_INTERVAL": _SECONDS,
        "PING_TIMEOUT": _SECONDS,
        "CONNECT_TIMEOUT": _SECONDS,
        "MAX_PAYLOAD": _COUNT,
        "MAX_BACKLOG": _COUNT,
        "BACKLOG_POLICY": (lambda value: value in BACKLOG_POLICIES, "one of " + ", ".join(map(repr, BACKLOG_POLICIES))),
        "MAX_EMIT": _COUNT_OR_NONE,
        "MAX_EVENTS": _RATE,
        "MAX_CONNECTS": _RATE,
        "MAX_CONNECTIONS_PER_ADDRESS": _COUNT_OR_NONE,
        "MAX_CONNECTIONS_PER_SESSION": _COUNT_OR_NONE,
        "MAX_CONNECTIONS_PER_USER": _COUNT_OR_NONE,
        "CLIENT_ADDRESS": (
            lambda value: value is None or _is_dotted_path(value),
            "None, or the dotted path of a function such as 'shop.net.client_address'",
        ),
        "COMPRESSION": _FLAG,
        "ENGINE": (lambda value: value in ("own", "stock"), "'own' or 'stock'"),
        "HANDLER_POOL": _COUNT,
        "QUEUES": (
            _is_queues,
            "a dict of names and backends such as {'default': 'pool', 'reports': 'celery', 'slow': {'BACKEND': "
            "'threads', 'SIZE': 4, 'MOST_WAITING': 100}}; the backends are "
            + ", ".join(map(repr, QUEUE_BACKENDS))
            + ", and only the first three have sizes",
        ),
        "ACK_ERRORS": _FLAG,
        "AUTHENTICATORS": (
            _is_dotted_paths,
            "a list of paths such as ['dtws_sio.authenticators.SessionAuthenticator']",
        ),
        "RIGHTS_SWEEP": _SECONDS,
        "PROGRESS_RATE": (lambda value: _is_seconds(value) and value <= 1000, "a number above 0, 1000 at most"),
        "PROGRESS_EXPIRY": _SECONDS,
        "LANGUAGE": (_is_dotted_path, "the path of a function of a request, such as 'mysite.locale.language_of'"),
        "TIME_ZONE": (_is_dotted_path, "the path of a function of a request, such as 'mysite.locale.time_zone_of'"),
        "TOKEN_MAX_AGE": _SECONDS,
        "WINDOW_PROCESSORS": (_is_dotted_paths, "a list of paths such as ['shop.windows.Basket']"),
        "SERVER": (lambda value: isinstance(value, dict), "a dict of python-socketio's server arguments"),
    }
)


def problems(raw: object) -> list[Problem]:
    """
    Name everything that is wrong with a value of DTWS_SIO; an empty list means that it can be used.

    Source: rows D-02 to D-05; the numbers are those of the system checks in `dtws_sio.checks`.
    """
    if not isinstance(raw, dict):
        return [Problem(1, f"DTWS_SIO is {raw!r}, not a dict.", "Write DTWS_SIO = {} for the defaults.")]
    found = [_unknown(key) for key in raw if key not in RULES]
    for key, (is_good, should_be) in RULES.items():
        if key in raw and not is_good(raw[key]):
            found.append(Problem(3, f'DTWS_SIO["{key}"] is {raw[key]!r}.', f"It should be {should_be}."))
    if isinstance(raw.get("SERVER"), dict):
        found += [_unusable_option(name) for name in raw["SERVER"] if name not in SERVER_OPTIONS]
    return found


def _unknown(key: object) -> Problem:
    nearest = difflib.get_close_matches(str(key).upper(), KEYS, n=1)
    if key in RENAMED:
        hint = f"{str(key)!r} comes from django-tornado-websockets: {RENAMED[str(key)]}."
    elif nearest:
        hint = f'Did you mean "{nearest[0]}"?'
    else:
        hint = f"The keys are {', '.join(KEYS)}."
    return Problem(2, f'Unknown setting DTWS_SIO["{key}"].', hint)


def _unusable_option(name: object) -> Problem:
    if name in SERVER_OPTIONS_WITH_A_KEY:
        hint = f'Set DTWS_SIO["{SERVER_OPTIONS_WITH_A_KEY[str(name)]}"] instead.'
    else:
        hint = f"The options are {', '.join(SERVER_OPTIONS)}."
    return Problem(4, f'DTWS_SIO["SERVER"] holds {name!r}, which the server does not take from there.', hint)


def without_password(url: str) -> str:
    """Give the URL of a message queue as messages may show it; its options may hold a password too."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


_NOTHING: Final[dict[str, Any]] = {}

_read: tuple[object, Settings] | None = None


def settings() -> Settings:
    """
    Give the values in force.

    They are read anew whenever the project's setting is another object, so `override_settings` works.

    Raises:
        ConfigurationError: For the first thing that is wrong, with the remedy.
    """
    global _read
    raw = getattr(django_settings, "DTWS_SIO", _NOTHING)
    if _read is None or _read[0] is not raw:
        _read = (raw, _load(raw))
    return _read[1]


def _load(raw: Any) -> Settings:
    found = problems(raw)
    if found:
        raise ConfigurationError(f"{found[0].message} {found[0].hint}")
    values = {key.lower(): value for key, value in raw.items()}
    for name in ("allowed_origins", "authenticators", "window_processors"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if "queues" in values:
        given = {name: _queue(options) for name, options in values["queues"].items()}
        values["queues"] = MappingProxyType({"default": Queue(), **given})
    if "server" in values:
        values["server"] = MappingProxyType(dict(values["server"]))
    return Settings(**values)


def _queue(options: str | Mapping[str, Any]) -> Queue:
    return Queue(options) if isinstance(options, str) else Queue(**{key.lower(): options[key] for key in options})


def load(key: str, path: str) -> Any:
    """
    Import what a dotted path names.

    Args:
        key: The key of DTWS_SIO that holds it.
        path: The path.

    Raises:
        ConfigurationError: If there is no such thing.
    """
    try:
        return import_string(path)
    except ImportError as error:
        raise ConfigurationError(
            f'DTWS_SIO["{key}"] names {path!r}, which cannot be imported: {error}. Correct the path.'
        ) from error
