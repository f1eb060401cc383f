"""
A worker process: reads calls from a socket, runs them one after the other, and writes what became of each.

Started by `dtws_sio.signals.queues.processes` in a fresh interpreter. It serves no clients; what its functions emit
goes through the message queue.
"""

from __future__ import annotations

import logging
import signal
import socket

import django

from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import EventError
from dtws_sio.signals.calls import Call, dumps
from dtws_sio.signals.queues.processes import receive, send

logger = logging.getLogger("dtws_sio.queues")


def main(descriptor: int) -> None:
    """Work until the socket is closed at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C also reaches the process that will close the socket
    sock = socket.socket(fileno=descriptor)
    django.setup()
    with sock:
        while True:
            try:
                send(sock, outcome(receive(sock)))
            except (EOFError, OSError):
                return


def outcome(text: str) -> str:
    """
    Run a call, and give what became of it.

    Returns:
        In JSON, ["value", what it returned], ["answer", `EventError.answer`], or ["failure", the class of the error],
        which has been logged here.
    """
    from dtws_sio.signals.queues.execution import execute

    call = Call.from_json(text)
    try:
        value = execute(call)
    except EventError as error:
        return dumps(["answer", error.answer])
    except HandlerFailedError as error:
        return dumps(["failure", type(error.__cause__).__qualname__])
    try:
        return dumps(["value", value])
    except (TypeError, ValueError) as error:
        logger.error("what the call %s returned cannot leave its process: %s", call, error)
        return dumps(["failure", type(error).__qualname__])
