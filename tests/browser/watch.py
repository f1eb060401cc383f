"""What goes wrong on a page without anybody seeing it: errors in its console, and requests to other hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebSocket

REPORT_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
  console.error(`Content-Security-Policy violated: ${effectiveDirective}, ${blockedURI}`));
"""
"""Run in every page before its own scripts."""

OURS: Final = {"127.0.0.1", None}
"""Hosts that a page may send requests to; None is that of `data:` and `blob:`, which stay in the browser."""


class Watch:
    """Notes what happens in browser contexts: `faults`, in words, and the URLs of all `requests`."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []

    def follow(self, context: BrowserContext) -> None:
        """Watch every page of a context, from its first request on."""
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("page", self._follow_page)

    def forgive_refusals(self) -> None:
        """
        Forget what Chromium says when a client was refused.

        It ends the connection with one request and polls with another, at the same moment; if the second comes last,
        its session is gone.
        """
        self.faults[:] = [each for each in self.faults if not ("status of 400" in each and "/socket.io/" in each)]

    def _follow_page(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"an exception on {page.url}: {error}"))
        page.on("request", self._on_request)
        page.on("websocket", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium asks for /favicon.ico of its own accord where a page names no icon; those of Django's admin do not.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.faults.append(f"an error in the console: {message.text} ({message.location})")

    def _on_request(self, request: Request | WebSocket) -> None:
        self.requests.append(request.url)
        host = urlsplit(request.url).hostname
        if host not in OURS:
            self.faults.append(f"a request to the foreign host {host}: {request.url}")
