"""
System checks of the queues: what would only be noticed when the first call comes, is told at the start.

Source: rows F-13 and F-17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Warning

from dtws_sio import conf
from dtws_sio.exceptions import DtwsSioError
from dtws_sio.signals import registry
from dtws_sio.signals.queues import brokered
from dtws_sio.signals.queues.names import possible_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.apps import AppConfig


def check_queues(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Report queues that do not exist, cannot work here, or that nothing serves (dtws_sio.E010 to E012, W010, W011)."""
    try:
        settings = conf.settings()
    except conf.ConfigurationError:
        return []  # told by `check_settings`
    found = [*_unknown(settings), *_impossible(settings)]
    return [*found, *_unserved(settings), *_mute(settings)]


def _unknown(settings: conf.Settings) -> Iterator[Error]:
    for connected in registry.REGISTERED.values():
        for connection in connected:
            for name in possible_names(connection.queue):
                if name not in settings.queues:
                    yield Error(
                        f"The function connected to {connection} runs in the queue {name!r}, which does not exist.",
                        hint=f"Add {name!r} to DTWS_SIO['QUEUES']; it has {', '.join(sorted(settings.queues))}.",
                        id="dtws_sio.E010",
                    )


def _impossible(settings: conf.Settings) -> Iterator[Error]:
    for name, queue in settings.queues.items():
        if queue.backend == "celery" and not brokered.has_celery():
            yield Error(
                f"DTWS_SIO['QUEUES'][{name!r}] is 'celery', and Celery is not installed.",
                hint="pip install 'dtws_sio[celery]'",
                id="dtws_sio.E011",
            )
        elif queue.backend == "threads" and settings.runtime == "gevent":
            yield Error(
                f"DTWS_SIO['QUEUES'][{name!r}] is 'threads', which do not work with DTWS_SIO['RUNTIME'] = 'gevent'.",
                hint="Use 'processes' for what computes, and 'pool' for what waits.",
                id="dtws_sio.E011",
            )
        elif queue.backend == "tasks":
            try:
                brokered.alias_of(name)
            except DtwsSioError as error:
                yield Error(str(error), id="dtws_sio.E012")


def _unserved(settings: conf.Settings) -> Iterator[Warning]:
    if brokered.queues_of("celery") and brokered.has_celery():
        from celery import current_app

        if brokered.is_default_app(current_app):
            yield Warning(
                f"No Celery app is loaded, and the queues {', '.join(brokered.queues_of('celery'))} go to Celery.",
                hint="Make one in celery.py of the project's package, and import it in the package's __init__.py.",
                id="dtws_sio.W010",
            )
    for name in brokered.queues_of("tasks") if brokered.has_tasks() else ():
        try:
            is_dummy = brokered.runs_nothing(name)
        except DtwsSioError:
            continue
        if is_dummy:
            yield Warning(
                f"The queue {name!r} goes to a backend of TASKS that runs nothing.",
                hint="Its DummyBackend only records tasks, for tests.",
                id="dtws_sio.W010",
            )


def _mute(settings: conf.Settings) -> Iterator[Warning]:
    """Name queues whose functions run in processes that serve nobody, and could tell pages nothing."""
    elsewhere = [name for name, queue in settings.queues.items() if queue.backend not in ("pool", "threads")]
    if elsewhere and settings.message_queue is None:
        yield Warning(
            f"What functions in the queues {', '.join(sorted(elsewhere))} trigger reaches no page: they run in other "
            "processes, and there is no message queue.",
            hint="Set DTWS_SIO['MESSAGE_QUEUE'] to a URL such as 'redis://localhost:6379/0'.",
            id="dtws_sio.W011",
        )
