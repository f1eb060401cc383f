"""The system checks, as `manage.py check` runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core import checks
from django.test import override_settings

from dtws_sio import conf

if TYPE_CHECKING:
    from collections.abc import Callable


def found(**settings: Any) -> list[tuple[str | None, str, str | None]]:
    with override_settings(**settings):
        return [(message.id, message.msg, message.hint) for message in checks.run_checks(tags=["dtws_sio"])]


@pytest.fixture
def use_database(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use(engine: str) -> None:
        monkeypatch.setitem(django_settings.DATABASES["default"], "ENGINE", f"django.db.backends.{engine}")

    return use


def test_a_usable_configuration_has_no_findings() -> None:
    assert found(DTWS_SIO={"PORT": 8001, "SERVER": {"cookie": "io"}}) == []


@pytest.mark.parametrize(
    ("raw", "number"),
    [(None, 1), ({"MESAGE_QUEUE": None}, 2), ({"PORT": "8000"}, 3), ({"SERVER": {"ping_interval": 1}}, 4)],
    ids=["E001", "E002", "E003", "E004"],
)
def test_each_problem_is_an_error_with_its_number_value_and_remedy(raw: object, number: int) -> None:
    (problem,) = conf.problems(raw)
    assert problem.number == number
    assert found(DTWS_SIO=raw) == [(f"dtws_sio.E{number:03}", problem.message, problem.hint)]


def test_a_function_that_cannot_be_imported_is_an_error_with_the_reason() -> None:
    ((id, message, hint),) = found(DTWS_SIO={"CLIENT_ADDRESS": "shop.net.client_address"})
    assert (id, message) == ("dtws_sio.E003", "DTWS_SIO[\"CLIENT_ADDRESS\"] is 'shop.net.client_address'.")
    assert hint is not None
    assert hint.endswith("No module named 'shop'.")


@pytest.mark.parametrize("path", [None, "dtws_sio.addresses.peer_address"])
def test_a_function_that_can_be_imported_has_no_findings(path: str | None) -> None:
    assert found(DTWS_SIO={"CLIENT_ADDRESS": path}) == []


def test_a_path_of_the_wrong_form_is_reported_once() -> None:
    assert [id for id, _, _ in found(DTWS_SIO={"CLIENT_ADDRESS": "nodots"})] == ["dtws_sio.E003"]


def test_all_problems_are_reported_at_once() -> None:
    messages = found(DTWS_SIO={"PORTT": 1, "PORT": "x"})
    assert [id for id, _, _ in messages] == ["dtws_sio.E002", "dtws_sio.E003"]


def test_problems_stop_the_start() -> None:
    with override_settings(DTWS_SIO={"PORT": "x"}):
        (message,) = checks.run_checks(tags=["dtws_sio"])
    assert message.is_serious()


def test_the_setting_may_be_missing() -> None:
    with override_settings():
        del django_settings.DTWS_SIO
        assert checks.run_checks(tags=["dtws_sio"]) == []


@pytest.mark.parametrize("tornado", [{}, {"port": 8000}, None])
def test_the_old_systems_setting_is_pointed_to_its_heir_row_d_02(tornado: object) -> None:
    ((id, message, hint),) = found(TORNADO=tornado)
    assert id == "dtws_sio.W001"
    assert "TORNADO" in message
    assert hint is not None
    assert "DTWS_SIO['PORT']" in hint


@pytest.mark.parametrize(
    ("name", "heir"),
    [
        ("WEBSOCKET_WORKERS", "QUEUES"),  # row F-02
        ("WEBSOCKET_DEFAULT_QUEUE", "QUEUES"),  # row F-03
        ("WEBSOCKET_POOL_SIZES", "QUEUES"),  # row F-04
        ("WEBSOCKET_CACHE_BACKEND", "signed token"),  # row F-05
        ("WEBSOCKET_CACHE_EXPIRE", "TOKEN_MAX_AGE"),
        ("WEBSOCKET_CACHE_PREFIX", "signed token"),
        ("WEBSOCKET_REDIS_EXPIRE", "TOKEN_MAX_AGE"),
        ("WEBSOCKET_REDIS_PREFIX", "MESSAGE_CHANNEL"),
        ("WEBSOCKET_SIGNAL_ENCODER", "Django's JSON encoder"),  # row F-06
        ("WEBSOCKET_SIGNAL_DECODER", "annotations"),
        ("WEBSOCKET_TOPIC_SERIALIZER", "serialize_topic.register"),  # row F-07
        ("WINDOW_INFO_MIDDLEWARES", "WINDOW_PROCESSORS"),  # row F-08
        ("WEBSOCKET_URL", "PATH"),  # row F-09
    ],
)
def test_each_setting_of_df_websockets_is_pointed_to_its_heir(name: str, heir: str) -> None:
    ((id, message, hint),) = found(**{name: "anything"})
    assert (id, message) == ("dtws_sio.W001", f"The setting {name} is not read.")
    assert hint is not None
    assert heir in hint


@pytest.mark.parametrize("name", ["ASGI_APPLICATION", "CSRF_COOKIE_DOMAIN", "CELERY_APP"])
def test_nothing_is_made_of_settings_that_are_not_ours_rows_f_10_to_f_12(name: str) -> None:
    """Rows F-10 and F-12: no setting of the project is changed, and none of these is read; nor is CELERY_APP (F-11)."""
    with override_settings(**{name: "anything"}):
        assert checks.run_checks(tags=["dtws_sio"]) == []
        assert getattr(django_settings, name) == "anything"


@pytest.mark.parametrize("engine", ["mysql", "oracle"])
@pytest.mark.parametrize("runtime", ["eventlet", "gevent"])
def test_a_database_driver_that_stops_every_client_is_named(
    use_database: Callable[[str], None], engine: str, runtime: str
) -> None:
    use_database(engine)
    ((id, message, hint),) = found(DTWS_SIO={"RUNTIME": runtime})
    assert (id, "'default'" in message) == ("dtws_sio.W002", True)
    assert hint is not None
    assert "PyMySQL" in hint


@pytest.mark.parametrize(
    ("engine", "keys"),
    [("mysql", {"RUNTIME": "threading"}), ("postgresql", {}), ("sqlite3", {})],
)
def test_a_database_driver_that_stops_nobody_is_not_named(
    use_database: Callable[[str], None], engine: str, keys: dict[str, Any]
) -> None:
    use_database(engine)
    assert found(DTWS_SIO=keys) == []


def test_a_broken_setting_is_told_once_whatever_the_database(use_database: Callable[[str], None]) -> None:
    use_database("mysql")
    assert [id for id, _, _ in found(DTWS_SIO={"PORT": 0})] == ["dtws_sio.E003"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("AUTHENTICATORS", ["shop.nope.Key"], "cannot be imported"),
        ("AUTHENTICATORS", ["tests.test_checks.identified"], "a subclass of dtws_sio.identity.Authenticator"),
        ("WINDOW_PROCESSORS", ["shop.nope.add"], "cannot be imported"),
        ("LANGUAGE", "shop.nope.choose", "cannot be imported"),
        ("TIME_ZONE", "tests.test_checks.__doc__", "a function"),
    ],
    ids=range(5),
)
def test_what_settings_name_has_to_be_there(key: str, value: object, words: str) -> None:
    """Otherwise the start would fail, or each event."""
    ((number, message, hint),) = found(DTWS_SIO={key: value})
    assert number == "dtws_sio.E003"
    assert f'DTWS_SIO["{key}"]' in message
    assert words in f"{message} {hint}"


def identified(request: object) -> None:
    """A function, where a class is wanted."""
