"""The chat's page, and an emit from an ordinary view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from chat.announcements import announce as announce_to
from chat.forms import AnnouncementForm
from chat.identity import MAX_NAME
from chat.models import MAX_TEXT, Room

if TYPE_CHECKING:
    from django.http import HttpRequest


def index(request: HttpRequest) -> HttpResponse:
    """Show the chat, opened in the first room."""
    return room_page(request, Room.objects.first())


def room(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the chat, opened in one room."""
    return room_page(request, get_object_or_404(Room, slug=slug))


def room_page(request: HttpRequest, opened: Room | None) -> HttpResponse:
    """Show the chat; what is said in it comes over the socket."""
    context = {
        "room": opened,
        "rooms": Room.objects.all(),
        "announcement": AnnouncementForm(),
        "max_name": MAX_NAME,
        "max_text": MAX_TEXT,
    }
    return render(request, "chat/index.html", context)


@require_POST
def announce(request: HttpRequest) -> HttpResponse:
    """Let staff speak to everyone in a room, or in all rooms."""
    if not request.user.is_staff:
        raise PermissionDenied("only staff may announce; set is_staff on the account")
    form = AnnouncementForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    announce_to(form.cleaned_data["text"], form.cleaned_data["room"])
    return HttpResponse(status=204)
