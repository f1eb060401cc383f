"""The echo handlers are plain methods: they can be called."""

from __future__ import annotations

from typing import Any

from django.test import SimpleTestCase
from django.urls import reverse
from dtws_sio import EventError

from echo.sockets import Echo


class RecordingEcho(Echo):
    """Notes what it emits instead of sending it."""

    def __init__(self) -> None:
        super().__init__("/recording-echo")
        self.sent: list[tuple[Any, ...]] = []

    def emit(self, event: str, data: Any = None, **options: Any) -> None:  # type: ignore[override]
        self.sent.append((event, data, options))


class EchoTests(SimpleTestCase):
    def test_a_message_comes_back_to_its_sender_alone(self) -> None:
        echo = RecordingEcho()
        echo.on_message("sid", {"message": "hello"})
        self.assertEqual(echo.sent, [("new_message", {"message": "hello"}, {"room": "sid"})])

    def test_other_data_is_refused(self) -> None:
        for data in (None, "hello", 1, [], {}, {"message": 1}, {"text": "hello"}):
            with self.subTest(data=data), self.assertRaises(EventError) as caught:
                RecordingEcho().on_message("sid", data)
            self.assertEqual(caught.exception.code, "invalid")

    def test_whatever_comes_is_the_acknowledgement(self) -> None:
        for data in (None, "text", {"a": [1, 2.5]}, b"\x00\xff"):
            with self.subTest(data=data):
                self.assertIs(RecordingEcho().on_echo("sid", data), data)

    def test_the_page_connects_to_the_namespace(self) -> None:
        self.assertContains(self.client.get(reverse("echo:index")), '"namespace": "/echo"')
