"""The project in `project/`, served by either server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.live.servers import ROOT, Server, free_port, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROJECT: Final = Path(__file__).parent / "project"

TRANSPORTS: Final = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
"""What a client is told to use: long-polling alone, WebSocket alone, or the first until the second works."""


def manage(*arguments: str, folder: Path | str = PROJECT) -> list[str]:
    """Give the command line of a command of `manage.py`."""
    return [sys.executable, str(Path(folder, "manage.py")), *arguments]


def runsocketio(port: int, *options: str) -> list[str]:
    """Give the command line of the development server, which stays in one process."""
    return manage("runsocketio", f"127.0.0.1:{port}", "--noreload", *options)


def gunicorn(port: int, *options: str) -> list[str]:
    """Give the command line of gunicorn with the project's worker."""
    from gunicorn.config import KNOWN_SETTINGS

    if any(setting.name == "control_socket_disable" for setting in KNOWN_SETTINGS):
        options = ("--no-control-socket", *options)
    base = [sys.executable, "-m", "gunicorn", "-k", "dtws_sio.gunicorn.EventletWorker", "-b", f"127.0.0.1:{port}"]
    return [*base, *options, "wsgi:application"]


KINDS: Final[dict[str, Callable[..., list[str]]]] = {"runsocketio": runsocketio, "gunicorn": gunicorn}
"""The servers that every behaviour is tested with."""


def environment(settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """
    Give the variables with which the project runs.

    pytest-django has set DJANGO_SETTINGS_MODULE for its own process. No byte code is left behind: it would be stale for
    files that change twice in a second.
    """
    replaced = json.dumps(settings or {})
    return {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONDONTWRITEBYTECODE": "1", "LIVE_SETTINGS": replaced}


@contextmanager
def running(
    kind: str,
    *options: str,
    settings: Mapping[str, Any] | None = None,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """
    Serve the project while the block runs.

    Args:
        kind: A key of KINDS.
        options: Further options for that server.
        settings: Django settings that replace the project's.
        port: Where to listen; a free port if it is left out.
        env: Further environment variables.
    """
    port = port or free_port()
    variables = {**environment(settings), **(env or {})}
    argv = KINDS[kind](port, *options)
    with serve(argv, cwd=PROJECT, ready_url=f"http://127.0.0.1:{port}/pid/", env=variables) as server:
        yield server


def run(
    *arguments: str, settings: Mapping[str, Any] | None = None, cwd: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run a Python command line in the project to its end."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment(settings)}
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=env,
        text=True,
        check=False,
        timeout=60,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def get(site: Server, path: str, **query: str) -> Any:
    """Fetch a page of the site; JSON is decoded."""
    url = f"{site.url}{path}" + (f"?{urlencode(query)}" if query else "")
    with urllib.request.urlopen(url, timeout=10) as answer:
        body = answer.read()
        return json.loads(body) if answer.headers.get_content_type() == "application/json" else body.decode()


def post(site: Server, path: str, body: Any) -> str:
    """Post bytes, or anything else as JSON, to a page of the site."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(site.url + path, data, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def lives(site: Server, tag: str) -> list[str]:
    """Give what happened to the clients that brought a tag."""
    happened: list[str] = get(site, f"/lives/{tag}/")
    return happened


def emit(site: Server, event: str, data: Any = None, **arguments: Any) -> None:
    """Have a plain Django view of the site emit."""
    assert post(site, "/emit/", {"event": event, "data": data, **arguments}) == "emitted"
