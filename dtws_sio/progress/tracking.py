"""A loop as a job: the bar begins and finishes around it, and moves with each thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.utils.functional import Promise

from dtws_sio.progress.course import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dtws_sio.progress.bars import Bar
    from dtws_sio.progress.course import Course
    from dtws_sio.progress.jobs import Jobs
    from dtws_sio.progress.state import Number, State

T = TypeVar("T")


def track(
    bar: Bar,
    course: Course,
    jobs: Jobs,
    things: Iterable[T],
    *,
    label: str | Callable[[T], str] | None,
    total: Number | None,
) -> Iterator[T]:
    """Give things one by one, and tick after each; as `Bar.track`."""
    count = _length(things) if total is None else total

    def size(state: State) -> State:
        return state.sized(count)

    ends = jobs.enter(size)
    try:
        if not ends and count != 0 and size(course.state) != course.state:
            course.in_hub(course.change, size, False, True)
        if isinstance(label, (str, Promise)):
            bar.tick(str(label), steps=0)
        name = label if callable(label) else _nothing
        for thing in things:
            bar.check()
            text = name(thing)
            if text is not None and not course.has_ended:
                bar.tick(text, steps=0)
            yield thing
            if not course.has_ended:
                bar.tick()
        bar.check()
    except GeneratorExit:
        jobs.leave(StoppedError() if ends else None, ends=ends)
        raise
    except BaseException as error:
        jobs.leave(error, ends=ends)
        raise
    else:
        jobs.leave(None, ends=ends)


def _nothing(thing: object) -> str | None:
    return None


def _length(things: Iterable[Any]) -> int | None:
    try:
        return len(things)  # type: ignore[arg-type]
    except TypeError:
        return None
