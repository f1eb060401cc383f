"""The chat's page, and an emit from an ordinary view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from chat.announcements import announce as announce_to
from chat.forms import AnnouncementForm, GuestForm
from chat.models import MAX_TEXT, Room
from chat.people import GUEST_NAME, Person

if TYPE_CHECKING:
    from django.http import HttpRequest


def index(request: HttpRequest) -> HttpResponse:
    """Show the chat, opened in the first room."""
    return room_page(request, Room.objects.open_to(request.user).first())


def room(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the chat, opened in one room."""
    return room_page(request, get_object_or_404(Room.objects.open_to(request.user), slug=slug))


def room_page(request: HttpRequest, opened: Room | None) -> HttpResponse:
    """Show the chat, and take the name of a guest; what is said comes over the socket."""
    form = GuestForm(request.POST or None, initial={"name": request.session.get(GUEST_NAME)})
    if form.is_valid():
        request.session[GUEST_NAME] = form.cleaned_data["name"]
        return redirect(request.path)
    context = {
        "room": opened,
        "rooms": Room.objects.open_to(request.user),
        "person": Person.of(request),
        "guest": form,
        "announcement": AnnouncementForm(),
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
