"""Processes that are joined by a real Redis, and those that only publish to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites, wire
from tests.live.servers import Server, eventually, free_port
from tests.live.services import PASSWORD, redis_server
from tests.live.sites import emit, get, lives

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from subprocess import CompletedProcess

pytestmark = pytest.mark.live

EMIT = "from dtws_sio import sio; sio.emit('news', {'text': 'é', 'raw': b'\\xff'}, room=%r)"
NEWS = '451-["news",{"text":"%s","raw":{"_placeholder":true,"num":0}}]'
"""How the event `news` with an attachment arrives."""


@pytest.fixture(scope="module")
def queue() -> Iterator[Mapping[str, Any]]:
    """Run Redis, and give the setting DTWS_SIO of those who use it."""
    with redis_server() as url:
        yield {"MESSAGE_QUEUE": url}


@pytest.fixture(scope="module")
def joined(queue: Mapping[str, Any]) -> Iterator[dict[str, Server]]:
    """Serve with both servers, which Redis joins."""
    settings = {"DTWS_SIO": queue}
    with (
        sites.running("runsocketio", settings=settings) as one,
        sites.running("gunicorn", settings=settings) as other,
    ):
        yield {"runsocketio": one, "gunicorn": other}


@pytest.fixture(params=[("runsocketio", "gunicorn"), ("gunicorn", "runsocketio")], ids="-to-".join)
def pair(request: pytest.FixtureRequest, joined: dict[str, Server]) -> tuple[Server, Server]:
    """Give the process where something happens, and the one whose clients should see it."""
    here, there = request.param
    return joined[here], joined[there]


@pytest.fixture
def site(pair: tuple[Server, Server]) -> Server:
    """Give each server once."""
    return pair[1]


def member(page: wire.Socket, room: str) -> str:
    """Join, enter a room, and give the sid."""
    sid = page.join("/")
    assert page.ask("join", room) == []
    return sid


def command(*arguments: str, queue: Mapping[str, Any] | None = None) -> CompletedProcess[str]:
    """Run a command of `manage.py` that serves nobody."""
    return sites.run(*sites.manage(*arguments), settings={"DTWS_SIO": queue or {}})


# ---- publishers


def test_a_management_command_reaches_a_client(site: Server, queue: Mapping[str, Any], tag: str) -> None:
    """Row D-30: text and bytes, to a room."""
    with wire.connected(site) as page, wire.connected(site) as stranger:
        member(page, tag)
        stranger.join("/")
        done = command("announce", tag, "hello", queue=queue)
        assert done.returncode == 0, done.stdout
        assert done.stdout == ""
        assert [page.receive(), page.receive()] == [NEWS % "hello", b"hello"]
        assert stranger.ask("echo", 1) == [1], "it heard nothing before"


def test_the_shell_reaches_a_client(site: Server, queue: Mapping[str, Any], tag: str) -> None:
    with wire.connected(site) as page:
        member(page, tag)
        done = command("shell", "-v0", "-c", EMIT % tag, queue=queue)
        assert done.returncode == 0, done.stdout
        assert [page.receive(), page.receive()] == [NEWS % "é", b"\xff"]


def test_a_publisher_uses_its_connection_again(queue: Mapping[str, Any]) -> None:
    count = f"redis.Redis.from_url({queue['MESSAGE_QUEUE']!r}).info()['total_connections_received']"
    emits = "for n in range(100): sio.emit('news', n)"
    code = f"import redis; from dtws_sio import sio; before = {count}\n{emits}\nprint('made', {count} - before)"
    done = command("shell", "-v0", "-c", code, queue=queue)
    assert int(done.stdout.split("made ")[1]) <= 3, done.stdout


def test_without_a_queue_a_publisher_is_told_what_to_set() -> None:
    """Row D-63: rather than emit into nothing."""
    done = command("announce", "room", "hello")
    assert done.returncode != 0
    last = done.stdout.splitlines()[-1]
    assert last.startswith("dtws_sio.exceptions.NotServingError: ")
    assert "set DTWS_SIO['MESSAGE_QUEUE'] to a URL such as 'redis://" in last


def test_a_queue_that_cannot_be_reached_is_told_without_its_password() -> None:
    port = free_port()
    done = command("announce", "room", "hello", queue={"MESSAGE_QUEUE": f"redis://:{PASSWORD}@127.0.0.1:{port}/0"})
    assert done.returncode != 0
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"dtws_sio.exceptions.EmitError: the message queue redis://127.0.0.1:{port}/0 cannot be")
    assert "correct DTWS_SIO['MESSAGE_QUEUE']" in last
    assert PASSWORD not in done.stdout


def test_a_wrong_password_is_told_without_it(queue: Mapping[str, Any]) -> None:
    wrong = queue["MESSAGE_QUEUE"].replace(PASSWORD, "guess-guess")
    done = command("announce", "room", "hello", queue={"MESSAGE_QUEUE": wrong})
    assert done.returncode != 0
    assert "EmitError" in done.stdout.splitlines()[-1]
    assert "guess-guess" not in done.stdout


# ---- two processes


def test_a_view_reaches_clients_of_both_processes(pair: tuple[Server, Server], tag: str) -> None:
    """Row W-D9; each client hears an emit once."""
    here, there = pair
    with wire.connected(here) as near, wire.connected(there) as far:
        near.join("/")
        far.join("/")
        emit(here, "news", tag)
        for page in (near, far):
            assert page.receive() == f'42["news","{tag}"]'
            assert page.ask("echo", 1) == [1], "the news came once"


def test_rooms_and_skip_sid_hold_in_both_processes(pair: tuple[Server, Server], tag: str) -> None:
    here, there = pair
    with wire.connected(there) as page, wire.connected(there) as skipped, wire.connected(there) as stranger:
        sid, skipped_sid = member(page, tag), member(skipped, tag)
        stranger.join("/")
        emit(here, "news", 1, room=tag, skip_sid=skipped_sid)
        emit(here, "news", 2, to=sid)
        emit(here, "news", 3, to=[sid, tag], skip_sid=[skipped_sid])
        assert [page.receive() for _ in range(3)] == ['42["news",1]', '42["news",2]', '42["news",3]']
        assert skipped.ask("echo", 1) == [1]
        assert stranger.ask("echo", 1) == [1]


def test_a_handler_reaches_clients_of_the_other_process(pair: tuple[Server, Server], tag: str) -> None:
    """With bytes, at any depth."""
    here, there = pair
    with wire.connected(here) as speaker, wire.connected(there) as listener:
        member(speaker, tag)
        member(listener, tag)
        speaker.send(f'451-["say","{tag}",{{"raw":[{{"_placeholder":true,"num":0}}]}}]')
        speaker.send(b"\x00\xff")
        assert listener.receive() == '451-["said",{"raw":[{"_placeholder":true,"num":0}]}]'
        assert listener.receive() == b"\x00\xff"
        assert speaker.ask("echo", 1) == [1], "who spoke was skipped"


def test_emits_of_one_process_keep_their_order_in_the_other(pair: tuple[Server, Server], tag: str) -> None:
    here, there = pair
    with wire.connected(here) as speaker, wire.connected(there) as listener:
        member(speaker, tag)
        member(listener, tag)
        for number in range(100):
            speaker.send(f'42["say","{tag}",{number}]')
        assert [listener.receive() for _ in range(100)] == [f'42["said",{number}]' for number in range(100)]


def test_a_client_is_disconnected_from_the_other_process(pair: tuple[Server, Server], tag: str) -> None:
    """Its disconnect handler runs where it is, once."""
    here, there = pair
    with wire.connected(there) as page:
        sid = page.join("/", {"tag": tag})
        get(here, "/disconnect/", sid=sid)
        assert page.receive() == "41"
        eventually(lambda: len(lives(there, tag)) == 2, "the disconnect handler")
    assert lives(there, tag) == ["connect", "server disconnect"]
    assert lives(here, tag) == []
