"""Stand-in until the real one is merged."""

from typing import Any

from dtws_sio.signals.calls import Call


def run(call: Call) -> Any:
    raise NotImplementedError
