"""
An Engine.IO server that stands alone and sends every message back.

    python echo.py PORT                                              under eventlet.wsgi
    gunicorn -k dtws_sio.gunicorn.EventletWorker echo:application    under gunicorn

The variables PING_INTERVAL and PING_TIMEOUT, in seconds, replace the times of heartbeats.
"""

from __future__ import annotations

import sys

from dtws_sio import runtime

if __name__ == "__main__":
    runtime.patch()

import os
from typing import Any

from dtws_sio.engine import Server

engine = Server(
    async_mode="eventlet",
    ping_interval=float(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=float(os.environ.get("PING_TIMEOUT", "20")),
    max_http_buffer_size=1_000_000,
)


@engine.on("message")  # type: ignore[untyped-decorator]
def echo(sid: str, data: Any) -> None:
    """Send a message back."""
    engine.send(sid, data)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Hand everything below the endpoint to Engine.IO."""
    if environ["PATH_INFO"].startswith("/engine.io/"):
        return engine.handle_request(environ, start_response)
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


if __name__ == "__main__":
    import eventlet
    from eventlet import wsgi

    wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), application, log_output=False)
