"""Everything of the signals that needs no browser and no server."""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import Any
from unittest import mock

from django.test import SimpleTestCase, TestCase
from django.urls import reverse
from django.utils import timezone

from live import signals
from live.builtin import DEMOS
from live.forms import BookingForm
from live.models import Article


class Triggered(SimpleTestCase):
    """Notes what the functions here trigger, instead of sending it."""

    def setUp(self) -> None:
        self.triggered: list[tuple[Any, ...]] = []
        self.enterContext(mock.patch.object(signals, "trigger", self.note))
        self.enterContext(mock.patch.object(signals, "trigger_signal", self.note_later))

    def note(self, window_info: Any, name: str, /, to: Any, **kwargs: Any) -> None:
        self.triggered.append((name, to, kwargs))

    def note_later(self, window_info: Any, name: str, to: Any, kwargs: dict[str, Any], *, on_commit: bool) -> None:
        self.assertTrue(on_commit)
        self.triggered.append((name, to, kwargs))


class ArticleTests(Triggered, TestCase):
    def test_saving_replaces_it_where_it_is_shown_and_escapes_what_was_written(self) -> None:
        article = Article.objects.create(title="<b>Tea</b>", text="One\n\nTwo & three")
        [(name, to, options)] = self.triggered
        self.assertEqual((name, to, options["selector"]), ("html.replace_with", article, "#article"))
        for part in ("&lt;b&gt;Tea&lt;/b&gt;", "<p>One</p>", "<p>Two &amp; three</p>", f'data-pk="{article.pk}"'):
            self.assertIn(part, options["content"])

    def test_deleting_is_told(self) -> None:
        Article.objects.get().delete()
        [(name, _, options)] = self.triggered
        self.assertEqual((name, options["content"]), ("html.text", "This article was deleted."))

    def test_loading_fixtures_tells_nobody(self) -> None:
        signals.show_saved(instance=Article.objects.get(), raw=True)
        self.assertEqual(self.triggered, [])

    def test_a_window_that_asks_gets_it_alone_and_for_one_that_is_gone_nothing(self) -> None:
        signals.article(None, pk=Article.objects.get().pk)
        signals.article(None, pk=12_345)
        [(name, to, _)] = self.triggered
        self.assertEqual((name, to), ("html.replace_with", signals.WINDOW))


class BookingTests(Triggered):
    def form(self, **values: Any) -> BookingForm:
        good = {"name": "Ada", "email": "ada@example.org", "day": timezone.localdate(), "seats": 2}
        return BookingForm({**good, **values})

    def test_a_booking_is_confirmed_to_its_window(self) -> None:
        form = self.form(day=datetime.date(2999, 5, 1))
        self.assertTrue(form.is_valid(), form.errors)
        self.assertEqual(signals.book(None, form), {"seats": 2})
        thanks = "Thank you, Ada: a table for 2 on 01 May."
        self.assertEqual(self.triggered, [("html.text", signals.WINDOW, {"selector": "#thanks", "content": thanks})])

    def test_what_is_wrong_is_told_at_its_field(self) -> None:
        yesterday = timezone.localdate() - datetime.timedelta(days=1)
        for values in ({"name": " Nobody "}, {"email": "x"}, {"day": yesterday}, {"seats": 7}, {"seats": 0}):
            with self.subTest(values=values):
                self.assertEqual(list(self.form(**values).errors), list(values))


class FileTests(Triggered):
    def test_a_file_is_described(self) -> None:
        form = signals.SerializedForm(signals.FileForm)({"file": {"name": "a.txt", "content": b"hello"}})
        digest = hashlib.sha256(b"hello").hexdigest()
        self.assertEqual(signals.digest(None, form), {"name": "a.txt", "size": 5, "sha256": digest})


class BuiltInTests(Triggered):
    def test_there_is_one_demonstration_of_each(self) -> None:
        self.assertEqual(len(DEMOS), 17)
        self.assertEqual(len({demo.slug for demo in DEMOS.values()}), 17)

    def test_they_are_called_in_the_window_that_asks_and_below_their_own_stage(self) -> None:
        for name, demo in DEMOS.items():
            signals.show(None, name)
            signals.put_back(None, name)
            with self.subTest(name=name):
                shown, put_back = self.triggered[-2:]
                self.assertEqual(shown[:2], (name, signals.WINDOW))
                self.assertTrue(shown[2].get("selector", "").startswith(f"#{demo.slug} ") or "url" in shown[2])
                self.assertEqual(put_back[2], {"selector": f"#{demo.slug}", "content": demo.html})


class PageTests(TestCase):
    def test_an_article_that_is_gone_is_404_and_no_article_is_said(self) -> None:
        self.assertEqual(self.client.get(reverse("live:article", args=[12_345])).status_code, 404)
        with mock.patch.object(signals, "trigger_signal"):
            Article.objects.all().delete()
        self.assertContains(self.client.get(reverse("live:index")), "There is no article")

    def test_each_page_gets_a_token_of_its_own(self) -> None:
        tokens = {re.search(r'"window": "([^"]+)"', self.client.get("/live/").content.decode())[1] for _ in range(2)}
        self.assertEqual(len(tokens), 2)

    def test_the_form_calls_while_it_is_filled_in_and_when_it_is_sent(self) -> None:
        page = self.client.get(reverse("live:form"))
        for part in ("live.check_booking", "live.book", "live.digest", "debounce"):
            self.assertContains(page, part)

    def test_the_report_can_be_downloaded(self) -> None:
        self.assertContains(self.client.get(reverse("live:report")), "Nothing to report.")
