"""
Whether clients may still be where they are, asked by a few workers: of each user one client at a time.

Conditions and rules are the project's, and may wait. One user with many clients, in many rooms, holds up nobody else.

Source: row S-34.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from dtws_sio import dispatch, runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.client import Client
    from dtws_sio.identity import HandshakeRequest

WORKERS: Final = 4
"""How many users are looked at side by side; each worker may hold a connection to the database."""

TURN_SECONDS: Final = 0.01
"""After so many seconds it is the turn of others."""


class Turn:
    """Lets others run now and then, in what may take long without waiting."""

    def __init__(self) -> None:
        self._until = time.monotonic() + TURN_SECONDS

    def give_way(self) -> None:
        """Let others run if it is time."""
        if time.monotonic() >= self._until:
            runtime.sleep(0)
            self._until = time.monotonic() + TURN_SECONDS


class Rechecks:
    """
    The clients that are to be looked at again.

    Args:
        recheck: Looks at one, and may wait. It raises only if it cannot tell at the moment.
    """

    def __init__(self, recheck: Callable[[Client, HandshakeRequest], object]) -> None:
        self._recheck = recheck
        self._lock = runtime.lock()
        self._waiting: dict[str, dict[Client, HandshakeRequest]] = {}
        self._users_at_work: set[str] = set()
        self._workers = 0
        self._failures: dict[Client, Exception] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody is to be looked at, or is being looked at."""
        return not self._waiting and not self._users_at_work

    def put(self, client: Client, request: HandshakeRequest) -> None:
        """Have a client looked at with this request; instead of an older one, if it still waits with that."""
        known = client.identity
        user = client.sid if known is None or known.user_key is None else f"user {known.user_key}"
        with self._lock:
            self._waiting.setdefault(user, {})[client] = request

    def start(self) -> None:
        """Let workers begin, as many as there are users, and no more than `WORKERS`."""
        with self._lock:
            wanted = min(WORKERS, len(self._waiting)) - self._workers
            self._workers += max(0, wanted)
        for _ in range(wanted):
            runtime.spawn(self._work)

    def finish(self) -> None:
        """Look at everybody here and now."""
        with self._lock:
            self._workers += 1
        self._work()

    def take_failures(self) -> dict[Client, Exception]:
        """Give those who could not be looked at since the last time, each with what was raised."""
        with self._lock:
            failures, self._failures = self._failures, {}
        return failures

    def _next(self) -> tuple[str, Client, HandshakeRequest] | None:
        """Take a client of the user whose turn it is; that user is last from now on."""
        with self._lock:
            user = next((each for each in self._waiting if each not in self._users_at_work), None)
            if user is None:
                return None
            clients = self._waiting.pop(user)
            client = next(iter(clients))
            request = clients.pop(client)
            if clients:
                self._waiting[user] = clients
            self._users_at_work.add(user)
            return user, client, request

    def _work(self) -> None:
        turn = Turn()
        try:
            while (found := self._next()) is not None:
                user, client, request = found
                try:
                    if client.left is None:
                        self._recheck(client, request)
                except Exception as error:
                    self._failures[client] = error
                finally:
                    self._users_at_work.discard(user)
                turn.give_way()
        finally:
            with self._lock:
                self._workers -= 1
            dispatch.give_back_connections()
