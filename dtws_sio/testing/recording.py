"""Signals that are recorded instead of sent, and calls that run when a test wants them to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dtws_sio.exceptions import EmitError, TopicError
from dtws_sio.signals import outlets
from dtws_sio.signals.calls import Call, dumps, loads
from dtws_sio.signals.queues import check_name
from dtws_sio.signals.queues.execution import perform
from dtws_sio.signals.queues.pending import Pending
from dtws_sio.signals.targets import BROADCAST, Target, flattened, rooms
from dtws_sio.signals.triggers import DELAYED
from dtws_sio.signals.windows import WindowInfo

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from django.http import HttpRequest

    from dtws_sio.topics import Topic


MOST_FOLLOWING: Final = 1000
"""Calls that `SignalQueue.execute` runs beyond those that waited when it began."""


@dataclass(frozen=True, slots=True)
class Emit:
    """
    A signal that was sent to windows.

    Attributes:
        signal: Its name.
        opts: Its arguments, as pages get them: what JSON makes of dates is text.
    """

    signal: str
    opts: dict[str, Any] = field(default_factory=dict)


class SignalQueue:
    """
    Records what is triggered while it is active, in the order in which it was, instead of sending and queueing it.

    Used by `with`, or from `activate` to `deactivate`. They nest: the innermost gets everything. Calls travel through
    JSON as they do to a worker. No worker, message queue or Celery is needed.

    Args:
        immediate: Whether calls run at once, in the thread that triggers them; what a function raises is then raised
            there. Delays are not waited for.

    Attributes:
        emits: What was sent to windows, by topic; that of every window is BROADCAST.
        calls: What was queued for functions of the server, by the name of the queue.

    Source: row S-52.
    """

    def __init__(self, *, immediate: bool = False) -> None:
        self.immediate = immediate
        self.emits: dict[Topic | Target, list[Emit]] = {}
        self.calls: dict[str, list[Call]] = {}
        self._waiting: Final[deque[Call]] = deque()

    def activate(self) -> None:
        """Begin to record."""
        outlets.push(self)

    def deactivate(self) -> None:
        """Record no more; what was recorded stays. Raises RuntimeError if another one was activated since."""
        outlets.pop(self)

    def __enter__(self) -> SignalQueue:
        self.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.deactivate()

    def emits_to(self, to: Any, window: HttpRequest | WindowInfo | None = None) -> list[Emit]:
        """
        Give what was sent to somebody.

        Args:
            to: As for `trigger`: WINDOW, USER, SESSION, BROADCAST, text, an object; not a list.
            window: What WINDOW, USER and SESSION are about.

        Raises:
            TopicError: If it has no topic, or is a list.
        """
        topics = rooms(flattened(to), WindowInfo.from_request(window))
        if topics is not None and len(topics) != 1:
            raise TopicError(
                f"emits_to({to!r:.100}) names {len(topics)} recipients; give one of those that windows watch, such as "
                "USER or an object. What was for SERVER is in `calls`"
            )
        return list(self.emits.get(BROADCAST if topics is None else topics[0], ()))

    def execute(self, queues: Collection[str] | None = None) -> list[Any]:
        """
        Run the calls that wait, first come, first served, and those that they queue meanwhile; each runs once.

        Args:
            queues: Names of the queues whose calls run; all of them if it is left out.

        Returns:
            What the functions returned.

        Raises:
            QueueError: If there is no queue of such a name.
            RuntimeError: If functions queued more than `MOST_FOLLOWING` calls meanwhile.
            Exception: Whatever a function raises; the calls after it still wait.
        """
        for name in queues or ():
            check_name(name)
        results: list[Any] = []
        most = len(self._waiting) + MOST_FOLLOWING
        while (call := self._next(queues)) is not None:
            if len(results) == most:
                raise RuntimeError(
                    f"{most} calls were executed, and {call} waits still; does its function trigger itself again? "
                    "Execute the calls of one queue, or have the function stop in tests"
                )
            results.append(perform(call))
        return results

    def _next(self, queues: Collection[str] | None) -> Call | None:
        found = next((call for call in self._waiting if queues is None or call.queue in queues), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    # What `outlets` hands over

    def submit(self, call: Call) -> Pending:
        """Take a call. Raises CallError and QueueError as a real queue does."""
        check_name(call.queue)
        call = Call.from_json(call.to_json())
        if call.signal == DELAYED:
            self.emit(call.kwargs["rooms"], call.kwargs["message"])
            return Pending.of(None)
        self.calls.setdefault(call.queue, []).append(call)
        if self.immediate:
            return Pending.of(perform(call))
        self._waiting.append(call)
        return Pending.of({"queued": f"{call.queue}-{len(self.calls[call.queue])}"})

    def emit(self, topics: list[Topic] | None, message: dict[str, Any]) -> None:
        """Take what is for windows. Raises EmitError if it has no JSON form."""
        try:
            opts = loads(dumps(message["opts"]))
        except (TypeError, ValueError) as error:
            raise EmitError(f"the arguments of the signal {message['signal']!r} cannot be sent: {error}") from error
        for topic in [BROADCAST] if topics is None else topics:
            self.emits.setdefault(topic, []).append(Emit(message["signal"], opts))
