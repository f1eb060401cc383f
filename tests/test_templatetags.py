"""The tag that loads the official client and hands the page its settings; rows D-01, D-20, J-01 and J-03."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.template import Context, Template
from django.test import override_settings
from django.urls import get_script_prefix, set_script_prefix

from dtws_sio.conf import ConfigurationError
from dtws_sio.exceptions import NamespacePathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FalseUntilRead:
    """A nonce as Django 6 and django-csp make them: false until something turns it into text."""

    def __init__(self) -> None:
        self.was_read = False

    def __bool__(self) -> bool:
        return self.was_read

    def __str__(self) -> str:
        self.was_read = True
        return "lazy"


@pytest.fixture
def script_prefix() -> Iterator[Callable[[str], None]]:
    before = get_script_prefix()
    yield set_script_prefix
    set_script_prefix(before)


def render(arguments: str = "", **context: Any) -> str:
    return Template("{% load dtws_sio %}{% dtws_sio_scripts " + arguments + " %}").render(Context(context))


def page_settings(html: str) -> Any:
    """Parse the settings block as a browser would: up to the first closing tag."""
    block = re.search(r'<script id="dtws-sio" type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert block, html
    return json.loads(block[1])


def nonces(html: str) -> list[str]:
    """Return the nonce of each script element, "" for one without."""
    return [(re.findall(r' nonce="([^"]*)"', tag) or [""])[0] for tag in re.findall(r"<script[^>]*>", html)]


def test_the_page_gets_its_settings_and_then_the_official_client() -> None:
    html = render()
    assert page_settings(html) == {"path": "/socket.io/", "namespace": "/"}
    assert html.endswith('<script src="/static/dtws_sio/socket.io.min.js"></script>')


@override_settings(DTWS_SIO={"PATH": "live/events"})
def test_the_path_is_the_one_of_the_settings() -> None:
    assert page_settings(render())["path"] == "/live/events/"


@pytest.mark.parametrize(
    ("prefix", "path"), [("/app/", "/app/socket.io/"), ("/caf\u00e9 1/", "/caf%C3%A9%201/socket.io/")]
)
def test_the_path_is_below_the_script_prefix(script_prefix: Callable[[str], None], prefix: str, path: str) -> None:
    script_prefix(prefix)
    assert page_settings(render())["path"] == path


@pytest.mark.parametrize("given", ["chat", "/chat", " /chat "])
def test_the_namespace_is_normalised_like_a_handlers(given: str) -> None:
    """Row D-20."""
    assert page_settings(render("namespace=given", given=given))["namespace"] == "/chat"


@pytest.mark.parametrize("given", [5, ["/chat"], "/a,b"])
def test_what_cannot_be_a_namespace_is_refused_with_its_value(given: object) -> None:
    with pytest.raises(NamespacePathError, match=re.escape(repr(given))):
        render("namespace=given", given=given)


def test_a_hostile_namespace_stays_inside_the_settings_block() -> None:
    hostile = '/</script><script>alert("&")</script><!--'
    html = render("namespace=hostile", hostile=hostile)
    assert page_settings(html)["namespace"] == hostile
    assert html.count("<script") == 2


NONCES: dict[str, tuple[str, dict[str, Any]]] = {
    "the argument": ("nonce=given", {"given": "abc"}),
    "the context, as Django's context processor leaves it": ("", {"csp_nonce": "abc"}),
    "the request, as django-csp leaves it": ("", {"request": SimpleNamespace(csp_nonce="abc")}),
    "the argument before the context": ("nonce='abc'", {"csp_nonce": "other"}),
    "the context before the request": ("", {"csp_nonce": "abc", "request": SimpleNamespace(csp_nonce="other")}),
    "the context, when the argument is empty": ("nonce=missing", {"csp_nonce": "abc"}),
    "the request, when the context processor found none": (
        "",
        {"csp_nonce": None, "request": SimpleNamespace(csp_nonce="abc")},
    ),
}


@pytest.mark.parametrize(("arguments", "context"), NONCES.values(), ids=NONCES)
def test_the_nonce_is_on_every_script_and_comes_from(arguments: str, context: dict[str, Any]) -> None:
    assert nonces(render(arguments, **context)) == ["abc", "abc"]


@pytest.mark.parametrize("context", [{}, {"csp_nonce": None}, {"request": SimpleNamespace()}])
def test_without_a_nonce_there_is_no_such_attribute(context: dict[str, Any]) -> None:
    assert "nonce" not in render(**context)


def test_a_lazy_nonce_is_read_although_it_is_false() -> None:
    nonce = FalseUntilRead()
    assert nonces(render(csp_nonce=nonce)) == ["lazy", "lazy"]
    assert nonce.was_read


def test_a_nonce_is_escaped() -> None:
    html = render("nonce=given", given='"><script>')
    assert "&quot;&gt;&lt;script&gt;" in html
    assert html.count("<script") == 2


@override_settings(STATIC_URL="/a&b/")
def test_the_clients_url_is_escaped() -> None:
    assert 'src="/a&amp;b/dtws_sio/socket.io.min.js"' in render()


def test_the_csrf_token_is_handed_over_only_where_the_setting_asks_for_it() -> None:
    assert "csrf_token" not in page_settings(render(csrf_token="abc"))
    with override_settings(DTWS_SIO={"CSRF": True}):
        assert page_settings(render(csrf_token="abc"))["csrf_token"] == "abc"


@pytest.mark.parametrize("context", [{}, {"csrf_token": "NOTPROVIDED"}], ids=str)
@override_settings(DTWS_SIO={"CSRF": True})
def test_a_template_without_a_request_has_no_token_and_says_so(context: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"DTWS_SIO\['CSRF'\] is on.*render\(request"):
        render(**context)
