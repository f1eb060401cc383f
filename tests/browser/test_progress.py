"""The sample's pages with progress bars, on the real server's side; rows D-83 and D-84."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.browser import sample
from tests.live.servers import eventually, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.sample import Database, Site
    from tests.browser.watch import Watch
    from tests.live.servers import Server

pytestmark = pytest.mark.browser

FINISHED: Final = re.compile(r"^\[\d+/100\] Task \d+ finished$")


@pytest.fixture
def one(page: Page) -> Iterator[Page]:
    """The page of the namespace's own bar, which is put back for those who come next."""
    page.goto("/progress/")
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    yield page
    page.goto("/progress/")
    cancel = page.get_by_role("button", name="Cancel")
    expect(page.locator("#state")).to_have_attribute("data-state", "connected")
    if page.locator("#bar").get_attribute("data-state") == "running":
        cancel.click()
    expect(page.get_by_role("button", name="Reset")).to_be_enabled()
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#bar")).to_have_attribute("data-state", "waiting")


def test_one_bar_starts_moves_and_cannot_be_started_twice(one: Page) -> None:
    """Row D-83: the button is disabled while the job runs."""
    start = one.get_by_role("button", name="Start")
    start.click()
    expect(start).to_be_disabled()
    expect(one.locator(".progressbar-label")).to_have_text(FINISHED)
    expect(one.get_by_text(re.compile("about .* left"))).to_be_visible()
    one.reload()
    expect(one.locator(".progressbar-label")).to_have_text(FINISHED)
    expect(one.get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", "0")
    expect(start).to_be_disabled()


def test_one_bar_is_seen_by_everybody_and_cancelled_by_anybody(
    one: Page, open_window: Callable[..., Page], site: Site
) -> None:
    """Row D-83."""
    other = open_window(site.url)
    other.goto("/progress/")
    one.get_by_role("button", name="Start").click()
    expect(other.locator(".progressbar-label")).to_have_text(FINISHED)
    other.get_by_role("button", name="Cancel: The job").click()
    for window in (one, other):
        expect(window.locator("#bar")).to_have_attribute("data-state", "cancelled")
        expect(window.get_by_role("button", name="Start")).to_be_enabled()
    other.get_by_role("button", name="Reset").click()
    for window in (one, other):
        expect(window.locator("#bar")).to_have_attribute("data-state", "waiting")
        expect(window.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0")
        expect(window.locator(".progressbar-label")).to_have_text("")


def test_all_engines_draw_the_same_job(one: Page) -> None:
    """Row D-83: with both renderers, and one of the page's own."""
    one.goto("/progress/engines/")
    one.get_by_role("button", name="Start").click()
    for engine in ("html5", "html5-options", "bootstrap", "ring"):
        expect(one.locator(f"#{engine} .progressbar-label")).to_have_text(FINISHED)
        expect(one.locator(f"#{engine}").get_by_role("progressbar", name="The job")).to_have_count(1)


def test_thirty_bars_move_at_once(page: Page) -> None:
    """Row D-84."""
    page.goto("/progress/many/")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#many [data-state=running]")).to_have_count(30)
    expect(page.get_by_role("button", name="Go")).to_be_disabled()
    expect(page.locator("#count")).to_have_text("30 of 30 done", timeout=40_000)
    expect(page.locator("#many [data-state=done]")).to_have_count(30)
    expect(page.get_by_role("button", name="Go")).to_be_enabled()


def price_list(rows: int, *, wrong: int = 0) -> dict[str, object]:
    """Give a file; the first rows' prices are wrong."""
    lines = [f"T-{number},Article,{'free' if number <= wrong else 1}" for number in range(1, rows + 1)]
    return {"name": "prices.csv", "mimeType": "text/csv", "buffer": "\n".join(["sku,name,price", *lines]).encode()}


def test_an_import_reports_the_rows_that_are_wrong(page: Page) -> None:
    page.goto("/progress/import/")
    page.locator("#file").set_input_files(price_list(1000, wrong=2))
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#result")).to_have_text("998 rows were imported, 2 were not.")
    expect(page.locator("#rejected li")).to_have_count(2)
    expect(page.locator("#bar")).to_have_attribute("data-state", "done")
    expect(page.locator(".progressbar-label")).to_have_text("Row 1,000")


def test_an_import_is_nobody_elses_business(page: Page, open_window: Callable[..., Page], site: Site) -> None:
    """A page whose own import has not begun shows nothing of others', and no error either."""
    page.goto("/progress/import/")
    page.locator("#file").set_input_files(price_list(1))
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#bar")).to_have_attribute("data-state", "done")
    other = open_window(site.url)
    denied = site.server.log().count("denied 'watch'")
    other.goto("/progress/import/")
    eventually(lambda: site.server.log().count("denied 'watch'") > denied, "an answer to watch")
    with pytest.raises(PlaywrightTimeoutError):  # a second is long for an answer to arrive that was sent
        other.wait_for_selector("#bar:not([data-state=waiting])", timeout=1000)
    expect(other.locator("#bar").get_by_role("status")).to_have_text("")


def test_an_import_that_fails_says_why(page: Page, watch: Watch) -> None:
    page.goto("/progress/import/")
    page.get_by_role("button", name="A broken file").click()
    expect(page.locator("#bar")).to_have_attribute("data-state", "failed")
    expect(page.locator("#bar").get_by_role("status")).to_have_text("Failed: The file has no column “name”.")
    page.locator("#file").set_input_files({**price_list(1), "name": "prices.txt"})
    with page.expect_response("**/upload/") as answered:
        page.get_by_role("button", name="Import").click()
    assert answered.value.status == 400
    expect(page.locator("#result")).to_contain_text("txt")
    (fault,) = watch.faults
    assert "400 (Bad Request)" in fault  # Chromium itself reports such an answer
    watch.faults.clear()


def test_an_import_of_100_000_rows_is_cancelled(page: Page) -> None:
    page.goto("/progress/import/")
    page.get_by_role("button", name="100,000 rows", exact=True).click()
    expect(page.locator(".progressbar-label")).to_have_text(re.compile("^Row [0-9,]+$"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#bar")).to_have_attribute("data-state", "cancelled")
    expect(page.get_by_role("button", name="Import")).to_be_enabled()
    expect(page.locator(".progressbar-label")).not_to_have_text("Row 100,000")


@contextmanager
def worker(database: Database, redis: str) -> Iterator[Server]:
    """Run a Celery worker of the sample."""
    argv = [sys.executable, "-m", "celery", "-A", "sample", "worker", "--pool", "solo", "--loglevel", "INFO"]
    with serve(argv, cwd=sample.SAMPLE, env={**database.environment(), "REDIS_URL": redis}) as server:
        server.wait_for_log("ready.", seconds=30)
        yield server


def test_a_celery_task_moves_a_bar_and_is_cancelled(
    open_window: Callable[..., Page], database: Database, redis: str
) -> None:
    with worker(database, redis), sample.running("runsocketio", database, REDIS_URL=redis) as site:
        page = open_window(site.url)
        page.goto("/progress/task/")
        page.get_by_role("button", name="Queue the task").click()
        expect(page.locator(".progressbar-label")).to_have_text(re.compile(r"^Part \d+$"))
        expect(page.locator("#bar")).to_have_attribute("data-state", "done")
        page.get_by_role("button", name="Queue the task").click()
        expect(page.locator("#bar")).to_have_attribute("data-state", "running")
        page.get_by_role("button", name="Cancel: The task").click()
        expect(page.locator("#bar")).to_have_attribute("data-state", "cancelled")


def test_without_a_queue_the_page_says_what_is_missing(page: Page) -> None:
    page.goto("/progress/task/")
    page.get_by_role("button", name="Queue the task").click()
    expect(page.locator("#result")).to_contain_text("Set REDIS_URL")
