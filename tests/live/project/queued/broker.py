"""The Celery app, as Celery's documentation has it."""

from celery import Celery

app = Celery("queued")
app.config_from_object("django.conf:settings", namespace="CELERY")
