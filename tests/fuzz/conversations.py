"""
What the fuzz test says to the server: conversations of clients that know the protocols and break them.

Most of each conversation is right, so that it gets far; somewhere in it a length lies, a frame is cut, or a packet is
of no known kind. Hypothesis draws who does what, and a seed for each thing that is said: what is said comes from
ordinary chance, which is faster and less of the same. Sources: RFC 6455 section 5; Engine.IO protocol 4; Socket.IO
protocol 5.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from random import Random
from struct import pack
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

OPENINGS: Final = ("joined",) * 4 + ("polling", "polling", "websocket", "upgrading", "nothing")
"""How a client begins; `joined` is a WebSocket in the namespace "/"."""

ENDS: Final = ("close", "reset", "half")
"""How a connection ends: FIN, RST, or FIN from the client's side only."""

SID: Final = b"%SID%"
"""Stands in a request for the session of the client."""


@dataclass(frozen=True)
class Action:
    """One thing that a client does: which client, a key of KINDS, and the bytes or number that belong to it."""

    client: int
    kind: str
    data: bytes
    cut: int
    """Where the bytes are cut in two, between which the server gets its turn."""


@dataclass(frozen=True)
class Conversation:
    """An example: how each client begins, what they do in turns, and how they all end."""

    openings: tuple[str, ...]
    actions: tuple[Action, ...]
    end: str
    """One of ENDS, or "wait" for the server to end all WebSockets before the clients do."""


# Socket.IO

PAYLOADS: Final = (
    *('["echo","x"]', '["echo",1,[2],{"a":null}]', '["shout","ä€😀"]', '["join","room"]', '["join",["a"],{"b":1}]'),
    *('["fail"]', '["nap",1]', '["race",1]', '["ask",1]', '["leave"]', '["flood",1]', '["nobody",1]', "[1,2]", "[]"),
    *('["connect",{}]', '["disconnect"]', '["newListener",1]', "[null]", "[{}]", "[[]]", "{}", '{"token":1}', "1"),
    *('"x"', "null", "", "[", '["echo"', '["echo","\\ud800"]', '["echo",NaN]', '["echo",1e999]', '["echo",-0.0]'),
    *('["echo",{"_placeholder":true,"num":0}]', '["echo",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'),
    *('["echo",{"_placeholder":true,"num":-1}]', '["echo",{"_placeholder":true}]', '["echo",{"_placeholder":1}]'),
    *('[{"_placeholder":true,"num":0}]', '["shout",{"_placeholder":true,"num":0}]', "[" * 600, "[" * 300 + "]" * 300),
    *('["echo",' + "9" * 90 + "]", '["echo",' + "9" * 200 + "]", '["echo","' + "x" * 1500 + '"]', '["echo","\\u0000"]'),
)
"""Payloads, good and bad."""

EVENTS: Final = (
    *('2["echo","x"]', '27["echo",1,{"a":[]}]', '2["shout","y"]', '2["join","room"]', '28["nap"]', '2["nap"]'),
    *('29["race"]', '2["ask"]', '2["flood"]', '20["fail"]', "31[]", '32["answer"]', '2["nobody"]'),
)
"""Packets that a client in the namespace "/" may send."""

OTHERS: Final = ('2["leave"]', '2/chat,["shout",1]', "0", "0/chat,", "0/slow,", "1", "1/chat,", '2/slow,1["echo"]')
"""Good packets that need others before them, or after which fewer are good."""

BINARY_EVENTS: Final[tuple[tuple[str | bytes, ...], ...]] = (
    ('51-["echo",{"_placeholder":true,"num":0}]', b"\x00"),
    ('51-7["echo",{"_placeholder":true,"num":0}]', b"x" * 300),
    ('52-/chat,7["shout",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]', b"a", b""),
    ('51-["echo",{"_placeholder":true,"num":1}]', b"a"),
    ('52-["echo",{"_placeholder":true,"num":0}]', b"a", "2"),
    ('61-1[{"_placeholder":true,"num":0}]', b"a"),
)
"""Events with attachments, of which some are wrong."""

TYPES: Final = ("2",) * 8 + ("0", "0", "1", "3", "3", "5", "5", "6", "4", "7", "9", "a", "", "٢")

COUNTS: Final = ("",) * 6 + ("1-", "1-", "2-", "0-", "10-", "11-", "-", "1", "9" * 30 + "-", "1-1-")

NAMESPACES: Final = (
    *("",) * 6,
    *("/chat,", "/chat,", "/no,", "/raise,", "/slow,", "/nowhere,", "/", "/chat", "/chat?a=1,", "/,", "/" + "n" * 99),
)

NUMBERS: Final = ("",) * 4 + ("0", "7", "7", "1", "123456789012345", "1234567890123456", "-1", "٣", "07")


def socketio_packet(chance: Random) -> str:
    """Put a packet together from parts that need not fit."""
    return "".join(map(chance.choice, (TYPES, COUNTS, NAMESPACES, NUMBERS, PAYLOADS)))


# Engine.IO

ENGINEIO_PACKETS: Final = (
    *("2", "3", "1", "0", "5", "6", "2probe", "3probe", "5", "2probe", "9", "", "4", "40", "40/chat,", "41", "abc"),
    *("40/slow,", "41/slow,", "40/no,", "b", "bAAAA", "b####", "4\x00", "0{}", "1x", "22", "4" + "x" * 3000),
)
"""Whole packets, good and bad."""


def packets(chance: Random, tame: bool = False) -> tuple[str | bytes, ...]:
    """Give a packet, or one with its attachments; a tame one breaks nothing."""
    dice = chance.random()
    if dice < 0.6 or tame:
        return ("4" + chance.choice(EVENTS),)
    if dice < 0.75:
        return ("4" + chance.choice((chance.choice(OTHERS), socketio_packet(chance))),)
    if dice < 0.85:
        return tuple("4" + part if isinstance(part, str) else part for part in chance.choice(BINARY_EVENTS))
    return (chance.choice(ENGINEIO_PACKETS),) if dice < 0.97 else (chance.randbytes(chance.randrange(6)),)


def polled(packet: str | bytes) -> bytes:
    """Write a packet as it stands in a polling body."""
    return b"b" + b64encode(packet) if isinstance(packet, bytes) else packet.encode("utf-8", "surrogatepass")


def body(chance: Random, size: int) -> bytes:
    """Give a polling body."""
    tame = chance.random() < 0.5
    return b"\x1e".join(polled(packet) for _ in range(size) for packet in packets(chance, tame))


# WebSocket


def frame(
    opcode: int, payload: bytes, head: int = 0x80, mask: bytes | None = b"\x00\x00\x00\x00", form: int = 0
) -> bytes:
    """
    Make a frame as a client sends it, or as none may.

    Args:
        opcode: Its kind.
        payload: What it carries, before masking.
        head: FIN and the reserved bits.
        mask: Four bytes, or None for a frame that is not masked.
        form: 0 for the right length; 126 or 127 for a longer form of it; any other number is added to it, a lie.
    """
    length = len(payload) + (form if form not in (126, 127) else 0)
    masked = 0 if mask is None else 0x80
    if form == 127 or length > 0xFFFF:
        header = pack("!BBQ", head | opcode, masked | 127, length % 2**64)
    elif form == 126 or length > 125:
        header = pack("!BBH", head | opcode, masked | 126, length)
    else:
        header = pack("!BB", head | opcode, masked | max(length, 0))
    if mask is None:
        return header + payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return header + mask + bytes(a ^ b for a, b in zip(payload, key, strict=True))


def text(packet: str | bytes) -> bytes:
    """Make the frame of a packet as a good client sends it."""
    if isinstance(packet, bytes):
        return frame(2, packet)
    return frame(1, packet.encode("utf-8", "surrogatepass"))


CLOSES: Final = (
    *(b"", b"\x03\xe8", b"\x03\xe9bye", b"\x03", b"\x00\x00", b"\x03\xed", b"\x03\xee", b"\x0b\xb8", b"\x13\x88"),
    *(b"\x03\xe8\xff", b"\x03\xe8" + b"x" * 123, b"\x03\xe8" + b"x" * 124),
)
"""Payloads of close frames: codes that may be sent, codes that may not, and reasons that are too long or not UTF-8."""

OPCODES: Final = (1,) * 6 + (2, 2, 0, 0, 8, 9, 10, 3, 7, 11, 15)

HEADS: Final = (0x80,) * 8 + (0, 0, 0xC0, 0xA0, 0x90, 0xF0, 0x40)

MASKS: Final = (b"\x00\x00\x00\x00", b"\x01\x02\x03\x04", b"\xff\xff\xff\xff", None)

FORMS: Final = (0,) * 8 + (126, 127, 1, -1, 2000, 2**31, 2**62)


def odd_frame(chance: Random) -> bytes:
    """Give a frame in which anything may be wrong."""
    contents = (polled(packets(chance)[0]), chance.choice(CLOSES), chance.randbytes(chance.randrange(140)))
    opcode, content = chance.choice(OPCODES), chance.choice(contents)
    return frame(opcode, content, chance.choice(HEADS), chance.choice(MASKS), chance.choice(FORMS))


def fragmented(chance: Random) -> bytes:
    """Give a message in two frames, sometimes with a control frame between them."""
    data = polled(packets(chance)[0])
    cut = chance.randrange(len(data) + 1)
    between = chance.choice((b"", frame(9, b"!"), frame(8, b"")))
    return frame(1, data[:cut], head=0) + between + frame(0, data[cut:])


def frames(chance: Random, size: int) -> bytes:
    """Give the bytes of some frames."""
    stream = b""
    tame = chance.random() < 0.5
    for _ in range(size):
        dice = chance.random()
        if dice < 0.85 or tame:
            stream += b"".join(map(text, packets(chance, tame)))
        else:
            stream += odd_frame(chance) if dice < 0.93 else fragmented(chance)
    return stream


# HTTP

QUERIES: Final = (
    *(b"EIO=4&transport=polling&sid=" + SID, b"EIO=4&transport=websocket&sid=" + SID, b"EIO=4&transport=polling", b""),
    *(
        b"EIO=3&transport=polling",
        b"EIO=4",
        b"transport=polling",
        b"EIO=4&EIO=4&transport=polling",
        b"EIO=4&sid=" + SID,
    ),
    *(b"EIO=4&transport=jsonp", b"EIO=4&transport=polling&j=0", b"EIO=4&transport=polling&sid=" + b"x" * 500, b"%"),
    *(
        b"EIO=4&transport=polling&sid=" + SID + b"&sid=",
        b"EIO=4&transport=polling&sid=%00",
        b"EIO=%34&transport=websocket",
    ),
)
"""Query strings, good and bad."""

HEADERS: Final = (
    *(b"Content-Length: 4", b"Content-Length: 0", b"Content-Length: 5000", b"Content-Length: -1", b"Content-Length: x"),
    *(b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Connection: close", b"Accept-Encoding: gzip"),
    *(b"Origin: http://127.0.0.1", b"Origin: null", b"Origin: http://evil.example", b"Origin: http://[", b"Host: x:y"),
    *(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 12"),
    *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Key: short", b"Sec-WebSocket-Key: \xff"),
    *(b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Extensions: permessage-deflate; x=\x01,,;"),
)
"""Header lines, good and bad."""

METHODS: Final = (b"GET", b"GET", b"POST", b"POST", b"OPTIONS", b"PUT", b"HEAD", b"DELETE", b"get", b"X" * 50)

HANDSHAKE: Final = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""The headers of a good WebSocket handshake."""

COMPRESSING: Final = HANDSHAKE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
"""The same, of a client that offers compression."""


def request(chance: Random, size: int) -> bytes:
    """Give a request put together from parts that need not fit."""
    content = chance.choice((b"", body(chance, size)))
    if chance.random() < 0.3:
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    headers = [chance.choice(HEADERS) for _ in range(chance.randrange(6))]
    head = chance.choice(METHODS) + b" /socket.io/?" + chance.choice(QUERIES) + b" HTTP/1.1"
    return b"\r\n".join([head, b"Host: 127.0.0.1", *headers, b"", content])


# Actions

UPGRADES: Final = (b"", text("2probe"), text("2probe") + text("5"), text("2probe") + text("5") + text("40"), text("5"))
"""What follows the handshake of a WebSocket that wants a session, in the same packet."""

PASSED: Final = (b"1", b"20", b"26", b"50")
"""Seconds to let pass; pings are due after 25, their answers 20 later, and joining a namespace after 45."""

MUTATIONS: Final[tuple[Callable[[bytes, int, bytes], bytes], ...]] = (
    lambda data, at, other: data[:at],
    lambda data, at, other: data[:at] + data[at + 1 :],
    lambda data, at, other: data[:at] + other + data[at:],
    lambda data, at, other: data[:at] + other + data[at + len(other) :],
    lambda data, at, other: data[at:] + data[:at],
    lambda data, at, other: data + data[at:],
)
"""What is done to a stream of bytes at a place in it."""


def mutated(make: Callable[[Random, int], bytes], share: float) -> Callable[[Random, int], bytes]:
    """Break a share of what is made somewhere."""

    def make_mutated(chance: Random, size: int) -> bytes:
        data = make(chance, size)
        if chance.random() >= share:
            return data
        other = chance.randbytes(chance.randrange(5))
        return chance.choice(MUTATIONS)(data, chance.randrange(len(data) + 1), other)

    return make_mutated


KINDS: Final[dict[str, Callable[[Random, int], bytes]]] = {
    "frames": mutated(frames, 0.2),
    "post": mutated(body, 0.2),
    "poll": lambda chance, size: b"",
    "request": mutated(request, 0.3),
    "upgrade": lambda chance, size: chance.choice((*UPGRADES, frames(chance, size))),
    "finish": lambda chance, size: chance.choice(ENDS).encode(),
    "time": lambda chance, size: chance.choice(PASSED),
}
"""
What a client does, with how the bytes for it are made: it sends bytes on its WebSocket; POSTs a body; begins to poll;
sends a request of its own making; asks for a WebSocket for its session; ends its connection; lets seconds pass.
"""


def act(client: int, kind: str, size: int, seed: int, cut: int) -> Action:
    """Make an action; the seed says which of those of its kind."""
    return Action(client, kind, KINDS[kind](Random(seed), size), cut)


_WEIGHTED: Final = ("frames",) * 10 + ("post",) * 4 + ("poll", "poll", "request", "upgrade", "finish", "time")

actions: Final = st.builds(
    act,
    st.integers(0, 2),
    st.sampled_from(_WEIGHTED),
    st.integers(1, 6),
    st.integers(0, 2**64),
    st.one_of(st.just(0), st.integers(0, 200)),
)

conversations: Final = st.builds(
    Conversation,
    st.lists(st.sampled_from(OPENINGS), min_size=1, max_size=3).map(tuple),
    st.lists(actions, min_size=2, max_size=10).map(tuple),
    st.sampled_from(("close", "close", "close", "reset", "reset", "reset", "wait")),
)
