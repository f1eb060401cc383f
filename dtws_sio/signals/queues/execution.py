"""
One call, run here: in a context of its own, and without leaving a database connection behind.

The same for every kind of queue, so that a function cannot tell which one brought it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from django.core import signals
from django.core.exceptions import PermissionDenied

from dtws_sio.dispatch import HandlerFailedError, give_back_connections
from dtws_sio.exceptions import CallExpiredError, EventError, PermissionDeniedError
from dtws_sio.signals import registry

if TYPE_CHECKING:
    from dtws_sio.signals.calls import Call

logger = logging.getLogger("dtws_sio.signals")


def perform(call: Call, **around: Any) -> Any:
    """
    Run a call, unless it is too late, and give what its function returned.

    It runs in a context that ends with it, in the language and time zone of its window; the database connections that
    it opened are closed, or go back to their pool.

    Args:
        call: The call.
        around: What `registry.run` should know besides.

    Raises:
        EventError: If the function raised it, as an answer; Django's PermissionDenied becomes one.
        CallExpiredError: If it had to be run earlier. This is logged as INFO, and no failure.
        Exception: Whatever else the function raised.

    Source: rows S-12, S-43 and W-F12.
    """
    if call.is_expired(time.time()):
        logger.info("the call %s of the queue %r has expired and is not run", call, call.queue)
        raise CallExpiredError
    try:
        return registry.run(call, **around)
    except PermissionDenied as error:
        raise PermissionDeniedError(*map(str, error.args[:1])) from error
    finally:
        give_back_connections()


def execute(call: Call) -> Any:
    """
    Run a call as `perform` does, where nobody else looks after what it raises.

    Raises:
        EventError: If the function raised it, as an answer; also if the call has expired.
        HandlerFailedError: If it raised anything else, which has been logged once on `dtws_sio.signals` and sent as
            Django's `got_request_exception`.
    """
    try:
        return perform(call)
    except (EventError, KeyboardInterrupt):
        raise
    except BaseException as error:  # eventlet.Timeout and GreenletExit are no Exceptions
        logger.error("the call %s of the queue %r failed", call, call.queue, exc_info=error)
        signals.got_request_exception.send_robust(sender=execute, request=None)
        raise HandlerFailedError from error
