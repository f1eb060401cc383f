"""`manage.py runsocketio`, and `runserver` where `dtws_sio` stands above `django.contrib.staticfiles`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import django
import pytest
import requests
import socketio

from tests.live import sites, wire
from tests.live.servers import ROOT, Server, eventually, free_port, serve
from tests.live.services import program
from tests.live.sites import get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = pytest.mark.live

COMMANDS: Final = ("runsocketio", "runserver")

PLAIN: Final = {"INSTALLED_APPS": ["django.contrib.staticfiles", "dtws_sio", "playground"]}
"""With `dtws_sio` below, `runserver` stays Django's own."""


@contextmanager
def dev(
    command: str,
    *options: str,
    settings: Mapping[str, Any] | None = None,
    folder: Path = sites.PROJECT,
    **more: Any,
) -> Iterator[Server]:
    """Run a command of `manage.py` on a free port, reloading unless `--noreload` is among the options."""
    port = free_port()
    argv = sites.manage(command, f"127.0.0.1:{port}", *options, folder=folder)
    more = {"ready_url": f"http://127.0.0.1:{port}/pid/", "env": sites.environment(settings), **more}
    with serve(argv, cwd=more.pop("cwd", folder), **more) as server:
        yield Server(server.process, port, server.log_path)


def outcome(argv: Sequence[str], *, settings: Mapping[str, Any] | None = None, **env: str) -> tuple[int, str]:
    """Run a command line that should end by itself, and give its exit status and what it printed."""
    variables = {**sites.environment(settings), **env}
    with serve(argv, cwd=sites.PROJECT, env=variables) as server:
        return server.wait_for_exit(), server.log()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy the project, so that a test may edit it; its sockets.py answers `version` with 1."""
    folder = tmp_path / "project"
    shutil.copytree(sites.PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    sockets(folder).write_text(sockets(folder).read_text() + VERSION.format(1))
    return folder


VERSION: Final = """

@sio.on("version")
def answer_version(sid: str) -> int:
    return {}
"""


def sockets(project: Path) -> Path:
    return project / "playground" / "sockets.py"


def answered(site: Server, *event: Any) -> Any:
    """Ask with a new client; None if the server does not answer now."""
    try:
        with wire.connected(site) as page:
            page.join("/")
            return page.ask(*event)
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- what it says


@pytest.mark.parametrize("command", COMMANDS)
def test_the_start_is_summed_up(command: str) -> None:
    """Row D-08: address, path, runtime, and the namespaces with their events."""
    settings = {"DTWS_SIO": {"PATH": "live"}}
    with dev(command, "--noreload", settings=settings) as site:
        log = site.log()
    runtime = f"on eventlet {version('eventlet')}"
    assert f"Django {django.get_version()} {runtime}, settings settings\n" in log
    assert f"Serving {site.url}/ with Socket.IO at /live/\n" in log
    assert re.search(r"^  /chat +connect, disconnect, echo$", log, re.MULTILINE)
    assert re.search(r"^  / +ask, connect, .*, work$", log, re.MULTILINE)
    assert "Quit with CONTROL-C" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("command", COMMANDS)
def test_the_console_shows_who_comes_and_goes(command: str) -> None:
    with dev(command, "--noreload") as site:
        with wire.connected(site) as page:
            sid = page.join("/chat")
            page.send('40/guarded,{"how":"reason"}')
            page.send("40/nobody,")
            site.wait_for_log("there is no such namespace")
        site.wait_for_log("disconnected ")
        get(site, "/")
        log = site.wait_for_log('"GET / HTTP/1.1" 200')
    assert f"] connected /chat {sid} (127.0.0.1)\n" in log
    assert re.search(r"\] refused /guarded \S+ \(127\.0\.0\.1\): wrong password\n", log)
    assert "] refused /nobody (127.0.0.1): there is no such namespace\n" in log
    assert f"] disconnected /chat {sid} (127.0.0.1): transport close\n" in log


# ---- reloading


@pytest.mark.parametrize("command", COMMANDS)
def test_a_changed_file_is_picked_up(command: str, project: Path) -> None:
    with dev(command, folder=project) as site:
        assert answered(site, "version") == [1]
        change(sockets(project), VERSION.format(1), VERSION.format(2))
        eventually(lambda: answered(site, "version") == [2], "the new version", seconds=15)
        assert "changed, reloading" in site.log()


def change(path: Path, old: str, new: str) -> None:
    """Edit a file as an editor does: the reloader looks at its time once a second."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BROKEN: Final = "raise ZeroDivisionError('broken on purpose')\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["playground/sockets.py", "playground/models.py"])
def test_a_file_that_is_broken_at_the_start_waits_for_its_mend(command: str, name: str, project: Path) -> None:
    path = project / name
    good = path.read_text()
    path.write_text(BROKEN + good)
    with dev(command, folder=project, ready_url=None) as site:
        log = site.wait_for_log("ZeroDivisionError: broken on purpose")
        assert "Traceback (most recent call last)" in log
        time.sleep(1.2)  # the reloader takes its first look at the files
        assert site.process.poll() is None, "it waits"
        path.write_text(good)
        eventually(lambda: answered(site, "version") == [1], "an answer after the mend", seconds=15)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_breaks_later_waits_for_its_mend(command: str, project: Path) -> None:
    path = sockets(project)
    good = path.read_text()
    with dev(command, folder=project) as site:
        assert answered(site, "version") == [1]
        path.write_text(BROKEN + good)
        log = site.wait_for_log("ZeroDivisionError: broken on purpose", seconds=15)
        assert "Traceback (most recent call last)" in log
        assert answered(site, "version") is None
        time.sleep(1.2)  # the reloader takes its first look at the files
        assert site.process.poll() is None, "it waits"
        path.write_text(good)
        eventually(lambda: answered(site, "version") == [1], "an answer after the mend", seconds=15)


@pytest.mark.parametrize("options", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs_from_another_folder(command: str, options: list[str], project: Path) -> None:
    with dev(command, *options, folder=Path("project"), cwd=project.parent) as site:
        assert answered(site, "version") == [1]
        assert Path(f"/proc/{get(site, '/pid/')}/cwd").resolve() == project.parent.resolve()


def test_without_reloading_a_change_waits_for_a_restart(project: Path) -> None:
    with dev("runsocketio", "--noreload", folder=project) as site:
        pid = get(site, "/pid/")
        assert int(pid) == site.process.pid, "and there is one process only"
        change(sockets(project), VERSION.format(1), VERSION.format(2))
        time.sleep(1.5)
        assert answered(site, "version") == [1]
        assert get(site, "/pid/") == pid


# ---- static files


@pytest.mark.parametrize(
    ("options", "settings", "status"),
    [
        ([], {}, 200),
        (["--nostatic"], {}, 404),
        ([], {"DEBUG": False}, 404),
        (["--insecure"], {"DEBUG": False}, 200),
        ([], {"INSTALLED_APPS": ["dtws_sio", "playground"]}, 404),
    ],
    ids=["debug", "nostatic", "production", "insecure", "without staticfiles"],
)
def test_static_files_follow_the_rules_of_runserver(options: list[str], settings: dict[str, Any], status: int) -> None:
    """Row D-07."""
    with dev("runsocketio", "--noreload", *options, settings=settings) as site:
        with requests.get(f"{site.url}/static/playground/style.css", timeout=10) as answer:
            assert answer.status_code == status
            assert (answer.text == "body { color: black; }\n") is (status == 200)
        assert answered(site, "echo", 1) == [1]


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Make a self-signed certificate for 127.0.0.1, and give the files with it and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv = [program("openssl"), "req", "-x509", *curve, "-keyout", key, "-out", cert, *subject]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("options", [[], ["--noreload"]], ids=["reload", "noreload"])
def test_https_is_served_and_plain_http_on_it_harms_nobody(certificate: tuple[str, str], options: list[str]) -> None:
    """Rows D-09, W-D17."""
    cert, key = certificate
    with dev("runsocketio", "--cert", cert, "--key", key, *options, ready_url=None) as site:
        site.wait_for_log("Quit with CONTROL-C")
        assert f"Serving https://127.0.0.1:{site.port}/ with" in site.log()
        for _ in range(3):
            with pytest.raises(OSError):  # noqa: PT011  reset or closed, as the handshake fails
                get(site, "/pid/")
        url = f"https://127.0.0.1:{site.port}"
        trusting = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
            assert answer.read() == b"home at /"
        with requests.Session() as http:
            http.verify, http.trust_env = cert, False
            page = socketio.Client(reconnection=False, handle_sigint=False, http_session=http)
            page.connect(url, transports=["polling", "websocket"], wait_timeout=10)
            try:
                eventually(lambda: page.transport() == "websocket", "the upgrade to wss")
                assert page.call("echo", 1) == 1
            finally:
                page.disconnect()
                page.eio.wait()
                page.eio.ws.shutdown()


# ---- what is refused: exit status 1, and one clear line


def runsocketio(*arguments: str) -> list[str]:
    return sites.manage("runsocketio", *arguments)


REFUSED: Final = {
    "unknown key": ([], {"DTWS_SIO": {"MESAGE_QUEUE": "x"}}, '"MESAGE_QUEUE"', '"MESSAGE_QUEUE"?'),
    "wrong type": ([], {"DTWS_SIO": {"PORT": "eighty"}}, "'eighty'", "from 1 to 65535"),
    "bad addrport": (["nonsense:port"], {}, "nonsense:port", "not a valid port number"),
    "missing cert": (["127.0.0.1:{port}", "--cert", "no-such.pem"], {}, "no-such.pem", "cannot be used"),
    "key alone": (["127.0.0.1:{port}", "--key", "k.pem"], {}, "--key", "--cert"),
    "another runtime": ([], {"DTWS_SIO": {"RUNTIME": "gevent"}}, "'gevent'", "development server"),
    "without reloading": (["--noreload"], {"DTWS_SIO": {"MESAGE_QUEUE": "x"}}, '"MESAGE_QUEUE"', '"MESSAGE_QUEUE"?'),
}


@pytest.mark.parametrize(("arguments", "settings", "value", "remedy"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_work_is_refused_in_one_line(
    arguments: list[str], settings: dict[str, Any], value: str, remedy: str
) -> None:
    """Rows D-02, D-08, W-D18."""
    filled = [argument.format(port=free_port()) for argument in arguments]
    status, log = outcome(runsocketio(*filled), settings=settings)
    assert status == 1, log
    assert value in only_line(log)
    assert remedy in only_line(log)


def only_line(log: str) -> str:
    """Give the one line of an error; what Django says before is left out."""
    assert "Traceback" not in log
    ours = [line for line in log.splitlines() if line and not line.startswith(("Performing system", "System check id"))]
    assert len(ours) == 1, log
    return re.sub(r"\x1b\[[0-9;]*m", "", ours[0])


@pytest.mark.parametrize("reload", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_port_in_use_is_named(command: str, reload: list[str], started: Any) -> None:
    taken = started("runsocketio").port
    status, log = outcome(sites.manage(command, f"127.0.0.1:{taken}", *reload))
    assert status == 1
    assert f"127.0.0.1:{taken} is already in use" in only_line(log.replace(WATCHING, ""))


WATCHING: Final = "Watching for file changes with StatReloader\n"

WITHOUT_EVENTLET: Final = """
import sys
from importlib.machinery import PathFinder


class WithoutEventlet(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "eventlet" else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutEventlet
"""


@pytest.mark.parametrize("reload", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_eventlet_is_named_with_its_extra(command: str, reload: list[str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_EVENTLET)
    argv = sites.manage(command, f"127.0.0.1:{free_port()}", *reload)
    status, log = outcome(argv, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert status == 1
    assert "pip install 'dtws_sio[eventlet]'" in only_line(log.replace(WATCHING, ""))


# ---- the end


@pytest.mark.parametrize("reload", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize("command", COMMANDS)
def test_control_c_ends_at_once_with_clients_there(command: str, reload: list[str]) -> None:
    with dev(command, *reload) as site, wire.connected(site) as page:
        page.join("/")
        wire.Polling(site).post("40")
        pid = int(get(site, "/pid/"))
        started = time.monotonic()
        os.killpg(site.process.pid, signal.SIGINT)
        assert site.wait_for_exit() == 0
        assert time.monotonic() - started < 2
        eventually(lambda: not is_alive(pid), "the end of the serving process", seconds=1)
        log = site.log()
    assert "Traceback" not in log
    assert "KeyboardInterrupt" not in log


@pytest.mark.parametrize("reload", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_leaves_no_orphan(command: str, reload: list[str]) -> None:
    with dev(command, *reload) as site, wire.connected(site) as page:
        page.join("/")
        pid = int(get(site, "/pid/"))
        started = time.monotonic()
        site.process.terminate()
        site.wait_for_exit()
        eventually(lambda: not is_alive(pid), "the end of the serving process", seconds=3)
        assert time.monotonic() - started < 3
        assert "Traceback" not in site.log()


# ---- which process serves


ORDINARY: Final = """
import sys
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
from dtws_sio import runtime, sio
print("eventlet" in sys.modules, runtime.current(), sio.serving)
"""


@pytest.mark.parametrize(
    "command", [["migrate", "-v0"], ["check"], ["shell", "-v0", "-c", "pass"], ["showmigrations"]], ids=lambda c: c[0]
)
def test_other_commands_run_in_an_ordinary_process(command: list[str]) -> None:
    """Pitfall 7: nothing is patched, and nothing serves."""
    done = sites.run(sys.executable, "-c", ORDINARY, *command)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "False threading False"


def test_the_test_runner_is_an_ordinary_process() -> None:
    done = sites.run(*sites.manage("test"))
    assert done.returncode == 0, done.stdout
    assert "Ran 1 test" in done.stdout


def test_runserver_above_staticfiles_speaks_socket_io() -> None:
    with dev("runserver", "--noreload") as site:
        assert answered(site, "echo", 1) == [1]
        page = wire.Polling(site)
        page.post("40")
        assert page.receive()[0].startswith("40")
        assert get(site, "/static/playground/style.css") == "body { color: black; }\n"


def test_the_stock_runserver_answers_503_with_the_remedy() -> None:
    """A server that cannot carry Socket.IO says so, and serves Django."""
    with dev("runserver", "--noreload", settings=PLAIN) as site:
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(site, wire.endpoint("polling"))
        with refused.value as error:
            assert error.code == 503
            body = error.read().decode()
        assert "manage.py runsocketio" in body
        assert "dtws_sio.gunicorn.EventletWorker" in body
        assert get(site, "/") == "home at /"


@pytest.mark.parametrize("application", ["plain_wsgi.application", None])
def test_a_project_with_a_plain_application_is_served_with_socket_io(application: str | None) -> None:
    """Row D-06."""
    with dev("runsocketio", "--noreload", settings={"WSGI_APPLICATION": application}) as site:
        assert answered(site, "echo", 1) == [1]
        assert get(site, "/") == "home at /"


@pytest.mark.parametrize("with_argument", [False, True], ids=["setting", "argument"])
def test_the_settings_say_where_unless_an_argument_does(with_argument: bool) -> None:
    """Row D-03."""
    configured, given = free_port(), free_port()
    port = given if with_argument else configured
    settings = {"DTWS_SIO": {"HOST": "127.0.0.2", "PORT": configured}}
    argv = runsocketio(*([str(given)] if with_argument else []))
    # A port alone leaves the host to the setting.
    ready = f"http://127.0.0.2:{port}/pid/"
    env = sites.environment({**settings, "ALLOWED_HOSTS": ["*"]})
    with serve(argv, cwd=sites.PROJECT, env=env, ready_url=ready) as site:
        assert f"Serving http://127.0.0.2:{port}/ with" in site.log()
