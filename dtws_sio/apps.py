"""The Django application: imports every app's `sockets.py` and `signals.py`, and registers the system checks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules

from dtws_sio import launch, marks

if TYPE_CHECKING:
    from types import ModuleType


class DtwsSioConfig(AppConfig):
    """
    Configuration of the app `dtws_sio`.

    `manage.py runsocketio` hands over to a patched process from here, the first moment that Django gives an app: the
    command itself is only looked for when every app was imported, and a broken one would end everything before.
    """

    name = "dtws_sio"
    verbose_name = "Socket.IO"

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        super().__init__(app_name, app_module)
        if launch.is_due(sys.argv):
            launch.relaunch(sys.argv)

    def ready(self) -> None:
        """
        Register the checks, follow Django's signals, and import `sockets.py` and `signals.py` of every installed app.

        What one of those raises stops the start.
        """
        from dtws_sio.checks import check_ancestors, check_client_address, check_database, check_paths, check_settings
        from dtws_sio.signals.queues.checks import check_queues

        for check in (check_settings, check_client_address, check_paths, check_ancestors, check_database, check_queues):
            checks.register(check, "dtws_sio")
        from dtws_sio.server import sio
        from dtws_sio.signals import namespace, queues

        sio.follow_signals()
        namespace.register(sio)
        queues.prepare()
        autodiscover_modules("sockets", "signals")
        marks.check_order()
