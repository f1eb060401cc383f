"""Reading and writing Socket.IO packets; wire rules P1 to P3."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.functional import lazystr

from dtws_sio import json
from dtws_sio.exceptions import ProtocolError
from dtws_sio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, MOST_ATTACHMENTS, RESERVED_EVENTS, Packet

WRITTEN = [
    ("0", CONNECT, None, "/", None),
    ('0{"sid":"x"}', CONNECT, {"sid": "x"}, "/", None),
    ('0/chat,{"token":"x"}', CONNECT, {"token": "x"}, "/chat", None),
    ("1", DISCONNECT, None, "/", None),
    ("1/chat,", DISCONNECT, None, "/chat", None),
    ('2["hey"]', EVENT, ["hey"], "/", None),
    ('2["hey",1,"a",{"b":null}]', EVENT, ["hey", 1, "a", {"b": None}], "/", None),
    ('212["hey"]', EVENT, ["hey"], "/", 12),
    ('20["hey"]', EVENT, ["hey"], "/", 0),
    ('2/chat,456["hey","x"]', EVENT, ["hey", "x"], "/chat", 456),
    ('2/a/b-c,["hey"]', EVENT, ["hey"], "/a/b-c", None),
    ("2[1]", EVENT, [1], "/", None),
    ("3456[]", ACK, [], "/", 456),
    ('3/chat,0["a"]', ACK, ["a"], "/chat", 0),
]

LENIENT = [
    ("0/chat", CONNECT, None, "/chat", None),
    ("1/chat", DISCONNECT, None, "/chat", None),
    ('0/chat?token=x,{"a":1}', CONNECT, {"a": 1}, "/chat", None),
    ('2["hey", 1]', EVENT, ["hey", 1], "/", None),
    ('50-["hey"]', EVENT, ["hey"], "/", None),
    ('50-/chat,7["hey"]', EVENT, ["hey"], "/chat", 7),
    ("60-1[]", ACK, [], "/", 1),
    ('2999999999999999["hey"]', EVENT, ["hey"], "/", 999_999_999_999_999),
]
"""What the server reads although it writes it otherwise; wire rule P3 for those that announce no attachments."""

REFUSED = {
    "no packet": "",
    "unknown type": "7",
    "letters": "abc",
    "invalid JSON": '2["hey"',
    "spare text": '2["hey"] x',
    "an event without payload": "2",
    "an object as event": "2{}",
    "text as event": '2"hey"',
    "null as event": "2null",
    "an empty event": "2[]",
    "an object as event name": "2[{}]",
    "null as event name": "2[null]",
    "true as event name": "2[true]",
    "half a number as event name": "2[1.5]",
    **{f"the reserved event {name}": f'2["{name}"]' for name in sorted(RESERVED_EVENTS)},
    "a reserved event with attachments": '51-["connect",{"_placeholder":true,"num":0}]',
    "a disconnect with payload": "1{}",
    "an acknowledgement that is no list": "31{}",
    "an acknowledgement without payload": "31",
    "a CONNECT with a list": "0[]",
    "a CONNECT with text": '0"token"',
    "a CONNECT with null": "0null",
    "a CONNECT_ERROR": '4{"message":"x"}',
    "a negative acknowledgement id": '2-1["hey"]',
    "a half acknowledgement id": '21.5["hey"]',
    "an acknowledgement id in letters": '2a["hey"]',
    "too large an acknowledgement id": '21234567890123456["hey"]',
    "a namespace without its comma": '2/chat["hey"]',
    "a namespace of 201 characters": f"0/{'x' * 200},",
    "a namespace of 201 characters without comma": f"0/{'x' * 200}",
    "a namespace with a line break": "0/a\nconnected /admin,",
    "a namespace with an escape character": "0/\x1b[2J,",
    "a namespace with a DEL": "0/\x7f",
    "too many attachments": f'5{MOST_ATTACHMENTS + 1}-["hey"]',
    "very many attachments": f'5{"9" * 5000}-["hey"]',
    "attachments of an unknown number": '5-["hey"]',
    "a binary event that has no number": '5["hey"]',
    "a plain event with a number of attachments": '21-["hey"]',
    "a plain acknowledgement with a number of attachments": "31-1[]",
    "a long number": f'2["hey",{"1" * 10_000}]',
    "deep nesting": "2" + "[" * 100_000,
}
"""Wire rule P1, and what else the reference parser closes a connection for."""


def placeholder(number: object) -> dict[str, object]:
    return {"_placeholder": True, "num": number}


@pytest.mark.parametrize(("text", "kind", "data", "namespace", "id"), WRITTEN)
def test_a_packet_is_written_as_the_protocol_says(text: str, kind: int, data: Any, namespace: str, id: Any) -> None:
    assert Packet(kind, data, namespace, id).encode() == text


@pytest.mark.parametrize(("text", "kind", "data", "namespace", "id"), WRITTEN + LENIENT)
def test_a_packet_is_read_as_the_protocol_says(text: str, kind: int, data: Any, namespace: str, id: Any) -> None:
    packet = Packet(encoded_packet=text)
    assert (packet.packet_type, packet.data, packet.namespace, packet.id) == (kind, data, namespace, id)
    assert packet.attachment_count == 0


@pytest.mark.parametrize("comma", ["", ","])
def test_a_namespace_may_have_200_characters(comma: str) -> None:
    namespace = "/" + "é" * 199
    assert Packet(encoded_packet=f"0{namespace}{comma}").namespace == namespace


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_packet_that_breaks_a_rule_is_refused(text: str) -> None:
    """Wire rule P1; row W-D3: nothing but ProtocolError may come of it."""
    with pytest.raises(ProtocolError):
        Packet(encoded_packet=text)


def test_the_namespace_none_is_the_default_one() -> None:
    assert Packet(EVENT, ["hey"]).encode() == '2["hey"]'


def test_a_refusal_is_written_with_its_object() -> None:
    assert Packet(CONNECT_ERROR, {"message": "no"}, "/chat").encode() == '4/chat,{"message":"no"}'


@pytest.mark.parametrize(
    ("packet", "parts"),
    [
        (
            Packet(EVENT, ["up", b"\x01\x02"]),
            ['51-["up",{"_placeholder":true,"num":0}]', b"\x01\x02"],
        ),
        (
            Packet(EVENT, ["up", {"a": [b"1", {"b": bytearray(b"2")}], "c": memoryview(b"3")}], "/chat", 7),
            [
                (
                    '53-/chat,7["up",{"a":[{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}],'
                    '"c":{"_placeholder":true,"num":2}}]'
                ),
                b"1",
                b"2",
                b"3",
            ],
        ),
        (Packet(ACK, [b""], "/", 0), ['61-0[{"_placeholder":true,"num":0}]', b""]),
        (Packet(EVENT, ["up", (b"1", lazystr("x"))]), ['51-["up",[{"_placeholder":true,"num":0},"x"]]', b"1"]),
    ],
    ids=["one", "nested", "acknowledgement", "tuple"],
)
def test_bytes_anywhere_become_attachments(packet: Packet, parts: list[str | bytes]) -> None:
    encoded = packet.encode()
    assert encoded == parts
    assert all(type(part) in (str, bytes) for part in encoded)


def test_bytes_beside_what_orjson_refuses_arrive() -> None:
    text, *attachments = Packet(EVENT, ["up", b"1", "\ud83d", b"2"]).encode()
    assert isinstance(text, str)
    packet = Packet(encoded_packet=text)
    assert packet.attachment_count == len(attachments)
    assert [packet.add_attachment(each) for each in attachments][-1]  # type: ignore[arg-type]
    assert packet.data == ["up", b"1", "\ud83d", b"2"]


def test_attachments_take_the_places_that_name_them() -> None:
    packet = Packet(
        encoded_packet='52-/chat,3["up",{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0},'
        '{"_placeholder":true,"num":1},{"_placeholder":false,"num":0}]'
    )
    assert (packet.packet_type, packet.attachment_count, packet.id) == (EVENT, 2, 3)
    assert packet.add_attachment(b"0") is False
    assert packet.add_attachment(b"1") is True
    assert packet.data == ["up", {"a": [b"1"]}, b"0", b"1", {"_placeholder": False, "num": 0}]


def test_as_many_attachments_as_the_reference_server_takes_are_taken() -> None:
    assert Packet(encoded_packet=f'5{MOST_ATTACHMENTS}-["up"]').attachment_count == 10


@pytest.mark.parametrize("number", ["1", "-1", "true", "0.0", '"0"', "null", "1e999"])
def test_a_placeholder_without_attachment_is_refused(number: str) -> None:
    packet = Packet(encoded_packet='51-["up",{"_placeholder":true,"num":' + number + "}]")
    with pytest.raises(ProtocolError, match="there is no attachment"):
        packet.add_attachment(b"0")


def test_a_placeholder_without_number_is_refused() -> None:
    packet = Packet(encoded_packet='51-["up",{"_placeholder":true}]')
    with pytest.raises(ProtocolError, match="there is no attachment None"):
        packet.add_attachment(b"0")


def test_the_deepest_payload_that_is_read_can_be_filled() -> None:
    depth = json.DEEPEST - 2  # the event is a list, and the placeholder an object
    packet = Packet(encoded_packet='51-["up",' + "[" * depth + '{"_placeholder":true,"num":0}' + "]" * depth + "]")
    assert packet.add_attachment(b"0")
    data = packet.data[1]
    for _ in range(depth):
        (data,) = data
    assert data == b"0"


def test_the_refusal_names_no_more_of_the_packet_than_its_type() -> None:
    """Payloads stay out of the log."""
    with pytest.raises(ProtocolError) as caught:
        Packet(encoded_packet='2{"password":"secret"}')
    assert "secret" not in str(caught.value)
