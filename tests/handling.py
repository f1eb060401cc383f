"""What tests of clients and their handlers share."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from tests.page import DEADLINE

if TYPE_CHECKING:
    import pytest

    from dtws_sio.server import Server

FAILED = {"error": {"code": "handler_failed", "message": "Internal server error"}}


class Gate:
    """A place in a handler where it waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self._opened.wait(DEADLINE), "nobody opened the gate"

    def is_reached(self) -> bool:
        return self.reached.wait(DEADLINE)

    def open(self) -> None:
        self._opened.set()


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def is_empty(server: Server) -> bool:
    """Tell whether the server knows nobody, in any room or in none."""
    return not server.manager._members and not server.manager._clients
