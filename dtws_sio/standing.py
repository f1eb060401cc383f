"""
Whether a client may be where it is: asked when it joins, and again whenever its user's rights may have changed.

Who may not be in its namespace any more is closed; who may not be in a room any more leaves it.

Source: rows S-34, W-F2 and W-F6; pitfall 13.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError

from dtws_sio import dispatch, identity, permissions, security
from dtws_sio.dispatch import ANSWERS, HandlerFailedError, as_event_error
from dtws_sio.rechecks import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.attendance import Attendance
    from dtws_sio.client import Client
    from dtws_sio.dispatch import HandlerTable
    from dtws_sio.identity import HandshakeRequest
    from dtws_sio.manager import Manager


class Standing:
    """
    Holds clients to the terms of their namespaces.

    Args:
        table: Knows the terms.
        manager: Who is in which room.
        attendance: Who is present, for all processes.
        end: Ends a client's connection.
    """

    def __init__(
        self, table: HandlerTable, manager: Manager, attendance: Attendance, end: Callable[[Client], object]
    ) -> None:
        self._table = table
        self._manager = manager
        self._attendance = attendance
        self._end = end

    def has_rules(self, namespace: str) -> bool:
        """Tell whether there is anything in a namespace that may change for somebody without a session."""
        terms = self._table.terms(namespace)
        return terms.may_enter_room is not None or self._table.guards_of_connect(namespace) != ()

    def close(self, client: Client, why: str) -> None:
        """End the connection of a client that may not be here any more; twice is once."""
        if client.is_revoked or client.left is not None:
            return
        client.is_revoked = True
        try:
            security.logger.warning("closed %s: %s", client, why)
            self._end(client)
        except BaseException:
            client.is_revoked = False  # so that the next look tries again
            raise

    def prove(self, client: Client, request: HandshakeRequest) -> None:
        """
        Close a client whose proof of who it is does not hold any more.

        Raises:
            OperationalError, InterfaceError: As `recheck` does.
        """
        self._ask(self._prove, client, request)

    def recheck(self, client: Client, request: HandshakeRequest) -> None:
        """
        Close a client that may not be here any more; take it out of rooms where it may not be.

        Nobody profits from a condition or a rule that fails: the client is closed, and asked again when it comes back.

        Raises:
            OperationalError, InterfaceError: If the database does not answer; the client stays as it is.
        """
        look = self._recheck if client.surroundings is None else partial(client.surroundings.run, self._recheck)
        self._ask(look, client, request)

    def _ask(
        self, look: Callable[[Client, HandshakeRequest], object], client: Client, request: HandshakeRequest
    ) -> None:
        try:
            copy_context().run(look, client, request)
        except (OperationalError, InterfaceError, KeyboardInterrupt):
            raise
        except ANSWERS as denial:
            self.close(client, f"it does not pass any more ({as_event_error(denial).code})")
        except BaseException as error:  # such as the Timeout of eventlet
            dispatch.report(client.origin("rights"), error)
            self.close(client, "whether it may stay cannot be told")

    def _prove(self, client: Client, request: HandshakeRequest) -> None:
        if not client.is_stranger and not request.user.is_authenticated:
            self.close(client, "its proof of who it is does not hold any more")

    def _recheck(self, client: Client, request: HandshakeRequest) -> None:
        client.looks += 1
        self._prove(client, request)
        if client.left is not None:
            return
        guards = [guard for guard in self._table.guards_of_connect(client.namespace) if not guard.needs_data]
        permissions.check(guards, request)
        terms = self._table.terms(client.namespace)
        terms.recheck(client.sid, request)
        self._follow(client, frozenset(identity.topics_of(request)))
        rule = terms.may_enter_room
        if rule is None:
            return
        turn = Turn()
        for room in client.ruled_rooms:
            if not client.is_here:
                return
            if not rule(request, room):
                self._remove(client, room)
            turn.give_way()

    def _follow(self, client: Client, now: frozenset[Any]) -> None:
        """Have a client be in the topics of its user's groups, and of no others."""
        if not client.is_here:
            return
        before, client.topics = client.topics, now
        for room in before - now:
            self._manager.leave_room(client.sid, client.namespace, room)
            self._attendance.left(client, room)
        for room in now - before:
            if client.is_here:  # the attendance may have waited
                self._manager.enter_room(client.sid, client.namespace, room)
                self._attendance.entered(client, room)

    def _remove(self, client: Client, room: Any) -> None:
        """Take a client out of a room in which it may not be any more, and have the namespace tell it."""
        security.logger.warning("took %s out of the room %r, where it may not be any more", client, room)
        self._manager.leave_room(client.sid, client.namespace, room)
        self._attendance.left(client, room)
        told = self._table.terms(client.namespace).removed_from_room
        if told is not None:
            origin = partial(client.origin, "removed_from_room")
            with suppress(HandlerFailedError, *ANSWERS):  # logged already
                dispatch.run(told, (client.sid, room), origin, ANSWERS, client.surroundings)
