"""What is known of a window, here and in workers; rows S-40 to S-46 and F-08."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.middleware.csrf import _does_token_match  # type: ignore[attr-defined]
from django.template import engines
from django.test import override_settings
from django.utils import timezone, translation

from dtws_sio.conf import ConfigurationError
from dtws_sio.exceptions import SignalError
from dtws_sio.signals import WindowInfo, WindowProcessor, render_to_string, set_topics, signal
from dtws_sio.signals.registry import call_here, connections
from dtws_sio.signals.tokens import window_of
from dtws_sio.surroundings import Surroundings
from tests.conftest import THREADS
from tests.signals import view_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    SignIn = Callable[[User], dict[str, str]]

SECRET = "s" * 32


def travelled(info: WindowInfo) -> WindowInfo:
    """Send a window through a queue."""
    found = WindowInfo.from_dict(json.loads(json.dumps(info.to_dict())))
    assert found is not None
    return found


def both(info: WindowInfo) -> list[WindowInfo]:
    return [info, travelled(info)]


@pytest.mark.parametrize(
    "zone",
    [
        None,
        ZoneInfo("Asia/Tokyo"),
        datetime.timezone.utc,
        timezone.get_fixed_timezone(120),
        datetime.timezone(datetime.timedelta(hours=5, minutes=30)),
        datetime.timezone(-datetime.timedelta(hours=3), "Brazil"),
    ],
    ids=str,
)
def test_a_time_zone_arrives_with_the_window_also_if_it_is_only_an_offset_row_s_43(zone: Any) -> None:
    info = WindowInfo.from_request(None)
    info.surroundings = Surroundings(time_zone=zone)
    arrived = travelled(info).surroundings
    assert arrived is not None
    if zone is None:
        assert arrived.time_zone is None
        return
    moment = datetime.datetime(2030, 1, 1, 12, tzinfo=zone)
    again = moment.replace(tzinfo=arrived.time_zone)
    assert (again.utcoffset(), again.tzname()) == (moment.utcoffset(), moment.tzname())


def test_nobodys_window_has_nothing_row_s_40() -> None:
    for info in both(WindowInfo.from_request(None)):
        assert (info.window_key, info.user, info.username, info.user_pk, info.csrf_cookie) == (None,) * 5
        assert (info.is_anonymous, info.is_authenticated, info.is_active) == (True, False, False)
        assert (info.is_staff, info.is_superuser, info.perms, info.has_perm("a.b")) == (
            False,
            False,
            frozenset(),
            False,
        )
        assert (info.window_topic, info.user_topic, info.session_topic) == (None, None, None)
        assert (info.language_code, info.user_agent, info.celery_request) == ("en-us", "", None)


def test_a_window_is_made_once_row_s_40() -> None:
    info = WindowInfo.from_request(None)
    assert WindowInfo.from_request(info) is info
    assert WindowInfo.from_dict(None) is None


@pytest.mark.parametrize("thing", ["sid", 5, object(), {}])
def test_what_is_no_window_is_told(thing: Any) -> None:
    with pytest.raises(SignalError, match="is no window"):
        WindowInfo.from_request(thing)


def test_a_window_knows_key_browser_and_csrf_cookie_rows_s_41_and_s_44(people: type[User]) -> None:
    request = view_request({"HTTP_COOKIE": f"csrftoken={SECRET}"}, HTTP_USER_AGENT="Firefox")
    set_topics(request, "a")
    for info in both(WindowInfo.from_request(request)):
        assert info.window_key == window_of(request).key  # type: ignore[union-attr]
        assert info.window_topic == f"dtws_sio:window:{info.window_key}"
        assert (info.user_agent, info.csrf_cookie) == ("Firefox", SECRET)


def test_the_user_is_djangos_wherever_it_is_asked_for_row_s_42(people: type[User], sign_in: SignIn) -> None:
    ann = people.objects.create_user("ann", is_staff=True)
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    request = view_request(sign_in(ann))
    for info in both(WindowInfo.from_request(request)):
        assert info.user == ann
        assert (info.user_pk, info.username) == (ann.pk, "ann")
        assert (info.is_authenticated, info.is_anonymous, info.is_active) == (True, False, True)
        assert (info.is_staff, info.is_superuser) == (True, False)
        assert info.perms == {"auth.change_group"}
        assert info.has_perm("auth.change_group")
        assert not info.has_perm("auth.add_group")
        assert info.user_topic == f"dtws_sio:auth.user:{ann.pk}"
        assert info.session_topic == WindowInfo.from_request(request).session_topic is not None


def test_a_superuser_has_all_permissions_row_s_42(people: type[User], sign_in: SignIn) -> None:
    root = people.objects.create_superuser("root")
    for info in both(WindowInfo.from_request(view_request(sign_in(root)))):
        assert len(info.perms) == Permission.objects.count()
        assert info.has_perm("no.such")


@pytest.mark.parametrize("change", ["is_active", "deleted", "is_staff"])
def test_rights_are_those_of_the_moment_in_which_a_worker_asks_rows_s_42_and_w_f6(
    people: type[User], sign_in: SignIn, change: str
) -> None:
    ann = people.objects.create_user("ann", is_staff=True)
    info = travelled(WindowInfo.from_request(view_request(sign_in(ann))))
    if change == "deleted":
        ann.delete()
    else:
        setattr(ann, change, False)
        ann.save()
    assert not info.is_staff
    assert info.is_authenticated is (change == "is_staff")
    assert travelled(info).is_authenticated is (change == "is_staff")


def test_the_dict_holds_no_key_of_a_session(people: type[User], sign_in: SignIn) -> None:
    cookies = sign_in(people.objects.create_user("ann"))
    text = json.dumps(WindowInfo.from_request(view_request(cookies)).to_dict())
    assert cookies["HTTP_COOKIE"].removeprefix("sessionid=") not in text


@pytest.mark.parametrize(
    ("extra", "chosen", "language", "time_zone"),
    [
        ({}, None, "en-us", None),
        ({"HTTP_ACCEPT_LANGUAGE": "de"}, None, "de", None),
        ({"HTTP_ACCEPT_LANGUAGE": "de"}, "fr", "fr", None),
        ({"HTTP_COOKIE": "django_timezone=Asia/Tokyo; django_language=it"}, None, "it", "Asia/Tokyo"),
        ({"HTTP_COOKIE": "django_timezone=No/Where"}, None, "en-us", None),
    ],
)
def test_a_window_has_a_language_and_a_time_zone_row_s_43(
    extra: dict[str, str], chosen: str | None, language: str, time_zone: str | None
) -> None:
    request = view_request(extra)
    if chosen is not None:
        request.LANGUAGE_CODE = chosen  # as LocaleMiddleware does
    before = translation.get_language(), timezone.get_current_timezone_name()
    for info in both(WindowInfo.from_request(request)):
        assert info.language_code == language
        with info.spoken_to():
            assert translation.get_language() == language
            assert timezone.get_current_timezone_name() == (time_zone or before[1])
        assert (translation.get_language(), timezone.get_current_timezone_name()) == before


# Processors


class Tenant(WindowProcessor):
    """Knows of which tenant a window is."""

    def from_request(self, request: Any, window_info: Any) -> None:
        window_info.tenant = request.headers.get("X-Tenant")

    def new_window_info(self, window_info: Any) -> None:
        window_info.tenant = "none"

    def to_dict(self, window_info: Any) -> dict[str, Any]:
        return {"tenant": window_info.tenant}

    def from_dict(self, window_info: Any, values: Any) -> None:
        window_info.tenant = values["tenant"]

    def before_process(self, window_info: Any) -> None:
        translation.activate("it")

    def get_context(self, window_info: Any) -> dict[str, Any]:
        return {"tenant": window_info.tenant, "df_user_agent": "hidden"}


@pytest.fixture
def tenants() -> Any:
    path = "tests.test_signals_windows.Tenant"
    with override_settings(DTWS_SIO={**THREADS, "WINDOW_PROCESSORS": [path]}):
        yield


def test_processors_of_the_project_add_to_windows_rows_s_45_and_f_08(tenants: None) -> None:
    for info in both(WindowInfo.from_request(view_request(HTTP_X_TENANT="shop"))):
        assert info.tenant == "shop"  # type: ignore[attr-defined]
    assert WindowInfo.from_request(None).tenant == "none"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("registered", "tenants")
def test_processors_run_before_each_function_and_leave_nothing_behind_row_s_45() -> None:
    signal("say")(lambda window_info: translation.get_language())
    info = WindowInfo.from_request(view_request())
    before = translation.get_language()
    assert call_here(connections("say")[0], info, {}) == "it"
    assert translation.get_language() == before


def test_a_processor_that_is_not_there_is_told() -> None:
    with (
        override_settings(DTWS_SIO={**THREADS, "WINDOW_PROCESSORS": ["no.such.Thing"]}),
        pytest.raises(ConfigurationError, match="WINDOW_PROCESSORS"),
    ):
        WindowInfo.from_request(None)


# Templates


@pytest.fixture
def template(tmp_path: Path) -> Any:
    """Write the template of a test, for the project's engine."""

    def write(text: str) -> str:
        (tmp_path / "page.html").write_text(text)
        return "page.html"

    backend = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    with override_settings(TEMPLATES=[backend]):
        yield write
    engines.__dict__.pop("templates", None)


def test_a_template_has_the_windows_variables_row_s_46(
    people: type[User], sign_in: SignIn, template: Any, tenants: None
) -> None:
    ann = people.objects.create_user("ann")
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    name = template(
        "{{ user.username }}|{{ perms.auth.change_group }}|{{ perms.auth.add_group }}|{{ LANGUAGE_CODE }}|"
        "{{ LANGUAGE_BIDI }}|{{ LANGUAGES|length }}|{{ messages|length }}|{{ DEFAULT_MESSAGE_LEVELS.INFO }}|"
        "{{ df_window_key }}|{{ df_user_agent }}|{{ tenant }}|{{ word }}"
    )
    request = view_request(sign_in(ann), HTTP_X_TENANT="shop", HTTP_ACCEPT_LANGUAGE="he")
    set_topics(request)
    for info in both(WindowInfo.from_request(request)):
        parts = render_to_string(name, {"word": "<b>"}, info).split("|")
        assert parts[:5] == ["ann", "True", "False", "he", "True"]
        assert int(parts[5]) > 50
        assert parts[6:] == ["0", "20", info.window_key, "hidden", "shop", "&lt;b&gt;"]
    assert render_to_string(name, {}, request).startswith("ann|")


def test_a_strangers_template_has_an_anonymous_user(template: Any) -> None:
    name = template("{{ user.is_authenticated }}|{{ user.is_anonymous }}|{{ perms.auth.change_group }}")
    assert render_to_string(name, None, WindowInfo.from_request(None)) == "False|True|False"


def test_a_template_speaks_to_its_window_and_not_to_who_renders_it_row_s_46(template: Any) -> None:
    name = template("{% load i18n %}{% translate 'Monday' %} {{ when|date:'H:i' }}")
    when = timezone.datetime(2030, 1, 1, 12, tzinfo=timezone.get_fixed_timezone(0))  # type: ignore[attr-defined]
    tokyo = WindowInfo.from_request(view_request({"HTTP_COOKIE": "django_timezone=Asia/Tokyo; django_language=fr"}))
    plain = WindowInfo.from_request(view_request())
    with translation.override("de"), timezone.override("UTC"):
        assert render_to_string(name, {"when": when}, tokyo) == "lundi 21:00"
        assert render_to_string(name, {"when": when}, plain) == "Monday 06:00"
        assert render_to_string(name, {"when": when}) == "Montag 12:00"


def test_a_form_rendered_for_a_window_has_its_csrf_token_row_s_42(template: Any) -> None:
    name = template("{% csrf_token %}")
    info = WindowInfo.from_request(view_request({"HTTP_COOKIE": f"csrftoken={SECRET}"}))
    for each in both(info):
        token = render_to_string(name, {}, each).split('value="')[1].split('"')[0]
        assert token != SECRET
        assert _does_token_match(token, SECRET)
    assert render_to_string(name, {}, WindowInfo.from_request(None)) == ""
