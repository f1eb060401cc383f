"""An app whose signals run in queues of every kind; a Celery project loads its Celery app so, too."""

from queued.broker import app

__all__ = ["app"]
