"""Everything of the chat that needs no browser and no server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import CommandError, call_command
from django.http import HttpRequest
from django.test import Client, SimpleTestCase, TestCase
from django.urls import reverse
from django.utils import timezone
from dtws_sio import EventError, sio
from dtws_sio.exceptions import NotServingError, PermissionDeniedError
from dtws_sio.permissions import check, guards_of
from dtws_sio.topics import session_topic, topic

from chat.forms import GuestForm
from chat.models import HISTORY, MAX_TEXT, MODERATE, MODERATORS, Message, Room, Sanction
from chat.people import GUEST_NAME, Person
from chat.sockets import Chat, clean_text

GUEST = Person("dtws_sio:session:0123", "Jonas")
MUTE, BAN = Sanction.Kind.MUTE, Sanction.Kind.BAN


def user(name: str, **fields: Any) -> Any:
    return get_user_model().objects.create_user(name, **fields)


def moderator(name: str = "moira") -> Any:
    made = user(name)
    made.groups.add(Group.objects.get(name=MODERATORS))
    return made


def request_of(who: Any = None, *, guest: str = "") -> HttpRequest:
    """Make what a view gets from a user or from a guest, and a handler by `self.request(sid)`."""
    request = HttpRequest()
    request.user = who or AnonymousUser()
    request.session = SessionStore()
    if guest:
        request.session[GUEST_NAME] = guest
        request.session.create()
    return request


class RoomTests(TestCase):
    def setUp(self) -> None:
        self.room = Room.objects.get(slug="lobby")

    def test_a_new_database_has_rooms_and_moderators(self) -> None:
        self.assertEqual(list(Room.objects.values_list("slug", flat=True)), ["lobby", "help", "random"])
        self.assertTrue(moderator().has_perm(MODERATE))
        self.assertEqual(Permission.objects.filter(codename="moderate").count(), 1)

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
        mia = user("mia")
        Message.objects.post(self.room, Person.of(request_of(mia)), "hello")
        mia.delete()
        self.assertEqual(self.room.history(), [])

    def test_a_private_room_is_open_to_its_members_and_to_moderators(self) -> None:
        secret = Room.objects.create(slug="secret", name="Secret", is_private=True)
        member, in_group, in_both = user("member"), user("in group"), user("in both")
        friends = Group.objects.create(name="friends")
        friends.user_set.add(in_group, in_both)
        secret.members.add(member, in_both)
        secret.groups.add(friends)
        for who, count in (
            (AnonymousUser(), 0),
            (user("stranger", is_staff=True), 0),
            (member, 1),
            (in_group, 1),
            (in_both, 1),
            (moderator(), 1),
            (user("root", is_superuser=True), 1),
        ):
            with self.subTest(who=who):
                rooms = list(Room.objects.open_to(who))
                self.assertEqual(rooms.count(secret), count)
                self.assertEqual(rooms.count(self.room), 1)


class PersonTests(TestCase):
    def test_a_user_is_the_topic_of_the_account_whatever_name_the_session_holds(self) -> None:
        mia = user("mia")
        request = request_of(mia, guest="Somebody Else")
        self.assertEqual(Person.of(request), Person(topic(mia), "mia", mia.pk))
        self.assertFalse(Person.of(request).as_event()["guest"])

    def test_a_guest_is_the_topic_of_the_session(self) -> None:
        request = request_of(guest="Jonas")
        self.assertEqual(Person.of(request), Person(session_topic(request.session.session_key), "Jonas"))
        self.assertTrue(Person.of(request).as_event()["guest"])

    def test_a_guest_without_a_name_is_nobody(self) -> None:
        self.assertIsNone(Person.of(request_of()))


class GuestFormTests(TestCase):
    def test_a_name_is_stripped_and_normalised(self) -> None:
        for given, expected in (
            (" Jonas ", "Jonas"),
            ("\ufb01nn", "finn"),
            ("Zoë K", "Zoë K"),
            ("x" * 30, "x" * 30),
        ):
            with self.subTest(given=given):
                form = GuestForm({"name": given})
                self.assertTrue(form.is_valid(), form.errors)
                self.assertEqual(form.cleaned_data["name"], expected)

    def test_names_that_are_none_are_refused(self) -> None:
        for given in (None, "", "  ", "x" * 31, "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "\ud83d"):
            with self.subTest(given=given):
                self.assertTrue(GuestForm({"name": given}).errors["name"])

    def test_the_name_of_an_account_is_refused_in_any_case(self) -> None:
        user("Mia")
        for given in ("Mia", "mia", " MIA ", "\uff2dia"):
            with self.subTest(given=given):
                self.assertIn("has an account", GuestForm({"name": given}).errors["name"][0])


class TextTests(SimpleTestCase):
    def test_text_is_stripped_and_can_be_stored(self) -> None:
        for given, expected in (
            ("  hi \n", "hi"),
            ("a\x00b", "a\ufffdb"),
            ("\ud83d", "\ufffd"),
            ("x" * MAX_TEXT, "x" * MAX_TEXT),
        ):
            with self.subTest(given=given):
                self.assertEqual(clean_text(given), expected)

    def test_what_is_no_message_is_refused(self) -> None:
        for given in ("", " \n", "x" * (MAX_TEXT + 1)):
            with self.subTest(given=given[:5]), self.assertRaises(ValueError):
                clean_text(given)


class SanctionTests(TestCase):
    def test_it_holds_for_its_time_and_for_one_person(self) -> None:
        sanction = Sanction.objects.impose(MUTE, GUEST.as_event(), 10)
        self.assertEqual(Sanction.objects.of(GUEST.id, MUTE), sanction)
        self.assertIsNone(Sanction.objects.of(GUEST.id, BAN))
        self.assertIsNone(Sanction.objects.of("dtws_sio:session:other", MUTE))
        Sanction.objects.update(until=timezone.now() - timedelta(seconds=1))
        self.assertIsNone(Sanction.objects.of(GUEST.id, MUTE))
        self.assertEqual(Sanction.objects.listed(), [])

    def test_a_second_one_of_its_kind_takes_the_place_of_the_first(self) -> None:
        Sanction.objects.impose(MUTE, GUEST.as_event(), 10)
        Sanction.objects.impose(MUTE, GUEST.as_event(), None)
        Sanction.objects.impose(BAN, GUEST.as_event(), 10)
        self.assertEqual(Sanction.objects.values_list("kind", "until").first(), ("mute", None))
        self.assertEqual(Sanction.objects.count(), 2)

    def test_it_says_for_how_long(self) -> None:
        for minutes, expected in (
            (10, "10 minutes"),
            (60, "1 hour"),
            (1440, "1 day"),
            (None, "until somebody lifts it"),
        ):
            with self.subTest(minutes=minutes):
                text = Sanction.objects.impose(BAN, GUEST.as_event(), minutes).text
                self.assertIn(expected, text.replace("\xa0", " "))
                self.assertIn("A moderator has banned you", text)


class SignalTests(TestCase):
    """What is saved anywhere reaches those who are connected."""

    def setUp(self) -> None:
        for name in ("emit", "recheck"):
            patcher = mock.patch.object(sio, name)
            setattr(self, name, patcher.start())
            self.addCleanup(patcher.stop)
        self.room = Room.objects.create(slug="secret", name="Secret", is_private=True)

    def rechecked(self, change: Any) -> set[Any]:
        self.recheck.reset_mock()
        with self.captureOnCommitCallbacks(execute=True):
            change()
        return {call.args[0] for call in self.recheck.call_args_list}

    def test_who_may_be_in_a_room_is_asked_again_when_that_changes(self) -> None:
        mia, friends = user("mia"), Group.objects.create(name="friends")
        for change, whom in (
            (lambda: self.room.members.add(mia), self.room),
            (lambda: self.room.members.remove(mia), self.room),
            (lambda: mia.private_rooms.clear(), mia),
            (lambda: self.room.groups.set([friends]), self.room),
            (lambda: friends.room_set.clear(), friends),
            (self.room.save, self.room),
        ):
            self.assertEqual(self.rechecked(change), {topic(whom)})

    def test_who_is_in_a_room_that_is_deleted_is_asked_about_too(self) -> None:
        whom = topic(self.room)
        self.assertEqual(self.rechecked(self.room.delete), {whom})

    def test_a_mute_is_told_and_so_is_its_end(self) -> None:
        told = []
        for change in (
            lambda: Sanction.objects.impose(MUTE, GUEST.as_event(), 10),
            lambda: Sanction.objects.get().delete(),
        ):
            self.emit.reset_mock()
            self.assertEqual(self.rechecked(change), {GUEST.id})
            (mute, mutes), (everything, all_of_it) = ((call.args, call.kwargs) for call in self.emit.call_args_list)
            self.assertEqual((mutes["to"], all_of_it["to"]), (GUEST.id, MODERATORS))
            told.append((mute[1] and mute[1]["kind"], len(everything[1])))
        self.assertEqual(told, [("mute", 1), (None, 0)])

    def test_saving_works_where_nobody_is_served(self) -> None:
        self.recheck.side_effect = NotServingError("nobody")
        with self.captureOnCommitCallbacks(execute=True), self.assertNoLogs("django"):
            self.room.save()

    def test_saving_works_where_telling_fails(self) -> None:
        self.recheck.side_effect = OSError("the queue is down")
        with self.assertLogs("django", "ERROR"), self.captureOnCommitCallbacks(execute=True):
            self.room.save()


class RecordingChat(Chat):
    """The chat on a server that only takes notes."""

    def __init__(self) -> None:
        super().__init__("/recording-chat")
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []
        self.requests: dict[str, HttpRequest] = {}
        self.rooms_of: dict[str, set[Any]] = {}

    def request(self, sid: str) -> Any:
        return self.requests[sid]

    def user(self, sid: str) -> Any:
        return self.requests[sid].user

    def emit(self, event: str, data: Any = None, **options: Any) -> None:  # type: ignore[override]
        self.sent.append((event, data, options))

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        room = topic(room) if isinstance(room, Room) else room
        if not self.may_enter_room(self.request(sid), room):
            raise PermissionDeniedError
        self.rooms_of.setdefault(sid, set()).add(room)

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        self.rooms_of[sid].discard(topic(room))

    def rooms(self, sid: str, namespace: str | None = None) -> Any:
        return self.rooms_of.get(sid, set())

    def present(self, room: Any = None) -> list[dict[str, Any]]:
        where = None if room is None else topic(room)
        return [self.describe(sid) for sid in self.requests if where is None or where in self.rooms(sid)]


class ChatTests(TestCase):
    def setUp(self) -> None:
        self.chat = RecordingChat()
        self.lobby = Room.objects.get(slug="lobby")
        self.jonas = self.connect("jonas", request_of(guest="Jonas"))

    def connect(self, sid: str, request: HttpRequest) -> Person:
        self.chat.requests[sid] = request
        self.chat.on_connect(sid, {})
        return Person.of(request)

    def expect_refusal(self, code: str, handler: Any, *arguments: Any) -> None:
        with self.assertRaises(EventError) as caught:
            handler(*arguments)
        self.assertEqual(caught.exception.code, code)

    def test_a_guest_without_a_name_is_refused_with_the_reason(self) -> None:
        with self.assertRaisesMessage(EventError, "Please give a name"):
            self.connect("sid", request_of())

    def test_joining_answers_with_all_the_page_shows(self) -> None:
        Message.objects.post(self.lobby, GUEST, "before")
        answer = self.chat.on_join("jonas", "lobby")
        self.assertEqual(answer["room"], {"id": topic(self.lobby), "slug": "lobby", "name": "Lobby"})
        self.assertEqual(answer["you"], {"id": self.jonas.id, "name": "Jonas", "guest": True})
        self.assertEqual(answer["members"], [answer["you"]])
        self.assertEqual([message["text"] for message in answer["history"]], ["before"])

    def test_a_private_room_of_others_is_like_one_that_does_not_exist(self) -> None:
        Room.objects.create(slug="secret", name="Secret", is_private=True)
        for slug in ("nowhere", "secret"):
            self.expect_refusal("no_room", self.chat.on_join, "jonas", slug)
            self.expect_refusal("no_room", self.chat.on_message, "jonas", slug, "hello")
        self.assertEqual(self.chat.rooms("jonas"), set())

    def test_a_room_left_is_a_room_not_spoken_in(self) -> None:
        self.expect_refusal("not_joined", self.chat.on_message, "jonas", "lobby", "hello")
        self.chat.on_join("jonas", "lobby")
        self.chat.on_leave("jonas", "lobby")
        self.expect_refusal("not_joined", self.chat.on_message, "jonas", "lobby", "hello")

    def test_a_message_is_stored_and_sent_under_the_name_of_its_client(self) -> None:
        self.chat.on_join("jonas", "lobby")
        answer = self.chat.on_message("jonas", "lobby", "hello")
        message = Message.objects.get()
        self.assertEqual(answer, {"id": message.pk})
        self.assertEqual((message.room, message.author_name, message.text), (self.lobby, "Jonas", "hello"))
        self.assertEqual(message.as_event()["author"], self.jonas.as_event())
        self.assertEqual(self.chat.sent[-1], ("new_message", message.as_event(), {"to": self.lobby}))

    def test_a_page_is_told_that_it_had_to_leave_a_room(self) -> None:
        self.chat.removed_from_room("jonas", topic(self.lobby))
        self.assertEqual(self.chat.sent[-1], ("removed", {"room": topic(self.lobby)}, {"to": "jonas"}))

    def test_only_moderators_are_in_their_room_and_see_who_is_muted(self) -> None:
        Sanction.objects.impose(MUTE, self.jonas.as_event(), 10)
        self.connect("moira", request_of(moderator()))
        self.assertEqual(self.chat.rooms("jonas"), set())
        self.assertEqual(self.chat.rooms("moira"), {MODERATORS})
        self.assertEqual(self.chat.sent[-1], ("sanctions", Sanction.objects.listed(), {"to": "moira"}))

    def test_who_connects_is_told_of_a_mute(self) -> None:
        self.assertEqual(self.chat.sent, [("muted", None, {"to": "jonas"})])
        mute = Sanction.objects.impose(MUTE, self.jonas.as_event(), None)
        self.chat.on_connect("jonas", {})
        self.assertEqual(self.chat.sent[-1], ("muted", mute.as_event(), {"to": "jonas"}))

    def test_a_moderator_mutes_bans_and_lifts(self) -> None:
        self.chat.on_mute("moira", self.jonas.id, 10)
        self.chat.on_ban("moira", self.jonas.id, None)
        self.assertEqual(
            list(Sanction.objects.values_list("kind", "who", "name")),
            [(kind, self.jonas.id, "Jonas") for kind in ("mute", "ban")],
        )
        for sanction in Sanction.objects.all():
            self.chat.on_lift("moira", sanction.pk)
        self.assertFalse(Sanction.objects.exists())

    def test_neither_the_absent_nor_moderators_can_be_muted_or_banned(self) -> None:
        moira = self.connect("moira", request_of(moderator()))
        root = self.connect("root", request_of(user("root", is_superuser=True)))
        for handler in (self.chat.on_mute, self.chat.on_ban):
            self.expect_refusal("gone", handler, "moira", GUEST.id, 10)
            self.expect_refusal("moderator", handler, "moira", moira.id, 10)
            self.expect_refusal("moderator", handler, "moira", root.id, 10)
        self.assertFalse(Sanction.objects.exists())


class GuardTests(TestCase):
    """What the decorators let pass; the library asks them at connect and at each event."""

    def test_the_banned_may_not_be_here_and_the_muted_may_not_write(self) -> None:
        for kind, target, code in ((BAN, Chat, "banned"), (MUTE, Chat.on_message, "muted")):
            for request in (request_of(user(code)), request_of(guest="Jonas")):
                with self.subTest(kind=kind):
                    check(guards_of(target), request)
                    Sanction.objects.impose(kind, Person.of(request).as_event(), 10)
                    with self.assertRaisesMessage(PermissionDeniedError, f"A moderator has {code} you") as caught:
                        check(guards_of(target), request)
                    self.assertEqual(caught.exception.code, code)

    def test_only_moderators_moderate(self) -> None:
        for handler in (Chat.on_mute, Chat.on_ban, Chat.on_lift):
            check(guards_of(handler), request_of(moderator(handler.__name__)))
            for request in (request_of(), request_of(user(f"{handler.__name__} too", is_staff=True))):
                with self.assertRaises(PermissionDeniedError):
                    check(guards_of(handler), request)


class PageTests(TestCase):
    def test_the_chat_opens_in_the_first_room(self) -> None:
        self.assertContains(self.client.get(reverse("chat:index")), 'data-room="lobby" data-person=""')

    def test_a_rooms_page_opens_in_that_room(self) -> None:
        self.assertContains(self.client.get("/chat/rooms/help/"), 'id="chat" data-room="help"')
        self.assertEqual(self.client.get("/chat/rooms/nowhere/").status_code, 404)

    def test_a_private_room_is_shown_to_members_only(self) -> None:
        room = Room.objects.create(slug="secret", name="Secret", is_private=True)
        mia = user("mia")
        self.client.force_login(mia)
        for is_member in (False, True):
            self.assertEqual(self.client.get("/chat/rooms/secret/").status_code, 200 if is_member else 404)
            self.assertIs("Secret" in self.client.get("/chat/").content.decode(), is_member)
            room.members.add(mia)

    def test_a_guest_gives_a_name_and_comes_back_to_the_room(self) -> None:
        answer = self.client.post("/chat/rooms/help/", {"name": " Jonas "})
        self.assertRedirects(answer, "/chat/rooms/help/")
        self.assertContains(self.client.get("/chat/rooms/help/"), 'data-person="Jonas"')

    def test_a_refused_name_says_why(self) -> None:
        user("mia")
        self.assertContains(self.client.post("/chat/", {"name": "Mia"}), "“Mia” has an account here.")

    def test_without_rooms_the_page_says_where_to_add_one(self) -> None:
        Room.objects.all().delete()
        self.assertContains(self.client.get(reverse("chat:index")), reverse("admin:chat_room_add"))

    def test_only_staff_see_the_announcement_form(self) -> None:
        for is_staff in (False, True):
            self.client.force_login(user(f"staff {is_staff}", is_staff=is_staff))
            page = self.client.get(reverse("chat:index")).content.decode()
            self.assertIs('id="announce-form"' in page, is_staff)

    def test_only_moderators_see_what_they_moderate_with(self) -> None:
        for who, is_moderator in ((user("mia", is_staff=True), False), (moderator(), True)):
            self.client.force_login(who)
            self.assertIs("<dialog" in self.client.get(reverse("chat:index")).content.decode(), is_moderator)

    def test_the_admin_shows_sanctions(self) -> None:
        Sanction.objects.impose(BAN, GUEST.as_event(), None)
        self.client.force_login(user("root", is_staff=True, is_superuser=True))
        self.assertContains(self.client.get(reverse("admin:chat_sanction_changelist")), "Jonas")
        self.assertEqual(self.client.get(reverse("admin:chat_sanction_add")).status_code, 403)


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
        for slug, room in (("", None), ("help", Room.objects.get(slug="help"))):
            with self.subTest(room=slug):
                answer = self.client.post(self.url, {"text": "Tea is ready", "room": slug})
                self.assertEqual(answer.status_code, 204)
                (event, data), options = self.emit.call_args
                self.assertEqual((event, data["text"]), ("announcement", "Tea is ready"))
                self.assertEqual(options, {"to": room, "namespace": "/chat"})

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
        self.assertEqual(self.emit.call_args.kwargs["to"].slug, "help")

    def test_the_command_lists_the_rooms_there_are(self) -> None:
        with self.assertRaisesMessage(CommandError, "lobby, help, random"):
            call_command("announce", "Tea is ready", room="nowhere")


class AnnounceAloneTests(TestCase):
    def test_without_a_server_or_a_queue_the_command_says_what_to_set(self) -> None:
        with self.settings(DTWS_SIO={}), self.assertRaisesMessage(CommandError, "MESSAGE_QUEUE"):
            call_command("announce", "Tea is ready")
