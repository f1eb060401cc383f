"""The echo page: events both ways, acknowledgements, bytes and errors; row D-82."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.windows import expect_connected

if TYPE_CHECKING:
    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser


@pytest.fixture
def echo(page: Page) -> Page:
    """The echo page, connected."""
    page.goto("/echo/")
    expect_connected(page)
    return page


def test_forms_are_hidden_until_the_page_is_connected(page: Page) -> None:
    """Row D-82."""
    page.route("**/socket.io/?**", lambda route: None)  # which holds the request
    page.goto("/echo/")
    expect(page.locator("#state")).to_have_text("connecting")
    expect(page.get_by_role("button")).to_have_count(0)
    page.unroute("**/socket.io/?**")  # which lets it go
    expect_connected(page)
    expect(page.get_by_role("button", name="Call")).to_be_visible()


def test_a_message_is_answered(echo: Page) -> None:
    """Row D-82."""
    for text in ("hello", "<b>ελ 🙂</b>"):
        echo.get_by_label("Message", exact=True).fill(text)
        echo.get_by_role("button", name="Send", exact=True).click()
        expect(echo.locator("#event-log li").first).to_have_text(f"Server said: {text}")
    expect(echo.locator("#event-log li")).to_have_count(2)


def test_what_a_handler_returns_is_shown(echo: Page) -> None:
    """Row J-08: any JSON as it is, without an object around it."""
    for data in ('{"answer":[42,null,true]}', '"Grüße"', "[]", "0"):
        echo.get_by_label("Data (JSON)").fill(data)
        echo.get_by_role("button", name="Call").click()
        expect(echo.locator("#ack-result")).to_have_text(data)


def test_random_bytes_come_back_the_same(echo: Page) -> None:
    echo.get_by_role("button", name="Send 64 KiB at random").click()
    expect(echo.locator("#bytes-result")).to_have_text(
        re.compile(r"^65,536 bytes came back in \d+ ms, every one the same$")
    )


def test_files_come_back_the_same(echo: Page) -> None:
    for size in (0, 1, 900_000):
        content = (bytes(range(256)) * (size // 256 + 1))[:size]
        echo.get_by_label("Send a file").set_input_files({"name": "a.bin", "mimeType": "", "buffer": content})
        result = re.compile(rf"^{size:,} bytes came back in \d+ ms, every one the same$")
        expect(echo.locator("#bytes-result")).to_have_text(result)


WRONG: Final = {
    "An unknown event": "mesage",
    "Too many arguments": "argument",
    "Wrong data": 'send {\\"message\\": \\"some text\\"}',
}
"""What the buttons that do something wrong say, and what the answer to each must hold."""


def test_what_is_wrong_is_answered_and_the_connection_stays(echo: Page, watch: Watch) -> None:
    sockets = sum(url.startswith("ws:") for url in watch.requests)
    for button, error in WRONG.items():
        echo.get_by_role("button", name=button).click()
        expect(echo.locator("#wrong-result")).to_contain_text(error)
        expect(echo.locator("#wrong-result")).to_contain_text('{"error":{')
    echo.get_by_role("button", name="Call").click()
    expect(echo.locator("#ack-result")).to_have_text('{"answer":42}')
    expect_connected(echo)
    assert sum(url.startswith("ws:") for url in watch.requests) == sockets == 1


EARLY: Final = """async () => {
  const { connect } = await import("dtws_sio/connect");
  const socket = connect("/echo", { autoConnect: false, forceNew: true });
  const heard = [];
  const all = new Promise((resolve) => socket.on("new_message", ({ message }) => message === "last" && resolve()));
  const first = ({ message }) => heard.push(`first ${message}`);
  socket.on("new_message", first);
  socket.on("new_message", ({ message }) => heard.push(`second ${message}`));
  socket.emit("message", { message: "early" });
  await socket.connect().emitWithAck("echo", "the early one was answered before this");
  socket.off("new_message", first);
  socket.emit("message", { message: "last" });
  await all;
  socket.disconnect();
  return heard;
}"""


def test_a_script_may_listen_twice_and_emit_before_it_is_connected(echo: Page) -> None:
    """Rows J-06, J-08 and W-D17: listeners add up and go again, and what is emitted early is kept."""
    heard: Any = echo.evaluate(EARLY)
    assert heard == ["first early", "second early", "second last"]


def test_errors_of_a_pages_own_code_surface(echo: Page, watch: Watch) -> None:
    """Rows J-07 and W-D17: nothing swallows what a listener throws; row J-06: what is no function is refused."""
    thrower = """async () => {
      const { connect } = await import("dtws_sio/connect");
      const socket = connect("/echo");
      socket.once("new_message", () => { throw new Error("of a listener") });
      socket.emit("message", { message: "hello" });
    }"""
    with echo.expect_event("pageerror") as caught:
        echo.evaluate(thrower)
    assert "of a listener" in str(caught.value)
    (fault,) = watch.faults
    assert fault.startswith("an exception on ")
    watch.faults.clear()


BY_HAND: Final = """async () => {
  const { connect } = await import("dtws_sio/connect");
  const socket = connect("/echo", { autoConnect: false, forceNew: true });
  const ids = [];
  for (const message of ["first", "second"]) {
    const arrived = new Promise((resolve) => socket.once("connect", resolve));
    socket.connect().connect();
    await arrived;
    ids.push(socket.id);
    if (await socket.emitWithAck("echo", message) !== message) throw new Error("no echo");
    socket.disconnect();
  }
  return ids;
}"""


def test_a_script_connects_when_it_likes_and_again(echo: Page, watch: Watch) -> None:
    """Row J-04: as often as it likes, and a second call while it is connected opens no second connection."""
    opened = sum("transport=polling" in url and "sid=" not in url for url in watch.requests)
    ids: Any = echo.evaluate(BY_HAND)
    assert len(set(ids)) == 2
    assert sum("transport=polling" in url and "sid=" not in url for url in watch.requests) == opened + 2


QUIET: Final = """async () => {
  const { connect } = await import("dtws_sio/connect");
  const socket = connect("/echo", { forceNew: true });
  socket.emit("message", { message: "nothing listens for what comes back" });
  await socket.emitWithAck("echo", "it has come before this");
  socket.disconnect();
}"""


def test_connecting_and_events_that_nobody_wants_are_silent(echo: Page) -> None:
    """Rows J-05 and J-07: the console is the page's own."""
    said: list[str] = []
    echo.on("console", lambda message: said.append(message.text))
    echo.evaluate(QUIET)
    assert echo.evaluate("1 + 1") == 2, "what was said is there by now"
    assert said == []
