"""How the pages look: on a phone's width, and with dark colours. That does not depend on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.windows import ChatWindow, expect_connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.sample import Site
    from tests.browser.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("site", ["runsocketio"], indirect=True)]

BARS: Final = ["", "many/", "engines/", "import/", "task/"]
"""The pages with progress bars."""

PAGES: Final = ["/", "/echo/", "/login/", "/sign-up/", *(f"/progress/{name}" for name in BARS)]
"""Those that need nobody to be there."""

PHONE: Final = {"width": 360, "height": 740}

CONTRASTS: Final = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    const colour = element ? channels(getComputedStyle(element).backgroundColor) : [255, 255, 255];
    return colour[3] === 0 ? ground(element.parentElement) : colour;
  };
  const contrast = (element) => {
    const [a, b] = [channels(getComputedStyle(element).color), ground(element)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((element) => hasText(element) && element.checkVisibility() && !element.disabled)
    .map((element) => [`${element.tagName} ${element.textContent.trim().slice(0, 40)}`, contrast(element)]);
}"""
"""The contrast of every visible text with what is behind it, as WCAG 2.2 computes it: 1 is none, 21 the most."""

LEGIBLE: Final = 4.5
"""WCAG 2.2, success criterion 1.4.3, level AA."""


def expect_no_overflow(page: Page) -> None:
    """See that nothing makes the page wider than its window."""
    sizes = page.evaluate("(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth])(document.documentElement)")
    assert sizes == [PHONE["width"], PHONE["width"]]


@pytest.fixture
def phone(open_window: Callable[..., Page], site: Site) -> Page:
    """A window as wide as a small phone."""
    return open_window(site.url, viewport=PHONE, has_touch=True)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(phone: Page, path: str) -> None:
    phone.goto(path)
    if phone.locator("#state").count():
        expect_connected(phone)
    expect_no_overflow(phone)


def test_results_on_the_echo_page_fit_a_phone(phone: Page) -> None:
    phone.goto("/echo/")
    long = '"' + "x" * 400 + '"'
    phone.get_by_label("Message", exact=True).fill(long)
    phone.get_by_role("button", name="Send", exact=True).click()
    phone.get_by_label("Data (JSON)").fill(long)
    phone.get_by_role("button", name="Call").click()
    expect(phone.locator("#ack-result")).to_have_text(long)
    expect(phone.locator("#event-log li")).to_have_count(1)
    expect_no_overflow(phone)


def test_the_chat_fits_a_phone(phone: Page, room: str) -> None:
    chat = ChatWindow(phone).open(room)
    expect(chat.page.get_by_label("Name", exact=True)).to_be_in_viewport(ratio=1)
    expect_no_overflow(phone)
    chat.give_name("W" * 30)
    chat.expect_joined("W" * 30)
    chat.say("x" * 2000)
    chat.say("last words")
    expect(chat.messages).to_have_count(2)
    expect_no_overflow(phone)
    expect(chat.message("last words")).to_be_in_viewport(ratio=1)
    for control in (chat.input, phone.get_by_role("button", name="Send")):
        expect(control).to_be_in_viewport(ratio=1)


def test_what_a_moderator_has_fits_a_phone(
    moderator_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str, watch: Watch
) -> None:
    long = "W" * 30
    guest = ChatWindow(open_window(site.url, viewport=PHONE)).open(room)
    guest.give_name(long)
    guest.expect_joined(long)
    phone = moderator_chat.page
    phone.set_viewport_size(PHONE)  # type: ignore[arg-type]
    moderator_chat.moderate(long, "Mute")
    expect_no_overflow(phone)
    phone.get_by_role("button", name=f"Moderate {long}").click()
    for control in ("Mute", "Ban", "Cancel"):
        expect(phone.get_by_role("dialog").get_by_role("button", name=control)).to_be_in_viewport(ratio=1)
    phone.keyboard.press("Escape")
    expect(phone.get_by_role("dialog")).to_have_count(0)
    moderator_chat.moderate(long, "Ban")
    expect(guest.closed).to_be_in_viewport(ratio=1)
    expect_no_overflow(guest.page)
    expect_no_overflow(phone)
    expect(phone.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    watch.forgive_refusals()


@pytest.mark.parametrize(("scheme", "is_dark"), [("dark", True), ("light", False)])
@pytest.mark.parametrize("path", [*PAGES, "/chat/"])
def test_pages_are_legible_in_dark_and_in_light(
    open_window: Callable[..., Page], site: Site, path: str, scheme: str, is_dark: bool
) -> None:
    window = open_window(site.url, color_scheme=scheme)
    window.goto(path)
    if path == "/chat/":
        chat = ChatWindow(window)
        chat.give_name("Jonas")
        chat.expect_joined("Jonas").say("hello")
    elif window.locator("#state").count():
        expect_connected(window)
    background = window.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(background) < 64) is is_dark
    assert (min(background) > 192) is not is_dark
    contrasts = window.evaluate(CONTRASTS)
    assert len(contrasts) > 3
    assert [(text, ratio) for text, ratio in contrasts if ratio < LEGIBLE] == []
