"""Django system checks: what is wrong with the configuration is told before anything starts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning

from dtws_sio import addresses, conf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.apps import AppConfig


def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Report every unusable key and value of DTWS_SIO as dtws_sio.E001 to dtws_sio.E004. Source: rows D-02 to D-05."""
    raw = getattr(django_settings, "DTWS_SIO", {})
    return [_error(problem) for problem in conf.problems(raw)]


def check_client_address(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Import the function that CLIENT_ADDRESS names, as part of dtws_sio.E003; `check_settings` sees to its form."""
    try:
        path = conf.settings().client_address
    except conf.ConfigurationError:
        return []
    found = None if path is None else addresses.problem(path)
    return [] if found is None else [_error(found)]


def check_paths(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Import what other keys name, as part of dtws_sio.E003: authenticators are classes, the others functions."""
    try:
        settings = conf.settings()
    except conf.ConfigurationError:
        return []
    named = [
        *(("AUTHENTICATORS", path) for path in settings.authenticators),
        *(("WINDOW_PROCESSORS", path) for path in settings.window_processors),
        ("LANGUAGE", settings.language),
        ("TIME_ZONE", settings.time_zone),
    ]
    return [found for key, path in named if (found := _unusable(key, path)) is not None]


def _unusable(key: str, path: str) -> Error | None:
    try:
        thing = conf.load(key, path)
    except conf.ConfigurationError as error:
        return Error(str(error), id="dtws_sio.E003")
    if key == "AUTHENTICATORS":
        is_fit = isinstance(thing, type) and callable(getattr(thing, "recognise", None))
        wanted = "a subclass of dtws_sio.identity.Authenticator"
    else:
        is_fit, wanted = callable(thing), "a function"
    if is_fit:
        return None
    return Error(
        f'DTWS_SIO["{key}"] names {path!r}, which is {thing!r:.100}.', hint=f"Name {wanted}.", id="dtws_sio.E003"
    )


def _error(problem: conf.Problem) -> Error:
    return Error(problem.message, hint=problem.hint, id=f"dtws_sio.E{problem.number:03}")


OF_ANCESTORS: Final = MappingProxyType(
    {
        "TORNADO": "its port is DTWS_SIO['PORT'] and its settings are in DTWS_SIO; handlers are namespaces in "
        "sockets.py now, and every other URL is Django's",
        "WEBSOCKET_WORKERS": "DTWS_SIO['QUEUES'] says for each queue what runs its functions",
        "WEBSOCKET_DEFAULT_QUEUE": "the queue 'default' of DTWS_SIO['QUEUES'] is that of functions that name none",
        "WEBSOCKET_POOL_SIZES": "DTWS_SIO['QUEUES'] says how many functions of a queue run at once",
        "WEBSOCKET_CACHE_BACKEND": "topics are in a signed token of the page, and in no cache",
        "WEBSOCKET_CACHE_EXPIRE": "how long a page's token is good is DTWS_SIO['TOKEN_MAX_AGE']",
        "WEBSOCKET_CACHE_PREFIX": "topics are in a signed token of the page, and in no cache",
        "WEBSOCKET_REDIS_EXPIRE": "how long a page's token is good is DTWS_SIO['TOKEN_MAX_AGE']",
        "WEBSOCKET_REDIS_PREFIX": "projects that share a Redis have their own DTWS_SIO['MESSAGE_CHANNEL']",
        "WEBSOCKET_SIGNAL_ENCODER": "what Django's JSON encoder knows can be sent, and bytes",
        "WEBSOCKET_SIGNAL_DECODER": "what arrives is checked by the annotations of the function that takes it",
        "WEBSOCKET_TOPIC_SERIALIZER": "decorate a function with @serialize_topic.register for each class of your own",
        "WINDOW_INFO_MIDDLEWARES": "name what you add to windows in DTWS_SIO['WINDOW_PROCESSORS']",
        "WEBSOCKET_URL": "the endpoint's path is DTWS_SIO['PATH']",
    }
)
"""Settings of django-tornado-websockets and df_websockets, and where each went."""


def check_ancestors(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """
    Tell those who come from an ancestor where its settings went (dtws_sio.W001).

    Source: rows D-02, F-02 to F-09.
    """
    return [
        Warning(f"The setting {name} is not read.", hint=f"Remove it: {place}.", id="dtws_sio.W001")
        for name, place in OF_ANCESTORS.items()
        if hasattr(django_settings, name)
    ]


def check_database(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Name databases whose driver stops every client while it waits (dtws_sio.W002). Source: pitfall 5."""
    blocking = [
        alias
        for alias, database in django_settings.DATABASES.items()
        if database.get("ENGINE", "").endswith((".mysql", ".oracle"))
    ]
    return [
        Warning(
            f"The database {alias!r} uses a driver written in C that waits without letting other clients run.",
            hint="Each query stops the whole process for as long as it takes. Use PostgreSQL with psycopg 3, a driver "
            "in pure Python such as PyMySQL, or DTWS_SIO['RUNTIME'] = 'threading'; silence dtws_sio.W002 if the "
            "queries are quick.",
            id="dtws_sio.W002",
        )
        for alias in blocking
        if _waits_cooperatively()
    ]


def _waits_cooperatively() -> bool:
    try:
        return conf.settings().runtime != "threading"
    except conf.ConfigurationError:
        return False
