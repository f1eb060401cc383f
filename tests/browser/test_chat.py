"""The chat in several windows: an account's and guests'; rows D-81 and W-D19."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sample import STAFF
from tests.browser.windows import MIA, MODERATOR, ChatWindow, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.sample import Site
    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser

ASK: Final = """async ([event, data, times]) => {
  const { connect } = await import("dtws_sio/connect");
  const socket = connect("/chat", { forceNew: true });
  if (event === "message" && /^\\w+$/.test(data[0])) await socket.emitWithAck("join", data[0]);
  const asked = Array.from({ length: times }, () => socket.timeout(5000).emitWithAck(event, ...data));
  const answers = await Promise.all(asked);
  socket.disconnect();
  return answers;
}"""
"""Send an event several times, past the page's own code and over a connection of its own; give what was answered."""

MARKUP = '<img src=x onerror="window.ran = 1"><b>bold</b>'


def test_a_user_and_a_guest_see_each_other(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    """Row D-81."""
    for chat in (user_chat, guest_chat):
        chat.expect_members("Jonas", MIA)
    expect(user_chat.notices).to_have_text(["Jonas joined"])
    expect(user_chat.members.filter(has_text="Jonas").locator(".tag")).to_have_text("guest")
    expect(guest_chat.members.filter(has_text=MIA).locator(".tag")).to_have_count(0)


def test_messages_go_both_ways_under_the_right_names(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    """Row D-81; one's own messages look different."""
    user_chat.say("hello Jonas")
    user_chat.expect_message("hello Jonas", author=MIA, mine=True)
    guest_chat.expect_message("hello Jonas", author=MIA)
    guest_chat.say("hello back")
    guest_chat.expect_message("hello back", author="Jonas", mine=True)
    user_chat.expect_message("hello back", author="Jonas")
    for chat in (user_chat, guest_chat):
        expect(chat.messages.locator(".text")).to_have_text(["hello Jonas", "hello back"])


def test_who_leaves_is_gone(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    user_chat.expect_members("Jonas", MIA)
    guest_chat.page.close()
    user_chat.expect_members(MIA)
    expect(user_chat.notices).to_have_text(["Jonas joined", "Jonas left"])


def test_a_newcomer_is_shown_the_history(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    """Row D-81."""
    texts = ["first", "second", MARKUP]
    for text in texts:
        user_chat.say(text)
    newcomer = ChatWindow(open_window(site.url)).open(room)
    newcomer.give_name("Eve")
    newcomer.expect_joined("Eve")
    expect(newcomer.messages.locator(".text")).to_have_text(texts)
    newcomer.expect_message("second", author=MIA)
    user_chat.page.reload()
    user_chat.expect_joined(MIA).expect_message("first", author=MIA, mine=True)


def test_a_room_hears_nothing_of_another(user_chat: ChatWindow, guest_chat: ChatWindow, site: Site, room: str) -> None:
    """Row D-81: the messages are not even sent to who is elsewhere."""
    other = f"{room}-b"
    site.database.add_room(other, f"Room {other}")
    sent = frames_of(guest_chat)
    guest_chat.expect_members("Jonas", MIA)
    guest_chat.switch_room(f"Room {other}")
    guest_chat.expect_members("Jonas")
    expect(guest_chat.page).to_have_url(f"{site.url}/chat/rooms/{other}/")
    user_chat.expect_members(MIA)

    user_chat.say("only for this room")
    guest_chat.say("only for the other")
    guest_chat.expect_message("only for the other", author="Jonas", mine=True)
    assert "only for the other" in "".join(sent)
    assert "only for this room" not in "".join(sent)

    guest_chat.page.go_back()
    guest_chat.expect_members("Jonas", MIA)
    expect(guest_chat.messages.locator(".text")).to_have_text(["only for this room"])


def test_two_tabs_of_one_user_count_once(user_chat: ChatWindow, guest_chat: ChatWindow, room: str) -> None:
    tab = ChatWindow(user_chat.page.context.new_page()).open(room).expect_joined(MIA)
    for chat in (user_chat, guest_chat, tab):
        chat.expect_members("Jonas", MIA)
    tab.say("from the second tab")
    user_chat.expect_message("from the second tab", author=MIA, mine=True)

    user_chat.page.close()
    tab.say("still here")
    guest_chat.expect_message("still here", author=MIA)
    guest_chat.expect_members("Jonas", MIA)
    tab.page.close()
    guest_chat.expect_members("Jonas")
    expect(guest_chat.notices).to_have_text([f"{MIA} left"])


def test_markup_is_shown_as_text(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    user_chat.say(MARKUP)
    for chat in (user_chat, guest_chat):
        expect(chat.messages.locator(".text")).to_have_text([MARKUP])
        expect(chat.page.locator("#chat img, #chat b")).to_have_count(0)
        assert chat.page.evaluate("window.ran") is None


def test_markup_in_a_name_is_shown_as_text(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    name = "<img src=x><i>Eve</i>"
    other = ChatWindow(open_window(site.url)).open(room)
    other.give_name(name)
    other.expect_joined(name).say("hello")
    user_chat.expect_members(name, MIA)
    user_chat.expect_message("hello", author=name)
    expect(user_chat.notices).to_have_text([f"{name} joined"])
    for chat in (user_chat, other):
        expect(chat.page.locator("#chat img, #chat i")).to_have_count(0)


def test_a_guest_cannot_take_the_name_of_an_account(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    """Row W-D19."""
    guest = ChatWindow(open_window(site.url)).open(room)
    for name in (MIA, f" {MIA.upper()} "):
        guest.give_name(name)
        expect(guest.refusal).to_have_text(f"“{name.strip()}” has an account here. Choose another name, or sign in.")
        expect(guest.state).to_have_text("not connected")
    user_chat.expect_members(MIA)
    guest.give_name("Jonas")
    guest.expect_joined("Jonas")
    user_chat.expect_members("Jonas", MIA)


def test_a_guest_can_come_back_under_another_name(user_chat: ChatWindow, guest_chat: ChatWindow) -> None:
    guest_chat.page.get_by_role("button", name="Change name").click()
    guest_chat.give_name("Joan")
    guest_chat.expect_joined("Joan")
    user_chat.expect_members("Joan", MIA)


def test_staff_announce_from_an_ordinary_view(
    guest_chat: ChatWindow, open_window: Callable[..., Page], site: Site
) -> None:
    """Row D-81: the view of a plain form emits."""
    staff = open_window(site.url)
    sign_in(staff, *STAFF)
    staff.goto("/chat/")
    ChatWindow(staff).expect_joined(STAFF[0])
    staff.get_by_text("Announce", exact=True).first.click()
    staff.get_by_label("Text").fill(f"Tea is ready {MARKUP}")
    staff.get_by_role("button", name="Announce").click()
    expect(staff.locator("#announce-result")).to_have_text("Announced.")
    expect(guest_chat.page.locator(".announcement p")).to_have_text(f"Tea is ready {MARKUP}")


def test_nobody_else_is_offered_to_announce(user_chat: ChatWindow) -> None:
    expect(user_chat.page.get_by_text(re.compile("^Announce"))).to_have_count(0)


def test_a_guest_with_two_tabs_is_there_once(user_chat: ChatWindow, guest_chat: ChatWindow, room: str) -> None:
    tab = ChatWindow(guest_chat.page.context.new_page()).open(room).expect_joined("Jonas")
    for chat in (user_chat, guest_chat, tab):
        chat.expect_members("Jonas", MIA)
    guest_chat.page.close()
    tab.say("still here")
    user_chat.expect_message("still here", author="Jonas")
    user_chat.expect_members("Jonas", MIA)


def test_a_private_room_is_for_its_members(user_chat: ChatWindow, guest_chat: ChatWindow, private_room: str) -> None:
    name = f"Room {private_room}"
    assert guest_chat.page.request.get(f"/chat/rooms/{private_room}/").status == 404
    assert ask(guest_chat.page, "join", private_room)["error"]["code"] == "no_room"
    guest_chat.page.reload()
    expect(guest_chat.page.get_by_role("link", name=re.compile(name))).to_have_count(0)
    user_chat.page.reload()
    user_chat.switch_room(name)
    user_chat.expect_joined(MIA).say("only for members")
    user_chat.expect_message("only for members", author=MIA, mine=True)


def test_who_loses_a_private_room_leaves_it_at_once_in_every_tab(
    user_chat: ChatWindow, open_window: Callable[..., Page], site: Site, private_room: str
) -> None:
    """What an administrator saves in an ordinary view takes effect on those who are connected."""
    tabs = [user_chat, ChatWindow(user_chat.page.context.new_page())]
    for tab in tabs:
        tab.open(private_room).expect_joined(MIA)
    tabs[0].say("a secret")
    sent = [frames_of(tab, MIA) for tab in tabs]
    staff = open_window(site.url)
    sign_in(staff, *STAFF)
    remaining = ChatWindow(staff).open(private_room).expect_joined(STAFF[0])
    edit_room(staff.context.new_page(), private_room, lambda page: page.locator("#id_members_remove_all").click())
    for tab in tabs:
        expect(tab.closed).to_have_text(f"You may not be in the room “Room {private_room}” any more.")
        expect(tab.messages).to_have_count(0)
        expect(tab.page.get_by_role("button", name="Send")).to_be_disabled()
        expect(tab.page.get_by_role("link", name=re.compile(private_room))).to_have_count(0)
    remaining.expect_members(STAFF[0])
    remaining.say("after that")
    tabs[0].switch_room("Lobby")
    tabs[0].expect_joined(MIA)
    assert "after that" not in "".join(map("".join, sent))
    assert ask(user_chat.page, "join", private_room)["error"]["code"] == "no_room"


def test_guests_leave_a_room_that_is_made_private(
    guest_chat: ChatWindow, open_window: Callable[..., Page], site: Site, room: str
) -> None:
    staff = open_window(site.url)
    sign_in(staff, *STAFF)
    edit_room(staff, room, lambda page: page.get_by_label("Is private").check())
    expect(guest_chat.closed).to_have_text(f"You may not be in the room “Room {room}” any more.")


def test_a_mute_takes_effect_at_once_and_so_does_its_end(
    user_chat: ChatWindow, guest_chat: ChatWindow, moderator_chat: ChatWindow, room: str
) -> None:
    """Of a user in all tabs, and of a guest; they read on, and nobody else is muted."""
    tab = ChatWindow(user_chat.page.context.new_page()).open(room).expect_joined(MIA)
    for name in (MIA, "Jonas"):
        moderator_chat.moderate(name, "Mute")
    for chat in (user_chat, tab, guest_chat):
        expect(chat.muted).to_have_text("A moderator has muted you, for another 10\xa0minutes.")
        expect(chat.input).to_be_disabled()
    moderator_chat.say("read this")
    guest_chat.expect_message("read this", author=MODERATOR)
    assert ask(guest_chat.page, "message", room, "hello") == {
        "error": {"code": "muted", "message": "A moderator has muted you, for another 10\xa0minutes."}
    }
    user_chat.page.reload()
    expect(user_chat.muted).to_have_text(re.compile("muted you"))

    moderator_chat.lift(MIA)
    for chat in (user_chat, tab):
        expect(chat.muted).to_have_text("")
        chat.say("hello again")
    expect(guest_chat.input).to_be_disabled()


def test_a_ban_takes_effect_at_once_and_holds(
    user_chat: ChatWindow, guest_chat: ChatWindow, moderator_chat: ChatWindow, room: str, watch: Watch
) -> None:
    """Of a user in all tabs, and of a guest; the banned hear nothing, and do not come back until it is lifted."""
    tab = ChatWindow(user_chat.page.context.new_page()).open(room).expect_joined(MIA)
    for name in (MIA, "Jonas"):
        moderator_chat.moderate(name, "Ban", how_long="until it is lifted")
    moderator_chat.expect_members(MODERATOR)
    for chat in (user_chat, tab, guest_chat):
        expect(chat.closed).to_have_text("A moderator has banned you, until somebody lifts it.")
        expect(chat.state).to_have_text("not connected")
        chat.page.get_by_role("link", name="Open the chat again").click()
        expect(chat.closed).to_have_text("A moderator has banned you, until somebody lifts it.")

    for name, chat in ((MIA, tab), ("Jonas", guest_chat)):
        moderator_chat.lift(name)
        chat.page.reload()
        chat.expect_joined(name)
    watch.forgive_refusals()


def test_who_is_no_moderator_is_offered_nothing_and_can_do_nothing(
    user_chat: ChatWindow, guest_chat: ChatWindow, moderator_chat: ChatWindow
) -> None:
    expect(user_chat.page.get_by_role("button", name=re.compile("Moderate"))).to_have_count(0)
    expect(moderator_chat.page.get_by_role("button", name=re.compile("Moderate"))).to_have_count(2)
    for event in ("mute", "ban", "lift"):
        arguments = [1] if event == "lift" else ["dtws_sio:auth.user:1", 10]
        assert ask(user_chat.page, event, *arguments)["error"]["code"] == "permission_denied"
    assert ask(moderator_chat.page, "mute", "dtws_sio:auth.user:1", 11)["error"]["code"] == "invalid"
    guest_chat.expect_members("Jonas", MIA, MODERATOR)


def test_who_is_no_moderator_any_more_stops_being_one_at_once(
    user_chat: ChatWindow, moderator_chat: ChatWindow, open_window: Callable[..., Page], site: Site
) -> None:
    buttons = moderator_chat.page.get_by_role("button", name=re.compile("Moderate"))
    expect(buttons).to_have_count(1)
    staff = open_window(site.url)
    sign_in(staff, *STAFF)
    with changed_groups(staff, MODERATOR):
        expect(buttons).to_have_count(0)
        assert ask(moderator_chat.page, "ban", "dtws_sio:auth.user:1", 10)["error"]["code"] == "permission_denied"


def test_messages_that_come_too_fast_are_refused(guest_chat: ChatWindow, room: str) -> None:
    answers = guest_chat.page.evaluate(ASK, ["message", [room, "again"], 30])
    assert sum("id" in answer for answer in answers) in range(20, 30)
    assert answers[-1]["error"]["code"] == "rate_limited"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(["ROOM", ""], "text"), (["ROOM", "x" * 2001], "text"), (["ROOM", 1], "text"), (["no slug", "hi"], "slug")],
)
def test_a_message_that_is_none_is_refused_by_its_field(
    guest_chat: ChatWindow, room: str, arguments: list[Any], field: str
) -> None:
    answer = ask(guest_chat.page, "message", *(room if each == "ROOM" else each for each in arguments))
    assert answer["error"]["code"] == "invalid"
    assert list(answer["error"]["fields"]) == [field]


def ask(page: Page, event: str, *arguments: Any) -> Any:
    """Send an event past the page's own code, and give the acknowledgement."""
    (answer,) = page.evaluate(ASK, [event, arguments, 1])
    return answer


def edit_room(page: Page, slug: str, change: Callable[[Page], object]) -> None:
    """Change a room in the admin."""
    page.goto("/admin/chat/room/")
    page.get_by_role("link", name=f"Room {slug}", exact=True).click()
    change(page)
    save(page)


def save(page: Page) -> None:
    """Save what was changed in the admin."""
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    page.wait_for_load_state("networkidle")  # the server complains of requests that a page gives up


@contextmanager
def changed_groups(page: Page, name: str) -> Iterator[None]:
    """Take a user out of all groups in the admin, while the block runs."""
    page.goto("/admin/auth/user/")
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url("**/change/", wait_until="networkidle")
    address = page.url
    for button in ("#id_groups_remove_all", "#id_groups_add_all"):
        page.goto(address)
        page.locator(button).click()
        save(page)
        if button == "#id_groups_remove_all":
            yield


def frames_of(chat: ChatWindow, name: str = "Jonas") -> list[str]:
    """Load the chat anew, and collect from now on what the server sends over the WebSocket."""
    frames: list[str] = []
    with chat.page.expect_websocket() as opened:
        chat.page.reload()
    opened.value.on("framereceived", lambda data: frames.append(str(data)))
    chat.expect_joined(name)
    return frames
