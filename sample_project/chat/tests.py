"""Everything of the chat that needs no browser and no server."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client, SimpleTestCase, TestCase
from django.urls import reverse
from dtws_sio import EventError, sio

from chat.identity import MAX_NAME, NameRefusedError, Person, guest_name, identify
from chat.incoming import room_of, text_of
from chat.models import HISTORY, MAX_TEXT, Message, Room
from chat.presence import Presence, Visit
from chat.sockets import Chat

GUEST = Person("Jonas")
GHOST_COOKIE = "sessionid=" + "x" * 32


class RoomTests(TestCase):
    def setUp(self) -> None:
        self.room = Room.objects.get(slug="lobby")

    def test_a_new_database_has_rooms(self) -> None:
        self.assertEqual(list(Room.objects.values_list("slug", flat=True)), ["lobby", "help", "random"])

    def test_a_room_keeps_the_newest_messages_only(self) -> None:
        other = Message.objects.post(Room.objects.get(slug="help"), GUEST, "elsewhere")
        for number in range(HISTORY + 3):
            Message.objects.post(self.room, GUEST, str(number))
        self.assertEqual(self.room.messages.count(), HISTORY)
        self.assertTrue(Message.objects.filter(pk=other.pk).exists())

    def test_history_is_shown_oldest_first(self) -> None:
        for text in ("one", "two", "three"):
            Message.objects.post(self.room, GUEST, text)
        self.assertEqual([message.text for message in self.room.history()], ["one", "two", "three"])

    def test_an_account_that_is_deleted_takes_its_messages_along(self) -> None:
        user = get_user_model().objects.create_user("mia")
        Message.objects.post(self.room, Person("mia", user.pk), "hello")
        user.delete()
        self.assertEqual(self.room.history(), [])

    def test_a_room_is_never_a_clients_own_room(self) -> None:
        self.assertEqual(self.room.channel, "chat:lobby")


class GuestNameTests(TestCase):
    def test_a_name_is_stripped_and_normalised(self) -> None:
        for given, expected in (
            (" Jonas ", "Jonas"),
            ("\ufb01nn", "finn"),
            ("Zoë K", "Zoë K"),
            ("x" * MAX_NAME, "x" * MAX_NAME),
        ):
            with self.subTest(given=given):
                self.assertEqual(guest_name(given), expected)

    def test_names_that_are_none_are_refused(self) -> None:
        for given in (
            None,
            "",
            "  ",
            7,
            ["Jonas"],
            "x" * (MAX_NAME + 1),
            "a\nb",
            "a\x00b",
            "a\u202eb",
            "a\u200bb",
            "\ud83d",
        ):
            with self.subTest(given=given), self.assertRaises(NameRefusedError):
                guest_name(given)

    def test_the_name_of_an_account_is_refused_in_any_case(self) -> None:
        get_user_model().objects.create_user("Mia")
        for given in ("Mia", "mia", " MIA ", "\uff2dia"):
            with self.subTest(given=given), self.assertRaisesMessage(NameRefusedError, "has an account"):
                guest_name(given)


class IdentifyTests(TestCase):
    def setUp(self) -> None:
        self.user = get_user_model().objects.create_user("mia")
        self.client.force_login(self.user)
        self.environ = {"HTTP_COOKIE": f"sessionid={self.client.cookies['sessionid'].value}"}

    def test_a_signed_in_user_cannot_choose_a_name(self) -> None:
        for auth in (None, {}, {"name": "Somebody Else"}, "Somebody Else"):
            with self.subTest(auth=auth):
                self.assertEqual(identify(self.environ, auth), Person("mia", self.user.pk))

    def test_without_a_session_the_name_is_a_guests(self) -> None:
        for environ in ({}, {"HTTP_COOKIE": GHOST_COOKIE}, {"HTTP_COOKIE": "nonsense"}):
            with self.subTest(environ=environ):
                self.assertEqual(identify(environ, {"name": "Jonas"}), GUEST)

    def test_a_session_that_ended_is_none(self) -> None:
        self.client.logout()
        with self.assertRaises(NameRefusedError):
            identify(self.environ, {"name": "mia"})

    def test_an_account_that_was_closed_is_not_let_in_by_its_session(self) -> None:
        self.user.is_active = False
        self.user.save()
        with self.assertRaises(NameRefusedError):
            identify(self.environ, None)


class IncomingTests(TestCase):
    def test_text_is_stripped_and_can_be_stored(self) -> None:
        for given, expected in (
            ("  hi \n", "hi"),
            ("a\x00b", "a\ufffdb"),
            ("\ud83d", "\ufffd"),
            ("x" * MAX_TEXT, "x" * MAX_TEXT),
        ):
            with self.subTest(given=given):
                self.assertEqual(text_of({"text": given}), expected)

    def test_what_is_no_message_is_refused(self) -> None:
        cases = [(data, "invalid") for data in (None, "hi", 1, [], {}, {"text": None}, {"text": ["hi"]})]
        cases += [({"text": ""}, "empty"), ({"text": " \n"}, "empty"), ({"text": "x" * (MAX_TEXT + 1)}, "too_long")]
        for data, code in cases:
            with self.subTest(data=data), self.assertRaises(EventError) as caught:
                text_of(data)
            self.assertEqual(caught.exception.code, code)

    def test_only_rooms_that_exist_can_be_joined(self) -> None:
        self.assertEqual(room_of({"room": "lobby"}).name, "Lobby")
        cases = [({"room": slug}, "no_room") for slug in ("nowhere", "", "chat:lobby", "LOBBY")]
        cases += [
            (data, "invalid") for data in (None, "lobby", {}, {"room": 1}, {"room": "lob\x00by"}, {"room": "\ud83d"})
        ]
        for data, code in cases:
            with self.subTest(data=data), self.assertRaises(EventError) as caught:
                room_of(data)
            self.assertEqual(caught.exception.code, code)


class PresenceTests(SimpleTestCase):
    def test_two_tabs_are_one_person(self) -> None:
        presence, visit = Presence(), Visit("lobby", GUEST)
        self.assertTrue(presence.enter("tab 1", visit))
        self.assertFalse(presence.enter("tab 2", visit))
        self.assertEqual(presence.members("lobby"), [GUEST])
        self.assertEqual(presence.leave("tab 1"), (visit, False))
        self.assertEqual(presence.leave("tab 2"), (visit, True))
        self.assertEqual(presence.members("lobby"), [])

    def test_leaving_twice_is_leaving_once(self) -> None:
        presence = Presence()
        self.assertEqual(presence.leave("nobody"), (None, False))

    def test_rooms_are_apart_and_sorted(self) -> None:
        presence = Presence()
        for number, (slug, name) in enumerate([("lobby", "zoe"), ("lobby", "Adam"), ("help", "Mia")]):
            presence.enter(str(number), Visit(slug, Person(name)))
        self.assertEqual([person.name for person in presence.members("lobby")], ["Adam", "zoe"])


class RecordingChat(Chat):
    """The chat on a server that only takes notes."""

    def __init__(self) -> None:
        super().__init__("/recording-chat")
        self.presence = Presence()
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []
        self.sessions: dict[str, Any] = {}
        self.rooms_of: dict[str, set[str]] = {}

    def emit(self, event: str, data: Any = None, **options: Any) -> None:  # type: ignore[override]
        self.sent.append((event, data, options))

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> None:
        self.sessions[sid] = session

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        return self.sessions[sid]

    def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        self.rooms_of.setdefault(sid, set()).add(room)

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        self.rooms_of[sid].discard(room)


class ChatTests(TestCase):
    def setUp(self) -> None:
        self.chat = RecordingChat()
        self.chat.on_connect("jonas", {}, {"name": "Jonas"})

    def events(self) -> list[str]:
        return [event for event, _, _ in self.chat.sent]

    def test_a_guest_without_a_name_is_refused_with_the_reason(self) -> None:
        with self.assertRaisesMessage(ConnectionRefusedError, "Please give a name"):
            self.chat.on_connect("sid", {}, None)

    def test_joining_answers_with_all_the_page_shows(self) -> None:
        Message.objects.post(Room.objects.get(slug="lobby"), GUEST, "before")
        answer = self.chat.on_join("jonas", {"room": "lobby"})
        self.assertEqual(answer["room"], {"slug": "lobby", "name": "Lobby"})
        self.assertEqual(answer["you"], {"name": "Jonas", "guest": True})
        self.assertEqual(answer["members"], [{"name": "Jonas", "guest": True}])
        self.assertEqual([message["text"] for message in answer["history"]], ["before"])

    def test_the_others_are_told_of_a_newcomer_once(self) -> None:
        self.chat.on_connect("tab 2", {}, {"name": "Jonas"})
        self.chat.on_join("jonas", {"room": "lobby"})
        self.chat.on_join("tab 2", {"room": "lobby"})
        told = {"room": "lobby", "name": "Jonas", "guest": True}
        self.assertEqual(self.chat.sent, [("joined", told, {"room": "chat:lobby", "skip_sid": "jonas"})])

    def test_another_room_leaves_the_first(self) -> None:
        self.chat.on_join("jonas", {"room": "lobby"})
        self.chat.on_join("jonas", {"room": "help"})
        self.assertEqual(self.chat.rooms_of["jonas"], {"chat:help"})
        self.assertEqual(self.events(), ["joined", "left", "joined"])

    def test_a_room_that_does_not_exist_leaves_one_where_one_is(self) -> None:
        self.chat.on_join("jonas", {"room": "lobby"})
        with self.assertRaises(EventError):
            self.chat.on_join("jonas", {"room": "nowhere"})
        self.assertEqual(self.chat.rooms_of["jonas"], {"chat:lobby"})

    def test_a_message_is_stored_and_sent_under_the_name_of_its_client(self) -> None:
        self.chat.on_join("jonas", {"room": "lobby"})
        answer = self.chat.on_message("jonas", {"text": " hello ", "author": "Mia", "room": "help"})
        message = Message.objects.get()
        self.assertEqual(answer, {"id": message.pk})
        self.assertEqual((message.room.slug, message.author_name, message.text), ("lobby", "Jonas", "hello"))
        self.assertEqual(self.chat.sent[-1], ("new_message", message.as_event(), {"room": "chat:lobby"}))

    def test_who_is_in_no_room_cannot_speak(self) -> None:
        for leave in (lambda: None, lambda: self.chat.on_leave("jonas")):
            leave()
            with self.assertRaises(EventError) as caught:
                self.chat.on_message("jonas", {"text": "hello"})
            self.assertEqual(caught.exception.code, "no_room")

    def test_a_room_deleted_meanwhile_is_an_error_that_the_page_can_show(self) -> None:
        self.chat.on_join("jonas", {"room": "lobby"})
        Room.objects.filter(slug="lobby").delete()
        with self.assertRaisesMessage(EventError, "no room"):
            self.chat.on_message("jonas", {"text": "hello"})

    def test_who_disconnects_is_gone(self) -> None:
        self.chat.on_join("jonas", {"room": "lobby"})
        self.chat.on_disconnect("jonas", "transport close")
        self.assertEqual(self.chat.presence.members("lobby"), [])
        self.assertEqual(self.events(), ["joined", "left"])


class PageTests(TestCase):
    def test_the_chat_opens_in_the_first_room(self) -> None:
        self.assertContains(self.client.get(reverse("chat:index")), 'data-room="lobby" data-user=""')

    def test_a_rooms_page_opens_in_that_room(self) -> None:
        self.assertContains(self.client.get("/chat/rooms/help/"), 'id="chat" data-room="help"')
        self.assertEqual(self.client.get("/chat/rooms/nowhere/").status_code, 404)

    def test_without_rooms_the_page_says_where_to_add_one(self) -> None:
        Room.objects.all().delete()
        self.assertContains(self.client.get(reverse("chat:index")), reverse("admin:chat_room_add"))

    def test_only_staff_see_the_announcement_form(self) -> None:
        for is_staff in (False, True):
            self.client.force_login(get_user_model().objects.create_user(f"staff {is_staff}", is_staff=is_staff))
            page = self.client.get(reverse("chat:index")).content.decode()
            self.assertIs('id="announce-form"' in page, is_staff)


class AnnounceTests(TestCase):
    url = "/chat/announce/"

    def setUp(self) -> None:
        patcher = mock.patch.object(sio, "emit")
        self.emit = patcher.start()
        self.addCleanup(patcher.stop)
        self.staff = get_user_model().objects.create_user("ada", is_staff=True)

    def test_only_staff_may_announce(self) -> None:
        self.assertEqual(self.client.post(self.url, {"text": "hi"}).status_code, 403)
        self.client.force_login(get_user_model().objects.create_user("mia"))
        self.assertEqual(self.client.post(self.url, {"text": "hi"}).status_code, 403)
        self.emit.assert_not_called()

    def test_an_announcement_goes_to_one_room_or_to_all(self) -> None:
        self.client.force_login(self.staff)
        for slug, channel in (("", None), ("help", "chat:help")):
            with self.subTest(room=slug):
                answer = self.client.post(self.url, {"text": "Tea is ready", "room": slug})
                self.assertEqual(answer.status_code, 204)
                (event, data), options = self.emit.call_args
                self.assertEqual((event, data["text"]), ("announcement", "Tea is ready"))
                self.assertEqual(options, {"room": channel, "namespace": "/chat"})

    def test_what_cannot_be_announced_is_answered_with_the_reason(self) -> None:
        self.client.force_login(self.staff)
        for data, field in (({"text": " "}, "text"), ({"text": "hi", "room": "nowhere"}, "room")):
            answer = self.client.post(self.url, data)
            self.assertEqual(answer.status_code, 400)
            self.assertIn(field, answer.json()["errors"])
        self.emit.assert_not_called()

    def test_it_takes_posts_of_our_own_pages_only(self) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.staff)
        self.assertEqual(client.post(self.url, {"text": "hi"}).status_code, 403)
        self.assertEqual(client.get(self.url).status_code, 405)

    def test_the_command_announces_too(self) -> None:
        call_command("announce", "Tea is ready", room="help", stdout=mock.Mock())
        self.assertEqual(self.emit.call_args.kwargs["room"], "chat:help")

    def test_the_command_lists_the_rooms_there_are(self) -> None:
        with self.assertRaisesMessage(CommandError, "lobby, help, random"):
            call_command("announce", "Tea is ready", room="nowhere")


class AnnounceAloneTests(TestCase):
    def test_without_a_server_or_a_queue_the_command_says_what_to_set(self) -> None:
        with self.settings(DTWS_SIO={}), self.assertRaisesMessage(CommandError, "MESSAGE_QUEUE"):
            call_command("announce", "Tea is ready")
