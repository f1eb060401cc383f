"""The start page, and what every page of the sample keeps to; rows D-80, J-01 and J-03."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.windows import ChatWindow, expect_connected

if TYPE_CHECKING:
    from tests.browser.sample import Site
    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser


def test_the_start_page_connects_and_moves_up_to_a_websocket(page: Page, site: Site, watch: Watch) -> None:
    """Rows J-01 and J-03: to the host and port that the page came from, though nothing on it names them."""
    page.goto("/")
    expect_connected(page)
    expect(page.locator("#transport-polling")).to_have_class("done")
    expect(page.locator("#transport-websocket")).to_have_class("now")
    sockets = [url for url in watch.requests if "/socket.io/?" in url]
    assert sockets[0].startswith(f"{site.url}/socket.io/?EIO=4&transport=polling")
    assert [url for url in sockets if url.startswith("ws:")] == [url for url in sockets if "transport=websocket" in url]


def test_the_start_page_measures_round_trips(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#count")).to_have_text(re.compile("[3-9]"))
    last, best = (float(page.locator(name).inner_text()) for name in ("#round-trip", "#best"))
    assert 0 < best <= last < 1000


def test_the_start_page_leads_to_the_samples(page: Page, room: str) -> None:
    """Row D-80."""
    page.goto("/")
    page.get_by_role("link", name="Try the echo").click()
    expect_connected(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Echo")
    page.get_by_role("link", name="dtws_sio").click()
    page.get_by_role("link", name="Open the chat").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lobby")
    ChatWindow(page).give_name("Jonas")
    expect_connected(page)


def test_the_admin_works_under_the_same_policy(page: Page) -> None:
    """Row D-80."""
    page.goto("/admin/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_pages_are_served_with_a_policy_and_an_inline_script_breaks_it(page: Page, watch: Watch) -> None:
    """So `watch` sees what it is there to see; every test here ends with its list being empty."""
    page.goto("/")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None
    assert any("Content-Security-Policy violated: script-src" in fault for fault in watch.faults), watch.faults
    watch.faults.clear()
