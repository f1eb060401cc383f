"""
A process whose clients are present: `presence_process.py URL CHANNEL LEASE-SECONDS NAME...`, on eventlet.

Everybody whom it names enters the room; it prints a line of JSON for each event that the room is told.
"""

from __future__ import annotations

import secrets
import sys

from dtws_sio import runtime

runtime.patch()

from typing import Any  # noqa: E402

from dtws_sio import json  # noqa: E402
from dtws_sio.presence import Member, Presence  # noqa: E402
from dtws_sio.presence.redis import RedisRolls  # noqa: E402


def tell(event: str, data: Any, *, namespace: str, room: str | None, skip_sid: str) -> None:
    """Stand in for `sio.emit`."""
    print(json.dumps([event, data["who"]["name"]]), flush=True)  # noqa: T201


def main(url: str, channel: str, lease_seconds: str, *names: str) -> None:
    """Have everybody enter, some at the same time, and stay."""
    presence = Presence(
        RedisRolls(url, channel=channel, lease_seconds=float(lease_seconds)), tell, lambda namespace, room: True
    )
    presence.start()
    for name in names:
        runtime.spawn(presence.entered, "/", "hall", secrets.token_hex(8), Member(name, {"name": name}))
    while True:
        runtime.sleep(1)


main(*sys.argv[1:])
