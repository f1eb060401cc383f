/** The values, words, engines and wire of progress.js, in a small DOM; tests/browser/test_bars.py shows them in Chromium. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, mock, test } from "node:test";

import { Window } from "happy-dom";

/** What a page has and Node has not, or has differently. */
const PAGE = ["document", "customElements", "HTMLElement", "CSSStyleSheet", "EventTarget", "Event", "CustomEvent"];

const window = new Window({ url: "https://site.example/" });
const outside = {};
let progress;

before(async () => {
  for (const name of PAGE) {
    outside[name] = globalThis[name];
    globalThis[name] = window[name];
  }
  progress = await import("../src/progress.js");
});

after(async () => {
  Object.assign(globalThis, outside);
  await window.happyDOM.close();
});

beforeEach(() => {
  document.documentElement.lang = "en";
});

afterEach(() => {
  document.body.replaceChildren();
  delete globalThis.io;
});

/** The side of the official client that a bar uses; `acks` are what the server answers by event. */
class Socket {
  listeners = new Map();
  sent = [];
  connected = true;
  active = true;
  id = "first";

  constructor(acks = {}) {
    this.acks = { watch: () => ({ error: { code: "unknown_event", message: "no such event" } }), ...acks };
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((each) => each !== listener));
  }

  emit(event, data) {
    this.sent.push([event, data]);
  }

  timeout() {
    return {
      emitWithAck: async (event, data) => {
        this.emit(event, data);
        return this.acks[event](data);
      },
    };
  }

  /** Let an event arrive. */
  hear(event, data) {
    for (const listener of this.listeners.get(event) ?? []) listener(data);
  }

  drop() {
    this.connected = false;
    this.hear("disconnect", "transport close");
  }

  reconnect(id = "second") {
    Object.assign(this, { connected: true, id });
    this.hear("connect");
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function container() {
  const element = document.createElement("div");
  document.body.append(element);
  return element;
}

function start(options = {}, socket = new Socket()) {
  const bar = new progress.ProgressBar(socket, container(), options);
  return { bar, socket, box: bar.container, find: (selector) => bar.container.querySelector(selector) };
}

const init = (data) => ({ bar: null, status: "running", indeterminate: false, min: 0, max: 100, current: 0, label: "", ...data });

function started(options, data, socket) {
  const made = start(options, socket);
  made.socket.hear("init", init(data));
  return made;
}

// Values

const after_events = (...events) =>
  events.reduce((values, [event, data]) => progress.advance(values, event, data), progress.UNKNOWN);

const LABELS = [
  ["an update without a label keeps it", [["init", { label: "a" }], ["update", { current: 1 }]], "a"],
  ["an update with an empty label clears it", [["init", { label: "a" }], ["update", { current: 1, label: "" }]], ""],
  ["a null label of an update keeps it", [["init", { label: "a" }], ["update", { current: 1, label: null }]], "a"],
  ["an init without a label keeps it", [["update", { label: "a" }], ["init", { max: 5 }]], "a"],
  ["an init with an empty label clears it", [["update", { label: "a" }], ["init", { label: "" }]], ""],
  ["done without a label keeps it", [["init", { label: "a" }], ["done", { current: 100 }]], "a"],
  ["a label of zero is text", [["init", { label: 0 }]], "0"],
];

for (const [what, events, label] of LABELS) {
  test(`${what} (B-06, B-07, B-17)`, () => assert.equal(after_events(...events).label, label));
}

test("an init gives the range and the position, with 0 to 100 at 0 for what is left out (B-06)", () => {
  const values = after_events(["init", {}]);
  assert.deepEqual([values.min, values.max, values.current, values.indeterminate], [0, 100, 0, false]);
  const other = after_events(["init", init({ min: 5, max: 9, current: 7 })]);
  assert.deepEqual([other.min, other.max, other.current, other.state], [5, 9, 7, "running"]);
});

test("an init that only says indeterminate is indeterminate (B-06, B-12, B-15, W-D16)", () => {
  const values = after_events(["init", { indeterminate: true }]);
  assert.equal(values.indeterminate, true);
  assert.equal(progress.fraction(values), null);
});

test("equal bounds are indeterminate, and never NaN (B-08, W-D16)", () => {
  for (const [min, max] of [[5, 5], [9, 3], [0, 0]]) {
    assert.equal(progress.fraction(after_events(["init", init({ min, max, current: min })])), null);
  }
});

const BEGUN = [
  [{ status: "idle", current: 3 }, "waiting"],
  [{ status: "running" }, "running"],
  [{}, "waiting"],
  [{ current: 3 }, "running"],
  [{ min: 5, current: 5 }, "waiting"],
  [{ min: 5, max: 5, current: 5 }, "running"],
];

for (const [data, state] of BEGUN) {
  test(`after an init of ${JSON.stringify(data)} the bar is ${state}, by what is told or what can be seen`, () => {
    assert.equal(after_events(["init", data]).state, state);
  });
}

test("a bar whose job has not begun waits, if the server says so, and has nothing to cancel", () => {
  const { bar, socket, find } = started({ cancel: true }, { status: "idle", indeterminate: true });
  assert.deepEqual([bar.state, find("button").hidden], ["waiting", true]);
  socket.hear("update", { label: "begun" });
  assert.deepEqual([bar.state, find("button").hidden], ["running", false]);
});

test("what was known before an init does not survive a new run", () => {
  const values = after_events(["init", init()], ["failed", { message: "no" }], ["init", init({ current: 2 })]);
  assert.deepEqual([values.state, values.message, values.remaining], ["running", "", null]);
});

test("an update after the end changes numbers, and not that it has ended", () => {
  assert.equal(after_events(["init", init()], ["cancelled", {}], ["update", { current: 4 }]).state, "cancelled");
});

const FRACTIONS = [
  [{ min: 0, max: 100, current: 42 }, 0.42],
  [{ min: 100, max: 200, current: 150 }, 0.5],
  [{ min: -10, max: 10, current: 0 }, 0.5],
  [{ min: 0, max: 0.3, current: 0.1 }, 1 / 3],
  [{ min: 0, max: 10, current: 12 }, 1],
  [{ min: 0, max: 10, current: -1 }, 0],
  [{ min: 0, max: 100, current: "7" }, 0],
  [{ min: null, max: undefined, current: NaN }, 0],
  [{ min: -1e308, max: 1e308, current: 1e308 }, 0],
];

for (const [data, part] of FRACTIONS) {
  test(`of ${JSON.stringify(data)} ${part} is done (B-08, B-14, W-D16)`, () => {
    const found = progress.fraction(after_events(["init", init(data)]));
    assert.ok(Math.abs(found - part) < 1e-12, `${found}`);
  });
}

const PERCENTAGES = [
  [1 / 3, 0, 33],
  [1 / 3, 1, 33.3],
  [0.29, 0, 29],
  [0.999, 0, 99],
  [0.99999, 2, 99.99],
  [0.9999, 1, 99.9],
  [1, 0, 100],
  [0, 3, 0],
  [null, 0, null],
];

for (const [part, decimals, expected] of PERCENTAGES) {
  test(`${part} with ${decimals} decimals is ${expected} percent (B-08, W-D16: rounded, and 100 only at the end)`, () => {
    assert.equal(progress.percentage(part, decimals), expected);
  });
}

// Words

const FORMATS = [
  ["{{progress}} %", "42 %"],
  ["{{ progress }}%", "42%"],
  ["{{percent}}%", "42%"],
  ["{progress}%", "42%"],
  ["{ percent } / {{progress}}", "42 / 42"],
  ["nothing", "nothing"],
  [(number, { max }) => `${number} of ${max}`, "42 of 100"],
];

for (const [format, expected] of FORMATS) {
  test(`the format ${format} says "${expected}" (B-09, B-17)`, () => {
    assert.equal(progress.formatProgression(format, "42", { max: 100 }), expected);
  });
}

const DURATIONS = [
  [0.2, "1 second"], [4.4, "4 seconds"], [12, "10 seconds"], [53, "55 seconds"], [57, "1 minute"], [119, "2 minutes"],
  [3000, "50 minutes"], [3400, "1 hour"], [5400, "1.5 hours"], [90_000, "1 day"], [1e9, "11,574 days"],
];

for (const [seconds, words] of DURATIONS) {
  test(`${seconds} s are ${words}`, () => assert.equal(progress.formatDuration(seconds, "en"), words));
}

test("numbers and durations follow the page's language, or the option", () => {
  document.documentElement.lang = "de";
  const { find, socket } = started({ decimals: 1, strings: { remaining: "noch etwa {duration}" } });
  socket.hear("update", { current: 100 / 3, remaining: 120 });
  assert.equal(find(".sio-progress-number").textContent, "33,3%");
  assert.equal(find(".sio-progress-remaining").textContent, "noch etwa 2 Minuten");
  assert.equal(progress.formatDuration(120, "fr"), "2 minutes");
  const { find: french } = started({ decimals: 1, locale: "fr" }, { current: 33.3 });
  assert.equal(french(".sio-progress-number").textContent, "33,3%");
});

test("a lang attribute that is no language tag does not stop the bar; such an option does", () => {
  document.documentElement.lang = "en_US!";
  assert.equal(started({}, { current: 5 }).find(".sio-progress-number").textContent, "5%");
  assert.throws(() => start({ locale: "en_US!" }), /locale "en_US!" is no language tag/);
});

// The HTML5 engine

const shape = (box) => [...box.children].map((node) => `${node.localName}.${[...node.classList].find((name) => name !== "sio-progress-label")}`);

test("the HTML5 engine draws a label, the browser's bar and the percentage (B-13, B-14)", () => {
  const { box, find } = started({}, { current: 42, label: "reading" });
  assert.deepEqual(shape(box), ["span.progressbar-label", "div.progress", "div.sio-progress-footer"]);
  assert.deepEqual(shape(find(".progress")), ["progress.progress-bar", "span.sio-progress-number"]);
  assert.equal(find("progress").getAttribute("value"), "42");
  assert.equal(find("progress").getAttribute("max"), "100");
  assert.equal(find(".sio-progress-number").textContent, "42%");
  assert.equal(find(".progressbar-label").textContent, "reading");
});

test("a range that does not start at 0 is shifted, as <progress> knows no minimum (B-14, W-D16)", () => {
  const { find, bar } = started({}, { min: 100, max: 200, current: 150 });
  assert.deepEqual(["value", "max", "min"].map((name) => find("progress").getAttribute(name)), ["50", "100", null]);
  assert.equal(find(".sio-progress-number").textContent, "50%");
  assert.deepEqual([bar.min, bar.max, bar.current, bar.progression], [100, 200, 150, 50]);
});

test("an indeterminate bar has no value and no number, also after updates, until it is done (B-15, W-D16)", () => {
  const { find, socket, bar } = started({}, { indeterminate: true });
  socket.hear("update", { label: "still" });
  assert.equal(find("progress").hasAttribute("value"), false);
  assert.equal(find("progress").hasAttribute("max"), false);
  assert.equal(find(".sio-progress-number").textContent, "");
  assert.equal(find("progress").hasAttribute("aria-valuenow"), false);
  assert.equal(bar.progression, null);
  socket.hear("done", {});
  assert.equal(find("progress").getAttribute("value"), find("progress").getAttribute("max"));
  assert.equal(bar.progression, 100);
  socket.hear("init", init({ current: 10 }));
  assert.equal(find("progress").getAttribute("value"), "10");
});

const HTML5_OPTIONS = [
  [{ label_visible: false }, (find) => find(".progressbar-label").hidden],
  [{}, (find) => !find(".progressbar-label").hidden],
  [{ label_classes: ["a", "b"] }, (find) => find("span.a.b") && !find(".progressbar-label")],
  [{ label_position: "bottom" }, (find) => find(".progress").nextElementSibling.matches(".progressbar-label")],
  [{ label_position: "elsewhere" }, (find) => find(".progress").nextElementSibling.matches(".progressbar-label")],
  [{ progression_visible: false }, (find) => find(".sio-progress-number").hidden],
  [{ progression_format: "{{ progress }} of 100" }, (find) => find(".sio-progress-number").textContent === "42 of 100"],
  [{ progression_position: "left" }, (find) => find("progress").previousElementSibling.matches("span")],
  [{ progression_position: "elsewhere" }, (find) => find("progress").nextElementSibling.matches("span")],
  [{ progression_format: undefined }, (find) => find(".sio-progress-number").textContent === "42%"],
];

for (const [options, holds] of HTML5_OPTIONS) {
  test(`the HTML5 engine keeps to ${JSON.stringify(options)} (B-13)`, () => {
    assert.ok(holds(started(options, { current: 42 }).find));
  });
}

// The Bootstrap engine

const bootstrap = (options, data, socket) => started({ engine: "bootstrap", ...options }, data, socket);

test("the Bootstrap engine draws what Bootstrap documents (B-10, B-11)", () => {
  const { box, find } = bootstrap({}, { current: 42, label: "reading" });
  assert.deepEqual(shape(box), ["span.progressbar-label", "div.progress", "div.sio-progress-footer"]);
  assert.equal(find(".progress > .progress-bar").style.getPropertyValue("width"), "42%");
  assert.equal(find(".progress-bar > span").textContent, "42 %");
  assert.equal(find(".progressbar-label").textContent, "reading");
});

const VERSIONS = [
  [3, ["progress-bar-info"], "active", "sr-only", ".progress-bar"],
  [4, ["bg-info"], "progress-bar-animated", "sr-only", ".progress-bar"],
  [5, ["bg-info", "text-bg-info"], "progress-bar-animated", "visually-hidden", ".progress"],
];

for (const [version, context, animated, hidden, holder] of VERSIONS) {
  test(`Bootstrap ${version} is spoken to in its own class names (B-10 to B-12, W-D16)`, () => {
    const options = { bootstrap_version: version, progressbar_striped: true, progressbar_animated: true, progression_visible: false };
    const { find } = bootstrap(options, { current: 42 });
    assert.deepEqual([...find(".progress-bar").classList], ["progress-bar", "progress-bar-striped", animated, ...context]);
    assert.ok(find(`.progress-bar > span.${hidden}`));
    assert.equal(find("[role=progressbar]"), find(holder));
    assert.equal(find("[role=progressbar]").getAttribute("aria-valuenow"), "42");
  });
}

const BOOTSTRAP_OPTIONS = [
  [{}, "progress-bar bg-info text-bg-info"],
  [{ progressbar_context: "danger" }, "progress-bar bg-danger text-bg-danger"],
  [{ progressbar_context: "purple" }, "progress-bar"],
  [{ progressbar_striped: true }, "progress-bar progress-bar-striped bg-info text-bg-info"],
  [{ progressbar_animated: true }, "progress-bar bg-info text-bg-info"],
  [{ label_visible: false, label_position: "bottom", label_classes: ["x"] }, "progress-bar bg-info text-bg-info"],
];

for (const [options, classes] of BOOTSTRAP_OPTIONS) {
  test(`with ${JSON.stringify(options)} the bar is "${classes}" (B-10)`, () => {
    assert.equal(bootstrap(options).find(".progress-bar").className, classes);
  });
}

test("an indeterminate bar is striped and full, without a number; afterwards only asked stripes stay (B-12, W-D16)", () => {
  for (const striped of [false, true]) {
    const { find, socket } = bootstrap({ progressbar_striped: striped }, { indeterminate: true });
    socket.hear("update", { label: "still" });
    const bar = find(".progress-bar");
    assert.equal(bar.style.getPropertyValue("width"), "100%");
    assert.ok(bar.matches(".progress-bar-striped.progress-bar-animated"));
    assert.equal(bar.textContent, "");
    socket.hear("init", init({ current: 7 }));
    assert.equal(bar.style.getPropertyValue("width"), "7%");
    assert.equal(bar.matches(".progress-bar-animated"), false);
    assert.equal(bar.matches(".progress-bar-striped"), striped);
  }
});

const ENDINGS = [
  ["done", { current: 100 }, "success", {}],
  ["failed", { message: "disk full" }, "danger", {}],
  ["cancelled", {}, "warning", {}],
  ["done", { current: 100 }, "info", { done_context: "" }],
];

for (const [event, data, context, options] of ENDINGS) {
  test(`a bar that is ${event} turns "${context}" with ${JSON.stringify(options)} (B-16)`, () => {
    const { find, socket } = bootstrap(options);
    socket.hear(event, data);
    assert.ok(find(`.progress-bar.bg-${context}`));
    socket.hear("init", init());
    assert.ok(find(".progress-bar.bg-info"));
  });
}

test("a width is exact to the hundredth, whatever the percentage says", () => {
  const { find } = bootstrap({}, { max: 3, current: 1 });
  assert.equal(find(".progress-bar").style.getPropertyValue("width"), "33.33%");
  assert.equal(find(".progress-bar").textContent, "33 %");
});

test("an unknown version is refused by name", () => {
  assert.throws(() => start({ engine: "bootstrap", bootstrap_version: 2 }), /bootstrap_version is 3, 4 or 5, not 2/);
});

// Accessibility

for (const engine of ["html5", "bootstrap"]) {
  test(`the ${engine} engine tells role, name and values (B-11, B-16)`, () => {
    const { find, socket } = started({ engine, accessible_name: "Import" }, { min: 100, max: 200, current: 150, label: "row 50" });
    const bar = find("[role=progressbar]");
    const told = () => ["aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow"].map((name) => bar.getAttribute(name));
    assert.deepEqual(told(), ["Import", "100", "200", "150"]);
    assert.match(bar.getAttribute("aria-valuetext"), /^50 ?%, row 50$/);
    socket.hear("init", init({ indeterminate: true, label: "" }));
    assert.deepEqual(told(), ["Import", null, null, null]);
    assert.equal(bar.hasAttribute("aria-valuetext"), false);
  });
}

test("how it ended is said politely, by an element that was there before (B-16)", () => {
  const { find, socket } = started();
  const status = find("[role=status]");
  assert.equal(status.textContent, "");
  socket.hear("failed", { message: "disk full" });
  assert.equal(status.textContent, "Failed: disk full");
  socket.hear("init", init());
  assert.equal(status.textContent, "");
});

test("what the server sends is text, never markup", () => {
  const markup = "<img src=x onerror=alert(1)>";
  for (const engine of ["html5", "bootstrap"]) {
    const { box, socket, find } = started({ engine }, { label: markup });
    socket.hear("failed", { message: markup });
    assert.equal(find(".progressbar-label").textContent, markup);
    assert.equal(box.querySelector("img"), null);
  }
});

test("a page gets the styles once", () => {
  start();
  start();
  assert.equal(document.adoptedStyleSheets.length, 1);
});

// States

test("the container tells the state, and listeners hear of each change (B-04, B-16)", () => {
  const { bar, box, socket } = start({}, Object.assign(new Socket(), { connected: false }));
  const states = [box.dataset.state];
  bar.on("state", ({ state, before }) => {
    assert.equal(before, states.at(-1));
    states.push(state);
    assert.equal(box.dataset.state, state);
  });
  socket.reconnect("first");
  socket.hear("init", init());
  socket.drop();
  socket.reconnect();
  for (const event of ["failed", "init", "cancelled", "init", "done"]) socket.hear(event, init());
  assert.deepEqual(states, [
    "waiting", "running", "disconnected", "running", "failed", "running", "cancelled", "running", "done",
  ]);
  socket.drop();
  assert.equal(bar.state, "done", "what has ended stays as it ended");
});

test("a server that lets nobody in is shown with its reason; one that is not reached is not", () => {
  const { bar, socket, find } = start({}, Object.assign(new Socket(), { connected: false }));
  socket.hear("connect_error", new Error("xhr poll error"));
  assert.equal(bar.state, "disconnected");
  assert.equal(find("[role=status]").textContent, "Connection lost");
  socket.active = false;
  socket.hear("connect_error", new Error("log in first"));
  assert.equal(bar.state, "refused");
  assert.equal(find("[role=status]").textContent, "Not available: log in first");
  socket.reconnect();
  assert.equal(bar.state, "waiting");
});

test("the remaining time is shown while it is known and the job runs", () => {
  const { find, socket } = started();
  const shown = () => find(".sio-progress-remaining").textContent;
  assert.equal(shown(), "");
  socket.hear("update", { current: 1, rate: 2, remaining: 110 });
  assert.equal(shown(), "about 2 minutes left");
  socket.hear("update", { current: 2, rate: null, remaining: null });
  assert.equal(shown(), "");
  socket.hear("update", { current: 3, remaining: 5 });
  socket.hear("done", { current: 100 });
  assert.equal(shown(), "");
  assert.equal(started({ remaining: false }).find(".sio-progress-remaining").hidden, true);
});

// Names and the wire

test("a bar without a name is the namespace's own, and needs no prefix (B-01, W-D15)", () => {
  const { bar, socket } = start({}, Object.assign(new Socket(), { connected: false }));
  socket.hear("init", { min: 0, max: 10, current: 1 });
  assert.equal(bar.progression, 10);
  socket.hear("update", { bar: null, current: 2 });
  assert.equal(bar.progression, 20);
  socket.hear("update", { bar: "rows", current: 9 });
  assert.equal(bar.progression, 20);
  assert.deepEqual(socket.sent, []);
});

test("a bar with a name hears only its own events (B-01)", async () => {
  const { bar, socket } = start({ bar: "rows" });
  await settled();
  socket.hear("init", init({ bar: "rows", max: 10 }));
  for (const other of [null, "row", "rows2", undefined]) socket.hear("update", { bar: other, current: 9 });
  socket.hear("update", { bar: "rows", current: 4 });
  assert.equal(bar.current, 4);
});

for (const nonsense of [undefined, null, 5, "done", []]) {
  test(`an event with ${JSON.stringify(nonsense)} instead of an object does no harm`, () => {
    const { bar, socket } = started({}, { current: 7 });
    socket.hear("update", nonsense);
    socket.hear("before_update", nonsense);
    assert.equal(bar.current, 7);
  });
}

const STATE = { indeterminate: false, min: 0, max: 10, current: 4, label: "four" };

test("a named bar is watched, and shows at once where it stands", async () => {
  const { bar, socket } = start({ bar: "rows" }, new Socket({ watch: () => ({ ok: true, state: STATE }) }));
  const heard = [];
  bar.on("init", (data) => heard.push(data));
  assert.deepEqual(socket.sent, [["watch", { bar: "rows" }]]);
  await settled();
  assert.deepEqual([bar.state, bar.progression, bar.label], ["running", 40, "four"]);
  assert.deepEqual(heard, [STATE]);
});

for (const state of ["done", "failed", "cancelled"]) {
  test(`a bar that was ${state} before the page came is shown so`, async () => {
    const answer = { ok: true, state: { ...STATE, status: state, message: "why" } };
    const { bar } = start({ bar: "rows" }, new Socket({ watch: () => answer }));
    await settled();
    assert.deepEqual([bar.state, bar.current, bar.values.message], [state, 4, "why"]);
  });
}

test("after a reconnect it is watched again, and what happened meanwhile is caught up with", async () => {
  let current = 4;
  const { bar, socket } = start({ bar: "rows" }, new Socket({ watch: () => ({ ok: true, state: { ...STATE, current } }) }));
  await settled();
  socket.drop();
  current = 8;
  socket.reconnect();
  await settled();
  assert.deepEqual(socket.sent, [["watch", { bar: "rows" }], ["watch", { bar: "rows" }]]);
  assert.deepEqual([bar.state, bar.current], ["running", 8]);
});

test("what is heard before the answer is newer than the answer", async () => {
  const { bar, socket } = start({ bar: "rows" }, new Socket({ watch: () => ({ ok: true, state: STATE }) }));
  socket.hear("update", { bar: "rows", current: 6 });
  await settled();
  assert.deepEqual([bar.current, bar.max, bar.label], [6, 10, "four"]);
  const { bar: other, socket: second } = start({ bar: "rows" }, new Socket({ watch: () => ({ ok: true, state: STATE }) }));
  second.hear("done", { bar: "rows", current: 10, label: "all" });
  await settled();
  assert.deepEqual([other.state, other.progression, other.label], ["done", 100, "all"]);
});

test("an answer for a connection that is gone is not looked at", async () => {
  const answers = [{ ok: true, state: { ...STATE, current: 9 } }, { ok: true, state: STATE }];
  const { bar, socket } = start({ bar: "rows" }, new Socket({ watch: () => answers.shift() }));
  socket.reconnect("second");
  await settled();
  assert.equal(bar.current, 4);
});

test("a bar that may not be watched says why", async () => {
  const refusal = { error: { code: "not_authenticated", message: "log in first" } };
  const { bar, find, socket } = start({ bar: "rows" }, new Socket({ watch: () => refusal }));
  await settled();
  assert.equal(bar.state, "refused");
  assert.equal(find("[role=status]").textContent, "Not available: log in first");
  socket.hear("init", init({ bar: "rows" }));
  assert.equal(bar.state, "running");
});

for (const code of ["unknown_bar", "permission_denied"]) {
  test(`a bar that this client does not have yet, so that the answer is ${code}, is waited for`, async () => {
    const refusal = { error: { code, message: "there is no such bar" } };
    const { bar, find, socket } = start({ bar: "rows" }, new Socket({ watch: () => refusal }));
    await settled();
    assert.deepEqual([bar.state, find("[role=status]").textContent], ["waiting", ""]);
    socket.hear("init", init({ bar: "rows" }));
    assert.equal(bar.state, "running");
  });
}

for (const code of ["unknown_bar", "permission_denied"]) {
  test(`a bar that ran is waited for anew if it is none of this client's after a reconnect, as ${code} says`, async () => {
    const socket = new Socket({ watch: () => ({ error: { code, message: "" } }) });
    const { bar } = started({ bar: "rows" }, { bar: "rows", max: 7, current: 4, label: "row 4" }, socket);
    await settled();
    assert.equal(bar.state, "running", "the init was newer than the answer");
    socket.drop();
    socket.reconnect();
    await settled();
    assert.deepEqual([bar.state, bar.current, bar.label], ["waiting", 0, ""]);
  });

  test(`a bar that has ended stays so after a reconnect, although the server answers ${code}`, async () => {
    const socket = new Socket({ watch: () => ({ error: { code, message: "" } }) });
    const { bar } = started({ bar: "rows" }, { bar: "rows" }, socket);
    socket.hear("done", { bar: "rows", current: 100 });
    socket.drop();
    socket.reconnect();
    await settled();
    assert.deepEqual([bar.state, bar.current], ["done", 100]);
  });
}

test("a bar that may be watched no longer says so, until there is another or the server is asked again", async () => {
  const socket = new Socket({ watch: () => ({ error: { code: "permission_denied", message: "you may not" } }) });
  const { bar, find } = started({ bar: "rows" }, { bar: "rows", current: 40 }, socket);
  socket.hear("refused", { bar: "rows", message: "You may not see this." });
  assert.equal(bar.state, "refused");
  assert.match(find(".sio-progress-status").textContent, /You may not see this\./);
  socket.hear("init", init({ bar: "rows" }));
  assert.equal(bar.state, "running");
  socket.hear("refused", { bar: "rows" });
  socket.drop();
  assert.equal(bar.state, "refused");
  socket.reconnect();
  await settled();
  assert.equal(bar.state, "waiting");
});

test("where a bar stands is told once, be it by an init of its own or in the answer", async () => {
  const socket = new Socket();
  socket.acks.watch = () => {
    socket.hear("init", { ...STATE, bar: "rows", current: 0 });
    return { ok: true, state: { ...STATE, status: "idle", current: 0 } };
  };
  const { bar } = start({ bar: "rows" }, Object.assign(socket, { connected: false }));
  const heard = [];
  bar.on("init", ({ current }) => heard.push(current));
  socket.reconnect();
  await settled();
  assert.deepEqual([heard, bar.state], [[0], "waiting"]);
});

test("a server that does not answer is said to", async () => {
  const { find } = start({ bar: "rows" }, new Socket({ watch: () => Promise.reject(new Error("operation has timed out")) }));
  await settled();
  assert.equal(find("[role=status]").textContent, "Not available: the server does not answer");
});

test("the namespace's own bar asks where it stands if the socket was connected before, and needs no answer", async () => {
  const { bar, socket } = start();
  await settled();
  assert.deepEqual(socket.sent, [["watch", { bar: null }]]);
  assert.equal(bar.state, "waiting");
});

// Cancelling

const cancelling = (acks, data) => started({ cancel: true }, data, new Socket(acks));

test("the button asks, waits for the answer, and is gone when the job is", async () => {
  let answer;
  const { find, socket } = cancelling({ cancel: () => new Promise((resolve) => (answer = resolve)) });
  const button = find("button");
  assert.deepEqual([button.hidden, button.disabled, button.textContent, button.type], [false, false, "Cancel", "button"]);
  button.click();
  assert.deepEqual(socket.sent.at(-1), ["cancel", { bar: null }]);
  assert.deepEqual([button.disabled, button.textContent], [true, "Cancelling…"]);
  answer({ ok: true });
  await settled();
  socket.hear("update", { current: 3 });
  assert.equal(button.disabled, true, "the job has not stopped yet");
  socket.hear("cancelled", {});
  assert.equal(button.hidden, true);
  assert.equal(find("[role=status]").textContent, "Cancelled");
  socket.hear("init", init());
  assert.deepEqual([button.hidden, button.disabled], [false, false]);
});

test("a refusal is shown, and the button can be pressed again", async () => {
  const { find, socket } = cancelling({ cancel: () => ({ error: { code: "forbidden", message: "not your job" } }) });
  find("button").click();
  await settled();
  assert.equal(find("[role=status]").textContent, "Not cancelled: not your job");
  assert.equal(find("button").disabled, false);
  socket.hear("update", { current: 3 });
  assert.equal(find("[role=status]").textContent, "Not cancelled: not your job");
});

test("without a connection there is nothing to press", () => {
  const { find, socket } = cancelling();
  socket.drop();
  assert.equal(find("button").disabled, true);
  socket.reconnect();
  assert.equal(find("button").disabled, false);
});

test("cancel() gives the answer, or throws with the server's code", async () => {
  const { bar } = cancelling({ cancel: () => ({ ok: true }) });
  assert.deepEqual(await bar.cancel(), { ok: true });
  const { bar: other, socket } = cancelling({ cancel: () => ({ error: { code: "forbidden", message: "no" } }) });
  await assert.rejects(other.cancel(), { message: "no", code: "forbidden" });
  socket.drop();
  await assert.rejects(other.cancel(), { code: "disconnected" });
});

test("the button of a named bar says which", () => {
  const { find } = started({ cancel: true, accessible_name: "Import" });
  assert.equal(find("button").getAttribute("aria-label"), "Cancel: Import");
  assert.equal(started({ cancel: true, cancel_classes: ["btn", "btn-sm"] }).find("button").className, "sio-progress-cancel btn btn-sm");
  assert.equal(started().find("button"), null);
});

// Listeners

const ALL = ["before_init", "init", "after_init", "before_update", "update", "after_update", "done", "failed", "cancelled"];

test("listeners hear every event with what came along, besides the engine (B-02, B-04)", () => {
  const { bar, socket, find } = start();
  const heard = [];
  for (const event of ALL) bar.on(event, (data) => heard.push([event, data.bar]));
  for (const event of ALL) socket.hear(event, event === "update" ? { bar: null, current: 5 } : { bar: null });
  assert.deepEqual(heard, ALL.map((event) => [event, null]));
  assert.equal(find("progress").getAttribute("value"), "5");
});

test("several listeners of an event are all called, after the engine has drawn, until they are taken off (B-02, J-06)", () => {
  const { bar, socket, find } = started();
  const heard = [];
  const one = () => heard.push(find("progress").getAttribute("value"));
  const two = () => heard.push("two");
  bar.on("update", one).on("update", two).addEventListener("update", ({ detail }) => heard.push(detail.current));
  socket.hear("update", { current: 5 });
  bar.off("update", one);
  socket.hear("update", { current: 6 });
  assert.deepEqual(heard, ["5", "two", 5, "two", 6]);
});

test("a listener is called with the bar as this, and once however often it is added", () => {
  const { bar, socket } = started();
  const seen = [];
  const listener = function () {
    seen.push(this);
  };
  bar.on("update", listener).on("update", listener);
  socket.hear("update", {});
  assert.deepEqual(seen, [bar]);
});

test("an event that does not exist, or a callback that is none, is refused by name", () => {
  const { bar } = start();
  assert.throws(() => bar.on("updated", () => {}), /no event "updated"; there are before_init, init/);
  assert.throws(() => bar.on("update", "run"), /callback for "update" has to be a function, not "run"/);
});

// Engines

/** A class, but no engine. */
class Dots {}

test("the engine can be changed at any time, and goes on where the bar stands (B-02)", () => {
  const { bar, find, socket } = started({}, { current: 42, label: "x" });
  bar.setEngine("bootstrap", { progressbar_striped: true });
  assert.equal(find("progress"), null);
  assert.equal(find(".progress-bar").style.getPropertyValue("width"), "42%");
  assert.ok(bar.engine instanceof progress.BootstrapEngine);
  socket.hear("update", { current: 50 });
  assert.equal(find(".progress-bar").style.getPropertyValue("width"), "50%");
  assert.equal(find(".progress").nextElementSibling.className, "sio-progress-footer");
});

for (const engine of ["bootstrp", Dots, null, {}, "constructor", 5]) {
  test(`an engine that is ${String(engine)} is a TypeError that names those there are (B-02, B-17)`, () => {
    assert.throws(() => start({ engine }), { name: "TypeError", message: /neither one of html5, bootstrap nor a class/ });
    const { bar } = started();
    const now = bar.engine;
    assert.throws(() => bar.setEngine(engine), TypeError);
    assert.equal(bar.engine, now);
  });
}

test("an engine of one's own needs three methods, and may have options (B-05, B-17)", () => {
  class Words extends progress.ProgressEngine {
    static defaults = { ...progress.ProgressEngine.defaults, unit: "steps" };

    createElements() {
      return (this.line = document.createElement("p"));
    }

    updateProgression({ current, max }) {
      this.line.textContent = `${current} of ${max} ${this.options.unit}`;
    }

    updateLabel(label) {
      this.line.title = label;
    }
  }
  const { find, bar, socket } = started({ engine: Words, unit: "rows" }, { current: 3, label: "x" });
  assert.equal(find("p").textContent, "3 of 100 rows");
  assert.equal(find("p").title, "x");
  assert.equal(bar.engine.values.current, 3);
  assert.ok(Object.isFrozen(bar.engine.values));
  socket.hear("done", { current: 100 });
  assert.equal(bar.engine.values.state, "done");
  progress.ProgressBar.engines.words = Words;
  assert.equal(started({ engine: "words" }, { current: 1 }).find("p").textContent, "1 of 100 steps");
  delete progress.ProgressBar.engines.words;
});

for (const missing of ["createElements", "updateProgression", "updateLabel"]) {
  test(`an engine without ${missing}() is told so (B-05)`, () => {
    class Partial extends progress.ProgressEngine {}
    for (const method of ["createElements", "updateProgression", "updateLabel"]) {
      if (method !== missing) Partial.prototype[method] = () => [];
    }
    assert.throws(() => start({ engine: Partial }), new RegExp(`Partial has to implement ${missing}\\(\\)`));
  });
}

test("the getters of a bar answer before anything is known (B-03)", () => {
  const { bar } = start();
  assert.deepEqual([bar.min, bar.max, bar.current, bar.progression, bar.label], [0, 100, 0, 0, ""]);
});

// Arguments

for (const nothing of [null, undefined, "#bar", {}]) {
  test(`a container that is ${String(nothing)} is a TypeError (B-05)`, () => {
    assert.throws(() => new progress.ProgressBar(new Socket(), nothing), { name: "TypeError", message: /container has to be/ });
    assert.throws(() => new progress.Html5Engine(nothing), TypeError);
  });
}

const WRONG = [
  [{ lable_visible: true }, /unknown option "lable_visible"; known are bar, engine, .*label_visible/],
  [{ progressbar_striped: true }, /unknown option "progressbar_striped"/],
  [{ decimals: 1.5 }, /decimals has to be a whole number from 0 to 10, not 1.5/],
  [{ progression_format: null }, /progression_format has to be a text/],
  [{ label_classes: "a b" }, /label_classes has to be an array/],
  [{ cancel_classes: "btn" }, /cancel_classes has to be an array of class names, not "btn"/],
];

for (const [options, message] of WRONG) {
  test(`the options ${JSON.stringify(options)} are refused by name, and nothing is left in the container`, () => {
    const box = container();
    assert.throws(() => new progress.ProgressBar(new Socket(), box, options), { name: "TypeError", message });
    assert.equal(box.childElementCount, 0);
    new progress.ProgressBar(new Socket(), box);
  });
}

test("a container holds one bar at a time", () => {
  const { bar, box, socket } = start({ bar: "rows" });
  assert.throws(() => new progress.ProgressBar(socket, box), /has a bar already; destroy\(\) that first/);
  bar.destroy();
  bar.destroy();
  assert.equal(box.outerHTML, '<div class=""></div>');
  assert.ok([...socket.listeners.values()].every((listeners) => listeners.length === 0));
  assert.deepEqual(socket.sent.at(-1), ["unwatch", { bar: "rows" }]);
  new progress.ProgressBar(socket, box);
});

test("the last of several bars of a name is the one that stops watching", () => {
  const socket = new Socket();
  const [one, two] = [start({ bar: "rows" }, socket), start({ bar: "rows" }, socket)];
  const unwatched = () => socket.sent.filter(([event]) => event === "unwatch").length;
  one.bar.destroy();
  assert.equal(unwatched(), 0);
  two.bar.destroy();
  assert.equal(unwatched(), 1);
});

// Namespaces and the element

/** A page as {% dtws_sio_scripts %} makes it; gives what the client was asked for. */
function renderedPage(settings, socket = new Socket()) {
  const asked = [];
  const block = document.createElement("script");
  Object.assign(block, { id: "dtws-sio", type: "application/json", textContent: JSON.stringify(settings) });
  document.body.append(block);
  globalThis.io = (...parts) => asked.push(parts) && socket;
  return asked;
}

test("a namespace is connected to once, however many bars it has, with the page's path and token", () => {
  const asked = renderedPage({ path: "/app/socket.io/", namespace: "/", csrf_token: "T" });
  const bars = ["/one", "one", " /one "].map((namespace) => new progress.ProgressBar(namespace, container()));
  assert.deepEqual(asked, [["/one", { path: "/app/socket.io/", auth: { csrf_token: "T" } }]]);
  assert.equal(bars[0].socket, bars[2].socket);
});

test("a page without the client or its settings is told what to write", () => {
  assert.throws(() => new progress.ProgressBar("/lost", container()), /dtws_sio_scripts/);
  assert.throws(() => new progress.ProgressBar(7, container()), /official client's socket, or a namespace/);
});

test("a socket that a bar opened connects again after the server has closed it", () => {
  const later = mock.method(globalThis, "setTimeout", () => {});
  const socket = Object.assign(new Socket(), { connect: mock.fn() });
  renderedPage({ path: "/socket.io/" }, socket);
  new progress.ProgressBar("/restarting", container());
  socket.hear("disconnect", "transport close");
  assert.equal(later.mock.callCount(), 0, "the client does so by itself");
  socket.hear("disconnect", "io server disconnect");
  const [connectAgain, wait] = later.mock.calls[0].arguments;
  later.mock.restore();
  assert.ok(wait >= 1000 && wait <= 3000, "not all pages at once");
  connectAgain();
  assert.equal(socket.connect.mock.callCount(), 1);
});

function element(attributes, socket) {
  const made = document.createElement("sio-progress");
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (socket) made.socket = socket;
  document.body.append(made);
  return made;
}

test("the element is a bar without a script (B-01)", async () => {
  const socket = new Socket({ watch: () => ({ ok: true, state: STATE }) });
  const asked = renderedPage({ path: "/socket.io/" }, socket);
  const made = element({ namespace: "/element", bar: "rows", cancel: "" });
  await settled();
  assert.deepEqual(asked, [["/element", { path: "/socket.io/" }]]);
  assert.deepEqual(socket.sent, [["watch", { bar: "rows" }]]);
  assert.equal(made.dataset.state, "running");
  assert.equal(made.progressBar.progression, 40);
  assert.ok(made.querySelector("button"));
  assert.equal(made.socket, socket);
});

test("without a namespace the element uses the page's default", () => {
  const asked = renderedPage({ path: "/socket.io/", namespace: "/default" });
  element({});
  assert.equal(asked[0][0], "/default");
});

test("options are attributes of the element (B-10, B-13)", () => {
  const made = element(
    {
      engine: "bootstrap", "bootstrap-version": "4", "progressbar-striped": "", "label-visible": "false", "label-classes": "a b",
      "progression-format": "{progress} percent", remaining: "false", decimals: "1", strings: '{"done": "Fertig"}',
    },
    new Socket(),
  );
  made.socket.hear("init", init({ current: 12.34 }));
  assert.equal(made.querySelector(".progress-bar.bg-info.progress-bar-striped").textContent, "12.3 percent");
  assert.equal(made.querySelector("span.a.b").hidden, true);
  assert.equal(made.querySelector(".sio-progress-remaining").hidden, true);
  made.socket.hear("done", {});
  assert.equal(made.querySelector("[role=status]").textContent, "Fertig");
});

test("the element dispatches the bar's events", () => {
  const made = element({}, new Socket());
  const heard = [];
  for (const event of [...ALL, "state"]) made.addEventListener(event, ({ type, detail }) => heard.push([type, detail.current ?? detail.state]));
  made.socket.hear("init", init({ current: 3 }));
  assert.deepEqual(heard, [["state", "running"], ["init", 3]]);
});

test("an element that is taken out stops, and one that is put back or changed starts anew", () => {
  const socket = new Socket();
  const made = element({ bar: "rows" }, socket);
  made.remove();
  assert.equal(made.progressBar, null);
  assert.deepEqual(socket.sent.at(-1), ["unwatch", { bar: "rows" }]);
  document.body.append(made);
  assert.deepEqual(socket.sent.at(-1), ["watch", { bar: "rows" }]);
  made.setAttribute("bar", "files");
  assert.deepEqual(socket.sent.slice(-2), [["unwatch", { bar: "rows" }], ["watch", { bar: "files" }]]);
  assert.equal(made.querySelectorAll(".progress").length, 1);
});
