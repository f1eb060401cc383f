"""
From an event whose turn has come to its acknowledgement: what is asked before its handler runs, and what is answered.

Source: wire rules C5, P4 and P6; rows D-40 to D-45.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dtws_sio import dispatch, permissions, runtime, security
from dtws_sio.dispatch import ANSWERS, NO_ACK, Deferred, HandlerFailedError, Origin, as_event_error
from dtws_sio.exceptions import EventError, PermissionDeniedError, RateLimitedError, TooManyConnectionsError
from dtws_sio.limits import Caller
from dtws_sio.manager import outgoing
from dtws_sio.packet import ACK
from dtws_sio.security import SparingLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dtws_sio.client import Client
    from dtws_sio.dispatch import Handler, HandlerTable
    from dtws_sio.limits import Connections, RateLimit, RateStore, Refusals

FAILED: Final = ("handler_failed", "Internal server error")
"""Code and message of the error that answers an event whose handler raised; what it raised is for the log only."""


class Answering:
    """
    Handles events and answers them.

    Args:
        table: The handlers.
        ack_errors: The setting ACK_ERRORS.
        connections: Knows the address of a client.
        rates: Keeps the buckets of handlers that bound how often they are called.
        refusals: Where it is counted what was refused.
    """

    def __init__(
        self, table: HandlerTable, *, ack_errors: bool, connections: Connections, rates: RateStore, refusals: Refusals
    ) -> None:
        self._table = table
        self._ack_errors = ack_errors
        self._connections = connections
        self._rates = rates
        self._refusals = refusals
        self._denials = SparingLog()

    def handle(
        self, client: Client, handler: Handler, arguments: tuple[Any, ...], event: str, number: int | None, size: int
    ) -> None:
        """
        Run an event's handler and send what it returns as the acknowledgement.

        An event that came while the connect handler ran waited for it, and is dropped if the client was refused. So is
        one that still waits when the disconnect handler has begun: that one is the last.
        """
        try:
            if client.is_gone or not client.accepted:
                dispatch.logger.info("dropped %s, which is gone", client.origin(event))
                return
            function = handler.function
            if self._table.asks_first(client.namespace, handler):
                function = partial(self._checked, client, handler)
            self._settle(client, function, arguments, event, number)
        finally:
            client.load.done(size)

    def _settle(
        self,
        client: Client,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        event: str,
        number: int | None,
    ) -> None:
        """Run what gives an acknowledgement, and send it; what is still to come is waited for beside other events."""
        try:
            answer = dispatch.run(function, arguments, partial(client.origin, event), ANSWERS, client.surroundings)
        except ANSWERS as raised:
            error = as_event_error(raised)
            self.tell_denial(client.origin(event), error)
            if number is not None and self._ack_errors:
                self._answer(client, number, {"error": error.answer}, event)
        except HandlerFailedError:
            self.refuse(client, number, *FAILED)
        else:
            if answer is NO_ACK or number is None:
                return
            if isinstance(answer, Deferred):
                runtime.spawn(self._settle, client, answer.wait, (), event, number)
            else:
                self._answer(client, number, answer, event)

    def _checked(self, client: Client, handler: Handler, *arguments: Any) -> Any:
        """Call a handler, if it is not called too often, its guards let the client pass and the data is valid."""
        self.check_limits(client, handler.limits, handler.place)
        guards = self._table.guards(client.namespace, handler)
        if guards:
            permissions.check(guards, client.request(), arguments[handler.leading :])
        return handler.function(*(arguments if handler.converter is None else handler.converter(arguments)))

    def check_limits(self, client: Client, limits: Sequence[RateLimit], place: tuple[str, str]) -> None:
        """Count a call of what has a place, an event and a namespace. Raises RateLimitedError if it is one too many."""
        if limits:
            caller = Caller(client.sid, self._connections.address_of(client.environ), partial(_user_key, client))
            for limit in limits:
                limit.check(caller, *place, self._rates)

    def tell_denial(self, origin: Origin, error: EventError) -> None:
        """Count what was refused, and log it if it is a matter of rights or limits."""
        if isinstance(error, PermissionDeniedError):
            self._refusals.add(error.code)
            self._denials.write(f"denied {origin}: {error.code}")
        elif isinstance(error, (RateLimitedError, TooManyConnectionsError)) and self._refusals.add(error.code):
            security.logger.warning("refused %s: %s", origin, getattr(error, "reason", error.message))

    def _answer(self, client: Client, number: int, answer: Any, event: str) -> None:
        values = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        try:
            client.send(outgoing(ACK, client.namespace, values, number), False)
        except (TypeError, ValueError) as error:  # the handler returned, or raised, what has no JSON form
            dispatch.report(client.origin(event), error)
            self.refuse(client, number, *FAILED)

    def refuse(self, client: Client, number: int | None, code: str, message: str) -> None:
        """Answer an event with an error, if it wants an answer; `number` is the id of its acknowledgement."""
        self.send_error(client, number, {"code": code, "message": message})

    def send_error(self, client: Client, number: int | None, error: dict[str, Any]) -> None:
        """Answer an event with an error as `refuse` does, which may have more keys."""
        if number is not None and self._ack_errors:
            client.send(outgoing(ACK, client.namespace, [{"error": error}], number), False)


def _user_key(client: Client) -> str | None:
    """Give the key of a client's user, or None for a stranger; without a query, as limits are there to save those."""
    return None if client.identity is None else client.identity.user_key
