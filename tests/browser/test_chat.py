"""The chat in several windows: an account's and guests'; rows D-81 and W-D19."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sample import STAFF
from tests.browser.windows import MIA, ChatWindow, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.sample import Site
    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser

MARKUP = '<img src=x onerror="window.ran = 1"><b>bold</b>'


def test_a_user_and_a_guest_see_each_other(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    """Row D-81."""
    for chat in (user_chat, guest_chat):
        chat.expect_members("Jonas", MIA)
    expect(user_chat.notices).to_have_text(["Jonas joined"])
    expect(user_chat.members.filter(has_text="Jonas").locator(".tag")).to_have_text("guest")
    expect(guest_chat.members.filter(has_text=MIA).locator(".tag")).to_have_count(0)


def test_messages_go_both_ways_under_the_right_names(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    """Row D-81; one's own messages look different."""
    user_chat.say("hello Jonas")
    user_chat.expect_message("hello Jonas", author=MIA, mine=True)
    guest_chat.expect_message("hello Jonas", author=MIA)
    guest_chat.say("hello back")
    guest_chat.expect_message("hello back", author="Jonas", mine=True)
    user_chat.expect_message("hello back", author="Jonas")
    for chat in (user_chat, guest_chat):
        expect(chat.messages.locator(".text")).to_have_text(["hello Jonas", "hello back"])


def test_who_leaves_is_gone(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    user_chat.expect_members("Jonas", MIA)
    guest_chat.page.close()
    user_chat.expect_members(MIA)
    expect(user_chat.notices).to_have_text(["Jonas joined", "Jonas left"])


def test_a_newcomer_is_shown_the_history(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    """Row D-81."""
    texts = ["first", "second", MARKUP]
    for text in texts:
        user_chat.say(text)
    newcomer = ChatWindow(open_window(site.url)).open(room)
    newcomer.give_name("Eve")
    newcomer.expect_joined("Eve")
    expect(newcomer.messages.locator(".text")).to_have_text(texts)
    newcomer.expect_message("second", author=MIA)
    user_chat.page.reload()
    user_chat.expect_joined(MIA).expect_message("first", author=MIA, mine=True)


def test_a_room_hears_nothing_of_another(user_chat: ChatWindow, guest_chat: ChatWindow, site: Site, room: str) -> None:
    """Row D-81: the messages are not even sent to who is elsewhere."""
    other = f"{room}-b"
    site.database.add_room(other, f"Room {other}")
    sent = frames_of(guest_chat)
    guest_chat.expect_members("Jonas", MIA)
    guest_chat.switch_room(f"Room {other}")
    guest_chat.expect_members("Jonas")
    expect(guest_chat.page).to_have_url(f"{site.url}/chat/rooms/{other}/")
    user_chat.expect_members(MIA)

    user_chat.say("only for this room")
    guest_chat.say("only for the other")
    guest_chat.expect_message("only for the other", author="Jonas", mine=True)
    assert "only for the other" in "".join(sent)
    assert "only for this room" not in "".join(sent)

    guest_chat.page.go_back()
    guest_chat.expect_members("Jonas", MIA)
    expect(guest_chat.messages.locator(".text")).to_have_text(["only for this room"])


def test_two_tabs_of_one_user_count_once(user_chat: ChatWindow, guest_chat: ChatWindow, room: str) -> None:
    tab = ChatWindow(user_chat.page.context.new_page()).open(room).expect_joined(MIA)
    for chat in (user_chat, guest_chat, tab):
        chat.expect_members("Jonas", MIA)
    tab.say("from the second tab")
    user_chat.expect_message("from the second tab", author=MIA, mine=True)

    user_chat.page.close()
    tab.say("still here")
    guest_chat.expect_message("still here", author=MIA)
    guest_chat.expect_members("Jonas", MIA)
    tab.page.close()
    guest_chat.expect_members("Jonas")
    expect(guest_chat.notices).to_have_text([f"{MIA} left"])


def test_markup_is_shown_as_text(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    user_chat.say(MARKUP)
    for chat in (user_chat, guest_chat):
        expect(chat.messages.locator(".text")).to_have_text([MARKUP])
        expect(chat.page.locator("#chat img, #chat b")).to_have_count(0)
        assert chat.page.evaluate("window.ran") is None


def test_markup_in_a_name_is_shown_as_text(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    name = "<img src=x><i>Eve</i>"
    other = ChatWindow(open_window(site.url)).open(room)
    other.give_name(name)
    other.expect_joined(name).say("hello")
    user_chat.expect_members(name, MIA)
    user_chat.expect_message("hello", author=name)
    expect(user_chat.notices).to_have_text([f"{name} joined"])
    for chat in (user_chat, other):
        expect(chat.page.locator("#chat img, #chat i")).to_have_count(0)


def test_a_guest_cannot_take_the_name_of_an_account(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str, watch: Watch
) -> None:
    """Row W-D19."""
    guest = ChatWindow(open_window(site.url)).open(room)
    for name in (MIA, f" {MIA.upper()} "):
        guest.give_name(name)
        expect(guest.refusal).to_have_text(f"“{name.strip()}” has an account here. Choose another name, or sign in.")
        expect(guest.state).to_have_text("not connected")
    user_chat.expect_members(MIA)
    guest.give_name("Jonas")
    guest.expect_joined("Jonas")
    user_chat.expect_members("Jonas", MIA)
    # A refused client ends the connection with one request and polls with another, at the same moment; if the second
    # comes last, its session is gone.
    watch.faults[:] = [fault for fault in watch.faults if not ("status of 400" in fault and "/socket.io/" in fault)]


def test_a_guest_can_come_back_under_another_name(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    guest_chat.page.get_by_role("button", name="Change name").click()
    user_chat.expect_members(MIA)
    guest_chat.give_name("Joan")
    guest_chat.expect_joined("Joan")
    user_chat.expect_members("Joan", MIA)


def test_staff_announce_from_an_ordinary_view(
    guest_chat: ChatWindow, open_window: Callable[..., Page], site: Site
) -> None:
    """Row D-81: the view of a plain form emits."""
    staff = open_window(site.url)
    sign_in(staff, *STAFF)
    staff.goto("/chat/")
    ChatWindow(staff).expect_joined(STAFF[0])
    staff.get_by_text("Announce", exact=True).first.click()
    staff.get_by_label("Text").fill(f"Tea is ready {MARKUP}")
    staff.get_by_role("button", name="Announce").click()
    expect(staff.locator("#announce-result")).to_have_text("Announced.")
    expect(guest_chat.page.locator(".announcement p")).to_have_text(f"Tea is ready {MARKUP}")


def test_nobody_else_is_offered_to_announce(user_chat: ChatWindow) -> None:
    expect(user_chat.page.get_by_text(re.compile("^Announce"))).to_have_count(0)


def frames_of(chat: ChatWindow) -> list[str]:
    """Load the chat anew, and collect from now on what the server sends over the WebSocket."""
    frames: list[str] = []
    with chat.page.expect_websocket() as opened:
        chat.page.reload()
    opened.value.on("framereceived", lambda data: frames.append(str(data)))
    chat.expect_joined("Jonas")
    return frames
