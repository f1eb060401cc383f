"""
The command that works off the queues of Celery.

    python manage.py signalworker                       all queues that DTWS_SIO["QUEUES"] sends to Celery
    python manage.py signalworker -Q reports -c 4       one of them, four processes
    python manage.py signalworker -- --max-tasks-per-child 100

Under DEBUG it starts again when a file changes, and runs one call after the other.

Source: row F-14.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import autoreload

from dtws_sio.signals.queues.brokered import celery_task, has_celery, is_default_app, queues_of

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

APP: Final = "CELERY_APP"
"""The environment variable by which Celery's own command finds the app too."""


class Command(BaseCommand):
    """`manage.py signalworker`."""

    help = "Runs the functions of signals that DTWS_SIO['QUEUES'] sends to Celery."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the options of Celery's worker that are used most; what follows -- is passed on as it is."""
        parser.add_argument(
            "-Q", "--queues", help="Names of queues with commas between them; all of Celery's if absent."
        )
        parser.add_argument("-c", "--concurrency", help="How many calls run at once.")
        parser.add_argument("-P", "--pool", help="Celery's pool: prefork, threads, solo, eventlet, gevent.")
        parser.add_argument("-l", "--loglevel", default="INFO")
        parser.add_argument("-A", "--app", help="The module of the Celery app, if the project does not load it itself.")
        parser.add_argument("--noreload", action="store_true", help="Do not start again when a file changes.")
        parser.add_argument("celery", nargs="*", metavar="-- ...", help="Further options of `celery worker`.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        arguments = worker_arguments(options, is_debug=django_settings.DEBUG)
        app = _find_app(options["app"] or os.environ.get(APP))
        celery_task()
        if django_settings.DEBUG and not options["noreload"]:
            autoreload.run_with_reloader(app.worker_main, arguments)
        else:
            app.worker_main(arguments)


def worker_arguments(options: dict[str, Any], *, is_debug: bool) -> list[str]:
    """
    Give the arguments of Celery's worker.

    Raises:
        CommandError: If Celery is not installed, or has no queue, or none of that name.
    """
    if not has_celery():
        raise CommandError("Celery is not installed: pip install 'dtws_sio[celery]'")
    queues = _queues(options["queues"])
    arguments = ["worker", "-Q", ",".join(queues), "-l", options["loglevel"]]
    is_plain = is_debug and not options["concurrency"] and not options["pool"]
    concurrency, pool = ("1", "solo") if is_plain else (options["concurrency"], options["pool"])
    for name, value in (("-c", concurrency), ("-P", pool)):
        arguments += [name, value] if value else []
    return [*arguments, *options["celery"]]


def _queues(wanted: str | None) -> list[str]:
    known = queues_of("celery")
    if not known:
        raise CommandError(
            "DTWS_SIO['QUEUES'] sends no queue to Celery; write DTWS_SIO = {'QUEUES': {'reports': 'celery'}}. The "
            "other queues are worked off by the processes that trigger signals, and those of Django's tasks by the "
            "worker of the backend in the setting TASKS"
        )
    chosen: Sequence[str] = known if wanted is None else wanted.split(",")
    for name in chosen:
        if name not in known:
            raise CommandError(f"Celery has no queue {name!r} in DTWS_SIO['QUEUES']; its queues are {', '.join(known)}")
    return list(chosen)


def _find_app(path: str | None) -> Any:
    """Give the project's Celery app. Raises CommandError if there is none."""
    from celery import current_app
    from celery.app.utils import find_app

    if path is not None:
        try:
            return find_app(path)
        except (ImportError, AttributeError) as error:
            raise CommandError(f"there is no Celery app in {path!r}: {error}") from error
    if is_default_app(current_app):
        raise CommandError(
            "the project loads no Celery app; make one in celery.py of the project's package and import it in the "
            f"package's __init__.py, as Celery's documentation says, or name its module by -A or {APP}"
        )
    return current_app._get_current_object()
