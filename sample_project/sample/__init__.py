"""The project. As Celery's documentation has it, its app is loaded here; without a message queue it does without."""

from __future__ import annotations

import os
from importlib.util import find_spec

HAS_CELERY = "REDIS_URL" in os.environ and find_spec("celery") is not None
"""Whether tasks go to a Celery worker: `pip install -e '.[celery,redis]'`, and REDIS_URL set."""

if HAS_CELERY:
    from sample.celery import app as celery_app

    __all__ = ["celery_app"]
