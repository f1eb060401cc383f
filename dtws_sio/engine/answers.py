"""Engine.IO over HTTP: what requests bring and how they are answered."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engineio import json

from dtws_sio.engine.outgoing import SEPARATOR, Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


PAYLOAD_TOO_LARGE: Final = "payload_too_large"
"""Name of what is refused as MAX_PAYLOAD does not allow it, in a POST or on a WebSocket."""

TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: str
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default=())

    @classmethod
    def packets(cls, outbox: list[Outgoing], headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """Answer a GET with packets."""
        payload = SEPARATOR.join(outgoing.payload for outgoing in outbox)
        return cls("200 OK", payload.encode("utf-8", "replace"), (TEXT, *headers))


class Refusal(Exception):  # noqa: N818  it is an answer
    """
    A request is refused.

    Args:
        status: The HTTP status.
        code: The reference server's number for the reason.
        message: Its words.
        headers: Further ones of the response.
        name: The name under which it is counted, if it is; it stands in the body as "error".
    """

    def __init__(
        self, status: str, code: int, message: str, headers: Sequence[tuple[str, str]] = (), *, name: str | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        body = {"code": code, "message": message} if name is None else {"code": code, "message": message, "error": name}
        self.answer = Answer(status, json.dumps(body).encode(), (("Content-Type", "application/json"), *headers))


def too_large() -> Refusal:
    """Make the refusal of a POST that brings more than it may."""
    return Refusal("413 Payload Too Large", 3, "Payload too large", name=PAYLOAD_TOO_LARGE)


def cors_headers(environ: dict[str, Any], *, credentials: bool) -> list[tuple[str, str]]:
    """
    Give the headers with which a page of another origin may read the answer, once that origin was accepted.

    Source: https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    headers = [("Access-Control-Allow-Origin", environ["HTTP_ORIGIN"]), ("Vary", "Origin")]
    if credentials:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    if environ["REQUEST_METHOD"] == "OPTIONS":
        headers.append(("Access-Control-Allow-Methods", "OPTIONS, GET, POST"))
        wanted = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        if wanted is not None:
            headers.append(("Access-Control-Allow-Headers", wanted))
    return headers


def read_packets(environ: dict[str, Any], most: int) -> Iterator[str | bytes]:
    """
    Read the packets of a POST.

    Args:
        environ: The request.
        most: Bytes that it may bring.

    Raises:
        Refusal: If it brings more (at once, without reading them), or what is no payload.

    Source: wire rules E5 to E7.
    """
    try:
        length = int(environ.get("CONTENT_LENGTH") or (most + 1 if "HTTP_TRANSFER_ENCODING" in environ else 0))
        if "CONTENT_LENGTH" in environ and not 0 <= length <= most:
            raise too_large()
        body = environ["wsgi.input"].read(length)
        if "CONTENT_LENGTH" in environ and len(body) < length:
            raise Refusal("400 Bad Request", 3, "Bad request")
        if len(body) > most:
            raise too_large()
        for part in body.decode("utf-8").split(SEPARATOR):
            yield b64decode(part[1:], validate=True) if part[:1] == "b" else part
    except ValueError as error:
        raise Refusal("400 Bad Request", 3, "Bad request") from error


def takes_gzip(environ: dict[str, Any]) -> bool:
    """Tell whether a client asks for compressed bodies."""
    offered = environ.get("HTTP_ACCEPT_ENCODING", "").split(",")
    return any(each.partition(";")[0].strip() == "gzip" for each in offered)
