"""Engine.IO over WebSocket: the upgrade with its races, and RFC 6455. Source: wire rules E10 to E13 and H2."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from .clients import (
    AT_ONCE,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Polling,
    WebSocket,
    endpoint,
    frame,
    later,
    message_frame,
    pause,
    request,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .clients import Answer
    from .conftest import Dial, Site, Witness

MAX_PAYLOAD = 1_000_000
"""As in the settings of the project."""

# E10


def test_request_right_behind_the_upgrade_is_answered_400(dial: Dial, site: Site) -> None:
    """Even if nothing but the network's speed is between the two. Source: wire E10."""
    for _ in range(5):
        polling = dial.polling(site)
        websocket = dial.probe(polling)
        websocket.send_packet("5")
        assert polling.get().status == 400
        websocket.join()


def test_request_right_behind_probe_and_upgrade_in_one_go_is_answered_400(dial: Dial, site: Site) -> None:
    """The client does not wait for the answer to its probe, as in the protocol authors' suite. Source: wire E10."""
    for _ in range(10):
        polling = dial.polling(site)
        websocket = dial.handshake(site, endpoint("websocket", polling.sid))
        websocket.send_raw(frame(TEXT, "2probe") + frame(TEXT, "5"))
        assert polling.get().status == 400
        assert websocket.packet() == "3probe"
        websocket.join()


def test_no_request_of_an_upgraded_session_is_answered_200(dial: Dial, site: Site) -> None:
    """Neither a poll nor a POST, whose packets are not handled; the WebSocket goes on. Source: wire E10."""
    polling = dial.polling(site)
    websocket = dial.probe(polling)
    websocket.send_packet("5")
    websocket.join()
    assert [polling.get().status, polling.post('428["ask","stolen"]').status] == [400, 400]
    assert websocket.ask("ask", "mine") == ["mine"]


def test_requests_for_a_session_that_began_on_a_websocket_are_answered_400(dial: Dial, site: Site) -> None:
    """Source: wire E10."""
    websocket = dial.websocket(site)
    websocket.join()
    target = endpoint("polling", websocket.sid)
    assert request(site.port, "GET", target).status == 400
    assert request(site.port, "POST", target, '428["ask",1]').status == 400
    assert websocket.ask("ask", "mine") == ["mine"]


# E11


def test_probe_ends_the_pending_poll_with_noop(dial: Dial, site: Site) -> None:
    """So that the client can go on to the upgrade. Source: wire E11."""
    polling = dial.polling(site)
    pending = polling.get_later()
    websocket = dial.probe(polling)
    answer = pending.result(AT_ONCE)
    assert (answer.status, answer.body) == (200, b"6")
    websocket.send_packet("5")
    websocket.join()


def test_poll_that_comes_after_the_probe_is_ended_with_noop(dial: Dial, site: Site) -> None:
    """Source: wire E11."""
    polling = dial.polling(site)
    websocket = dial.probe(polling)
    answer = polling.get()
    assert (answer.status, answer.body) == (200, b"6")
    assert answer.seconds < AT_ONCE
    websocket.send_packet("5")
    websocket.join()


def test_noop_never_goes_over_the_websocket(dial: Dial, site: Site) -> None:
    """What follows the upgrade is what the application sends. Source: wire E11."""
    polling = dial.polling(site)
    polling.join()
    websocket = dial.probe(polling)
    websocket.send_packet("5")
    with pytest.raises(TimeoutError):
        websocket.packet(0.3)
    websocket.emit("ask", 1, id=5)
    assert websocket.packet() == "435[1]"


def test_poll_without_an_upgrade_is_left_pending(dial: Dial, site: Site) -> None:
    """A WebSocket that has not sent the probe yet disturbs nobody. Source: wire E11."""
    polling = dial.polling(site)
    polling.join()
    pending = polling.get_later()
    opened = dial.handshake(site, endpoint("websocket", polling.sid))
    assert opened.status == 101
    with pytest.raises(TimeoutError):
        pending.result(0.3)
    polling.emit("ask", 1, id=5)
    assert pending.result(AT_ONCE).body == b"435[1]"


# E12


def ends_at_once(websocket: WebSocket) -> bool:
    """Tell that a handshake was accepted, and the connection closed without a packet."""
    return websocket.status == 101 and websocket.wait_for_end().texts == []


@pytest.mark.parametrize("moment", ["connected", "probed"])
def test_second_websocket_of_a_session_that_upgrades_is_closed_at_once(dial: Dial, site: Site, moment: str) -> None:
    """It cannot steal the probe either, and the first one completes the upgrade. Source: wire E12."""
    polling = dial.polling(site)
    target = endpoint("websocket", polling.sid)
    first = dial.probe(polling) if moment == "probed" else dial.handshake(site, target)
    assert ends_at_once(dial.handshake(site, target, early=frame(TEXT, "2probe")))
    if moment == "connected":
        first.send_packet("2probe")
        assert first.packet() == "3probe"
    first.send_packet("5")
    first.join()
    assert first.ask("ask", 1) == [1]


def test_second_websocket_of_an_upgraded_session_is_closed_at_once(dial: Dial, site: Site) -> None:
    """Source: wire E12."""
    first = dial.upgraded(site)
    first.join()
    assert ends_at_once(dial.handshake(site, endpoint("websocket", first.sid), early=frame(TEXT, "2probe")))
    assert first.ask("ask", 1) == [1]


def test_second_websocket_right_behind_the_upgrade_is_closed_at_once(dial: Dial, site: Site) -> None:
    """Source: wire E12."""
    polling = dial.polling(site)
    first = dial.probe(polling)
    first.send_packet("5")
    assert ends_at_once(dial.handshake(site, endpoint("websocket", polling.sid)))
    first.join()


def test_session_that_began_on_a_websocket_cannot_be_taken_over(dial: Dial, site: Site) -> None:
    """It counts as upgraded. Source: wire E12."""
    first = dial.websocket(site)
    first.join()
    second = dial.handshake(site, endpoint("websocket", first.sid), early=frame(TEXT, "2probe") + frame(TEXT, "5"))
    assert second.status == 400 or ends_at_once(second)
    assert first.ask("ask", 1) == [1]


# The upgrade's races


def test_polling_goes_on_after_a_probe_without_an_upgrade(dial: Dial, site: Site) -> None:
    """The WebSocket proved nothing but that it could have worked. Source: wire E11."""
    polling = dial.polling(site)
    polling.join()
    websocket = dial.probe(polling)
    polling.emit("ask", 1, id=5)
    assert polling.text() == "35[1]"
    websocket.close()
    polling.emit("ask", 2, id=6)
    assert polling.text() == "36[2]"
    assert polling.is_quiet()


@pytest.mark.parametrize("probed", [False, True], ids=["before the probe", "after the probe"])
@pytest.mark.parametrize("how", ["close frame", "end", "reset"])
def test_polling_goes_on_after_the_websocket_was_closed(dial: Dial, site: Site, how: str, *, probed: bool) -> None:
    """The session is still the polling client's, which may try the upgrade again. Source: wire E11."""
    polling = dial.polling(site)
    polling.join()
    websocket = dial.probe(polling) if probed else dial.handshake(site, endpoint("websocket", polling.sid))
    if how == "close frame":
        websocket.send_frame(CLOSE, b"\x03\xe8")
        websocket.wait_for_end()
    elif how == "end":
        websocket.close()
    else:
        websocket.reset()
    pause(0.1)
    assert polling.ask("ask", 1) == [1]
    again = dial.probe(polling)
    again.send_packet("5")
    assert again.ask("ask", 2) == [2]


@pytest.mark.parametrize("packet", ["2other", "2", "3probe", "4hello", "40", "abc", ""])
def test_wrong_probe_closes_the_websocket_and_not_the_session(dial: Dial, site: Site, packet: str) -> None:
    """Source: wire E11 and E12."""
    polling = dial.polling(site)
    polling.join()
    websocket = dial.handshake(site, endpoint("websocket", polling.sid))
    websocket.send_packet(packet)
    assert websocket.wait_for_end().texts == []
    assert polling.ask("ask", 1) == [1]


def test_session_closed_during_its_upgrade_closes_the_websocket(
    dial: Dial, site: Site, witness: Witness, tag: str
) -> None:
    """Both ways end, once. Source: wire E9 and E11."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    websocket = dial.probe(polling)
    assert polling.post("1").body == b"ok"
    assert websocket.wait_for_end().texts == []
    assert polling.get().status == 400
    assert witness.reasons(tag) == ["transport close"]


def numbers(messages: Iterable[str | bytes]) -> list[int]:
    """Read the numbers that the event `flood` sends."""
    return [int(str(each).removeprefix('2["n",').removesuffix("]")) for each in messages]


@pytest.mark.parametrize("attempt", range(3))
def test_what_is_emitted_during_an_upgrade_arrives_whole_and_in_order(dial: Dial, site: Site, attempt: int) -> None:
    """
    The client polls until the probe is answered, lets the last poll end, and upgrades, as the official one does.

    Source: wire E10 and E11.
    """
    count = 200
    polling = dial.polling(site)
    polling.join()
    polling.emit("flood", count, 0.001)
    got = [polling.message() for _ in range(5)]
    got += [each[1:] for each in polling.take()]
    opened = later(dial.probe, polling)
    while not opened.done():
        got += messages_of(polling.get())
    websocket = opened.result()
    pause(0.01 * attempt)
    websocket.send_packet("5")
    while len(got) < count:
        got.append(websocket.message())
    assert numbers(got) == list(range(count))
    assert websocket.is_quiet()


def messages_of(answer: Answer) -> list[str]:
    """Give the text messages of a poll."""
    assert answer.status == 200, answer
    assert {each[0] for each in answer.packets} <= {"4", "6"}, answer
    return [each[1:] for each in answer.packets if each.startswith("4")]


def test_what_was_queued_before_the_upgrade_follows_over_the_websocket(dial: Dial, site: Site) -> None:
    """Events that no poll has fetched are not lost, and keep their order. Source: wire E10 and E11."""
    polling = dial.polling(site)
    polling.join()
    opened = dial.probe(polling)
    assert polling.get().body == b"6"
    polling.send(*(f'2["echo",{number}]' for number in range(50)))
    opened.send_packet("5")
    opened.send('2["echo",50]')
    assert [opened.message() for _ in range(51)] == [f'2["echo",{number}]' for number in range(51)]


def test_what_a_client_sends_around_its_upgrade_is_handled_in_order(
    dial: Dial, site: Site, witness: Witness, tag: str
) -> None:
    """By POST before, in frames behind `5`, in the same segment. Source: wire E10 and P5."""
    polling = dial.polling(site)
    polling.join(auth={"tag": tag})
    websocket = dial.probe(polling)
    for number in range(5):
        polling.emit("mark", number)
    websocket.send_raw(frame(TEXT, "5") + b"".join(message_frame(f'2["mark",{number}]') for number in range(5, 10)))
    assert websocket.ask("ask", "last") == ["last"]
    assert witness.marks(tag) == [str(number) for number in range(10)]


# E13

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def test_compression_is_not_negotiated_by_default(dial: Dial, site: Site) -> None:
    """Whoever offers it is answered without. Source: wire E13."""
    websocket = dial.handshake(site, endpoint("websocket"), headers=OFFER)
    assert websocket.status == 101
    assert "sec-websocket-extensions" not in websocket.headers
    websocket.read_opening().join()


def test_compression_is_not_negotiated_by_an_upgrade_either(dial: Dial, site: Site) -> None:
    """Source: wire E13."""
    websocket = dial.handshake(site, endpoint("websocket", dial.polling(site).sid), headers=OFFER)
    assert websocket.status == 101
    assert "sec-websocket-extensions" not in websocket.headers


def test_compression_is_not_used_unless_the_client_offers_it(dial: Dial, compressed_site: Site) -> None:
    """Source: wire E13."""
    websocket = dial.websocket(compressed_site)
    assert "sec-websocket-extensions" not in websocket.headers
    websocket.join()


def deflated(data: bytes) -> bytes:
    """Compress a message. RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(got: Frame) -> bytes:
    """Read a message that may be compressed. RFC 7692 section 7.2.2."""
    return zlib.decompressobj(wbits=-15).decompress(got.payload + b"\0\0\xff\xff") if got.rsv else got.payload


def test_compression_works_where_the_setting_asks_for_it(dial: Dial, compressed_site: Site) -> None:
    """Source: wire E13."""
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"}
    websocket = dial.handshake(compressed_site, endpoint("websocket"), headers=headers, may_compress=True)
    assert websocket.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert inflated(websocket.frame()).startswith(b"0{")
    websocket.send_frame(TEXT, deflated(b"40"), rsv=4)
    assert inflated(websocket.frame()).startswith(b"40{")
    text = "long " * 2000
    websocket.send_frame(TEXT, deflated(f'427["ask","{text}"]'.encode()), rsv=4)
    answer = websocket.frame()
    assert inflated(answer).decode() == f'437["{text}"]'


def test_message_that_inflates_over_the_limit_is_refused(dial: Dial, compressed_site: Site) -> None:
    """A thousandth of the bytes came over the wire. Source: wire E13."""
    websocket = dial.handshake(compressed_site, endpoint("websocket"), headers=OFFER, may_compress=True)
    websocket.frame()
    bomb = deflated(b'42["ask","' + b"x" * (50 * MAX_PAYLOAD) + b'"]')
    websocket.send_frame(TEXT, bomb, rsv=4)
    assert websocket.wait_for_end().code == 1009


# Bytes and frames as the network brings them


def test_frames_in_the_segment_of_the_handshake_are_read(dial: Dial, site: Site) -> None:
    """
    A client should wait for 101 (RFC 6455 section 4.1), but some save the round trip, and proxies join segments.

    Source: wire E10.
    """
    websocket = dial.websocket(site, early=frame(TEXT, "40"))
    assert str(websocket.packet()).startswith("40{")


def test_half_a_frame_in_the_segment_of_the_handshake_is_completed_later(dial: Dial, site: Site) -> None:
    """Source: wire E10."""
    whole = frame(TEXT, "40")
    websocket = dial.websocket(site, early=whole[:4])
    websocket.send_raw(whole[4:])
    assert str(websocket.packet()).startswith("40{")


def test_probe_in_the_segment_of_the_handshake_is_answered(dial: Dial, site: Site) -> None:
    """Source: wire E11."""
    polling = dial.polling(site)
    websocket = dial.handshake(site, endpoint("websocket", polling.sid), early=frame(TEXT, "2probe"))
    assert websocket.packet() == "3probe"
    websocket.send_packet("5")
    websocket.join()


def test_frames_that_come_byte_by_byte_are_read(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 section 5.2; wire P5."""
    websocket = dial.websocket(site)
    websocket.join()
    for byte in frame(TEXT, '427["ask","é"]') + frame(PING, "p") + frame(TEXT, '428["ask",2]'):
        websocket.send_raw(bytes([byte]))
    got = [websocket.frame(), websocket.frame(), websocket.frame()]
    expected = [Frame(TEXT, '437["é"]'.encode()), Frame(PONG, b"p"), Frame(TEXT, b"438[2]")]
    assert sorted(got, key=str) == sorted(expected, key=str)
    assert [each for each in got if each.opcode == TEXT] == [expected[0], expected[2]]


def test_many_frames_in_one_segment_are_all_read(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 section 5.2; wire P5."""
    websocket = dial.websocket(site)
    websocket.join()
    websocket.send(*(f'2{number}["ask",{number}]' for number in range(500)))
    assert [websocket.message() for _ in range(500)] == [f"3{number}[{number}]" for number in range(500)]


@pytest.mark.parametrize("size", [0, 1, 100, 125, 126, 127, 65535, 65536, 500_000])
def test_messages_of_every_length_come_and_go(dial: Dial, site: Site, size: int) -> None:
    """The three forms of the length field. Source: RFC 6455 section 5.2."""
    websocket = dial.websocket(site)
    websocket.join()
    data = bytes(number % 251 for number in range(size))
    websocket.send('51-7["ask",{"_placeholder":true,"num":0}]', data)
    assert websocket.message() == '61-7[{"_placeholder":true,"num":0}]'
    assert websocket.message() == data
    text = "x" * size
    assert websocket.ask("ask", text) == [text]


def test_fragmented_message_is_put_together(dial: Dial, site: Site) -> None:
    """Also where a character is cut in two, and with an empty fragment. Source: RFC 6455 section 5.4."""
    websocket = dial.websocket(site)
    websocket.join()
    data = '427["ask","é😀"]'.encode()
    websocket.send_frame(TEXT, data[:12], fin=False)
    websocket.send_frame(CONTINUATION, b"", fin=False)
    websocket.send_frame(CONTINUATION, data[12:14], fin=False)
    websocket.send_frame(CONTINUATION, data[14:])
    assert websocket.message() == '37["é😀"]'


def test_fragmented_attachment_is_put_together(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 section 5.4."""
    websocket = dial.websocket(site)
    websocket.join()
    websocket.send('51-7["ask",{"_placeholder":true,"num":0}]')
    websocket.send_frame(BINARY, b"\xff\xfe", fin=False)
    websocket.send_frame(CONTINUATION, b"\xfd")
    assert websocket.message() == '61-7[{"_placeholder":true,"num":0}]'
    assert websocket.message() == b"\xff\xfe\xfd"


def test_control_frames_between_fragments_are_answered_at_once(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 sections 5.4 and 5.5."""
    websocket = dial.websocket(site)
    websocket.join()
    websocket.send_frame(TEXT, '427["ask",', fin=False)
    websocket.send_frame(PING, b"between")
    assert websocket.frame() == Frame(PONG, b"between")
    websocket.send_frame(PONG, b"unasked")
    websocket.send_frame(CONTINUATION, "1]")
    assert websocket.message() == "37[1]"


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(125), "é".encode()])
def test_ping_frame_is_answered_with_its_payload(dial: Dial, site: Site, payload: bytes) -> None:
    """Source: RFC 6455 sections 5.5.2 and 5.5.3."""
    websocket = dial.websocket(site)
    websocket.send_frame(PING, payload)
    assert websocket.frame() == Frame(PONG, payload)


def test_pong_frame_that_nobody_asked_for_is_ignored(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 section 5.5.3."""
    websocket = dial.websocket(site)
    websocket.send_frame(PONG, b"unasked")
    websocket.join()


# What closes with a code

FAILURES = {
    "unmasked frame": (1002, [frame(TEXT, "40", masked=False)]),
    "unmasked empty frame": (1002, [frame(TEXT, "", masked=False)]),
    "reserved bit 1": (1002, [frame(TEXT, "40", rsv=4)]),
    "reserved bit 2": (1002, [frame(TEXT, "40", rsv=2)]),
    "reserved bit 3": (1002, [frame(TEXT, "40", rsv=1)]),
    "reserved bit of a ping": (1002, [frame(PING, "x", rsv=4)]),
    "reserved opcode 3": (1002, [frame(3, "x")]),
    "reserved opcode 11": (1002, [frame(11, "x")]),
    "fragmented ping": (1002, [frame(PING, "x", fin=False)]),
    "long ping": (1002, [frame(PING, bytes(126))]),
    "continuation of nothing": (1002, [frame(CONTINUATION, "40")]),
    "new message inside a fragmented one": (1002, [frame(TEXT, "4", fin=False), frame(TEXT, "40")]),
    "close frame of one byte": (1002, [frame(CLOSE, b"\x03")]),
    "close code 999": (1002, [frame(CLOSE, (999).to_bytes(2, "big"))]),
    "close code 1005": (1002, [frame(CLOSE, (1005).to_bytes(2, "big"))]),
    "close code 1006": (1002, [frame(CLOSE, (1006).to_bytes(2, "big"))]),
    "close code 5000": (1002, [frame(CLOSE, (5000).to_bytes(2, "big"))]),
    "close reason that is no UTF-8": (1007, [frame(CLOSE, b"\x03\xe8\xff")]),
    "text that is no UTF-8": (1007, [frame(TEXT, b'42["\xff"]')]),
    "text that ends within a character": (1007, [frame(TEXT, b'42["\xc3')]),
    "surrogates in UTF-8": (1007, [frame(TEXT, b"4\xed\xa0\x80")]),
    "fragments that are no UTF-8": (1007, [frame(TEXT, b"4\xc3", fin=False), frame(CONTINUATION, b"\x28")]),
    "message over the limit": (1009, [frame(TEXT, "4" + "x" * MAX_PAYLOAD)]),
    "attachment over the limit": (1009, [frame(BINARY, bytes(MAX_PAYLOAD + 1))]),
    "declared length over the limit": (1009, [frame(TEXT, "4", length=2**62)]),
    "fragments over the limit": (
        1009,
        [frame(TEXT, "4" + "x" * 600_000, fin=False), frame(CONTINUATION, "x" * 600_000)],
    ),
}


@pytest.mark.parametrize(("code", "frames"), FAILURES.values(), ids=FAILURES)
def test_broken_frames_close_the_connection_with_their_code(
    dial: Dial, site: Site, witness: Witness, tag: str, code: int, frames: list[bytes]
) -> None:
    """
    And nothing that is no WebSocket frame is written; the client has left when the connection ends.

    Source: RFC 6455 sections 5, 7.4.1 and 8.1; wire H2.
    """
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    later(websocket.send_raw, b"".join(frames))
    end = websocket.wait_for_end()
    assert (end.code, end.texts) == (code, [])
    assert request(site.port, "GET", endpoint("polling", websocket.sid)).status == 400
    (reason,) = witness.reasons(tag)
    assert reason in {"transport error", "parse error"}


def test_message_of_exactly_the_limit_is_accepted(dial: Dial, site: Site) -> None:
    """As one frame and as two. Source: wire E7."""
    websocket = dial.websocket(site)
    websocket.join()
    head, tail = '427["nothing","', '"]'
    data = head + "x" * (MAX_PAYLOAD - len(head) - len(tail)) + tail
    websocket.send_frame(TEXT, data)
    assert websocket.message() == "37[]"
    websocket.send_frame(TEXT, data[:100], fin=False)
    websocket.send_frame(CONTINUATION, data[100:])
    assert websocket.message() == "37[]"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_frame_is_answered_with_its_code(dial: Dial, site: Site, witness: Witness, tag: str, code: int) -> None:
    """Then the server ends the connection. Source: RFC 6455 sections 5.5.1 and 7.1.1; wire H3."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_frame(CLOSE, code.to_bytes(2, "big") + b"bye")
    end = websocket.wait_for_end()
    assert ([each.opcode for each in end.frames], end.code, end.reset) == ([CLOSE], code, False)
    assert witness.reasons(tag) == ["transport close"]


def test_close_frame_without_a_code_is_answered(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 sections 5.5.1 and 7.1.5; wire H3."""
    websocket = dial.websocket(site)
    websocket.send_frame(CLOSE)
    end = websocket.wait_for_end()
    assert [each.opcode for each in end.frames] == [CLOSE]
    assert end.code in {None, 1000}
    assert not end.reset


def test_frames_behind_a_close_frame_are_ignored(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """Source: RFC 6455 section 5.5.1; wire H3."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_frame(CLOSE, b"\x03\xe8", behind=frame(TEXT, '42["mark","late"]'))
    assert websocket.wait_for_end().code == 1000
    assert witness.reasons(tag) == ["transport close"]
    assert witness.marks(tag) == []


def test_events_in_front_of_a_close_frame_are_handled(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """Although all came in one segment. Source: RFC 6455 section 5.5.1; wire P5."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_raw(frame(TEXT, '42["mark","in time"]'))
    websocket.send_frame(CLOSE, b"\x03\xe8")
    assert websocket.wait_for_end().code == 1000
    witness.reasons(tag)
    assert witness.lives(tag)[2:] == ["mark in time", "disconnect: transport close"]


def test_packet_close_ends_the_websocket_with_a_close_frame(dial: Dial, site: Site) -> None:
    """Neither cut off nor left open. Source: RFC 6455 section 7.1.1; wire H3."""
    websocket = dial.websocket(site)
    websocket.join()
    websocket.send_packet("1")
    end = websocket.wait_for_end()
    assert [each.opcode for each in end.frames] == [CLOSE]
    assert end.code in {None, 1000}
    assert not end.reset


def test_session_ends_although_nobody_answers_the_close_frame(
    dial: Dial, site: Site, witness: Witness, tag: str
) -> None:
    """The server does not wait for a client that broke a rule. Source: RFC 6455 section 7.1.7; wire H2."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_packet("abc")
    assert websocket.frame().opcode == CLOSE
    pause(0.1)
    assert len(witness.reasons(tag)) == 1
    assert request(site.port, "GET", endpoint("polling", websocket.sid)).status == 400


def test_half_closed_connection_is_ended(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """The end of the client's bytes is the end of the session. Source: RFC 6455 section 7.1.4; wire H3."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.half_close()
    websocket.wait_for_end()
    assert witness.reasons(tag) == ["transport close"]


@pytest.mark.parametrize("how", ["half_close", "reset", "close"])
def test_connection_that_ends_within_a_frame_is_cleaned_up(
    dial: Dial, site: Site, witness: Witness, tag: str, how: str
) -> None:
    """Source: RFC 6455 section 7.1.7; wire H3."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_raw(frame(TEXT, "42" + "x" * 1000)[:500])
    pause(0.05)
    getattr(websocket, how)()
    pause(0.2)
    assert witness.reasons(tag) == ["transport close"]
    assert witness.members(tag) == 0


def test_pong_that_cannot_be_sent_any_more_hurts_nobody(dial: Dial, site: Site, witness: Witness, tag: str) -> None:
    """Pings, and a reset right behind them. Source: wire H3."""
    websocket = dial.websocket(site)
    websocket.join(auth={"tag": tag})
    websocket.send_raw(b"".join(frame(PING, bytes(100)) for _ in range(500)))
    websocket.reset()
    pause(0.2)
    assert witness.reasons(tag) == ["transport close"]


# Handshakes

BAD_HANDSHAKES = {
    "no key": {"Sec-WebSocket-Key": ""},
    "short key": {"Sec-WebSocket-Key": "c2hvcnQ="},
    "version 99": {"Sec-WebSocket-Version": "99"},
    "upgrade to something else": {"Upgrade": "h2c"},
}


@pytest.mark.parametrize("headers", BAD_HANDSHAKES.values(), ids=BAD_HANDSHAKES)
def test_bad_handshake_is_refused(dial: Dial, site: Site, headers: dict[str, str]) -> None:
    """With an HTTP status, and the server goes on. Source: RFC 6455 section 4.2.2; wire E2."""
    assert dial.handshake(site, endpoint("websocket"), headers=headers).status in {400, 426}
    dial.websocket(site).join()


def test_words_of_the_handshake_may_be_written_in_any_case(dial: Dial, site: Site) -> None:
    """And Connection may list more. Source: RFC 6455 section 4.2.1; wire E2."""
    headers = {"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}
    dial.websocket(site, headers=headers).join()


def test_refused_handshake_of_an_upgrade_leaves_polling_alone(dial: Dial, site: Site) -> None:
    """Source: RFC 6455 section 4.2.2; wire E2."""
    polling: Polling = dial.polling(site)
    polling.join()
    opened = dial.handshake(site, endpoint("websocket", polling.sid), headers={"Sec-WebSocket-Version": "99"})
    assert opened.status in {400, 426}
    assert polling.ask("ask", 1) == [1]
    upgraded = dial.probe(polling)
    upgraded.send_packet("5")
    assert upgraded.ask("ask", 2) == [2]
