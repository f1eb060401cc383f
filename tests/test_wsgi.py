"""The WSGI application: Socket.IO at its path, Django for everything else; row D-06."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from dtws_sio import wsgi
from dtws_sio.server import Server
from dtws_sio.wsgi import SocketIOApplication, get_wsgi_application
from tests.conftest import THREADS
from tests.page import CONNECT, Page, Response, request

if TYPE_CHECKING:
    from collections.abc import Iterator


def django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [f"Django at {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]


@pytest.fixture
def sio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in the place of the process's own, which must not begin to serve in pytest."""
    server = Server()
    monkeypatch.setattr(wsgi, "sio", server)
    with override_settings(DTWS_SIO=THREADS):
        yield server
        server.stop()


def get(path: str, script: str = "", application: Any = None, method: str = "GET", **headers: str) -> Response:
    return request(
        application or SocketIOApplication(django),
        method,
        PATH_INFO=path,
        SCRIPT_NAME=script,
        QUERY_STRING="EIO=4&transport=polling",
        **headers,
    )


@pytest.mark.parametrize(
    "path", ["/", "", "/socket.io", "/socket.iox/", "/a/socket.io/", "/Socket.IO/", "//socket.io/"]
)
def test_every_other_path_is_djangos(sio: Server, path: str) -> None:
    assert get(path).body == f"Django at |{path}".encode()
    assert sio.serving is False


@pytest.mark.parametrize(
    ("setting", "path"), [("socket.io", "/socket.io/"), ("live", "/live/"), ("live/io", "/live/io/")]
)
@pytest.mark.parametrize("script", ["", "/shop", "/socket.io"])
def test_the_path_of_the_setting_is_socket_ios_below_any_script_prefix(
    sio: Server, setting: str, path: str, script: str
) -> None:
    with override_settings(DTWS_SIO={**THREADS, "PATH": setting}):
        assert get(path, script).body.startswith(b"0{")
        assert get("/other/", script).body == f"Django at {script}|/other/".encode()


def test_whole_conversations_go_through_it(sio: Server) -> None:
    application = SocketIOApplication(django)
    sio.on("echo", lambda sid, data: data)
    sio.start()
    page = Page(application, sio.eio)
    assert page.join().type == CONNECT
    assert page.ask("echo", "hello") == ["hello"]


def test_the_first_request_begins_to_serve_where_the_runtime_fits(sio: Server) -> None:
    assert get("/socket.io/").status == "200 OK"
    assert sio.serving is True


@pytest.mark.parametrize("name", ["eventlet", "gevent"])
def test_a_server_on_another_runtime_answers_503_with_the_remedy(
    sio: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(DTWS_SIO={"RUNTIME": name}):
        response = get("/socket.io/")
        assert get("/").status == "200 OK"
    text = response.body.decode()
    assert response.status == "503 Service Unavailable"
    assert response.headers == {"Content-Type": "text/plain", "Content-Length": str(len(response.body))}
    assert all(part in text for part in (repr(name), "'threading'", "runsocketio", "dtws_sio.gunicorn.EventletWorker"))
    assert [record.getMessage() for record in caplog.records] == [text]
    assert sio.serving is False


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_ORIGIN": "http://evil.example"}, "403 Forbidden"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, "403 Forbidden"),
        ({"HTTP_HOST": "evil.example"}, "400 Bad Request"),
    ],
    ids=["origin", "no origin", "host"],
)
def test_what_the_gate_refuses_reaches_no_engine(sio: Server, headers: dict[str, str], status: str) -> None:
    """Rows W-D1 and W-F1; Django decides for itself about other paths."""
    response = get("/socket.io/", **headers)
    assert response.status == status
    assert response.headers == {"Content-Type": "application/json", "Content-Length": str(len(response.body))}
    assert sio.serving is False
    assert get("/", **headers).status == "200 OK"


def test_the_gate_is_the_applications_own(sio: Server) -> None:
    """Its settings are read once, as Django's middleware reads them."""
    middleware = ["django.middleware.security.SecurityMiddleware"]
    with override_settings(SECURE_SSL_REDIRECT=True, MIDDLEWARE=middleware):
        application = SocketIOApplication(django)
    response = get("/socket.io/", application=application)
    assert response.status == "301 Moved Permanently"
    assert response.headers["Location"] == "https://testserver/socket.io/?EIO=4&transport=polling"
    assert get("/", application=application).status == "200 OK"


def test_a_refusal_of_head_has_no_body(sio: Server) -> None:
    refused = get("/socket.io/", method="HEAD", HTTP_ORIGIN="http://evil.example")
    assert (refused.status, refused.body) == ("403 Forbidden", b"")
    assert int(refused.headers["Content-Length"]) > 0


def test_djangos_own_application_is_behind_it(sio: Server) -> None:
    application = get_wsgi_application()
    assert isinstance(application, SocketIOApplication)
    assert isinstance(application.django, WSGIHandler)
