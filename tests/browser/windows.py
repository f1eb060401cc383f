"""What people do in a window of the sample, by the words that they see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MIA: Final = "mia"
"""The user with an account; everyone else in these tests is a guest, or staff."""

MODERATOR: Final = "moira"
"""An account that may mute and ban."""

PASSWORD: Final = "correct horse battery staple"
"""Of everyone who signs up."""


def expect_connected(page: Page) -> None:
    """Wait until the page says that it is connected, and over what."""
    expect(page.locator("#state")).to_have_text("connected · websocket")


def sign_up(page: Page, name: str) -> None:
    """Make an account, which signs in as well."""
    page.goto("/sign-up/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password:", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_title(f"Signed in as {name}")).to_be_visible()


def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in to an account."""
    page.goto("/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_title(f"Signed in as {name}")).to_be_visible()


class ChatWindow:
    """
    A window with the chat.

    Args:
        page: The page in it.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.state = page.locator("#state")
        self.members = page.locator("#members li")
        self.lines = page.get_by_role("log", name="Messages").get_by_role("listitem")
        self.messages = page.locator("#messages .message")
        self.notices = page.locator("#messages .notice")
        self.refusal = page.locator("#refusal")
        self.closed = page.locator("#closed-reason")
        self.muted = page.locator("#muted")
        self.problem = page.locator("#problem")
        self.input = page.get_by_label("Message", exact=True)

    def open(self, room: str) -> ChatWindow:
        """Go to a room's page, without waiting for its connection."""
        self.page.goto(f"/chat/rooms/{room}/")
        return self

    def give_name(self, name: str) -> None:
        """Answer the page's question who one is."""
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Enter").click()

    def expect_joined(self, name: str) -> ChatWindow:
        """Wait until the page is in a room, as somebody."""
        expect_connected(self.page)
        expect(self.members.filter(has_text="you").locator(".name")).to_have_text(name)
        expect(self.page.get_by_role("button", name="Send")).to_be_enabled()
        return self

    def expect_members(self, *names: str) -> None:
        """Wait until exactly these people are here, in the order of the page: by name."""
        expect(self.members.locator(".name")).to_have_text(list(names))
        expect(self.page.locator("#member-count")).to_have_text(str(len(names)))

    def say(self, text: str) -> None:
        """Send a message, and wait until the server has it."""
        self.input.fill(text)
        self.input.press("Enter")
        expect(self.input).to_have_value("")

    def message(self, text: str) -> Locator:
        """Find the message with a text."""
        exact = self.page.locator(".text", has_text=re.compile(f"^{re.escape(text)}$"))
        return self.messages.filter(has=exact)

    def expect_message(self, text: str, *, author: str, mine: bool = False) -> None:
        """Wait until a message is there once, under a name, on one's own side or on that of the others."""
        message = self.message(text)
        expect(message).to_have_count(1)
        expect(message.locator(".author")).to_have_text(author)
        expect(message.locator(".author")).to_be_visible(visible=not mine)
        expect(message).to_have_class("message mine" if mine else "message")

    def moderate(self, name: str, what: str, *, how_long: str = "10 minutes") -> None:
        """Mute or ban somebody, as a moderator."""
        self.page.get_by_role("button", name=f"Moderate {name}", exact=True).click()
        dialog = self.page.get_by_role("dialog", name=f"Moderate {name}")
        dialog.get_by_label("How long").select_option(how_long)
        dialog.get_by_role("button", name=what, exact=True).click()
        expect(self.page.get_by_role("button", name=f"Lift: {name}")).to_be_visible()

    def lift(self, name: str) -> None:
        """Lift what a moderator imposed."""
        self.page.get_by_role("button", name=f"Lift: {name}").click()
        expect(self.page.get_by_role("button", name=f"Lift: {name}")).to_have_count(0)

    def switch_room(self, name: str) -> None:
        """Click a room in the list."""
        self.page.get_by_role("navigation", name="Rooms").get_by_role(
            "link", name=re.compile(f"{re.escape(name)}( private)?$")
        ).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name)
