"""The template tags, for `{% load dtws_sio %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from django import template
from django.conf import settings as django_settings
from django.forms.utils import flatatt
from django.templatetags.static import static
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString, mark_safe

from dtws_sio.conf import ConfigurationError, settings
from dtws_sio.csrf import TOKEN
from dtws_sio.dispatch import namespace_path
from dtws_sio.signals.markup import JSCall, as_attribute
from dtws_sio.signals.registry import NAMESPACE
from dtws_sio.signals.tokens import window_token

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()

SETTINGS_ID: Final = "dtws-sio"
"""The id of the element with the page's settings; static/src/connect.js reads it."""

CLIENT: Final = "dtws_sio/socket.io.min.js"
"""The official client, as staticfiles knows it; it sets the global `io`."""


SIGNALS_ID: Final = "dtws-sio-signals"
"""The id of the element with the settings of signals; static/src/signals.js reads it."""

SIGNALS: Final = "dtws_sio/signals.js"
"""The page's side of signals, as staticfiles knows it."""

_CLIENT_LOADED: Final = "dtws_sio_client_loaded"
"""Marks a page that loads the client already."""

_NO_TOKEN: Final = "NOTPROVIDED"  # noqa: S105
"""What Django's context processor gives for a request that never passed the CSRF protection."""


@register.simple_tag(takes_context=True)
def dtws_sio_scripts(context: Context, *, namespace: str = "/", nonce: object = None) -> SafeString:
    """
    Load the official Socket.IO client and hand the page its settings.

    `{% dtws_sio_scripts namespace="/chat" %}` makes that namespace the page's default. Scripts of the page then do

        import { connect } from "{% static 'dtws_sio/connect.js' %}";
        const socket = connect();

    Args:
        namespace: What `connect()` connects to without an argument; normalised like a handler's namespace.
        nonce: The Content-Security-Policy nonce of the response. If left out it is `csp_nonce` of the context (Django's
            context processor) or of the request (django-csp); a page without one gets no attribute.

    With DTWS_SIO["CSRF"] the settings hold the CSRF token, which `connect()` sends along.

    Raises:
        NamespacePathError: If the namespace cannot be one.
        ConfigurationError: If the setting CSRF is on, and the template is rendered without a request.

    Source: rows D-01, D-20, J-01 and J-03.
    """
    page_settings = {"path": endpoint_path(), "namespace": namespace_path(namespace)}
    if settings().csrf:
        page_settings[TOKEN] = csrf_token(context)
    nonce_attribute = flatatt({"nonce": find_nonce(context, nonce)})
    parts = [_settings_element(page_settings, SETTINGS_ID, nonce_attribute), _client_element(context, nonce_attribute)]
    return mark_safe("\n".join(parts))  # noqa: S308


@register.simple_tag(takes_context=True)
def dtws_sio_signals(context: Context, *, nonce: object = None) -> SafeString:
    """
    Connect the page to `/signals`, with the window that `set_topics(request, ...)` gave it.

    It loads the official client, unless `{% dtws_sio_scripts %}` above has done so, and `signals.js`, and hands them
    the page's token and where to renew it. A view that called no `set_topics` has a window without topics.

    Args:
        nonce: As that of `{% dtws_sio_scripts %}`.

    Raises:
        ConfigurationError: If the template is rendered without a request.

    Source: rows F-01, S-30 and S-33.
    """
    request = context.get("request") or getattr(context, "request", None)
    if request is None:
        raise ConfigurationError(
            "{% dtws_sio_signals %} finds no request, as this template is rendered without one; use "
            "render(request, ...) or template.render(context, request)"
        )
    renew = renewal_url()
    page_settings: dict[str, Any] = {
        "namespace": NAMESPACE,
        "path": endpoint_path(),
        "window": window_token(request),
        "renew": renew,
        "max_payload": settings().max_payload,
    }
    if settings().csrf or (renew is not None and context.get("csrf_token", _NO_TOKEN) != _NO_TOKEN):
        page_settings[TOKEN] = csrf_token(context)
    nonce_attribute = flatatt({"nonce": find_nonce(context, nonce)})
    parts = [_settings_element(page_settings, SIGNALS_ID, nonce_attribute)]
    if _CLIENT_LOADED not in context.render_context:
        parts.append(_client_element(context, nonce_attribute))
    parts.append(format_html('<script type="module" src="{}"{}></script>', static(SIGNALS), nonce_attribute))
    return mark_safe("\n".join(parts))  # noqa: S308


def renewal_url() -> str | None:
    """Return the URL at which tokens are renewed, or None if the project does not include it."""
    if getattr(django_settings, "ROOT_URLCONF", None) is None:
        return None
    try:
        return reverse("dtws_sio:window")
    except NoReverseMatch:
        return None


def _settings_element(page_settings: dict[str, Any], element_id: str, nonce_attribute: str) -> SafeString:
    # The nonce goes at the end of the opening tag; json_script has escaped what follows.
    opening, _, rest = json_script(page_settings, element_id).partition(">")
    return format_html("{}{}>{}", mark_safe(opening), nonce_attribute, mark_safe(rest))  # noqa: S308


def _client_element(context: Context, nonce_attribute: str) -> SafeString:
    context.render_context[_CLIENT_LOADED] = True
    return format_html('<script src="{}"{}></script>', static(CLIENT), nonce_attribute)


@register.simple_tag
def js_call(
    name: str,
    on: str | None = None,
    form: str | None = None,
    value: str | None = None,
    prevent: bool | None = None,
    debounce: float | None = None,
    confirm: str | None = None,
    **opts: Any,
) -> SafeString:
    """
    Let an element trigger a signal: `<button {% js_call "shop.order" item=5 %}>`.

    Args:
        name: The name of the signal.
        on, form, value, prevent, debounce, confirm: As those of `dtws_sio.signals.JSCall`.
        opts: Arguments of the signal that are always the same.

    Source: row S-50.
    """
    return as_attribute(JSCall(name, on, opts, form, value, prevent, debounce, confirm))


@register.simple_tag
def js_calls(*calls: JSCall) -> SafeString:
    """Let an element trigger several signals: `{% js_calls call1 call2 %}` with `JSCall` objects. Source: row S-51."""
    return as_attribute(*calls)


def endpoint_path() -> str:
    """Return the URL path of the Socket.IO endpoint as the browser sees it, with the script prefix and slashes."""
    return quote(f"{get_script_prefix()}{settings().path}/")


def csrf_token(context: Context) -> str:
    """Return the token that `{% csrf_token %}` would; reading it has the response set its cookie."""
    token = str(context.get("csrf_token", _NO_TOKEN))
    if token == _NO_TOKEN:
        raise ConfigurationError(
            "DTWS_SIO['CSRF'] is on, and {% dtws_sio_scripts %} finds no CSRF token, as this template is rendered "
            "without a request; use render(request, ...) or template.render(context, request)"
        )
    return token


def find_nonce(context: Context, given: object) -> str | None:
    """
    Return the first nonce that there is.

    They are compared with None and never tested for truth: Django's and django-csp's lazy nonces are false until
    something has turned them into text, and only then do they appear in the response's header.
    """
    candidates: tuple[Any, ...] = (given, context.get("csp_nonce"), getattr(context.get("request"), "csp_nonce", None))
    return next((text for value in candidates if value is not None and (text := str(value))), None)
