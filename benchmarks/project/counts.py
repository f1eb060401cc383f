"""What the process holds, for the soak to compare."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from django.http import JsonResponse
from eventlet import hubs
from greenlet import greenlet

from dtws_sio import sio

if TYPE_CHECKING:
    from django.http import HttpRequest


def counts(request: HttpRequest) -> JsonResponse:
    """Count after a collection, so that only what is really held counts."""
    gc.collect()
    hub = hubs.get_hub()
    return JsonResponse(
        {
            "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208  the folder's own descriptor counts each time
            "listeners": sum(map(len, hub.listeners.values())) + sum(map(len, hub.secondaries.values())),
            "greenlets": sum(1 for each in gc.get_objects() if issubclass(type(each), greenlet) and not each.dead),
            "sessions": len(sio.eio.sockets) + len(sio.clients._carriers),
            "clients": len(sio.manager._clients),
            "rooms": sum(map(len, sio.manager._members.values())),
            "callbacks": len(sio.manager.callbacks),
            "handlers": sio._pool._running,
            "resident": _resident(),
        }
    )


def _resident() -> int:
    """Give the memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
