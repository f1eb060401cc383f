"""Elements that trigger signals, and pages that have a window; rows S-50, S-51, F-01 and H-15."""

from __future__ import annotations

import html
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.middleware.csrf import _does_token_match  # type: ignore[attr-defined]
from django.template import Context, RequestContext, Template
from django.test import RequestFactory, override_settings
from django.urls import include, path
from django.utils.translation import gettext_lazy

from dtws_sio.conf import ConfigurationError
from dtws_sio.exceptions import SignalError
from dtws_sio.signals import JSCall, set_topics
from dtws_sio.signals.tokens import verified
from tests.conftest import THREADS

urlpatterns = [path("live/", include("dtws_sio.signals.urls"))]


def calls(template: str, **variables: Any) -> Any:
    """Render a template with one of the tags, and read the attribute as a browser does."""
    text = Template("{% load dtws_sio %}" + template).render(Context(variables))
    attribute = re.fullmatch(r' data-df-signal="([^"<>]*)" ', text)
    assert attribute, text
    return json.loads(html.unescape(attribute[1]))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("'shop.order'", {"name": "shop.order"}),
        ("'shop.order' item=5 word='a'", {"name": "shop.order", "opts": {"item": 5, "word": "a"}}),
        ("'shop.order' on='input' form='form'", {"name": "shop.order", "on": "input", "form": "form"}),
        ("'shop.order' 'input' 'f' 'v'", {"name": "shop.order", "on": "input", "form": "f", "value": "v"}),
        ("'shop.order' on='' form=None value=''", {"name": "shop.order"}),
        ("'shop.order' prevent=False", {"name": "shop.order", "prevent": False}),
        ("'shop.order' prevent=True", {"name": "shop.order", "prevent": True}),
        ("'shop.order' debounce=300 confirm='Sure?'", {"name": "shop.order", "debounce": 300, "confirm": "Sure?"}),
        ("'shop.order' debounce=0", {"name": "shop.order", "debounce": 0}),
        ("name price=price", {"name": "a.b", "opts": {"price": "1.50"}}),
    ],
)
def test_a_tag_writes_one_call_row_s_50(tag: str, expected: Any) -> None:
    assert calls("{% js_call " + tag + " %}", name="a.b", price=Decimal("1.50")) == [expected]


def test_what_a_visitor_typed_stays_inside_the_attribute() -> None:
    nasty = """"><script>alert(1)</script>&amp;' onclick="x"""
    [call] = calls("{% js_call 'shop.order' text=text confirm=text %}", text=nasty)
    assert (call["opts"], call["confirm"]) == ({"text": nasty}, nasty)


def test_several_calls_stand_in_one_attribute_row_s_51() -> None:
    first = JSCall("a", on="click", opts={"n": 1})
    second = JSCall("b", value="v", confirm=gettext_lazy("Monday"))  # type: ignore[arg-type]
    assert calls("{% js_calls first second %}", first=first, second=second) == [
        {"name": "a", "on": "click", "opts": {"n": 1}},
        {"name": "b", "value": "v", "confirm": "Monday"},
    ]


def test_the_text_of_a_call_is_json_row_s_51() -> None:
    call = JSCall("a", "click", {"n": 1}, "form", "value", True)
    expected = {"name": "a", "on": "click", "opts": {"n": 1}, "form": "form", "value": "value", "prevent": True}
    assert json.loads(str(call)) == expected


SENSELESS = [{"name": "a", "debounce": value} for value in ("300", True, [], float("inf"), float("nan"))]


@pytest.mark.parametrize("arguments", [{"name": ""}, {"name": None}, {"name": "a", "debounce": -1}, *SENSELESS])
def test_a_call_that_makes_no_sense_is_told(arguments: Any) -> None:
    with pytest.raises(SignalError):
        JSCall(**arguments)


# The page's window


def page(template: str = "{% dtws_sio_signals %}", request: Any = None, **variables: Any) -> str:
    request = RequestFactory().get("/") if request is None else request
    return Template("{% load dtws_sio %}" + template).render(RequestContext(request, variables))


def page_settings(text: str) -> Any:
    found = re.search(r'<script id="dtws-sio-signals" type="application/json"[^>]*>(.*?)</script>', text)
    assert found, text
    return json.loads(found[1])


def test_a_page_gets_its_token_and_what_it_has_to_load_row_f_01() -> None:
    request = RequestFactory().get("/")
    token = set_topics(request, "a")
    text = page(request=request)
    found = page_settings(text)
    assert found == {
        "namespace": "/signals",
        "path": "/socket.io/",
        "window": found["window"],
        "renew": None,
        "max_payload": 1_000_000,
    }
    assert verified(found["window"], request) == verified(token, request)
    assert re.findall(r"<script (?!id)(.*?)></script>", text) == [
        'src="/static/dtws_sio/socket.io.min.js"',
        'type="module" src="/static/dtws_sio/signals.js"',
    ]


def test_a_page_whose_view_set_no_topics_has_a_window_too() -> None:
    request = RequestFactory().get("/")
    window = verified(page_settings(page(request=request))["window"], request)
    assert window.topics == ()
    assert len(window.key) > 20


def test_the_client_is_loaded_once() -> None:
    text = page("{% dtws_sio_scripts %}{% dtws_sio_signals %}")
    assert text.count("socket.io.min.js") == 1
    assert text.index("socket.io.min.js") < text.index("signals.js")


def test_all_elements_have_the_nonce() -> None:
    assert page(csp_nonce="abc").count(' nonce="abc"') == 3


def test_the_page_learns_where_to_renew_its_token_with_which_csrf_token() -> None:
    request = RequestFactory().get("/")
    with override_settings(ROOT_URLCONF=__name__):
        found = page_settings(page(request=request))
        assert found["renew"] == "/live/window/"
        assert _does_token_match(found["csrf_token"], request.META["CSRF_COOKIE"])
    with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
        found = page_settings(page())
        assert found["renew"] is None
        assert "csrf_token" not in found, "nothing sends one"


def test_with_the_setting_csrf_a_page_needs_a_token() -> None:
    template = Template("{% load dtws_sio %}{% dtws_sio_signals %}")
    request = RequestFactory().get("/")
    with override_settings(DTWS_SIO={**THREADS, "CSRF": True}):
        found = page_settings(page(request=request))
        assert _does_token_match(found["csrf_token"], request.META["CSRF_COOKIE"])
        with pytest.raises(ConfigurationError, match="CSRF"):
            template.render(Context({"request": RequestFactory().get("/")}))


def test_a_template_without_a_request_is_told() -> None:
    with pytest.raises(ConfigurationError, match="finds no request"):
        Template("{% load dtws_sio %}{% dtws_sio_signals %}").render(Context())
