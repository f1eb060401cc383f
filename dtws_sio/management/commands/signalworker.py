"""`manage.py signalworker`: a Celery worker for the project's queues."""

from dtws_sio.signals.queues.command import Command

__all__ = ["Command"]
