"""Engine.IO over HTTP: the handshake, requests and payloads of long-polling. Source: wire rules E1 to E9, E14, E15."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from .clients import AT_ONCE, DEADLINE, SEPARATOR, TEXT, Polling, endpoint, frame, request

if TYPE_CHECKING:
    from .conftest import Dial, Site, Witness

MAX_PAYLOAD = 1_000_000
"""As in the settings of the project."""


def is_over(polling: Polling) -> bool:
    """Tell whether the session is unknown to the server, by GET and by POST."""
    return {polling.get().status, polling.post("4").status} == {400}


# E1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_times_of_the_opening_packet_are_exact_milliseconds(dial: Dial, site: Site, transport: str) -> None:
    """Not truncated to seconds. Source: wire E1."""
    opening = dial.client(transport, site).opening  # type: ignore[attr-defined]
    assert opening.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert json.dumps([opening["pingInterval"], opening["pingTimeout"]]) == "[20500, 2250]"
    assert opening["maxPayload"] == MAX_PAYLOAD


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_times_below_a_second_are_not_rounded_to_none(dial: Dial, hasty_site: Site, transport: str) -> None:
    """0.3 s is 300. Source: wire E1."""
    opening = dial.client(transport, hasty_site).opening  # type: ignore[attr-defined]
    assert json.dumps([opening["pingInterval"], opening["pingTimeout"]]) == "[300, 200]"


def test_polling_may_be_upgraded_and_a_websocket_may_not(dial: Dial, site: Site) -> None:
    """What the opening packet offers. Source: wire E1."""
    assert dial.polling(site).opening["upgrades"] == ["websocket"]
    assert dial.websocket(site).opening["upgrades"] == []


# E2

BAD_QUERIES = {
    "no query": "",
    "no transport": "EIO=4",
    "empty transport": "EIO=4&transport=",
    "unknown transport": "EIO=4&transport=abc",
    "no EIO": "transport={transport}",
    "empty EIO": "EIO=&transport={transport}",
    "EIO 3": "EIO=3&transport={transport}",
    "EIO 5": "EIO=5&transport={transport}",
    "EIO of letters": "EIO=abc&transport={transport}",
    "unknown sid": "EIO=4&transport={transport}&sid=nobody",
    "sid of odd characters": "EIO=4&transport={transport}&sid=%00%F0%9F%98%80../",
}


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_bad_query_of_a_poll_is_answered_400(site: Site, query: str) -> None:
    """Source: wire E2."""
    assert request(site.port, "GET", f"/socket.io/?{query.format(transport='polling')}").status == 400


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_bad_query_of_a_websocket_is_refused_before_it_opens(dial: Dial, site: Site, query: str) -> None:
    """Answered 400, never 101. Source: wire E2."""
    assert dial.handshake(site, f"/socket.io/?{query.format(transport='websocket')}").status == 400


@pytest.mark.parametrize("query", [BAD_QUERIES["unknown sid"], "EIO=4&transport={transport}"], ids=["unknown", "none"])
def test_post_without_a_session_is_answered_400(site: Site, query: str) -> None:
    """Source: wire E2."""
    assert request(site.port, "POST", f"/socket.io/?{query.format(transport='polling')}", "4hello").status == 400


def test_transport_websocket_without_a_handshake_is_answered_400(site: Site) -> None:
    """A plain GET that calls itself a WebSocket opens nothing. Source: wire E2."""
    assert request(site.port, "GET", endpoint("websocket")).status == 400


def test_plain_request_for_the_other_transport_of_a_session_is_answered_400(dial: Dial, site: Site) -> None:
    """It is no upgrade, and the session lives on. Source: wire E2."""
    polling = dial.polling(site)
    assert request(site.port, "GET", endpoint("websocket", polling.sid)).status == 400
    polling.join()


# E3


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "BREW"])
@pytest.mark.parametrize("with_session", [False, True], ids=["opening", "in a session"])
def test_method_other_than_get_and_post_is_answered_400(
    dial: Dial, site: Site, method: str, *, with_session: bool
) -> None:
    """Source: wire E3."""
    target = dial.polling(site).target if with_session else endpoint("polling")
    assert request(site.port, method, target).status == 400


def test_options_is_answered_for_cors(site: Site) -> None:
    """The preflight of an origin that is allowed. Source: wire E3."""
    headers = {"Origin": "http://friend.test", "Access-Control-Request-Method": "POST"}
    answer = request(site.port, "OPTIONS", endpoint("polling"), headers=headers)
    assert answer.status in {200, 204}
    assert answer.headers["access-control-allow-origin"] == "http://friend.test"


# E4


@pytest.mark.parametrize("keep_alive", [False, True], ids=["connection each", "kept alive"])
def test_good_post_is_answered_ok_in_lower_case(dial: Dial, site: Site, *, keep_alive: bool) -> None:
    """Source: wire E4."""
    polling = dial.polling(site, keep_alive=keep_alive)
    for packets in (["40"], ['42["ask",1]'], ["3"], ['42["ask",1]', '42["ask",2]']):
        answer = polling.post(*packets)
        assert (answer.status, answer.body) == (200, b"ok")


def test_post_sent_in_chunks_is_read(dial: Dial, site: Site) -> None:
    """A body without a declared length is as good. Source: wire E4."""
    polling = dial.polling(site)
    assert polling.post("40", chunked=True).body == b"ok"
    assert polling.text().startswith("0{")


# E5

INVALID_PACKETS = {
    "no type": "abc",
    "unknown type": "9",
    "no packet": "",
    "a client's ping": "2",
    "second packet unknown": f"3{SEPARATOR}9",
    "empty second packet": f"3{SEPARATOR}",
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("body", INVALID_PACKETS.values(), ids=INVALID_PACKETS)
def test_post_of_an_invalid_packet_is_answered_400_and_closes_the_session(
    dial: Dial, site: Site, witness: Witness, tag: str, body: str
) -> None:
    """Source: wire E5."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    raw = body.encode(errors="surrogateescape")
    assert request(site.port, "POST", polling.target, raw).status == 400
    assert is_over(polling)
    (reason,) = witness.reasons(tag)
    assert reason in {"parse error", "transport error"}


# E6


def test_one_post_may_carry_any_number_of_packets(dial: Dial, site: Site) -> None:
    """A thousand of them, none lost. Source: wire E6."""
    polling = dial.polling(site)
    polling.join()
    count = 1000
    assert polling.send(*(f'2{n}["ask",{n}]' for n in range(count))).body == b"ok"
    assert [polling.text() for _ in range(count)] == [f"3{n}[{n}]" for n in range(count)]


# E7


def event_of(size: int) -> str:
    """Make a packet, with an event that is acknowledged with nothing, of so many bytes."""
    head, tail = '427["nothing","', '"]'
    return head + "x" * (size - len(head) - len(tail)) + tail


@pytest.mark.parametrize("chunked", [False, True], ids=["length declared", "chunked"])
def test_post_over_the_limit_is_refused_at_once_and_closes_the_session(
    dial: Dial, site: Site, *, chunked: bool
) -> None:
    """Source: wire E7."""
    polling = dial.polling(site)
    polling.join()
    answer = polling.post(event_of(MAX_PAYLOAD + 1), chunked=chunked)
    assert answer.status in {400, 413}
    assert answer.seconds < AT_ONCE
    assert is_over(polling)


def test_post_that_declares_too_much_is_refused_before_it_has_come(dial: Dial, site: Site) -> None:
    """The server does not wait for bytes that it will not read. Source: wire E7."""
    polling = dial.polling(site)
    head = f"POST {polling.target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=AT_ONCE) as connection:
        connection.sendall(head.encode() + b"4x")
        assert connection.recv(100).split()[1] in {b"400", b"413"}
    assert is_over(polling)


@pytest.mark.parametrize("chunked", [False, True], ids=["length declared", "chunked"])
def test_post_of_exactly_the_limit_is_accepted(dial: Dial, site: Site, *, chunked: bool) -> None:
    """Source: wire E7."""
    polling = dial.polling(site)
    polling.join()
    packet = event_of(MAX_PAYLOAD)
    assert len(packet) == MAX_PAYLOAD
    assert polling.post(packet, chunked=chunked).body == b"ok"
    polling.text()


def test_limit_counts_bytes_and_not_characters(dial: Dial, site: Site) -> None:
    """Half as many characters of two bytes each are too much as well. Source: wire E7."""
    polling = dial.polling(site)
    polling.join()
    assert polling.post(event_of(MAX_PAYLOAD // 2 + 100).replace("x", "é")).status in {400, 413}
    assert is_over(polling)


# E8 and E9


def test_second_poll_while_one_is_pending_closes_the_session(dial: Dial, site: Site) -> None:
    """The second gets 400, the first the packet CLOSE. Source: wire E8."""
    polling = dial.polling(site)
    first = polling.get_later()
    second = polling.get_later()
    assert second.result(DEADLINE).status == 400
    answer = first.result(DEADLINE)
    assert (answer.status, answer.body) == (200, b"1")
    assert is_over(polling)


def test_many_polls_at_once_leave_nobody_waiting(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """However they fall, each is answered, and the client is disconnected once. Source: wire E8."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    answers = [each.result(DEADLINE) for each in [polling.get_later() for _ in range(5)]]
    assert sorted(each.status for each in answers) == [200, 400, 400, 400, 400]
    assert [each.body for each in answers if each.status == 200] == [b"1"]
    assert len(witness.reasons(tag)) == 1


def test_session_closed_while_a_poll_is_pending_ends_it_with_noop(
    dial: Dial, site: Site, witness: Witness, tag: str
) -> None:
    """Source: wire E9."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    pending = polling.get_later()
    assert polling.post("1").body == b"ok"
    answer = pending.result(AT_ONCE)
    assert (answer.status, answer.body) == (200, b"6")
    assert is_over(polling)
    assert witness.reasons(tag) == ["transport close"]


def test_packets_behind_the_packet_close_are_not_handled(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """CLOSE ends the session where it stands in the body, and those in front of it are. Source: wire E9 and P5."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    polling.post('42["mark","before"]', "1", '42["mark","after"]')
    assert is_over(polling)
    assert witness.reasons(tag) == ["transport close"]
    assert witness.marks(tag) == ["before"]


def test_poll_that_waits_is_answered_by_what_comes(dial: Dial, site: Site) -> None:
    """And at once; a poll that finds something does not wait. Source: wire E9."""
    polling = dial.polling(site)
    polling.join()
    pending = polling.get_later()
    started = time.monotonic()
    polling.emit("ask", "x", id=1)
    assert pending.result(DEADLINE).body == b'431["x"]'
    assert time.monotonic() - started < AT_ONCE
    polling.emit("ask", "y", id=2)
    polling.emit("ask", "z", id=3)
    assert [polling.text(), polling.text()] == ['32["y"]', '33["z"]']


# E14


@pytest.mark.parametrize("transport", ["websocket", "upgraded"])
def test_small_frames_in_a_row_do_not_wait_for_each_other(dial: Dial, site: Site, transport: str) -> None:
    """
    Nagle's algorithm would keep the second for the 40 ms that the acknowledgement of the first is delayed.

    The handler rests for 2 ms after the first, so that the two are not written together. Source: wire E14.
    """
    client = dial.client(transport, site)
    client.join()
    gaps = []
    for _ in range(20):
        client.emit("flood", 2, 0.002)
        client.text()
        started = time.monotonic()
        client.text()
        gaps.append(time.monotonic() - started)
    assert statistics.median(gaps) < 0.015


def test_requests_on_a_connection_kept_alive_do_not_wait_for_acknowledgements(dial: Dial, site: Site) -> None:
    """Head and body of an answer may be written one after the other. Source: wire E14."""
    polling = dial.polling(site, keep_alive=True)
    polling.join()
    answers = [polling.post("3") for _ in range(20)]
    assert statistics.median(each.seconds for each in answers) < 0.015


# E15

PAYLOADS = ['{"a": 1}', "true", "null", "12", '"x"', " x", "[1, 2]", "", "é😀", "a\nb", "-0", "1e400", "\\x1e", "4"]


@pytest.mark.parametrize("text", PAYLOADS)
def test_text_payload_is_opaque_over_polling(dial: Dial, echo_site: Site, text: str) -> None:
    """Source: wire E15."""
    polling = dial.polling(echo_site, path="/engine.io/")
    assert polling.post("4" + text).body == b"ok"
    assert polling.packet() == "4" + text


@pytest.mark.parametrize("text", PAYLOADS)
def test_text_payload_is_opaque_over_a_websocket(dial: Dial, echo_site: Site, text: str) -> None:
    """Source: wire E15."""
    websocket = dial.websocket(echo_site, path="/engine.io/")
    websocket.send_frame(TEXT, "4" + text)
    assert websocket.packet() == "4" + text


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_text_and_bytes_are_kept_apart(dial: Dial, echo_site: Site, transport: str) -> None:
    """Source: wire E15."""
    client: Any = getattr(dial, transport)(echo_site, path="/engine.io/")
    sent: list[str | bytes] = ["hello", b"\x01\x02\x03\x04", b"", b"4hello", "b", bytes(range(256))]
    client.send(*sent)
    assert [client.message() for _ in sent] == sent


def test_session_of_the_standalone_server_opens_with_frames_in_the_same_segment(dial: Dial, echo_site: Site) -> None:
    """Source: wire E15."""
    websocket = dial.websocket(echo_site, path="/engine.io/", early=frame(TEXT, "4early"))
    assert websocket.packet() == "4early"


def test_connection_kept_alive_serves_polls_and_posts_in_turn(dial: Dial, site: Site) -> None:
    """Nothing of one answer runs into the next. Source: wire E4."""
    connection = dial.keep(http.client.HTTPConnection("127.0.0.1", site.port, timeout=DEADLINE))
    polling = dial.polling(site)
    polling.join()
    for number in range(10):
        posted = request(site.port, "POST", polling.target, f'42{number}["ask",{number}]', connection=connection)
        assert posted.body == b"ok"
        assert request(site.port, "GET", polling.target, connection=connection).packets == [f"43{number}[{number}]"]
