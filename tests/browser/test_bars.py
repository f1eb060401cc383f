"""
The bars of progress.js in Chromium, without the server's side: the page tells a stub of it what it wants to hear.

Rows B-01 to B-17, and the faults W-D15 and W-D16.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect

from tests.browser.test_layout import CONTRASTS, LEGIBLE, PHONE, expect_no_overflow
from tests.live import sites
from tests.live.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

    from tests.live.servers import Server

pytestmark = pytest.mark.browser

STYLESHEETS: Final = {
    version: ROOT / "static/node_modules" / package / "dist/css/bootstrap.min.css"
    for version, package in (("3", "bootstrap3"), ("4", "bootstrap4"), ("5", "bootstrap"))
}
"""Bootstrap's own, which no page of the project loads."""

MAKE: Final = """async ({ container, options }) => {
  const { ProgressBar } = await import("dtws_sio/progress");
  const box = Object.assign(document.createElement("section"), { id: container });
  document.body.append(box);
  window.bar = new ProgressBar("/bars", box, options);
  if (!bar.socket.connected) await new Promise((resolve) => bar.socket.once("connect", resolve));
}"""

SAY: Final = """async ([event, data]) => {
  const arrived = new Promise((resolve) => bar.on(event, resolve));
  bar.socket.emit("say", event, data);
  await arrived;
}"""

STATES: Final[dict[str, list[tuple[str, dict[str, Any]]]]] = {
    "waiting": [],
    "running": [("update", {"current": 42, "label": "row 42 of 100", "rate": 2.0, "remaining": 119})],
    "done": [("done", {"current": 100, "label": "100 rows"})],
    "failed": [("failed", {"message": "row 43 has no price"})],
    "cancelled": [("cancelled", {})],
}
"""What a bar is told after its start, by the state that it is in then."""


class Stage:
    """
    A page with bars on it, and the stub's side of them.

    Args:
        page: A window.
        site: The live project.
    """

    def __init__(self, page: Page, site: Server) -> None:
        self.page = page
        self._url = f"{site.url}/bars/"
        for version, path in STYLESHEETS.items():
            page.route(f"**/bootstrap{version}.css", partial(fulfill, path))

    def open(self, *, lang: str = "en", direction: str = "ltr", bootstrap: str = "") -> Stage:
        """Go to the empty page."""
        self.page.goto(f"{self._url}?lang={lang}&dir={direction}&bootstrap={bootstrap}")
        return self

    def add(self, container: str = "bar", **options: Any) -> Locator:
        """Make a bar, and give its container."""
        self.page.evaluate(MAKE, {"container": container, "options": options})
        return self.page.locator(f"#{container}")

    def say(self, event: str, **data: Any) -> None:
        """Have the server send the newest bar an event, and wait until it is there."""
        self.page.evaluate(SAY, [event, {"bar": self.page.evaluate("bar.bar"), **data}])

    def begin(self, **data: Any) -> None:
        """Send an init."""
        self.say(
            "init",
            **{"status": "running", "indeterminate": False, "min": 0, "max": 100, "current": 0, "label": "", **data},
        )

    def emit(self, event: str, *data: Any) -> None:
        """Send the stub an event."""
        self.page.evaluate("([event, data]) => bar.socket.emit(event, ...data)", [event, list(data)])


def fulfill(path: Path, route: Route) -> None:
    """Answer with a file."""
    route.fulfill(path=path)


@pytest.fixture(scope="package")
def project() -> Iterator[Server]:
    """The live project."""
    with sites.running("runsocketio") as server:
        yield server


@pytest.fixture
def stage(open_window: Callable[..., Page], project: Server) -> Iterator[Stage]:
    """One window, where nothing moves: what is measured is where it stays."""
    before = len(project.log())
    yield Stage(open_window(project.url, reduced_motion="reduce"), project).open()
    assert "Traceback (most recent call last)" not in project.log()[before:]


def box(locator: Locator) -> dict[str, float]:
    """Where an element is, to the pixel."""
    found = locator.bounding_box()
    assert found
    return {name: round(value, 1) for name, value in found.items()}


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ({"current": 42}, 0.42),
        ({"min": 100, "max": 200, "current": 150}, 0.5),
        ({"min": -1, "max": 2, "current": 0}, 1 / 3),
        ({"current": 0}, 0),
        ({"current": 100}, 1),
    ],
    ids=str,
)
def test_both_engines_draw_the_same_part(stage: Stage, numbers: dict[str, float], part: float) -> None:
    """Rows B-08, B-11, B-14 and W-D16: also where the range does not start at 0, and rounded."""
    html5 = stage.add("html5")
    stage.begin(**numbers)
    assert html5.locator("progress").evaluate("(element) => element.position") == pytest.approx(part)
    expect(html5.locator(".sio-progress-number")).to_have_text(f"{part:.0%}")

    stage.page.evaluate("bar.setEngine('bootstrap')")
    filled, track = box(html5.locator(".progress-bar")), box(html5.locator(".progress"))
    assert filled["width"] == pytest.approx(part * track["width"], abs=1)
    expect(html5.locator(".progress-bar")).to_have_text(f"{100 * part:.0f} %")


@pytest.mark.parametrize("version", STYLESHEETS)
def test_bootstraps_own_stylesheet_has_the_last_word(stage: Stage, version: str) -> None:
    """Rows B-10 and B-11: the classes are those of each version, and none of our rules is in the way."""
    stage.open(bootstrap=version)
    stage.page.evaluate(
        """(version) => {
          const own = { 3: "progress-bar-success", 4: "bg-success", 5: "text-bg-success" }[version];
          document.body.innerHTML = `<div class="progress" id="own"><div class="progress-bar ${own}">42 %</div></div>`;
        }""",
        version,
    )
    bar = stage.add(engine="bootstrap", bootstrap_version=int(version), progressbar_context="success")
    stage.begin(current=42)
    for selector, properties in (
        (".progress", ["height", "backgroundColor", "borderRadius", "marginBottom"]),
        (".progress-bar", ["height", "color", "backgroundColor", "fontSize"]),
    ):
        look = f"(element) => {properties}.map((name) => getComputedStyle(element)[name])"
        own = stage.page.locator("#own, #own *").and_(stage.page.locator(selector))
        assert bar.locator(selector).evaluate(look) == own.evaluate(look)


@pytest.mark.parametrize("version", STYLESHEETS)
def test_beside_bootstrap_the_other_engine_looks_as_it_does_without(stage: Stage, version: str) -> None:
    """Row B-14: it has Bootstrap's class names from of old, by which Bootstrap means other things."""
    look = "(element) => [getComputedStyle(element).backgroundColor, getComputedStyle(element).boxShadow]"
    looks = []
    for bootstrap in ("", version):
        bar = stage.open(bootstrap=bootstrap).add()
        stage.page.evaluate("document.body.style.setProperty('color', '#000')")
        stage.begin(current=42)
        looks.append([bar.locator(selector).evaluate(look) for selector in (".progress", ".progress-bar")])
        assert box(bar.locator("progress"))["height"] > 8
        assert box(bar.locator("progress"))["width"] > 200
        assert box(bar.locator(".progress"))["height"] >= box(bar.locator(".sio-progress-number"))["height"]
    assert looks[0] == looks[1]


@pytest.mark.parametrize("engine", ["html5", "bootstrap"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_is_drawn_said_and_announced(stage: Stage, engine: str, state: str) -> None:
    """Rows B-11, B-13 and B-16: what a screen reader is told is what is seen."""
    bar = stage.add(engine=engine, accessible_name="Import", cancel=True)
    if state != "waiting":
        stage.begin()
    for event, data in STATES[state]:
        stage.say(event, **data)
    expect(bar).to_have_attribute("data-state", state)
    expect(bar.get_by_role("progressbar", name="Import")).to_be_visible()
    expect(bar.get_by_role("button", name="Cancel: Import")).to_be_visible(visible=state == "running")
    said = {"done": "Done", "failed": "Failed: row 43 has no price", "cancelled": "Cancelled"}.get(state, "")
    expect(bar.get_by_role("status")).to_have_text(said)
    remaining = bar.get_by_text("about 2 minutes left", exact=True)
    expect(remaining).to_have_count(1 if state == "running" else 0)


@pytest.mark.parametrize("engine", ["html5", "bootstrap"])
def test_assistive_technology_gets_the_true_range(stage: Stage, engine: str) -> None:
    """Rows B-11 and B-16: as Chromium hands them over, also for <progress>, which knows no minimum."""
    stage.add(engine=engine)
    stage.begin(min=100, max=200, current=150, label="half")
    tree = stage.page.context.new_cdp_session(stage.page).send("Accessibility.getFullAXTree")["nodes"]
    (node,) = (node for node in tree if node["role"].get("value") == "progressbar")
    told = {each["name"]: each["value"].get("value") for each in node["properties"]}
    assert (told["valuemin"], told["valuemax"], node["value"]["value"]) == (100, 200, 150)
    text = {"html5": "50%, half", "bootstrap": "50 %, half"}[engine]  # which Chromium's protocol does not report
    expect(stage.page.get_by_role("progressbar")).to_have_attribute("aria-valuetext", text)
    assert node["name"]["value"] == "Progress"


@pytest.mark.parametrize("engine", ["html5", "bootstrap"])
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_an_indeterminate_bar_moves_only_where_motion_is_wanted(
    open_window: Callable[..., Page], project: Server, engine: str, motion: Any
) -> None:
    """Rows B-12, B-15 and W-D16."""
    stage = Stage(open_window(project.url, reduced_motion=motion), project).open()
    bar = stage.add(engine=engine)
    stage.begin(indeterminate=True, min=0, max=0)
    stage.say("update", label="looking")
    moving = "(element) => element.getAnimations({ subtree: true }).filter((each) => each.animationName).length"
    assert bar.evaluate(moving) == (motion == "no-preference")
    assert re.fullmatch("looking", bar.inner_text().strip())
    stage.say("failed", message="nothing found")
    assert bar.evaluate(moving) == 0


@pytest.mark.parametrize("engine", ["html5", "bootstrap"])
def test_in_a_page_from_right_to_left_the_bar_fills_from_the_right(stage: Stage, engine: str) -> None:
    """What is filled is measured in the picture, since no script can ask where <progress> draws."""
    stage.open(lang="ar", direction="rtl")
    bar = stage.add(engine=engine, progression_visible=False)
    stage.begin(current=30)
    track = bar.locator("progress" if engine == "html5" else ".progress")
    colours = colours_of(stage.page, track)
    assert colours[0] != colours[-1]
    assert colours.index(colours[-1]) == pytest.approx(0.7 * len(colours), abs=0.05 * len(colours))


def colours_of(page: Page, locator: Locator) -> list[tuple[int, ...]]:
    """Give the colours of the middle line of an element, without its rounded ends."""
    data = page.context.new_cdp_session(page)
    place = box(locator)
    picture = data.send(
        "Page.captureScreenshot",
        {"format": "png", "clip": {**place, "y": place["y"] + place["height"] / 2, "height": 1, "scale": 1}},
    )["data"]
    reader = """async (data) => {
      const image = await createImageBitmap(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]));
      const canvas = new OffscreenCanvas(image.width, 1).getContext("2d");
      canvas.drawImage(image, 0, 0);
      const { data: bytes } = canvas.getImageData(0, 0, image.width, 1);
      return Array.from({ length: image.width }, (_, x) => [...bytes.slice(4 * x, 4 * x + 3)]);
    }"""
    return [tuple(colour) for colour in page.evaluate(reader, picture)][4:-4]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_text_is_legible(open_window: Callable[..., Page], project: Server, colours: Any) -> None:
    """Also white numbers on each of the colours that a bar can have."""
    stage = Stage(open_window(project.url, color_scheme=colours), project).open()
    ground = {"light": "#fff", "dark": "#121212"}[colours]
    stage.page.evaluate("(ground) => document.body.style.setProperty('background', ground)", ground)
    for engine in ("html5", "bootstrap"):
        for state, events in STATES.items():
            stage.add(f"{engine}-{state}", engine=engine, cancel=True, bar=f"{engine}-{state}")
            stage.begin(current=90)
            for event, data in events:
                stage.say(event, **data)
    contrasts = stage.page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [(text, contrast) for text, contrast in contrasts if contrast < LEGIBLE] == []


@pytest.mark.parametrize("engine", ["html5", "bootstrap"])
def test_a_bar_fits_a_phone(open_window: Callable[..., Page], project: Server, engine: str) -> None:
    stage = Stage(open_window(project.url, viewport=PHONE, has_touch=True), project).open()
    stage.add(engine=engine, cancel=True)
    stage.begin(label="x" * 400, current=5)
    stage.say("update", remaining=1e6)
    expect_no_overflow(stage.page)
    stage.say("failed", message="y" * 400)
    expect_no_overflow(stage.page)


def test_a_reload_shows_at_once_where_a_named_bar_stands(stage: Stage) -> None:
    """Row B-01: the answer to `watch` is the whole picture."""
    stage.add(bar="rows")
    stage.emit("keep", "rows", {"status": "running", "min": 0, "max": 50, "current": 20, "label": "row 20"})
    stage.open()
    bar = stage.add(bar="rows")
    expect(bar.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "40%, row 20")
    expect(stage.add("other", bar="secret").get_by_role("status")).to_have_text("Not available: it is not yours")
    expect(stage.add("another", bar="later")).to_have_attribute("data-state", "waiting")


def test_a_bar_outlives_a_lost_connection(stage: Stage) -> None:
    """It says so meanwhile, connects again by itself, and asks what it has missed."""
    bar = stage.add(bar="rows", cancel=True)
    stage.emit("keep", "rows", {"status": "running", "min": 0, "max": 50, "current": 20, "label": ""})
    stage.begin(max=50, current=10)
    stage.emit("kick")
    expect(bar).to_have_attribute("data-state", "disconnected")
    expect(bar.get_by_role("status")).to_have_text("Connection lost")
    expect(bar.get_by_role("button")).to_be_disabled()
    expect(bar).to_have_attribute("data-state", "running")
    expect(bar.locator(".sio-progress-number")).to_have_text("40%")


def test_the_button_cancels_and_says_when_it_may_not(stage: Stage) -> None:
    bar = stage.add(bar="rows", cancel=True)
    stage.begin()
    bar.get_by_role("button", name="Cancel").click()
    expect(bar).to_have_attribute("data-state", "cancelled")
    expect(bar.get_by_role("button")).to_be_hidden()

    other = stage.add("other", bar="secret", cancel=True)
    stage.begin()
    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_role("status")).to_have_text("Not cancelled: it is not yours")
    expect(other.get_by_role("button", name="Cancel")).to_be_enabled()


def test_the_element_needs_no_script_of_the_page(stage: Stage) -> None:
    """Rows B-01 and W-D15: without a `bar` it is the namespace's own."""
    stage.page.evaluate(
        """async () => {
          await import("dtws_sio/progress");
          const element = document.createElement("sio-progress");
          element.setAttribute("namespace", "/bars");
          element.setAttribute("progression-position", "left");
          document.body.append(element);
          window.bar = element.progressBar;
          await new Promise((resolve) => element.socket.once("connect", resolve));
        }"""
    )
    element = stage.page.locator("sio-progress")
    expect(element).to_have_attribute("data-state", "waiting")
    stage.begin(current=7)
    expect(element.locator(".progress > span:first-child")).to_have_text("7%")
    stage.page.evaluate("document.querySelector('sio-progress').remove()")
    expect(stage.page.get_by_role("progressbar")).to_have_count(0)


def test_bars_of_a_namespace_share_one_connection(stage: Stage) -> None:
    sockets = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    stage.open()
    for number in range(5):
        stage.add(f"bar-{number}", bar=f"bar-{number}")
        stage.begin(current=number)
    expect(stage.page.locator("[data-state=running]")).to_have_count(5)
    assert len(sockets) == 1
