"""What the browser tests share: Chromium, the sample on both servers, and windows that are watched."""

from __future__ import annotations

import shutil
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser import sample
from tests.browser.watch import Watch
from tests.browser.windows import MIA, MODERATOR, ChatWindow, sign_up
from tests.live.services import missing, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.sample import Database, Site

CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
"""What Chromium is called by different distributions."""

FLAGS: Final = [
    "--no-sandbox",  # as root, and in most containers, it would not start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE: Final = 10_000
"""Milliseconds to wait for anything on a page. Reconnecting takes up to five seconds."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run the browser tests together, in whatever order they are.

    Playwright keeps an event loop running in pytest's thread, in which Django's ORM and `asyncio.run` refuse to work;
    so it is closed before other tests run, and starting it anew for each module would take seconds.
    """
    folder = Path(__file__).parent
    items.sort(key=lambda item: item.path.is_relative_to(folder))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Run Chromium. It is the distribution's: Playwright would download one of its own."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None) or missing("Chromium is not installed")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A fresh database of the sample; what is served are copies of it."""
    if not (sample.BUILT / "socket.io.min.js").exists():
        missing("the browser files are not built: run npm ci and npm run build in static/")
    with pytest.MonkeyPatch.context() as patch:
        for variable in sample.VARIABLES:
            patch.delenv(variable, raising=False)
        yield sample.make_database(tmp_path_factory.mktemp("sample") / "db.sqlite3")


@pytest.fixture
def database(migrated: Database, tmp_path: Path) -> Database:
    """A database for one test, which serves it itself."""
    return migrated.copy(tmp_path / "db.sqlite3")


@pytest.fixture(scope="package")
def started(migrated: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Give the sample's server of a kind; each is started once, when the first test asks for it."""
    running: dict[str, Site] = {}
    with ExitStack() as stack:

        def start(kind: str) -> Site:
            if kind not in running:
                database = migrated.copy(tmp_path_factory.mktemp(kind) / "db.sqlite3")
                running[kind] = stack.enter_context(sample.running(kind, database))
            return running[kind]

        yield start


@pytest.fixture(params=list(sample.KINDS))
def site(request: pytest.FixtureRequest, started: Callable[[str], Site]) -> Iterator[Site]:
    """
    Serve the sample, with `runsocketio` and with gunicorn.

    What the server printed meanwhile is shown if the test fails; a traceback in it fails the test.
    """
    running = started(request.param)
    before = len(running.server.log())
    yield running
    printed = running.server.log()[before:]
    print(printed)  # noqa: T201  pytest shows it
    assert "Traceback (most recent call last)" not in printed
    assert "socket shutdown error" not in printed  # pitfall 9


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """The URL of a Redis server of our own."""
    with redis_server() as url:
        yield url


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watch every window; a test that expects faults clears the list."""
    watching = Watch()
    yield watching
    assert watching.faults == []


@pytest.fixture
def open_window(browser: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Open a window of another person, who has cookies of their own, with further options of `new_context`."""
    with ExitStack() as stack:

        def open_window(base_url: str, **options: Any) -> Page:
            context = browser.new_context(base_url=base_url, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            watch.follow(context)
            return context.new_page()

        yield open_window


@pytest.fixture
def page(open_window: Callable[..., Page], site: Site) -> Page:
    """The one window of a test that needs no more."""
    return open_window(site.url)


@pytest.fixture
def room(site: Site) -> str:
    """The slug of a room in which nobody has been."""
    slug = uuid.uuid4().hex[:8]
    site.database.add_room(slug, f"Room {slug}")
    return slug


@pytest.fixture
def private_room(site: Site, user_chat: ChatWindow) -> str:
    """The slug of a room for MIA alone."""
    slug = uuid.uuid4().hex[:8]
    site.database.add_room(slug, f"Room {slug}", member=MIA)
    return slug


@pytest.fixture(scope="package")
def signed_up(browser: Browser) -> Callable[[Site, str], Any]:
    """Give the cookies of somebody on a site, where the first test that asks makes the account."""
    cookies: dict[tuple[str, str], Any] = {}

    def state(site: Site, name: str) -> Any:
        if (site.url, name) not in cookies:
            with browser.new_context(base_url=site.url) as context:
                sign_up(context.new_page(), name)
                cookies[site.url, name] = context.storage_state()
        return cookies[site.url, name]

    return state


@pytest.fixture
def user_chat(
    open_window: Callable[..., Page], signed_up: Callable[[Site, str], Any], site: Site, room: str
) -> ChatWindow:
    """The chat of the user MIA, in a new room."""
    page = open_window(site.url, storage_state=signed_up(site, MIA))
    return ChatWindow(page).open(room).expect_joined(MIA)


@pytest.fixture
def moderator_chat(
    open_window: Callable[..., Page], signed_up: Callable[[Site, str], Any], site: Site, room: str
) -> Iterator[ChatWindow]:
    """The chat of MODERATOR, in the same room; what is imposed does not outlive the test."""
    state = signed_up(site, MODERATOR)
    site.database.add_to_group(MODERATOR, "moderators")
    yield ChatWindow(open_window(site.url, storage_state=state)).open(room).expect_joined(MODERATOR)
    site.database.lift_sanctions()


@pytest.fixture
def guest_chat(open_window: Callable[..., Page], site: Site, room: str) -> ChatWindow:
    """The chat of the guest Jonas, in the same room."""
    chat = ChatWindow(open_window(site.url)).open(room)
    chat.give_name("Jonas")
    return chat.expect_joined("Jonas")
