"""
Socket.IO packets (protocol version 5) as text and bytes.

    <type>[<number of attachments>-][<namespace>,][<acknowledgement id>][<JSON payload>]

`Packet` reads strictly: whatever the reference parser refuses raises `ProtocolError`, and the server closes that
connection. Writing puts bytes anywhere in the data aside as attachments.

Source: wire rules P1 to P4; https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import socketio.packet
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT

from dtws_sio import json
from dtws_sio.exceptions import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACK",
    "BINARY_ACK",
    "BINARY_EVENT",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "RESERVED_EVENTS",
    "Packet",
]

RESERVED_EVENTS: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Event names that no packet may carry, in either direction: they belong to the life of a connection."""

MOST_ATTACHMENTS: Final = 10
"""Binary attachments of one packet, as in the reference server and client; with more they close the connection."""

_HEAD: Final = re.compile(r"([0-6])(?:([0-9]+)-)?(?:(/[^,\x00-\x1f\x7f]{0,199})(?:,|$))?([0-9]{1,15})?")
"""Fifteen digits of an acknowledgement id are more than a client can count to, and fit a JavaScript number."""

_BINARY: Final = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}
_PLAIN: Final = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}


class Packet(socketio.packet.Packet):  # type: ignore[misc]
    """
    One Socket.IO packet.

    `packet_type` is the kind of the content: EVENT or ACK also for those with attachments, whose number is
    `attachment_count`. `data` is the payload: a list for events and acknowledgements. `size` is how many characters and
    bytes arrived.

    Args:
        packet_type: One of the constants of this module.
        data: The payload; bytes anywhere in it become attachments.
        namespace: The namespace's path; None is "/".
        id: The acknowledgement id, or None.
        encoded_packet: Text that arrived; the other arguments are read from it.

    Raises:
        ProtocolError: If the text breaks a rule of the protocol.
    """

    json = json

    def __init__(
        self,
        packet_type: int = EVENT,
        data: Any = None,
        namespace: str | None = None,
        id: int | None = None,
        binary: bool | None = None,
        encoded_packet: str | None = None,
    ) -> None:
        self.packet_type = packet_type
        self.data = data
        self.namespace = namespace
        self.id = id
        self.attachment_count = 0
        self.attachments: list[bytes] = []
        self.size = 0
        if encoded_packet is not None:
            self.decode(encoded_packet)

    def encode(self) -> str | list[str | bytes]:
        """Write the packet: text alone, or text followed by its attachments."""
        parts = encode(self.packet_type, self.namespace, self.data, self.id)
        return list(parts) if len(parts) > 1 else str(parts[0])

    def decode(self, encoded_packet: str) -> int:
        """Read the packet from text; the attachments follow through `add_attachment`."""
        self.size = len(encoded_packet)
        head = _HEAD.match(encoded_packet)
        if head is None:
            raise ProtocolError(f"unknown packet type {encoded_packet[:1]!r}")
        kind, count, namespace, number = head.groups()
        self.packet_type = _PLAIN.get(int(kind), int(kind))
        self.attachment_count = self._count(int(kind), count)
        self.namespace = namespace.partition("?")[0] if namespace else "/"
        self.id = int(number) if number else None
        self.data = self._payload(encoded_packet[head.end() :])
        return self.attachment_count

    def _count(self, kind: int, digits: str | None) -> int:
        if (digits is not None) != (kind in _PLAIN):
            raise ProtocolError("a packet with attachments says how many, and no other does")
        count = int(digits[: len(str(MOST_ATTACHMENTS)) + 1]) if digits else 0
        if count > MOST_ATTACHMENTS:
            raise ProtocolError(f"more than {MOST_ATTACHMENTS} attachments")
        return count

    def _payload(self, text: str) -> Any:
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            raise ProtocolError("the payload is not JSON") from error
        if not _ALLOWED[self.packet_type](data, text):
            raise ProtocolError(f"a payload of the wrong kind in a packet of type {self.packet_type}")
        return data

    def add_attachment(self, attachment: bytes) -> bool:
        """
        Take the next attachment; True once the packet is complete and `data` holds them all.

        Raises:
            ProtocolError: If a placeholder names an attachment that does not exist.
        """
        self.attachments.append(attachment)
        self.size += len(attachment)
        if len(self.attachments) < self.attachment_count:
            return False
        self.data = self._filled(self.data)
        return True

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("_placeholder") is not True:
            return {key: self._filled(item) for key, item in value.items()}
        number = value.get("num")
        if type(number) is not int or not 0 <= number < len(self.attachments):
            raise ProtocolError(f"there is no attachment {number!r}")
        return self.attachments[number]


def encode(
    kind: int, namespace: str | None, data: Any, id: int | None = None, prefix: str = ""
) -> tuple[str | bytes, ...]:
    """
    Write a packet.

    Args:
        kind: The packet's type, without regard to attachments.
        namespace: The path.
        data: The payload; None is none.
        id: The acknowledgement id.
        prefix: What the text begins with, for the transport.

    Returns:
        The text, followed by the attachments that were found in the data.

    Raises:
        TypeError: If something in the data has no JSON form.
    """
    attachments: tuple[bytes, ...] = ()
    try:
        payload = "" if data is None else json.dumps(data)
    except TypeError:  # bytes have no form in JSON
        payload, attachments = _with_placeholders(data)
    address = "" if namespace is None or namespace == "/" else f"{namespace},"
    number = "" if id is None else id
    if not attachments:
        return (f"{prefix}{kind}{address}{number}{payload}",)
    return (f"{prefix}{_BINARY[kind]}{len(attachments)}-{address}{number}{payload}", *attachments)


def _with_placeholders(data: Any) -> tuple[str, tuple[bytes, ...]]:
    attachments: list[bytes] = []

    def put_aside(value: Any) -> Any:
        # Where orjson gives up half-way this runs twice; the numbers go on, so that the text is right all the same.
        if isinstance(value, (bytes, bytearray, memoryview)):
            attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return json.encode_django_type(value)

    text = json.dumps(data, put_aside)
    if len(attachments) > MOST_ATTACHMENTS:
        raise ValueError(
            f"it holds {len(attachments)} times bytes, and clients take {MOST_ATTACHMENTS} at most; join them"
        )
    return text, tuple(attachments)


def read_event(payload: str) -> list[Any]:
    """
    Read the payload of an event: its name, and its arguments.

    Raises:
        ProtocolError: If it is not JSON, has no name, or one that is reserved.
    """
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise ProtocolError("the payload is not JSON") from error
    if not _is_event(data, ""):
        raise ProtocolError("an event without a name, or with a reserved one")
    return data  # type: ignore[no-any-return]


def _is_event(data: Any, text: str) -> bool:
    """A number is a name too, as in the reference parser: `socket.emit(1)` sends one."""
    if type(data) is not list or not data:
        return False
    name = data[0]
    return (type(name) is str and name not in RESERVED_EVENTS) or type(name) is int


_ALLOWED: Final[dict[int, Callable[[Any, str], bool]]] = {
    CONNECT: lambda data, text: not text or isinstance(data, dict),
    DISCONNECT: lambda data, text: not text,
    EVENT: _is_event,
    ACK: lambda data, text: isinstance(data, list),
    CONNECT_ERROR: lambda data, text: False,
}
"""What may follow the head, by packet type. Only servers send CONNECT_ERROR."""
