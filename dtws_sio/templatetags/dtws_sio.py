"""The template tags, for `{% load dtws_sio %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from django import template
from django.forms.utils import flatatt
from django.templatetags.static import static
from django.urls import get_script_prefix
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString, mark_safe

from dtws_sio.conf import ConfigurationError, settings
from dtws_sio.csrf import TOKEN
from dtws_sio.dispatch import namespace_path

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()

SETTINGS_ID: Final = "dtws-sio"
"""The id of the element with the page's settings; static/src/connect.js reads it."""

CLIENT: Final = "dtws_sio/socket.io.min.js"
"""The official client, as staticfiles knows it; it sets the global `io`."""


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
    # The nonce goes at the end of the opening tag; json_script has escaped what follows.
    opening, _, rest = json_script(page_settings, SETTINGS_ID).partition(">")
    nonce_attribute = flatatt({"nonce": find_nonce(context, nonce)})
    return format_html(
        '{}{}>{}\n<script src="{}"{}></script>',
        mark_safe(opening),  # noqa: S308
        nonce_attribute,
        mark_safe(rest),  # noqa: S308
        static(CLIENT),
        nonce_attribute,
    )


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
