"""
Files on their way into the database: a form brings them, a socket's handler reads them.

A form can send a file of any size; a socket's message has a bound, DTWS_SIO["MAX_PAYLOAD"].
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core import signing
from django.core.files.storage import default_storage
from dtws_sio import EventError

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

SALT: Final = "bars.uploads"
MAX_AGE: Final = 3600
"""Seconds for which an upload can be imported."""


def keep(upload: UploadedFile) -> str:
    """Store a file, and return a token for it: only who has that can have the file imported."""
    name = default_storage.save(f"uploads/{uuid.uuid4()}.csv", upload)
    return signing.dumps(name, salt=SALT)


def path_of(token: Any) -> Path:
    """
    Return where the file of a token is.

    Raises:
        EventError: If this is no token, or the file is gone.
    """
    try:
        path = Path(default_storage.path(signing.loads(token, salt=SALT, max_age=MAX_AGE)))
    except (signing.BadSignature, TypeError, AttributeError):
        raise EventError("Upload the file again.", code="no_upload") from None
    if not path.is_file():
        raise EventError("This file was imported already; upload it again.", code="no_upload")
    return path
