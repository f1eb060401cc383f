"""
The namespace `/signals`, over which pages and the server call each other.

A page joins with its token, is in the room of each topic that it was given, and of its window. What it triggers is an
event `signal` with `{"signal", "opts", "id"}`; the acknowledgement is `{"ok", "results", "errors"}`. The other end is
static/src/signals.js.

Source: rows S-04, S-06, S-34, S-35, W-F1, W-F2 and W-F6 to W-F8.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from dtws_sio import conf, security
from dtws_sio.dispatch import Deferred
from dtws_sio.exceptions import EventError, PermissionDeniedError, UnknownSignalError, ValidationError
from dtws_sio.namespaces import Namespace
from dtws_sio.permissions import SIGN_IN
from dtws_sio.signals import queues, registry, tokens
from dtws_sio.signals.outcomes import Outcome
from dtws_sio.signals.permissions import needs_user, server_side
from dtws_sio.signals.registry import DEFAULT_QUEUE, NAMESPACE, SignalConnection
from dtws_sio.signals.tokens import Window
from dtws_sio.signals.triggers import EVENT, enqueue
from dtws_sio.signals.windows import WindowInfo
from dtws_sio.validation import copied
from dtws_sio.validation.refusals import MOST_MESSAGES, short_name

if TYPE_CHECKING:
    from dtws_sio.client import Client
    from dtws_sio.identity import HandshakeRequest
    from dtws_sio.server import Server

logger = logging.getLogger("dtws_sio.signals")

ANSWER_SECONDS: Final = 60.0
"""How long a page is kept waiting for what a queue does; after that it learns that the call is queued."""

WINDOW_KEY: Final = "window"
"""Where the window is kept in the client's session."""

TOPIC_LOST: Final = "dtws_sio.topic_lost"
"""The signal that a window gets when the topic rule takes a topic away; which one, the server keeps to itself."""

MESSAGE_KEYS: Final = frozenset({"signal", "opts", "id"})


class Signals(Namespace):
    """Lets windows in, and calls functions for them."""

    def __init__(self) -> None:
        super().__init__(NAMESPACE)

    # Who is here

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Let a window in, with the topics of its token. One without a token has no topics but its own."""
        request = self.request(sid)
        token = (auth or {}).get("window")
        window = Window(secrets.token_urlsafe(16)) if token is None else tokens.verified(token, request)
        self.server.get_session(sid, self.namespace)[WINDOW_KEY] = window
        for topic in (window.topic, *window.topics):
            try:
                self.enter_room(sid, topic)
            except PermissionDeniedError as error:
                security.logger.warning("the window %s may not watch %s: %s", sid, topic, error.code)

    def may_enter_room(self, request: HandshakeRequest, room: Any) -> bool:
        """Ask the project's topic rule about everything but the window itself."""
        return tokens.is_window_topic(room) or tokens.may_watch(request, room)

    def recheck(self, sid: str, request: HandshakeRequest) -> None:
        """Refuse a window whose user has lost a right since its page was made."""
        window = self.server.get_session(sid, self.namespace).get(WINDOW_KEY)
        if window is not None:  # else it is still to be let in
            tokens.check_rights(window, request.user)

    def removed_from_room(self, sid: str, room: Any) -> None:
        """Tell a window that it does not hear of one of its topics any more, by a signal of its own."""
        self.emit(EVENT, {"signal": TOPIC_LOST, "opts": {}, "id": uuid4().hex}, to=sid)

    # What they trigger

    def on_signal(self, sid: str, message: Any) -> Any:
        """Call the functions that are connected to a signal, as far as the page may, and tell it what became of it."""
        window_info = WindowInfo.from_request(
            self.request(sid), self.server.get_session(sid, self.namespace)[WINDOW_KEY]
        )
        client: Client = self.server.manager.find(sid, self.namespace)
        try:
            name, kwargs = _read(message)
            parts = [self._begin(client, each, window_info, kwargs) for each in _for_pages(name)]
        except EventError as error:
            return Outcome(errors=[error.answer]).as_answer()
        if all(isinstance(part, Outcome) for part in parts):
            return _answer(parts)
        return Deferred(partial(_answer, parts))

    def _begin(
        self, client: Client, connection: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any]
    ) -> Part:
        """Check whether a page may call a function so; only then call it, or hand it to its queue."""

        def begin() -> Any:
            self._admit(client, connection, window_info, kwargs)
            queue = connection.get_queue(window_info, kwargs)
            if _runs_here(queue):
                return registry.call_here(connection, window_info, kwargs)
            connection.check(kwargs)
            return enqueue(connection, window_info, kwargs, queue)

        outcome = Outcome()
        outcome.note(partial(registry.isolated, connection, window_info, begin))
        for result in outcome.results:
            if isinstance(result, queues.Pending):
                return partial(registry.isolated, connection, window_info, partial(_wait, result))
        return outcome

    def _admit(
        self, client: Client, connection: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any]
    ) -> None:
        """Ask limits and permission. Raises EventError, which is counted and logged, if one of them says no."""
        clients = self.server.clients
        place = f"signal {connection.path} {connection.name}"
        try:
            clients.answering.check_limits(client, connection.limits, (place, NAMESPACE))
            if not connection.is_allowed_to(connection, window_info, copied(kwargs)):
                is_stranger = needs_user(connection.is_allowed_to) and window_info.is_anonymous
                raise PermissionDeniedError(SIGN_IN, code="login_required") if is_stranger else PermissionDeniedError
        except EventError as error:
            clients.answering.tell_denial(client.origin(place), error)
            raise


Part = Outcome | Callable[[], Any]
"""What became of one function, or what waits for that."""


def _read(message: Any) -> tuple[str, dict[str, Any]]:
    """Give the name of a signal and its arguments, as a page sends them. Raises ValidationError if they are none."""
    if not isinstance(message, dict):
        raise ValidationError({"": ["should be an object with the keys signal, opts and id"]})
    name, kwargs = message.get("signal"), message.get("opts")
    errors = {short_name(key): ["is unknown"] for key in message if key not in MESSAGE_KEYS}
    if not isinstance(name, str):
        errors["signal"] = ["should be the name of a signal"]
    if not isinstance(kwargs, dict | None):
        errors["opts"] = ["should be an object"]
    if errors:
        raise ValidationError(dict(islice(errors.items(), MOST_MESSAGES)))
    return str(name), kwargs or {}


def _for_pages(name: str) -> list[SignalConnection]:
    """Give the functions that some page may call; for pages there are no others. Raises UnknownSignalError if none."""
    found = [each for each in registry.connections(name) if each.is_allowed_to is not server_side]
    if not found:
        logger.info("a page triggers %r, to which nothing is connected that pages may call", name[:100])
        raise UnknownSignalError(name)
    return found


def _runs_here(queue: str) -> bool:
    """Tell whether a queue is the default one, without bounds of its own: handlers have a pool already."""
    queues.check_name(queue)
    return queue == DEFAULT_QUEUE and conf.settings().queues[queue] == conf.Queue()


def _wait(pending: queues.Pending) -> Any:
    try:
        return pending.wait(ANSWER_SECONDS)
    except queues.StillRunningError:
        return {"queued": None}


def _answer(parts: Sequence[Part]) -> dict[str, Any]:
    """Put together what became of all functions, in their order, once that is known."""
    outcome = Outcome()
    for part in parts:
        if isinstance(part, Outcome):
            outcome.add(part)
        else:
            outcome.note(part)
    return outcome.as_answer()


def register(server: Server) -> None:
    """Let clients of a server join the namespace, unless they may already."""
    if NAMESPACE not in dict(server.table):
        server.register_namespace(Signals())
