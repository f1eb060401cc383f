"""The start page, the policy every page carries, and the accounts."""

from __future__ import annotations

import re

from django.contrib.auth import get_user, get_user_model
from django.test import SimpleTestCase, TestCase
from django.urls import reverse
from django.utils.html import escape

from home import excerpts

LIVE = ("live:index", "live:form", "live:builtin", "live:task")
PAGES = ("home", "login", "sign_up", "echo:index", "chat:index", "bars:one", "bars:engines", "bars:import", *LIVE)


class ExcerptTests(SimpleTestCase):
    def test_a_class_is_shown_as_it_stands_in_the_file(self) -> None:
        text = excerpts.definition("echo/sockets.py", "Echo")
        self.assertTrue(text.startswith("class Echo(Namespace):"))
        self.assertIn(text, (excerpts.PROJECT / "echo/sockets.py").read_text(encoding="utf-8"))

    def test_a_method_is_shown_without_its_indentation(self) -> None:
        self.assertTrue(excerpts.definition("chat/sockets.py", "Chat.on_message").startswith("def on_message(self, "))

    def test_a_paragraph_ends_at_blank_lines(self) -> None:
        text = excerpts.paragraph("echo/static/echo/echo.js", 'socket.on("new_message"')
        self.assertTrue(text.startswith('socket.on("new_message"'))
        self.assertTrue(text.endswith("});"))

    def test_what_is_not_there_is_an_error_that_names_it(self) -> None:
        with self.assertRaisesMessage(LookupError, "'on_nothing'"):
            excerpts.definition("chat/sockets.py", "Chat.on_nothing")
        with self.assertRaisesMessage(LookupError, "'nothing at all'"):
            excerpts.paragraph("echo/static/echo/echo.js", "nothing at all")


class PageTests(TestCase):
    def test_the_start_page_shows_the_code_that_runs(self) -> None:
        page = self.client.get(reverse("home"))
        self.assertContains(page, escape(excerpts.definition("echo/sockets.py", "Echo")))

    def test_every_script_is_allowed_by_the_policy_and_nothing_else_is_inline(self) -> None:
        for name in PAGES:
            with self.subTest(page=name):
                page = self.client.get(reverse(name))
                html = page.content.decode()
                nonce = re.search(r"'nonce-([^']+)'", page.headers["Content-Security-Policy"])[1]
                for script in re.findall(r"<script[^>]*>", html):
                    self.assertTrue(f'nonce="{nonce}"' in script or 'src="/static/' in script, script)
                self.assertNotRegex(html, r"<[^>]+\s(style|on\w+)=")

    def test_each_page_has_a_nonce_of_its_own(self) -> None:
        policies = {self.client.get("/").headers["Content-Security-Policy"] for _ in range(3)}
        self.assertEqual(len(policies), 3)

    def test_nothing_comes_from_another_host(self) -> None:
        for name in PAGES:
            with self.subTest(page=name):
                sources = re.findall(r'(?:src|href|action)="([^"]*)"', self.client.get(reverse(name)).content.decode())
                self.assertTrue(sources)
                self.assertEqual([source for source in sources if not re.match(r"/(?!/)|#", source)], [])


class AccountTests(TestCase):
    def test_signing_up_signs_in_and_leads_to_the_chat(self) -> None:
        answer = self.client.post(
            reverse("sign_up"), {"username": "mia", "password1": "correct-horse", "password2": "correct-horse"}
        )
        self.assertRedirects(answer, reverse("chat:index"))
        self.assertEqual(get_user(self.client).get_username(), "mia")

    def test_a_refused_sign_up_says_why(self) -> None:
        answer = self.client.post(reverse("sign_up"), {"username": "mia", "password1": "a", "password2": "b"})
        self.assertContains(answer, "errorlist")
        self.assertFalse(get_user_model().objects.exists())

    def test_signing_in_and_out(self) -> None:
        get_user_model().objects.create_user("mia", password="correct-horse")
        answer = self.client.post(reverse("login"), {"username": "mia", "password": "correct-horse"})
        self.assertRedirects(answer, reverse("chat:index"))
        self.assertRedirects(self.client.post(reverse("logout")), reverse("home"))
        self.assertFalse(get_user(self.client).is_authenticated)
