"""Socket.IO packets: those that close the connection, events, acknowledgements and their order. Source: P1 to P6."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from .clients import AT_ONCE, Polling, endpoint, request

if TYPE_CHECKING:
    from .clients import SocketIO
    from .conftest import Dial, Site, Witness

PLACEHOLDER = '{"_placeholder":true,"num":0}'

RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")

BAD: dict[str, list[str | bytes]] = {
    "unknown packet type": ["abc"],
    "packet type 7": ['7["ask"]'],
    "packet type 9": ["9"],
    "no packet type": [""],
    "a type of another script": ['٢["ask",1]'],
    "invalid JSON": ['2["ask"'],
    "rubbish behind the JSON": ['2["ask"]x'],
    "no JSON at all": ["2ask"],
    "NaN, which is no JSON": ['2["ask",NaN]'],
    "event without a payload": ["2"],
    "payload is an object": ["2{}"],
    "payload is empty": ["2[]"],
    "payload is a string": ['2"ask"'],
    "payload is null": ["2null"],
    "name is an object": ["2[{}]"],
    "name is null": ["2[null]"],
    "name is a list": ['2[["ask"]]'],
    **{f"reserved name {name}": [f'2["{name}",1]'] for name in RESERVED},
    **{f"reserved name {name} with attachment": [f'51-["{name}",{PLACEHOLDER}]', b"x"] for name in RESERVED[:3]},
    "disconnect with a payload": ["1{}"],
    "acknowledgement is an object": ["31{}"],
    "acknowledgement is a string": ['31"x"'],
    "connect with a list": ["0/chat,[]"],
    "connect with a string": ['0/chat,"x"'],
    "connect with null": ["0/chat,null"],
    "invalid ack id": ['2abc["ask",1]'],
    "negative ack id": ['2-1["ask",1]'],
    "second connect": ["0"],
    "second connect with a payload": ['0{"tag":"x"}'],
    "event for a namespace that is not joined": ['2/chat,["ask",1]'],
    "event for an unknown namespace": ['2/nowhere,["ask",1]'],
    "text where an attachment is due": [f'51-["ask",{PLACEHOLDER}]', '2["ask",1]'],
    "text between two attachments": ['52-["ask",{"_placeholder":true,"num":0}]', b"x", '2["ask",1]'],
    "attachment where none is due": [b"x"],
    "one attachment more than announced": [f'51-["nothing",{PLACEHOLDER}]', b"x", b"y"],
    "no number of attachments": ['5["ask",1]'],
    "number of attachments of letters": ['5a-["ask",1]'],
    "eleven attachments": ['511-["ask"]', *[b"x"] * 11],
    "a billion attachments": ['51000000000-["ask"]'],
    "placeholder index out of range": ['51-["ask",{"_placeholder":true,"num":1}]', b"x"],
    "placeholder index below zero": ['51-["ask",{"_placeholder":true,"num":-1}]', b"x"],
    "placeholder index of letters": ['51-["ask",{"_placeholder":true,"num":"0"}]', b"x"],
    "placeholder without an index": ['51-["ask",{"_placeholder":true}]', b"x"],
}


@pytest.mark.parametrize("messages", BAD.values(), ids=BAD)
def test_packet_that_breaks_a_rule_closes_the_connection(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, messages: list[str | bytes]
) -> None:
    """At once, with the reason `parse error` and at most one line in the log. Source: wire P1."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    before = len(site.log())
    client.send(*messages)
    client.wait_until_closed()
    assert request(site.port, "GET", endpoint("polling", client.sid)).status == 400
    assert witness.reasons(tag) == ["parse error"]
    assert witness.members(tag) == 0
    printed = site.log()[before:].splitlines()
    assert sum(line.startswith(("WARNING dtws_sio", "ERROR")) for line in printed) <= 1, printed


def test_nothing_behind_a_bad_packet_is_handled(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Although it came in the same request or segment. Source: wire P1."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.send('2["mark","before"]', "2{}", '2["mark","behind"]')
    client.wait_until_closed()
    assert witness.reasons(tag) == ["parse error"]
    assert witness.marks(tag) == ["before"]


@pytest.mark.parametrize("message", ["2{}", '2["connect"]', "9", "1{}"])
def test_packet_that_breaks_a_rule_closes_a_connection_without_a_namespace(
    dial: Dial, site: Site, transport: str, message: str
) -> None:
    """The handshake of Engine.IO alone is enough to be held to the rules. Source: wire P1."""
    client = dial.client(transport, site)
    client.send(message)
    client.wait_until_closed()


def test_ten_attachments_are_accepted(dial: Dial, site: Site, transport: str) -> None:
    """The limit itself is within it. Source: wire P1."""
    client = dial.client(transport, site)
    client.join()
    places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
    client.send(f'510-7["ask",[{places}]]', *(b"%d" % number for number in range(10)))
    assert client.message() == f"610-7[[{places}]]"
    assert [client.message() for _ in range(10)] == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize("name", ["connect", "disconnect"])
@pytest.mark.parametrize("joined", [True, False])
def test_reserved_event_never_reaches_the_handlers_of_a_clients_life(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, name: str, *, joined: bool
) -> None:
    """Neither `on_connect` with the client's data as environ nor `on_disconnect`. Source: wire P2."""
    client = dial.client(transport, site)
    if joined:
        client.join(auth={"tag": tag})
    client.emit(name, {"tag": tag, "REMOTE_ADDR": "10.0.0.1"}, {"tag": tag})
    client.wait_until_closed()
    if joined:
        witness.reasons(tag)
    assert witness.lives(tag) == (["connecting", "accepted", "disconnect: parse error"] if joined else [])


def test_binary_event_without_attachments_is_an_ordinary_event(dial: Dial, site: Site, transport: str) -> None:
    """And jams nothing. Source: wire P3."""
    client = dial.client(transport, site)
    client.join()
    client.send('50-["echo","x"]', '50-7["ask","y"]')
    assert {client.text(), client.text()} == {'2["echo","x"]', '37["y"]'}
    assert client.ask("ask", "z") == ["z"]


# P4


def error(code: str) -> Any:
    """Match the values of an acknowledgement that tells an error."""

    class Match:
        def __eq__(self, values: object) -> bool:
            told = values[0]["error"] if isinstance(values, list) and len(values) == 1 else {}
            return set(told) == {"code", "message"} and told["code"] == code and bool(told["message"])

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            return f"an error {code!r}"

    return Match()


ANSWERS: dict[str, tuple[list[Any], Any]] = {
    "a value": (["ask", "x"], ["x"]),
    "a list is one value": (["ask", [1, 2]], [[1, 2]]),
    "an object": (["ask", {"a": [True, None, 1.5]}], [{"a": [True, None, 1.5]}]),
    "a tuple is several values": (["several"], [1, 2]),
    "None is no value": (["nothing"], []),
    "an exception": (["fail"], error("handler_failed")),
    "an error of the handler's choice": (["complain"], [{"error": {"code": "too_late", "message": "Too late"}}]),
    "too few arguments": (["ask"], error("wrong_arguments")),
    "too many arguments": (["ask", 1, 2, 3], error("wrong_arguments")),
    "an unknown event": (["never heard of"], error("unknown_event")),
    "a method that is no handler": (["emit", "x"], error("unknown_event")),
}


@pytest.mark.parametrize(("event", "answer"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_return_value_of_a_handler_is_the_acknowledgement(
    dial: Dial, site: Site, transport: str, event: list[Any], answer: Any, namespace: str
) -> None:
    """Errors too, without a traceback; the connection lives. Source: wire P4."""
    client = dial.client(transport, site)
    client.join(namespace)
    for id in (0, 12, 2**40):
        values = client.ask(*event, namespace=namespace, id=id)
        assert answer == values
        assert not {"Traceback", "secret", "OnPurposeError"} & set(json.dumps(values).replace('"', " ").split())
    assert client.ask("ask", 1, namespace=namespace) == [1]


def test_handler_may_acknowledge_nothing(dial: Dial, site: Site, transport: str) -> None:
    """Source: wire P4."""
    client = dial.client(transport, site)
    client.join()
    client.emit("silence", id=5)
    assert client.ask("ask", 1) == [1]
    assert client.is_quiet(0.1)


@pytest.mark.parametrize("event", ["ask", "several", "fail", "never heard of"])
def test_event_that_asks_for_no_acknowledgement_gets_none(dial: Dial, site: Site, transport: str, event: str) -> None:
    """Source: wire P4."""
    client = dial.client(transport, site)
    client.join()
    client.emit(event, *(["x"] if event == "ask" else []))
    assert client.ask("ask", 1) == [1]


def test_bytes_are_acknowledged_with_bytes(dial: Dial, site: Site, transport: str) -> None:
    """Wherever they stand in the value. Source: wire P4."""
    client = dial.client(transport, site)
    client.join("/chat")
    client.send('52-/chat,7["ask",{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]}]', b"0", b"1")
    head = client.message()
    first, second = client.message(), client.message()
    assert isinstance(head, str)
    assert head.startswith("62-/chat,7[")
    (value,) = json.loads(head.removeprefix("62-/chat,7"))
    attachments = [first, second]
    assert attachments[value["a"]["num"]] == b"1"
    assert attachments[value["b"][0]["num"]] == b"0"


def test_acknowledgement_that_nobody_waits_for_is_ignored(dial: Dial, site: Site, transport: str) -> None:
    """Source: wire P4."""
    client = dial.client(transport, site)
    client.join()
    client.send('399["x"]', '30["x"]', '3999999999999999["x"]')
    assert client.ask("ask", 1) == [1]


# P5 and P6


def test_events_of_a_client_are_handled_in_the_order_sent(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Although each takes less time than the one before it. Source: wire P5."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.send(*(f'2{number}["mark",{number},{(8 - number) / 200}]' for number in range(8)))
    assert [client.text() for _ in range(8)] == [f"3{number}[{number}]" for number in range(8)]
    assert witness.marks(tag) == [str(number) for number in range(8)]


def test_events_in_requests_of_their_own_keep_their_order(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Each is sent when the one before has been taken in, not when it has been handled. Source: wire P5."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    for number in range(8):
        client.emit("mark", number, (8 - number) / 200, id=number)
    assert [client.text() for _ in range(8)] == [f"3{number}[{number}]" for number in range(8)]
    assert witness.marks(tag) == [str(number) for number in range(8)]


def test_event_with_attachments_keeps_its_place_between_others(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Binary and text. Source: wire P5."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.send(
        '2["mark","a",0.03]',
        f'51-["mark",{PLACEHOLDER},0.02]',
        b"b",
        '2["mark","c",0.01]',
        f'51-["mark",{PLACEHOLDER}]',
    )
    client.send(b"d", '27["mark","e"]')
    assert client.text() == '37["e"]'
    assert witness.marks(tag) == ["a", "b", "c", "d", "e"]


def test_emitted_packets_with_attachments_keep_their_order(dial: Dial, site: Site, transport: str) -> None:
    """Nothing comes between a packet and its attachments. Source: wire P5."""
    client = dial.client(transport, site)
    client.join()
    for number in range(5):
        client.send(f'2["echo",{number}]', f'51-["echo",{PLACEHOLDER}]', b"%d" % number)
    for number in range(5):
        assert client.message() == f'2["echo",{number}]'
        assert client.message() == f'51-["echo",{PLACEHOLDER}]'
        assert client.message() == b"%d" % number


def test_concurrent_handler_does_not_wait_for_the_others(dial: Dial, site: Site, transport: str) -> None:
    """It overtakes a long one of the same client. Source: wire P5."""
    client = dial.client(transport, site)
    client.join()
    client.send('21["mark","long",0.4]', '22["overtake","quick"]')
    assert [client.text(), client.text()] == ['32["quick"]', '31["long"]']


def test_acknowledgement_from_a_client_does_not_wait_behind_its_event(dial: Dial, site: Site, transport: str) -> None:
    """A handler may ask the very client whose event it handles. Source: wire P5."""
    client = dial.client(transport, site)
    client.join()
    client.emit("question", id=1)
    asked = client.text()
    assert asked.startswith("2")
    assert asked.endswith('["question","how are you"]')
    client.send("3" + asked[1:].partition("[")[0] + '["fine"]')
    assert client.text() == '31["fine"]'


def test_clients_do_not_wait_for_each_other(dial: Dial, site: Site, transport: str) -> None:
    """Nor do two namespaces of one client. Source: wire P5."""
    first, second = dial.client(transport, site), dial.client(transport, site)
    first.join()
    first.join("/chat")
    second.join()
    started = time.monotonic()
    first.emit("mark", "long", 0.6)
    assert second.ask("ask", 1) == [1]
    assert first.ask("ask", 2, namespace="/chat") == [2]
    assert time.monotonic() - started < 0.6


def test_closing_does_not_wait_behind_an_event(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """The session is gone at once, and nothing is emitted to the client any more. Source: wire P5."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.emit("mark", "long", 1.5)
    started = time.monotonic()
    if isinstance(client, Polling):
        client.post("1")
    else:
        client.send_packet("1")  # type: ignore[attr-defined]
    client.wait_until_closed()
    while witness.members(tag):
        assert time.monotonic() - started < AT_ONCE
    assert time.monotonic() - started < AT_ONCE


def test_handler_that_raises_stops_nothing(dial: Dial, site: Site, witness: Witness, tag: str, transport: str) -> None:
    """Neither the connection nor what comes behind it. Source: wire P6."""
    client: SocketIO = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.send('2["mark",1]', '2["fail"]', '25["fail"]', '2["mark",2]', '2["fail"]', '26["mark",3]')
    assert client.text().startswith('35[{"error":')
    assert client.text() == "36[3]"
    assert witness.marks(tag) == ["1", "2", "3"]
