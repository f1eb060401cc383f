"""The setting DTWS_SIO; rows D-02 to D-05."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from dtws_sio import conf
from dtws_sio.exceptions import DtwsSioError

DEFAULTS = {
    "HOST": "127.0.0.1",
    "PORT": 8000,
    "PATH": "socket.io",
    "RUNTIME": "eventlet",
    "MESSAGE_QUEUE": None,
    "MESSAGE_CHANNEL": "socketio",
    "ALLOWED_ORIGINS": None,
    "CSRF": False,
    "PING_INTERVAL": 25,
    "PING_TIMEOUT": 20,
    "CONNECT_TIMEOUT": 45,
    "MAX_PAYLOAD": 1_000_000,
    "MAX_BACKLOG": 1_000_000,
    "BACKLOG_POLICY": "close",
    "MAX_EMIT": 10_000_000,
    "MAX_EVENTS": "10000/s",
    "MAX_CONNECTS": "1200/m",
    "MAX_CONNECTIONS_PER_ADDRESS": 1000,
    "MAX_CONNECTIONS_PER_SESSION": 100,
    "MAX_CONNECTIONS_PER_USER": 200,
    "CLIENT_ADDRESS": None,
    "COMPRESSION": False,
    "ENGINE": "own",
    "HANDLER_POOL": 100,
    "QUEUES": {"default": conf.Queue("pool")},
    "ACK_ERRORS": True,
    "AUTHENTICATORS": ("dtws_sio.authenticators.SessionAuthenticator",),
    "RIGHTS_SWEEP": 30,
    "PROGRESS_RATE": 20,
    "PROGRESS_EXPIRY": 600,
    "LANGUAGE": "dtws_sio.surroundings.language_of",
    "TIME_ZONE": "dtws_sio.surroundings.time_zone_of",
    "TOKEN_MAX_AGE": 36_000,
    "WINDOW_PROCESSORS": (),
    "SERVER": {},
}

GOOD: dict[str, list[Any]] = {
    "HOST": ["0.0.0.0", "::1", "localhost"],
    "PORT": [1, 65535],
    "PATH": ["socket.io", "live/socket.io", "s"],
    "RUNTIME": ["eventlet", "gevent", "threading"],
    "MESSAGE_QUEUE": [None, "redis://localhost:6379/0", "rediss://h", "redis+sentinel://h:1/0/name", "unix:///r.sock"],
    "MESSAGE_CHANNEL": ["shop"],
    "ALLOWED_ORIGINS": [None, "*", [], ["https://a.com", "http://b.com:81"], ("https://*.a.com",)],
    "CSRF": [True, False],
    "PING_INTERVAL": [1, 0.3],
    "PING_TIMEOUT": [0.01, 60],
    "CONNECT_TIMEOUT": [1.5],
    "MAX_PAYLOAD": [1, 10**9],
    "MAX_BACKLOG": [1],
    "BACKLOG_POLICY": ["close", "drop-oldest", "keep-newest"],
    "MAX_EMIT": [1, 10**9, None],
    "MAX_EVENTS": ["1/s", "10000/s", "5/10m", None],
    "MAX_CONNECTS": ["1/d", "1200/m", None],
    "MAX_CONNECTIONS_PER_ADDRESS": [1, 10**6, None],
    "MAX_CONNECTIONS_PER_SESSION": [1, None],
    "MAX_CONNECTIONS_PER_USER": [1, None],
    "CLIENT_ADDRESS": [None, "shop.net.client_address", "dtws_sio.addresses.peer_address"],
    "COMPRESSION": [True, False],
    "ENGINE": ["own", "stock"],
    "HANDLER_POOL": [1],
    "QUEUES": [
        {},
        {"default": "celery"},
        {
            "slow": {"BACKEND": "threads", "SIZE": 2, "MOST_WAITING": 5},
            "a.b-c_1": "tasks",
            "p": {"BACKEND": "processes"},
        },
    ],
    "ACK_ERRORS": [True, False],
    "AUTHENTICATORS": [[], ["shop.auth.Key"], ("a.B", "c.D")],
    "RIGHTS_SWEEP": [5, 0.5],
    "PROGRESS_RATE": [1, 0.5, 1000],
    "PROGRESS_EXPIRY": [1, 0.5, 86400],
    "LANGUAGE": ["shop.locale.language"],
    "TIME_ZONE": ["shop.locale.zone"],
    "TOKEN_MAX_AGE": [1, 0.5, 86_400],
    "WINDOW_PROCESSORS": [[], ["shop.windows.Basket"], ("a.B",)],
    "SERVER": [{}, {"cookie": "io", "http_compression": True}],
}

BAD: dict[str, list[Any]] = {
    "HOST": ["", " a", None, 1, b"localhost"],
    "PORT": [0, -1, 65536, "8000", 80.0, True, None],
    "PATH": ["", "/socket.io", "socket.io/", "a?b", "a#b", "a b", "a%20b", "a\\b", None, 1],
    "RUNTIME": ["asyncio", "Eventlet", "", None, [], {}],
    "MESSAGE_QUEUE": ["", "localhost", "amqp://h", "http://h", "redis://[::1", 1, True],
    "MESSAGE_CHANNEL": ["", None, 1],
    "ALLOWED_ORIGINS": ["https://a.com", ["a.com"], ["https://a.com/"], ["https://[a"], [1], {"https://a.com"}, True],
    "CSRF": [1, None, "yes", ["csrf_token"]],
    "PING_INTERVAL": [0, -1, "25", None, True, float("nan"), float("inf"), 10**400],
    "PING_TIMEOUT": [0, "20"],
    "CONNECT_TIMEOUT": [0, None],
    "MAX_PAYLOAD": [0, -1, 1e6, "1", None, True],
    "MAX_BACKLOG": [0, 1.5],
    "BACKLOG_POLICY": ["drop", "Close", "", None, 1],
    "MAX_EMIT": [0, -1, 1e6, "1", True],
    "MAX_EVENTS": ["", "10", "0/s", "10/x", 10, True, ("10", "s")],
    "MAX_CONNECTS": ["often", 1200, False],
    "MAX_CONNECTIONS_PER_ADDRESS": [0, "1000", 1.5, False],
    "MAX_CONNECTIONS_PER_SESSION": [0, True],
    "MAX_CONNECTIONS_PER_USER": [-1, "many"],
    "CLIENT_ADDRESS": ["", "client_address", "shop.net.", ".f", "a b.c", "shop/net.py", len, 1, ["a.b"]],
    "COMPRESSION": [1, 0, None, "yes"],
    "ENGINE": ["Own", "", None],
    "HANDLER_POOL": [0, "100", None],
    "QUEUES": [
        None,
        [],
        "pool",
        {"slow": "thread"},
        {"slow": None},
        {"slow": []},
        {"slow": {}},
        {"": "pool"},
        {"a,b": "pool"},
        {1: "pool"},
        {"slow": {"BACKEND": "threads", "SIZE": 0}},
        {"slow": {"BACKEND": "threads", "MOST": 1}},
        {"slow": {"BACKEND": "celery", "SIZE": 1}},
        {"slow": {"SIZE": 1}},
        {"slow": {"BACKEND": ["pool"]}},
    ],
    "ACK_ERRORS": [1, None, "no"],
    "AUTHENTICATORS": ["a.B", ["B"], [1], None, ["a.1"]],
    "RIGHTS_SWEEP": [0, None],
    "PROGRESS_RATE": [0, -1, 1001, None, "20/s", True],
    "PROGRESS_EXPIRY": [0, None, "600"],
    "LANGUAGE": ["language", "a-b.c", None, 1, "a."],
    "TIME_ZONE": ["Europe/Vienna", "UTC", None],
    "TOKEN_MAX_AGE": [0, -1, None, "1h"],
    "WINDOW_PROCESSORS": ["a.B", ["B"], [1], None],
    "SERVER": [None, [], "cookie"],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(key, value, id=f"{key}={value!r:.25}") for key, values in table.items() for value in values]


def test_every_key_has_its_documented_default() -> None:
    with override_settings(DTWS_SIO={}):
        assert {key: getattr(conf.settings(), key.lower()) for key in conf.KEYS} == DEFAULTS


def test_every_key_is_looked_over_and_has_cases_here() -> None:
    assert set(conf.KEYS) == set(conf.RULES) == set(GOOD) == set(BAD)


def test_a_project_without_the_setting_gets_the_defaults_row_d_02() -> None:
    with override_settings():
        del django_settings.DTWS_SIO
        assert conf.settings() == conf.Settings()


@pytest.mark.parametrize(("key", "value"), cases(GOOD))
def test_a_usable_value_is_taken(key: str, value: object) -> None:
    assert conf.problems({key: value}) == []
    with override_settings(DTWS_SIO={key: value}):
        read = getattr(conf.settings(), key.lower())
    if key == "QUEUES":
        return  # the test below
    assert read == (tuple(value) if isinstance(value, list) else value)


def test_queues_are_read_whether_they_are_named_or_described() -> None:
    raw = {"slow": {"BACKEND": "threads", "SIZE": 2, "MOST_WAITING": 5}, "reports": "celery"}
    with override_settings(DTWS_SIO={"QUEUES": raw}):
        assert conf.settings().queues == {
            "default": conf.Queue("pool"),
            "slow": conf.Queue("threads", 2, 5),
            "reports": conf.Queue("celery"),
        }


@pytest.mark.parametrize(("key", "value"), cases(BAD))
def test_an_unusable_value_is_named_with_the_remedy(key: str, value: object) -> None:
    (problem,) = conf.problems({key: value})
    assert problem.number == 3
    assert problem.message == f'DTWS_SIO["{key}"] is {value!r}.'
    assert problem.hint == f"It should be {conf.RULES[key][1]}."


@pytest.mark.parametrize("raw", [None, [], "", "redis://h", 1, [("PORT", 1)]])
def test_a_value_that_is_no_dict_is_named(raw: object) -> None:
    assert conf.problems(raw) == [
        conf.Problem(1, f"DTWS_SIO is {raw!r}, not a dict.", "Write DTWS_SIO = {} for the defaults.")
    ]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("MESAGE_QUEUE", 'Did you mean "MESSAGE_QUEUE"?'),
        ("ping_timeout", 'Did you mean "PING_TIMEOUT"?'),
        ("ALLOWED_ORIGIN", 'Did you mean "ALLOWED_ORIGINS"?'),
        ("xyzzy", "The keys are " + ", ".join(DEFAULTS) + "."),
        (1, "The keys are " + ", ".join(DEFAULTS) + "."),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_one(key: object, hint: str) -> None:
    assert conf.problems({key: 1}) == [conf.Problem(2, f'Unknown setting DTWS_SIO["{key}"].', hint)]


@pytest.mark.parametrize(
    ("key", "place"),
    [("port", "its name is PORT"), ("handlers", "sockets.py"), ("settings", "its name is SERVER")],
    ids=["D-03", "D-04", "D-05"],
)
def test_the_keys_of_the_old_setting_are_told_where_they_went(key: str, place: str) -> None:
    (problem,) = conf.problems({key: 1})
    assert problem.number == 2
    assert "django-tornado-websockets" in problem.hint
    assert place in problem.hint


@pytest.mark.parametrize(("option", "key"), conf.SERVER_OPTIONS_WITH_A_KEY.items())
def test_a_server_argument_that_has_a_key_is_sent_there(option: str, key: str) -> None:
    assert key in conf.KEYS
    (problem,) = conf.problems({"SERVER": {option: 1}})
    assert problem.number == 4
    assert repr(option) in problem.message
    assert f'DTWS_SIO["{key}"]' in problem.hint


@pytest.mark.parametrize("option", ["serializer", "async_handlers", "ping", 1])
def test_a_server_argument_that_is_not_for_users_is_refused(option: object) -> None:
    (problem,) = conf.problems({"SERVER": {option: 1}})
    assert (problem.number, repr(option) in problem.message) == (4, True)
    assert problem.hint == f"The options are {', '.join(conf.SERVER_OPTIONS)}."


def test_every_problem_is_named_at_once() -> None:
    found = conf.problems({"PORTT": 1, "PORT": "x", "PATH": "/", "SERVER": {"json": None}})
    assert [problem.number for problem in found] == [2, 3, 3, 4]


@pytest.mark.parametrize("raw", [{"PORT": "x"}, {"PROT": 1}, {"SERVER": {"json": None}}, [1]])
def test_settings_that_cannot_be_used_are_not_given(raw: Any) -> None:
    (problem,) = conf.problems(raw)
    with override_settings(DTWS_SIO=raw), pytest.raises(conf.ConfigurationError) as caught:
        conf.settings()
    assert str(caught.value) == f"{problem.message} {problem.hint}"


def test_a_configuration_error_is_djangos_and_ours() -> None:
    assert issubclass(conf.ConfigurationError, ImproperlyConfigured)
    assert issubclass(conf.ConfigurationError, DtwsSioError)


def test_override_settings_is_honoured() -> None:
    for port in (8001, 8002):
        with override_settings(DTWS_SIO={"PORT": port}):
            assert conf.settings().port == port
    with override_settings(DTWS_SIO={}):
        assert conf.settings().port == 8000


@pytest.mark.parametrize("raw", [{}, {"PORT": 8001}])
def test_the_values_are_read_once_for_each_setting(raw: dict[str, object]) -> None:
    with override_settings(DTWS_SIO=raw):
        assert conf.settings() is conf.settings()


def test_the_values_in_force_cannot_be_changed() -> None:
    raw: dict[str, Any] = {"SERVER": {"cookie": "io"}}
    with override_settings(DTWS_SIO=raw):
        settings = conf.settings()
        raw["SERVER"]["cookie"] = "other"
        assert settings.server == {"cookie": "io"}
        with pytest.raises(TypeError):
            settings.server["cookie"] = "other"  # type: ignore[index]
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.port = 1  # type: ignore[misc]


def test_the_endpoint_has_slashes_around_it() -> None:
    assert conf.Settings(path="live/socket.io").url_path == "/live/socket.io/"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:s3cret@h:1/0", "redis://h:1/0"),
        ("redis://me:s3cr@t@h/0", "redis://h/0"),
        ("rediss://h/0?password=s3cret", "rediss://h/0"),
        ("redis+sentinel://:s3cret@h:1,i:2/0/main", "redis+sentinel://h:1,i:2/0/main"),
        ("unix://:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_a_queue_is_shown_without_its_password(url: str, shown: str) -> None:
    assert conf.without_password(url) == shown
