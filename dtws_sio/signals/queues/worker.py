"""
A worker process: reads calls from a socket, runs them one after the other, and writes what became of each.

Started by `dtws_sio.signals.queues.processes` in a fresh interpreter, where Django is set up first. It serves no
clients; what its functions emit goes through the message queue.
"""

from __future__ import annotations

import logging
import socket

from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import EventError
from dtws_sio.signals.calls import Call, dumps
from dtws_sio.signals.queues.execution import execute
from dtws_sio.signals.queues.processes import receive, send

logger = logging.getLogger("dtws_sio.queues")


def main(descriptor: int) -> None:
    """Work until the socket is closed at its other end."""
    with socket.socket(fileno=descriptor) as sock:
        sock.setblocking(True)  # eventlet made it otherwise, at the other end of the fork
        while True:
            try:
                send(sock, outcome(receive(sock)))
            except (EOFError, ConnectionError):
                return


def outcome(text: str) -> str:
    """
    Run a call, and give what became of it.

    Returns:
        In JSON, ["value", what it returned], ["answer", `EventError.answer`], or ["failure", the class of the error],
        which has been logged here.
    """
    call = Call.from_json(text)
    try:
        answer = ["value", execute(call)]
    except EventError as error:
        answer = ["answer", error.answer]
    except HandlerFailedError as error:
        answer = ["failure", type(error.__cause__).__qualname__]
    try:
        return dumps(answer)
    except (TypeError, ValueError) as error:
        logger.error("what the call %s returned or raised cannot leave its process: %s", call, error)
        return dumps(["failure", type(error).__qualname__])
