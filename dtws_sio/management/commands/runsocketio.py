"""`manage.py runsocketio`."""

from dtws_sio.devserver import Command

__all__ = ["Command"]
