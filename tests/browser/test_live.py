"""The sample's pages with signals, on the real server's side: rows F-01, S-53, H-02, W-F3, W-F15 and W-F16."""

from __future__ import annotations

import datetime
import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sample
from tests.browser.test_layout import CONTRASTS, LEGIBLE, PHONE, expect_no_overflow
from tests.browser.windows import expect_connected
from tests.live import sites
from tests.live.servers import eventually, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.sample import Database, Site
    from tests.browser.watch import Watch
    from tests.live.servers import Server

pytestmark = pytest.mark.browser

PAGES: Final = ["/live/", "/live/form/", "/live/built-in/", "/live/task/"]


def visit(page: Page, path: str) -> Page:
    """Open a page, and wait until it is connected."""
    page.goto(path)
    expect_connected(page)
    return page


@pytest.fixture
def editor(open_window: Callable[..., Page], site: Site) -> Page:
    """The article in the admin."""
    page = open_window(site.url)
    page.goto("/admin/live/article/1/change/")
    name, password = sample.STAFF
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Title")).to_be_visible()
    return page


def save(editor: Page, title: str, text: str) -> None:
    """Change the article."""
    editor.get_by_label("Title").fill(title)
    editor.get_by_label("Text").fill(text)
    editor.get_by_role("button", name="Save and continue editing").click()
    expect(editor.get_by_text("was changed successfully")).to_be_visible()


def test_an_article_changes_in_every_window_that_shows_it(
    page: Page, open_window: Callable[..., Page], editor: Page, site: Site
) -> None:
    """Rows F-01, H-25 and S-53: two windows, two people, and the admin; what was written is text and no HTML."""
    windows = [visit(page, "/live/"), visit(open_window(site.url), "/live/articles/1/")]
    for title in ("Cake", "Cake & <b>tea</b>"):
        save(editor, title, "One.\n\nTwo <script>window.ran = true</script>")
        for window in windows:
            article = window.locator("#article")
            expect(article.get_by_role("heading")).to_have_text(title)
            expect(article.locator("p:not(.changed)")).to_have_text(["One.", "Two <script>window.ran = true</script>"])
            assert window.evaluate("window.ran") is None


def test_a_window_that_was_away_catches_up(page: Page, editor: Page) -> None:
    """Rows H-05 and W-F4: what was sent meanwhile never came, so the page asks for it."""
    visit(page, "/live/")
    page.evaluate("DFSignals.connection.disconnect()")
    save(editor, "Written meanwhile", "Nobody saw it.")
    expect(page.get_by_role("heading", name="Written meanwhile")).to_have_count(0)
    page.evaluate("DFSignals.connection.connect() && null")
    expect(page.get_by_role("heading", name="Written meanwhile")).to_be_visible()


RENEW: Final = """async (settings) => {
  const { WindowPass } = await import("dtws_sio/signals");
  const page = JSON.parse(document.getElementById("dtws-sio-signals").textContent);
  const pass = new WindowPass({ ...page, ...settings });
  const refusal = await pass.renew();
  return refusal ?? (pass.token !== page.window && pass.token.length > 20 ? "renewed" : "not renewed");
}"""


def test_a_page_renews_its_token(page: Page, watch: Watch) -> None:
    """Row S-32: past Django's CSRF protection, and for a token of ours only."""
    visit(page, "/live/")
    eventually(lambda: page.evaluate(RENEW, {}) == "renewed", "a token of another second")
    assert page.evaluate(RENEW, {"window": "forged"}) == "the token was not renewed: /signals/window/ answers 403"
    assert page.evaluate(RENEW, {"csrf_token": "x" * 32}) == "the token was not renewed: /signals/window/ answers 403"
    watch.faults[:] = [fault for fault in watch.faults if "status of 403" not in fault]


def test_a_window_hears_of_no_other_article(page: Page, editor: Page) -> None:
    """Row S-30: a page watches what its view gave it."""
    editor.goto("/admin/live/article/add/")
    editor.get_by_label("Title").fill("Another")
    editor.get_by_label("Text").fill("Text")
    editor.get_by_role("button", name="Save and continue editing").click()
    address = editor.url
    visit(page, "/live/articles/1/")
    heard = "void DFSignals.connect('html.replace_with', () => (window.heard = true))"
    page.evaluate(heard)
    editor.goto(address)
    save(editor, "Another one", "Text")
    editor.goto("/admin/live/article/1/change/")
    expect(page.locator("#article h2")).not_to_have_text("Another one")
    assert page.evaluate("window.heard") is None
    save(editor, "The first", "Text")
    expect(page.locator("#article h2")).to_have_text("The first")
    assert page.evaluate("window.heard") is True


def test_a_form_is_checked_while_it_is_filled_in(page: Page) -> None:
    """Row S-15: only what was touched is blamed, by Django's form; and the errors go again."""
    visit(page, "/live/form/")
    page.get_by_label("Name").press_sequentially("nobody")
    expect(page.locator("#name-error")).to_have_text("Nobody may not book a table.")
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    for field in ("email", "day", "seats"):
        expect(page.locator(f"#{field}-error")).to_have_text("")
    page.get_by_label("Name").fill("Ada")
    expect(page.locator("#name-error")).to_have_text("")
    page.get_by_label("Seats").fill("9")
    expect(page.locator("#seats-error")).to_have_text("Ensure this value is less than or equal to 6.")


def test_a_form_is_sent_and_refused_and_sent(page: Page) -> None:
    """Rows S-23 and W-F8: with every error at its field, and the first of them in focus."""
    visit(page, "/live/form/")
    page.get_by_label("Name").fill("Ada <b>L.</b>")
    page.get_by_role("button", name="Book").click()
    for field in ("email", "day", "seats"):
        expect(page.locator(f"#{field}-error")).to_have_text("This field is required.")
    expect(page.get_by_label("E-mail")).to_be_focused()
    day = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=7)
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Day").fill(day.isoformat())
    page.get_by_label("Seats").fill("2")
    page.get_by_role("button", name="Book").click()
    thanks = f"Thank you, Ada <b>L.</b>: a table for 2 on {day:%d %B}."
    expect(page.locator("#thanks")).to_have_text(thanks)
    expect(page.get_by_label("Name")).to_have_value("")
    for field in ("name", "email", "day", "seats"):
        expect(page.locator(f"#{field}-error")).to_have_text("")


def test_a_file_arrives_whole(page: Page) -> None:
    """Rows H-12 and W-F18."""
    visit(page, "/live/form/")
    content = bytes(range(256)) * 200
    page.locator("#file").set_input_files({"name": "a.bin", "mimeType": "", "buffer": content})
    page.get_by_role("button", name="Send").click()
    digest = hashlib.sha256(content).hexdigest()[:16]
    expect(page.locator("#digest")).to_have_text(f"a.bin: 51,200 bytes, SHA-256 {digest}…")


def test_a_form_without_its_file_is_refused(page: Page) -> None:
    """Row W-F18."""
    visit(page, "/live/form/")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#digest")).to_have_class("result failed")


SHOWN: Final[dict[str, Callable[[Any], None]]] = {
    "html-text": lambda stage: expect(stage.locator(".item")).to_have_text("<b>is text</b>"),
    "html-content": lambda stage: expect(stage.locator(".item em")).to_have_text("<HTML>"),
    "html-append": lambda stage: expect(stage.locator(".item > .new:last-child")).to_have_count(1),
    "html-prepend": lambda stage: expect(stage.locator(".item > .new:first-child")).to_have_count(1),
    "html-after": lambda stage: expect(stage.locator(".item + .new")).to_have_count(1),
    "html-before": lambda stage: expect(stage.locator(".new + .item")).to_have_count(1),
    "html-replace-with": lambda stage: expect(stage.locator(".item")).to_have_text(["new"]),
    "html-empty": lambda stage: expect(stage.locator(".item")).to_have_text(""),
    "html-remove": lambda stage: expect(stage.locator(".item")).to_have_count(0),
    "html-add-class": lambda stage: expect(stage.locator(".item.new.wide")).to_have_count(1),
    "html-remove-class": lambda stage: expect(stage.locator(".item")).to_have_class("item"),
    "html-add-attribute": lambda stage: expect(stage.locator(".item[href]")).to_have_count(1),
    "html-remove-attr": lambda stage: expect(stage.locator(".item[href]")).to_have_count(0),
    "html-boolean-attribute": lambda stage: expect(stage.locator("input")).to_be_checked(),
    "html-focus": lambda stage: expect(stage.locator(".item")).to_be_focused(),
    "html-forms-set": lambda stage: expect(stage.get_by_label("Where")).to_have_value("garden"),
}
"""How the page shows that a built-in signal was called, by the id of its stage."""


def test_the_sample_shows_every_built_in_signal(page: Page, open_window: Callable[..., Page], site: Site) -> None:
    """Rows S-53 and H-20 to H-36; row W-F16: in the window that asks, though everybody may."""
    visit(page, "/live/built-in/")
    other = visit(open_window(site.url), "/live/built-in/")
    before = other.locator(".demos").inner_html()
    expect(page.locator(".demo")).to_have_count(17)
    for slug, shown in SHOWN.items():
        demo = page.locator(".demo", has=page.locator(f"#{slug}"))
        stage = page.locator(f"#{slug}")
        original = stage.inner_html()
        demo.get_by_role("button", name="Call it").click()
        shown(stage)
        demo.get_by_role("button", name="Put back").click()
        expect(stage).to_have_js_property("innerHTML", original)
    with page.expect_download() as download:
        page.locator(".demo", has=page.locator("#html-download-file")).get_by_role("button", name="Call it").click()
    assert download.value.suggested_filename == "report.txt"
    assert other.locator(".demos").inner_html() == before


def test_a_task_reports_to_its_window_only(page: Page, open_window: Callable[..., Page], site: Site) -> None:
    """Rows S-12 and W-F16: on threads of the server."""
    other = visit(open_window(site.url), "/live/task/")
    expect_report(visit(page, "/live/task/"), other, "The server has done it.")


def expect_report(page: Page, other: Page, answer: str) -> None:
    """Ask for a report in one window, and see that the other hears nothing of it."""
    page.get_by_role("button", name="Write a report").click()
    expect(page.locator("#step")).to_have_text(re.compile(r"^Chapter \d+ of 20$"))
    expect(page.locator("#step")).to_have_text(re.compile(r"^The report is ready\. It took [\d.]+ seconds\.$"))
    expect(page.locator("#answer")).to_have_text(answer)
    expect(page.locator("#done")).to_have_attribute("value", "20")
    expect(other.locator("#step")).to_have_text("Not asked for yet.")
    expect(other.locator("#done")).to_have_attribute("value", "0")


@contextmanager
def worker(database: Database, redis: str) -> Iterator[Server]:
    """Run a Celery worker of the sample."""
    argv = sites.manage("signalworker", "--noreload", folder=sample.SAMPLE)
    with serve(argv, cwd=sample.SAMPLE, env={**database.environment(), "REDIS_URL": redis}) as server:
        server.wait_for_log("ready.", seconds=30)
        yield server


def test_celery_reports_to_its_window_only(open_window: Callable[..., Page], database: Database, redis: str) -> None:
    """Rows S-13 and W-F16: from another process, through a real Redis."""
    with worker(database, redis), sample.running("runsocketio", database, REDIS_URL=redis) as site:
        other = visit(open_window(site.url), "/live/task/")
        expect_report(visit(open_window(site.url), "/live/task/"), other, "The server has queued it.")


@pytest.mark.parametrize("site", ["runsocketio"], indirect=True)
@pytest.mark.parametrize("path", PAGES)
def test_the_pages_fit_a_phone_and_are_legible(open_window: Callable[..., Page], site: Site, path: str) -> None:
    for scheme in ("light", "dark"):
        page = open_window(site.url, viewport=PHONE, has_touch=True, color_scheme=scheme, reduced_motion="reduce")
        visit(page, path)
        expect_no_overflow(page)
        contrasts = page.evaluate(CONTRASTS)
        assert [(text, ratio) for text, ratio in contrasts if ratio < LEGIBLE] == []
