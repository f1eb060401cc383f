"""The pages with signals. What a page may watch is said here, with `set_topics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from dtws_sio.signals import JSCall, set_topics

from live.builtin import DEMOS
from live.forms import BookingForm, FileForm
from live.models import Article
from live.signals import STEPS

if TYPE_CHECKING:
    from django.http import HttpRequest

BOOKING_CALLS = {
    "check": JSCall("live.check_booking", on="input", form="form", debounce=250),
    "book": JSCall("live.book", form="form"),
}
"""What the form calls: the first while somebody types, the second when it is sent."""


def index(request: HttpRequest) -> HttpResponse:
    """Show the first article."""
    first = Article.objects.first()
    if first is None:
        return render(request, "live/article.html", {"article": None})
    return article(request, first.pk)


def article(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an article, which the page then watches."""
    found = get_object_or_404(Article, pk=pk)
    set_topics(request, found)
    return render(request, "live/article.html", {"article": found})


def form(request: HttpRequest) -> HttpResponse:
    """Show a form that is checked while it is filled in, and one that sends a file."""
    context = {"form": BookingForm(auto_id="%s"), "file_form": FileForm(auto_id="%s"), **BOOKING_CALLS}
    return render(request, "live/form.html", context)


def builtin(request: HttpRequest) -> HttpResponse:
    """Show all built-in signals."""
    return render(request, "live/builtin.html", {"demos": DEMOS.values()})


def task(request: HttpRequest) -> HttpResponse:
    """Show a task that reports to the window that asked for it."""
    return render(request, "live/task.html", {"steps": STEPS, "backend": settings.DTWS_SIO["QUEUES"]["reports"]})


def report(request: HttpRequest) -> HttpResponse:
    """Give a file to download."""
    return HttpResponse("Nothing to report.\n", content_type="text/plain")
