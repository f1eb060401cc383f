"""
signals.js in Chromium, against a stub of the server's side that speaks the same on the wire.

Rows H-01 to H-36, and the faults W-F4, W-F5, W-F8 and W-F13 to W-F15. The pages' policy trusts no HTML but that of
signals.js. What needs no browser is in static/test/signals.test.mjs.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect

from tests.live import sites
from tests.live.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from tests.browser.watch import Watch
    from tests.live.servers import Server

pytestmark = pytest.mark.browser

FILL: Final = """async ([html, calls]) => {
  await DFSignals.call("html.content", { selector: "main", content: html });
  for (const [selector, value] of Object.entries(calls)) {
    for (const element of document.querySelectorAll(selector)) element.setAttribute("data-df-signal", value);
  }
}"""

CONNECTED: Final = "window.DFSignals?.connection.connected === true"


class Window:
    """
    A page with signals.

    Args:
        page: A window.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.main = page.locator("main")
        self._number = 0

    def open(self, token: str = "good") -> Window:
        """Go to the empty page, and wait until it is connected."""
        self.page.goto(f"/signals/?window={token}")
        self.wait(CONNECTED)
        return self

    def wait(self, condition: str) -> None:
        """Wait until an expression is true; Playwright's own way needs `eval`, which the policy forbids."""
        eventually(lambda: self.page.evaluate(condition), condition)

    def fill(self, html: str, **calls: Any) -> Locator:
        """Put elements into the page, with calls by tag name, and give where they are."""
        written = {tag: value if isinstance(value, str) else json.dumps(value) for tag, value in calls.items()}
        self.page.evaluate(FILL, [html, written])
        return self.main

    def call(self, name: str, /, **opts: Any) -> Any:
        """Call a signal, and give the answer."""
        return self.page.evaluate("([name, opts]) => DFSignals.call(name, opts)", [name, opts])

    def hear(self, *messages: Any) -> None:
        """Have the server send these; they are there before its answer is."""
        assert self.call("send", messages=list(messages))["ok"]

    def signal(self, name: str, /, **opts: Any) -> None:
        """Have the server call a signal of this window."""
        self._number += 1
        self.hear({"signal": name, "opts": opts, "id": self._number})

    def keep_answers(self) -> None:
        """Note what elements are answered; `answers` gives it."""
        self.page.evaluate(
            """() => {
              window.answers = [];
              addEventListener("DFSignalAnswered", (event) => event.preventDefault() || answers.push(event.detail));
            }"""
        )

    def answers(self, count: int) -> Any:
        """Wait until so many answers are there, and give them."""
        self.wait(f"answers.length >= {count}")
        return self.page.evaluate("answers")


@pytest.fixture(scope="module")
def project() -> Iterator[Server]:
    """The live project."""
    with sites.running("runsocketio") as server:
        yield server


def forgive_cut_connections(watch: Watch) -> None:
    """
    Overlook Chromium's report of a poll that was answered with 400.

    A refused client closes its connection, perhaps while its last request is under way, which then finds none.
    """
    watch.faults[:] = [fault for fault in watch.faults if "status of 400" not in fault]


@pytest.fixture
def window(open_window: Callable[..., Page], project: Server) -> Window:
    """One window, connected."""
    return Window(open_window(project.url)).open()


def test_a_page_with_the_tag_is_connected_without_a_script_of_its_own(window: Window) -> None:
    """Rows H-01 and H-02: over the connection that other namespaces use too."""
    assert window.call("echo", a=[1, {"b": None}]) == {"ok": True, "results": [{"a": [1, {"b": None}]}], "errors": []}
    about = "({ wsurl, buffer, registry, connection }) => [wsurl, buffer, registry.length, connection.nsp]"
    url, waiting, count, namespace = window.page.evaluate(f"({about})(DFSignals)")
    assert (waiting, count, namespace) == (0, 17, "/stub")
    assert url.endswith("/stub")
    assert window.page.evaluate("DFSignals.windowHeader()") == {"X-Socket-Window": "good"}


def test_a_refused_call_is_answered_and_the_connection_stays(window: Window) -> None:
    """Rows H-03 and W-F8."""
    unknown = window.call("nonsense")
    assert (unknown["ok"], unknown["errors"][0]["code"]) == (False, "unknown_signal")
    failed = window.call("fail")
    assert (failed["ok"], failed["errors"][0]["code"]) == (False, "handler_failed")
    assert "on purpose" not in json.dumps(failed)
    assert window.call("echo")["ok"]


def test_signals_of_the_server_run_functions_and_a_repeated_one_runs_once(window: Window) -> None:
    """Rows H-03, H-04 and W-F13; what throws is in the console and harms nobody."""
    window.page.evaluate("void DFSignals.connect('x', ({ a }) => (window.heard = [...(window.heard ?? []), a]))")
    twice = {"signal": "x", "opts": {"a": 1}, "id": "same"}
    window.hear(twice, twice, {"signal": "x", "opts": {"a": 2}, "id": "other"}, {"signal": "nobody", "opts": {}})
    assert window.page.evaluate("heard") == [1, 2]


def test_what_a_listener_throws_is_in_the_console_and_harms_nobody(window: Window, watch: Watch) -> None:
    """Rows H-03 and J-07."""
    window.page.evaluate("void DFSignals.connect('x', () => { throw new Error('of a listener') })")
    window.page.evaluate("void DFSignals.connect('x', () => (window.second = true))")
    window.signal("x")
    assert window.page.evaluate("second")
    assert window.call("echo")["ok"]
    (fault,) = watch.faults
    assert "of a listener" in fault
    watch.faults.clear()


def test_inline_handlers_that_return_a_call_post_no_form(open_window: Callable[..., Page], project: Server) -> None:
    """Row H-03: it gave false once; this page has no policy, as such handlers need."""
    page = open_window(project.url, bypass_csp=True)
    window = Window(page).open()
    page.evaluate(
        """() => document.body.insertAdjacentHTML("beforeend",
             `<form action="/pid/" onsubmit="return DFSignals.call('echo')"><button>Old</button></form>
              <form action="/pid/" onsubmit="DFSignals.call('echo')"><button>Posted</button></form>`)"""
    )
    page.get_by_role("button", name="Old").click()
    assert window.call("echo")["ok"]
    assert page.url.endswith("/signals/?window=good")
    page.get_by_role("button", name="Posted").click()
    page.wait_for_url("**/pid/?")


# ---- the connection


def test_an_expired_token_is_renewed(open_window: Callable[..., Page], project: Server, watch: Watch) -> None:
    """Row S-32."""
    page = open_window(project.url)
    with page.expect_request("**/signals/renew/") as request:
        window = Window(page).open("expired")
    assert request.value.method == "POST"
    assert window.call("echo")["ok"]
    assert page.evaluate("DFSignals.windowHeader()") == {"X-Socket-Window": "good"}
    forgive_cut_connections(watch)


def test_a_refused_window_learns_why(open_window: Callable[..., Page], project: Server, watch: Watch) -> None:
    """Rows S-34 and W-F8."""
    page = open_window(project.url)
    page.goto("/signals/?window=foreign")
    Window(page).wait("window.DFSignals?.connection.active === false")
    message = page.evaluate("DFSignals.call('echo').catch(({ code, message }) => `${code}: ${message}`)")
    refusal = "the server refuses this window: the page belongs to another session"
    assert message == f'not_connected: "echo" was not called: {refusal}'
    forgive_cut_connections(watch)


def test_a_page_survives_a_restart_and_its_calls_arrive(open_window: Callable[..., Page], watch: Watch) -> None:
    """Rows H-05, W-F4 and W-F5: calls wait for the connection, in their order, and the page is told to catch up."""
    with sites.running("runsocketio") as site:
        window = Window(open_window(site.url)).open()
        window.page.evaluate("void (DFSignals.signals.onresync = () => (window.resyncs = (window.resyncs ?? 0) + 1))")
        site.process.send_signal(signal.SIGINT)
        site.wait_for_exit()
        window.wait("!DFSignals.connection.connected")
        window.page.evaluate("void (window.early = Promise.all([1, 2, 3].map((n) => DFSignals.call('echo', { n }))))")
        assert window.page.evaluate("DFSignals.buffer") == 3
        with window.page.expect_event("requestfailed"):
            pass  # an attempt that fails is not the last one
        with sites.running("runsocketio", port=site.port):
            results = window.page.evaluate("early.then((answers) => answers.map(({ results }) => results[0].n))")
            assert results == [1, 2, 3]
            assert window.page.evaluate("[DFSignals.buffer, resyncs]") == [0, 1]
    watch.faults[:] = [fault for fault in watch.faults if "net::ERR_CONNECTION_REFUSED" not in fault]


def test_a_call_that_the_end_of_the_connection_interrupts_is_rejected(window: Window) -> None:
    """Rows H-05, W-F4 and W-F5; a server's goodbye is no end: the page comes back by itself."""
    told = "DFSignals.call('kick').then(() => 'answered', ({ code }) => code)"
    assert window.page.evaluate(told) == "disconnected"
    window.wait(CONNECTED)
    assert window.call("echo")["ok"]


def test_a_server_that_does_not_answer_in_time_is_told_of(window: Window) -> None:
    late = "DFSignals.call('wait', { seconds: 1 }, { timeout: 100 }).catch(({ code }) => code)"
    assert window.page.evaluate(late) == "no_answer"


# ---- attributes

FIELDS: Final = """<form action="/pid/">
  <input name="title" value="Notes"><input value="without a name"><input name="off" value="x" disabled>
  <select name="kinds" multiple><option value="a" selected>a<option value="b">b<option value="c" selected>c</select>
  <input type="checkbox" name="yes" checked><input type="checkbox" name="no">
  <input type="file" name="file" multiple><button name="send" value="1">Send</button>
</form>"""


def test_a_form_arrives_with_its_files_and_is_not_posted(window: Window) -> None:
    """Rows H-11, H-12, H-15 and W-F18: bytes and names, as SerializedForm takes them."""
    main = window.fill(FIELDS, form=[{"name": "upload", "form": "form"}])
    window.keep_answers()
    main.get_by_role("button", name="Send").click()
    (refused,) = window.answers(1)
    assert refused["errors"][0]["fields"] == {"file": ["This field is required."]}
    files = [
        {"name": "a.bin", "mimeType": "", "buffer": bytes(range(256)) * 100},
        {"name": "ünï.txt", "mimeType": "", "buffer": b""},
        {"name": "c.txt", "mimeType": "", "buffer": b"c"},
    ]
    main.locator("[name=file]").set_input_files(files[:1] + files[2:])
    main.get_by_role("button", name="Send").click()
    answer = window.answers(2)[1]
    assert answer["results"] == [{"title": "Notes", "files": [["a.bin", 25600], ["c.txt", 1]]}]
    assert window.page.url.endswith("/signals/?window=good")


def test_a_file_that_is_too_large_leaves_the_connection_alone(window: Window) -> None:
    """Row H-12: the server closes the connection of whoever sends too much."""
    main = window.fill(FIELDS, form=[{"name": "upload", "form": "form"}])
    window.keep_answers()
    before = window.page.evaluate("DFSignals.connection.id")
    large = {"name": "large.bin", "mimeType": "", "buffer": b"x" * 1_000_001}
    main.locator("[name=file]").set_input_files(large)
    main.get_by_role("button", name="Send").click()
    (answer,) = window.answers(1)
    assert answer["errors"][0]["code"] == "too_large"
    assert window.call("echo")["ok"]
    assert window.page.evaluate("DFSignals.connection.id") == before


def test_values_of_fields_arrive(window: Window) -> None:
    """Rows H-11, H-13 and H-14: a select calls when it changes, and each call has the value of then."""
    main = window.fill(
        '<select><option value="1">one<option value="2">two</select><input type="checkbox"><textarea></textarea>',
        select=[{"name": "echo", "value": "v", "opts": {"list": [1]}}],
        input=[{"name": "echo", "value": "v"}],
        textarea=[{"name": "echo", "on": "input", "value": "v"}],
    )
    window.keep_answers()
    main.locator("select").click()
    main.locator("select").select_option("2")
    main.locator("select").select_option("1")
    main.locator("input").check()
    main.locator("input").uncheck()
    main.locator("textarea").press_sequentially("ab")
    sent = [answer["results"][0]["v"] for answer in window.answers(6)]
    assert sent == ["2", "1", True, False, "a", "ab"]
    expect(main.locator("input")).not_to_be_checked()


def test_several_values_of_a_select_arrive(window: Window) -> None:
    """Row H-13."""
    main = window.fill("<select multiple><option>a<option>b<option>c</select>", select=[{"name": "echo", "value": "v"}])
    window.keep_answers()
    main.locator("select").select_option(["a", "c"])
    assert window.answers(1)[0]["results"] == [{"v": ["a", "c"]}]


def test_links_are_followed_only_where_the_attribute_says_so(window: Window) -> None:
    """Row H-15."""
    main = window.fill('<a href="/pid/">stay</a>', a=[{"name": "echo"}])
    window.keep_answers()
    main.get_by_role("link").click()
    window.answers(1)
    assert window.page.url.endswith("/signals/?window=good")
    window.fill('<a href="/pid/">go</a>', a=[{"name": "echo", "prevent": False}])
    main.get_by_role("link").click()
    window.page.wait_for_url("**/pid/")


def test_a_form_whose_attribute_says_so_is_posted(window: Window) -> None:
    """Row H-15."""
    main = window.fill("<form action='/pid/'><button>Go</button></form>", form=[{"name": "echo", "prevent": False}])
    main.get_by_role("button").click()
    window.page.wait_for_url("**/pid/?")


def test_what_the_server_puts_into_the_page_calls_too(window: Window) -> None:
    """Rows H-06, H-16 and W-F14: itself and what is in it, on an event that was unknown until then, once."""
    window.keep_answers()
    window.page.evaluate(
        """() => {
          window.added = [];
          document.addEventListener("DOMContentAdded", ({ target }) => added.push(target.id));
        }"""
    )
    inner = json.dumps([{"name": "echo", "opts": {"who": "inner"}, "on": "dblclick"}])
    outer = json.dumps([{"name": "echo", "opts": {"who": "outer"}, "on": "mouseenter"}])
    html = f"<section id=s data-df-signal='{outer}'><b id=b data-df-signal='{inner}'>here</b></section>"
    window.signal("html.append", selector="main", content=html)
    assert window.page.evaluate("added") == ["s"]
    window.page.evaluate("document.querySelector('#s').dispatchEvent(new CustomEvent('DOMContentAdded'))")
    window.main.locator("#b").dblclick()
    assert sorted(answer["results"][0]["who"] for answer in window.answers(2)) == ["inner", "outer"]
    assert window.call("echo")["ok"]
    assert len(window.answers(2)) == 2


def test_one_bad_attribute_is_in_the_console_and_the_others_call(window: Window, watch: Watch) -> None:
    """Rows H-10 and W-F14."""
    main = window.fill("<b>bad</b><i>good</i>", b="[{'name'", i=[{"name": "echo"}])
    window.keep_answers()
    main.get_by_text("bad").click()
    main.get_by_text("good").click()
    assert window.answers(1)[0]["ok"]
    (fault,) = watch.faults
    assert "data-df-signal of <b>: it is no JSON" in fault
    watch.faults.clear()


def test_a_field_that_is_typed_in_calls_once_it_is_quiet(window: Window) -> None:
    """Row S-50: `debounce`."""
    main = window.fill("<input>", input=[{"name": "echo", "on": "input", "value": "q", "debounce": 300}])
    window.keep_answers()
    main.locator("input").press_sequentially("socket")
    assert [answer["results"] for answer in window.answers(1)] == [[{"q": "socket"}]]


def test_a_question_decides(window: Window) -> None:
    """Row S-50: `confirm`."""
    main = window.fill("<button>Delete</button>", button=[{"name": "echo", "confirm": "Really?"}])
    window.keep_answers()
    asked: list[str] = []
    for decide in ("dismiss", "accept"):
        window.page.once("dialog", lambda dialog, do=decide: (asked.append(dialog.message), getattr(dialog, do)()))
        main.get_by_role("button").click()
    assert window.answers(1)[0]["ok"]
    assert window.call("echo")["ok"]
    assert asked == ["Really?"] * 2
    assert len(window.answers(1)) == 1


# ---- built in

CONTENT: Final = '<p class="a b" title="t"><i>x</i></p>'

CHANGES: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("html.after", {"content": "<b>n</b>"}, f"{CONTENT}<b>n</b>"),  # H-20
    ("html.append", {"content": "<b>n</b>"}, '<p class="a b" title="t"><i>x</i><b>n</b></p>'),  # H-21
    ("html.prepend", {"content": "<b>n</b>"}, '<p class="a b" title="t"><b>n</b><i>x</i></p>'),  # H-22
    ("html.before", {"content": "<b>n</b>"}, f"<b>n</b>{CONTENT}"),  # H-23
    ("html.content", {"content": "<b>n</b>"}, '<p class="a b" title="t"><b>n</b></p>'),  # H-24
    ("html.replace_with", {"content": "<b>n</b>"}, "<b>n</b>"),  # H-25
    ("html.empty", {}, '<p class="a b" title="t"></p>'),  # H-26
    ("html.remove", {}, ""),  # H-27
    ("html.add_class", {"class_name": "c d"}, '<p class="a b c d" title="t"><i>x</i></p>'),  # H-28
    ("html.remove_class", {"class_name": ["a", "b"]}, '<p class="" title="t"><i>x</i></p>'),  # H-29
    ("html.remove_attr", {"attr_name": "title"}, '<p class="a b"><i>x</i></p>'),  # H-30
    ("html.add_attribute", {"attr_name": "title", "attr_value": "u"}, '<p class="a b" title="u"><i>x</i></p>'),  # H-31
    (
        "html.boolean_attribute",
        {"name": "hidden", "value": True},
        '<p class="a b" title="t" hidden="hidden"><i>x</i></p>',
    ),  # H-32
    ("html.text", {"content": "<b>n</b>"}, '<p class="a b" title="t">&lt;b&gt;n&lt;/b&gt;</p>'),  # H-33
]


@pytest.mark.parametrize(("name", "options", "expected"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_a_built_in_signal_changes_every_match(
    window: Window, name: str, options: dict[str, Any], expected: str
) -> None:
    """Rows H-20 to H-33, under a policy that trusts the HTML of signals.js alone."""
    main = window.fill(CONTENT * 2)
    window.signal(name, selector="main > p", **options)
    assert main.inner_html() == expected * 2


def test_html_is_made_where_it_belongs_and_its_scripts_do_not_run(window: Window) -> None:
    """Rows H-21 and W-F15: rows of a table, shapes of a drawing, and a script."""
    main = window.fill("<table><tbody></tbody></table><svg></svg>")
    window.signal("html.append", selector="tbody", content="<tr><td>cell</td></tr>")
    window.signal("html.append", selector="svg", content="<circle r='5'></circle>")
    window.signal("html.append", selector="main", content="<script>window.ran = true</script>")
    assert main.locator("table td").inner_text() == "cell"
    assert main.locator("circle").evaluate("(element) => element instanceof SVGCircleElement")
    assert main.locator("script").count() == 1
    assert window.page.evaluate("window.ran") is None


def test_a_field_is_switched_although_somebody_has_touched_it(window: Window) -> None:
    """Row H-32: after a click, the attribute alone changes nothing that one sees."""
    main = window.fill('<input type="checkbox">')
    main.locator("input").check()
    window.signal("html.boolean_attribute", selector="input", name="checked", value=False)
    expect(main.locator("input")).not_to_be_checked()
    window.signal("html.boolean_attribute", selector="input", name="checked", value=True)
    expect(main.locator("input")).to_be_checked()


def test_a_file_is_downloaded_under_its_name(window: Window) -> None:
    """Row H-34."""
    with window.page.expect_download() as download:
        window.signal("html.download_file", url="/pid/", filename="the pid.txt")
    assert download.value.suggested_filename == "the pid.txt"
    with window.page.expect_download() as download:
        window.page.evaluate(
            "DFSignals.call('html.download_file', { url: URL.createObjectURL(new Blob(['x'])), filename: 'b.txt' })"
        )
    assert download.value.suggested_filename == "b.txt"


def test_a_download_from_a_dangerous_address_is_refused(window: Window, watch: Watch) -> None:
    """Rows H-34 and W-F15."""
    for url in ("javascript:window.ran = true", "data:text/html,<p>", "file:///etc/passwd"):
        window.signal("html.download_file", url=url)
    assert window.page.evaluate("window.ran") is None
    assert [bool(re.search("takes http, https and blob addresses", fault)) for fault in watch.faults] == [True] * 3
    watch.faults.clear()


def test_the_first_match_is_focused_and_in_view(window: Window) -> None:
    """Row H-35."""
    main = window.fill("<p>top</p>" + "<br>" * 200 + "<input id=a><input id=b>")
    window.signal("html.focus", selector="main input")
    expect(main.locator("#a")).to_be_focused()
    expect(main.locator("#a")).to_be_in_viewport()


def test_a_form_is_filled_in(window: Window) -> None:
    """Row H-36: every kind of field, and what the fields then send."""
    main = window.fill(
        """<form><input name="text"><textarea name="long"></textarea><input type="date" name="day">
        <input type="checkbox" name="many" value="a"><input type="checkbox" name="many" value="b">
        <input type="radio" name="one" value="a" checked><input type="radio" name="one" value="b">
        <select name="pick"><option value="1">1<optgroup><option value="2">2</optgroup></select>
        <select name="picks" multiple><option value="1" selected>1<option value="2">2<option value="3">3</select>
        <button>Send</button></form>""",
        form=[{"name": "echo", "form": "form"}],
    )
    wanted = [
        {"name": "text", "value": "hello"},
        {"name": "long", "value": "two\nlines"},
        {"name": "day", "value": "2026-11-20"},
        {"name": "many", "value": ["b"]},
        {"name": "one", "value": "b"},
        {"name": "pick", "value": 2},
        {"name": "picks", "value": ["2", "3"]},
        {"name": "unknown", "value": "ignored"},
    ]
    window.signal("html.forms.set", selector="form", values=wanted)
    window.keep_answers()
    main.get_by_role("button").click()
    (sent,) = window.answers(1)[0]["results"]
    assert [(entry["name"], entry["value"]) for entry in sent["form"]] == [
        ("text", "hello"),
        ("long", "two\nlines"),
        ("day", "2026-11-20"),
        ("many", "b"),
        ("one", "b"),
        ("pick", "2"),
        ("picks", "2"),
        ("picks", "3"),
    ]
