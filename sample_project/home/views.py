"""The start page, and signing up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.shortcuts import redirect, render

from home import excerpts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

EXCERPTS = {
    "echo_server": excerpts.definition("echo/sockets.py", "Echo"),
    "echo_page": excerpts.paragraph("echo/static/echo/echo.js", 'socket.on("new_message"'),
    "bar_server": excerpts.definition("bars/sockets.py", "One"),
    "bar_page": excerpts.paragraph("bars/static/bars/one.js", "new ProgressBar("),
    "signal_server": excerpts.definition("live/signals.py", "show_saved"),
    "signal_view": excerpts.definition("live/views.py", "article"),
    "chat_message": excerpts.definition("chat/sockets.py", "Chat.on_message"),
    "announce": excerpts.definition("chat/announcements.py", "announce"),
}
"""What the start page shows, read once: the development server restarts when one of the Python files changes."""


def index(request: HttpRequest) -> HttpResponse:
    """Show what this is, and the code that makes it."""
    return render(request, "home/index.html", {"excerpts": EXCERPTS})


def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account, sign in with it and go to the chat."""
    form = UserCreationForm(request.POST or None)
    if form.is_valid():
        login(request, form.save())
        return redirect("chat:index")
    return render(request, "home/sign_up.html", {"form": form})
