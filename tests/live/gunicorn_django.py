"""A Django project in one module, with Socket.IO, for the tests of the gunicorn worker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DTWS_SIO={},
    INSTALLED_APPS=["dtws_sio"],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    USE_TZ=True,
)

from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from dtws_sio import sio  # noqa: E402
from dtws_sio.wsgi import get_wsgi_application  # noqa: E402


def page(request: HttpRequest) -> HttpResponse:
    """Answer as an ordinary view."""
    return HttpResponse("a page")


def news(request: HttpRequest) -> HttpResponse:
    """Emit from a view."""
    sio.emit("news", {"text": "from a view"})
    return HttpResponse("sent")


urlpatterns = [path("", page), path("news", news)]


@sio.event
def echo(sid: str, data: Any) -> Any:
    """Answer with what came."""
    return data


@sio.event
def disconnect(sid: str, reason: str) -> None:
    """Tell the test, after a while in which others run, that the handler ran to its end."""
    sio.sleep(0.2)
    sys.stderr.write(f"disconnect handler ran: {reason}\n")


application = get_wsgi_application()
