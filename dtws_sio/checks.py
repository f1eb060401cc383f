"""Django system checks: what is wrong with the configuration is told before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def _error(problem: conf.Problem) -> Error:
    return Error(problem.message, hint=problem.hint, id=f"dtws_sio.E{problem.number:03}")


def check_ancestors(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Tell those who come from django-tornado-websockets where their setting went (dtws_sio.W001). Source: row D-02."""
    if not hasattr(django_settings, "TORNADO"):
        return []
    return [
        Warning(
            "The setting TORNADO is not read.",
            hint="Move its port to DTWS_SIO['PORT'] and its settings to DTWS_SIO; handlers are namespaces in "
            "sockets.py now, and every other URL is Django's.",
            id="dtws_sio.W001",
        )
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
