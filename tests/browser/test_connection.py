"""A server that goes and comes back, and a server reached through another process."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sample
from tests.browser.windows import ChatWindow, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.sample import Database
    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser


def join(window: Page, name: str, room: str = "lobby") -> ChatWindow:
    """Open a room as a guest."""
    chat = ChatWindow(window).open(room)
    chat.give_name(name)
    return chat.expect_joined(name)


@pytest.mark.parametrize(
    ("kind", "end"),
    [("runsocketio", signal.SIGINT), ("gunicorn", signal.SIGTERM), ("gunicorn", signal.SIGKILL)],
    ids=["runsocketio-interrupted", "gunicorn-stopped", "gunicorn-killed"],
)
def test_pages_find_a_lost_server_again(
    kind: str, end: signal.Signals, open_window: Callable[..., Page], database: Database, watch: Watch
) -> None:
    """Row D-81: they say that they are not connected, come back by themselves, and are in their room again."""
    with ExitStack() as stack:
        with sample.running(kind, database) as site:
            chats = [join(open_window(site.url), name) for name in ("Eve", "Jonas")]
            chats[0].say("before")
            site.server.process.send_signal(end)
            site.server.wait_for_exit()
        for chat in chats:
            expect(chat.state).to_have_text("reconnecting")
        chats[0].input.fill("written meanwhile")
        chats[0].input.press("Enter")
        expect(chats[0].problem).to_have_text(re.compile("^Not connected: your message stays here"))
        with chats[0].page.expect_event("requestfailed"):
            pass  # an attempt that fails is not the last one

        stack.enter_context(sample.running(kind, database, port=site.server.port))
        for chat, name in zip(chats, ("Eve", "Jonas"), strict=True):
            chat.expect_joined(name).expect_members("Eve", "Jonas")
        chats[0].input.press("Enter")
        for chat in chats:
            chat.expect_message("written meanwhile", author="Eve", mine=chat is chats[0])
            expect(chat.messages.locator(".text")).to_have_text(["before", "written meanwhile"])
        # Chromium itself reports each attempt that fails.
        watch.faults[:] = [fault for fault in watch.faults if "net::ERR_CONNECTION_REFUSED" not in fault]


@pytest.mark.parametrize("kind", sample.KINDS)
def test_a_management_command_reaches_the_browser(
    kind: str, open_window: Callable[..., Page], database: Database, redis: str
) -> None:
    """Through Redis, from a process that serves nobody: to one room, then to all."""
    with sample.running(kind, database, REDIS_URL=redis) as site:
        chat = join(open_window(site.url), "Jonas")
        for arguments in (["Not for you", "--room", "help"], ["Tea is ready", "--room", "lobby"], ["To everyone"]):
            database.manage("announce", *arguments, REDIS_URL=redis)
        expect(chat.page.locator(".announcement p")).to_have_text(["Tea is ready", "To everyone"])


def test_a_ban_reaches_those_whom_another_process_serves(
    open_window: Callable[..., Page], database: Database, redis: str, watch: Watch
) -> None:
    """Whatever process the moderator is in: the user is there once, is closed out at once, and stays out."""
    database.add_room("both", "Both")  # nobody was there whose process was killed a moment ago
    with ExitStack() as stack:
        here, there = (stack.enter_context(sample.running("runsocketio", database, REDIS_URL=redis)) for _ in range(2))
        guest = join(open_window(there.url), "Jonas", "both")
        page = open_window(here.url)
        sign_in(page, *sample.STAFF)
        moderator = ChatWindow(page).open("both").expect_joined(sample.STAFF[0])
        moderator.expect_members(sample.STAFF[0], "Jonas")
        moderator.moderate("Jonas", "Ban")
        expect(guest.closed).to_have_text(re.compile("banned you"))
        moderator.expect_members(sample.STAFF[0])
        moderator.lift("Jonas")
        guest.page.reload()
        guest.expect_joined("Jonas")
        moderator.expect_members(sample.STAFF[0], "Jonas")
    watch.forgive_refusals()
