"""Nothing of its own: who joins `/signals` needs no handlers here."""

import queued.signals  # noqa: F401
from dtws_sio import sio
from dtws_sio.signals.namespace import register

register(sio)
