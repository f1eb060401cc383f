"""
What a newcomer is asked before it is let into a namespace: who it is, whether it may come in, and the connect handler.

Source: wire rules C1 to C6; rows D-21, W-D7 and W-F12.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import socketio.exceptions

from dtws_sio import conf, dispatch, identity, permissions
from dtws_sio.csrf import check_csrf, without_token
from dtws_sio.dispatch import ANSWERS, HandlerFailedError, as_event_error
from dtws_sio.manager import connecting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dtws_sio.answering import Answering
    from dtws_sio.carrier import Carrier
    from dtws_sio.client import Client
    from dtws_sio.dispatch import HandlerTable
    from dtws_sio.identity import Authenticator, HandshakeRequest
    from dtws_sio.limits import Connections
    from dtws_sio.surroundings import Surroundings

REFUSALS: Final = (socketio.exceptions.ConnectionRefusedError, ConnectionRefusedError, *ANSWERS)
"""What refuses a client when its connect handler raises it: python-socketio's error, Python's, or an answer."""


class Admission:
    """
    Asks newcomers, and runs the handlers of life events.

    Args:
        table: The handlers, and the terms of namespaces.
        answering: Knows limits, and tells of denials.
        authenticators: What recognises clients, in namespaces that have none of their own.
        connections: Bounds how many a session and a user have.
        surroundings_of: Gives the language and time zone of a client's request, or None for the project's own.
    """

    def __init__(
        self,
        table: HandlerTable,
        answering: Answering,
        *,
        authenticators: Sequence[Authenticator],
        connections: Connections,
        surroundings_of: Callable[[HandshakeRequest], Surroundings | None],
    ) -> None:
        self._table = table
        self._answering = answering
        self._authenticators = authenticators
        self._connections = connections
        self._surroundings_of = surroundings_of

    def ask(self, client: Client, carrier: Carrier, auth: Any) -> dict[str, Any] | None:
        """Find out who a client is, and ask guards and connect handler; None lets it in, else what it is told."""
        try:
            answer = self._run(client, "connect", self._welcome, client, carrier, auth)
        except socketio.exceptions.ConnectionRefusedError as refused:
            return _refusal(refused.error_args)
        except ConnectionRefusedError as refused:
            return {"message": str(refused) or "Connection refused by server"}
        except ANSWERS as refused:
            error = as_event_error(refused)
            self._answering.tell_denial(client.origin("connect"), error)
            return {"message": error.message, "data": {"code": error.code, **error.details}}
        except HandlerFailedError:
            return {"message": "Internal server error"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def say_goodbye(self, client: Client) -> None:
        """Run the disconnect handler. Raises HandlerFailedError, or one of `REFUSALS`, if that does not end well."""
        self._run(client, "disconnect", self._handle, client, "disconnect", client.left)

    def _run(self, client: Client, event: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return dispatch.run(function, arguments, partial(client.origin, event), REFUSALS, client.surroundings)

    def _welcome(self, client: Client, carrier: Carrier, auth: Any) -> Any:
        connecting.set(client.sid)
        if conf.settings().csrf:
            check_csrf(client.environ, auth)
            auth = without_token(auth)
        terms = self._table.terms(client.namespace)
        request = client.request()
        authenticators = self._authenticators if terms.authenticators is None else terms.authenticators
        client.identity = request.identity = identity.recognise(request, auth, authenticators)
        self._count(client, carrier)
        client.surroundings = self._surroundings_of(request)
        if client.surroundings is None:
            return self._let_in(client, request, auth)
        return client.surroundings.run(self._let_in, client, request, auth)

    def _count(self, client: Client, carrier: Carrier) -> None:
        """Count a connection to its session and user. Raises TooManyConnectionsError if they have too many."""
        if client.identity is None:
            return
        for topic, admit in zip(
            (client.identity.session_topic, client.identity.user_topic),
            (self._connections.admit_session, self._connections.admit_user),
            strict=True,
        ):
            if topic is not None and topic not in carrier.leases:
                carrier.hold(topic, admit(topic))

    def _let_in(self, client: Client, request: HandshakeRequest, auth: Any) -> Any:
        permissions.check(self._table.guards_of_connect(client.namespace), request, (auth,))
        if client.identity is not None:
            client.topics = frozenset(identity.topics_of(request))
            client.rooms |= client.topics
        return self._handle(client, "connect", auth)

    def _handle(self, client: Client, event: str, detail: Any) -> Any:
        """Call the handler, if there is one; it gets the detail (auth, or the reason) if it has a place for it."""
        given = (client.sid, client.environ, detail) if event == "connect" else (client.sid, detail)
        found = self._table.find(event, client.namespace, given)
        if found is None:
            return None
        handler, arguments = found
        if not handler.takes(len(arguments)):
            arguments = arguments[:-1]
        elif handler.converter is not None:
            arguments = handler.converter(arguments)
        self._answering.check_limits(client, handler.limits, handler.place)
        return handler.function(*arguments)


def _refusal(error_args: Any) -> dict[str, Any]:
    """Give python-socketio's refusal as an object with a message, which is all that the official client reads."""
    return error_args if isinstance(error_args, dict) and "message" in error_args else {"message": str(error_args)}
