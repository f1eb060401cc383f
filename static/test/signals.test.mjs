/** signals.js in a small DOM, with a stand-in for the socket; tests/browser/test_signals.py shows it in Chromium. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, mock, test } from "node:test";

import { Window } from "happy-dom";

/** What a page has and Node has not, or has differently. */
const PAGE = [
  "document", "location", "MutationObserver", "FormData", "Blob", "File", "Event", "CustomEvent", "HTMLElement",
];

const window = new Window({ url: "https://site.example/page/" });
const outside = {};
let library;

before(async () => {
  for (const name of PAGE) {
    outside[name] = globalThis[name];
    globalThis[name] = window[name];
  }
  library = await import("../src/signals.js");
});

after(async () => {
  Object.assign(globalThis, outside);
  await window.happyDOM.close();
});

/** What the console was told; a test that expects something clears it. */
let complaints;

beforeEach(() => {
  complaints = [];
  for (const method of ["error", "warn", "info", "log"]) {
    mock.method(console, method, (...told) => complaints.push(told.map(String).join(" ")));
  }
});

afterEach(() => {
  mock.restoreAll();
  mock.timers.reset();
  document.body.replaceChildren();
  unbind?.();
  unbind = null;
  assert.deepEqual(complaints.filter((told) => !told.includes("ExperimentalWarning")), []); // Node's, about mock.timers
});

let unbind = null;

function expectComplaint(pattern) {
  complaints = complaints.filter((told) => !told.includes("ExperimentalWarning"));
  assert.equal(complaints.length, 1, complaints.join("\n"));
  assert.match(complaints.pop(), pattern);
}

/** The side of the official client that signals use; `answer` is what the server acknowledges with. */
class Socket {
  listeners = new Map();
  sent = [];
  connected = true;
  active = true;
  connects = 0;
  answer = { ok: true, results: [], errors: [] };
  pending = [];

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  timeout(milliseconds) {
    return {
      emit: (event, message, acknowledge) => {
        if (typeof message.opts.fault === "function") message.opts.fault();
        this.sent.push({ event, milliseconds, ...message });
        if (this.answer === undefined) this.pending.push(acknowledge);
        else setImmediate(acknowledge, null, this.answer);
      },
    };
  }

  hear(event, ...data) {
    for (const listener of this.listeners.get(event) ?? []) listener(...data);
  }

  connect() {
    this.connects += 1;
    this.active = true;
  }

  arrive() {
    Object.assign(this, { connected: true, active: true });
    this.hear("connect");
  }

  drop(reason = "transport close") {
    Object.assign(this, { connected: false, active: reason !== "io server disconnect" });
    this.hear("disconnect", reason);
    for (const acknowledge of this.pending.splice(0)) acknowledge(new Error("socket has been disconnected"));
  }

  refuse(code, message = "no") {
    Object.assign(this, { connected: false, active: false });
    this.hear("connect_error", Object.assign(new Error(message), { data: { code } }));
  }

  get names() {
    return this.sent.map(({ signal }) => signal);
  }
}

function make(options = {}, socket = new Socket()) {
  return { socket, signals: new library.Signals(socket, options) };
}

function offline(options) {
  return make(options, Object.assign(new Socket(), { connected: false }));
}

const settled = async () => {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const refused = (code) => (error) => error instanceof library.SignalError && error.code === code;

// Calls

test("a call gives the server's answer (H-03, W-F8)", async () => {
  const { signals, socket } = make();
  socket.answer = { ok: true, results: [5], errors: [] };
  assert.deepEqual(await signals.call("add", { a: 2, b: 3 }), { ok: true, results: [5], errors: [] });
  const [{ event, signal, opts, id, milliseconds }] = socket.sent;
  assert.deepEqual({ event, signal, opts, milliseconds }, { event: "signal", signal: "add", opts: { a: 2, b: 3 }, milliseconds: 20000 });
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("each call has an id of its own", async () => {
  const { signals, socket } = make();
  for (let count = 0; count < 50; count += 1) await signals.call("x");
  assert.equal(new Set(socket.sent.map(({ id }) => id)).size, 50);
});

const REFUSALS = [
  ["the signals' own", { ok: false, results: [1], errors: [{ code: "invalid", message: "m" }] }, { ok: false, results: [1], errors: [{ code: "invalid", message: "m" }] }],
  ["any event's", { error: { code: "rate_limited", message: "m" } }, { ok: false, results: [], errors: [{ code: "rate_limited", message: "m" }] }],
  ["a short one", { ok: false }, { ok: false, results: [], errors: [] }],
];

for (const [what, answer, expected] of REFUSALS) {
  test(`a refusal is an answer and no exception: ${what} (H-03, W-F8)`, async () => {
    const { signals, socket } = make();
    socket.answer = answer;
    assert.deepEqual(await signals.call("x"), expected);
  });
}

for (const answer of [null, "ok", 5, {}, []]) {
  test(`${JSON.stringify(answer)} is no answer`, async () => {
    const { signals, socket } = make();
    socket.answer = answer;
    await assert.rejects(signals.call("x"), refused("bad_answer"));
  });
}

test("a server that does not answer in time rejects the call", async () => {
  const { signals, socket } = make();
  socket.answer = undefined;
  const call = signals.call("x", {}, { timeout: 500 });
  await settled();
  assert.equal(socket.sent[0].milliseconds, 500);
  socket.pending.pop()(new Error("operation has timed out"));
  await assert.rejects(call, refused("no_answer"));
});

test("a connection that ends before the answer rejects the call, which is not sent twice (W-F4)", async () => {
  const { signals, socket } = make();
  socket.answer = undefined;
  const call = signals.call("x");
  await settled();
  socket.drop();
  await assert.rejects(call, refused("disconnected"));
  socket.arrive();
  assert.deepEqual(socket.names, ["x"]);
});

test("arguments that no packet can hold reject their call alone", async () => {
  const { signals } = offline();
  const { signals: connected } = make();
  const fault = () => {
    throw new TypeError("no packet");
  };
  await assert.rejects(connected.call("x", { fault }), /no packet/);
  assert.equal(signals.waiting, 0);
});

for (const name of [undefined, null, "", 5, {}]) {
  test(`${JSON.stringify(name)} is no name of a signal`, async () => {
    const { signals } = make();
    await assert.rejects(signals.call(name), { name: "TypeError", message: /a signal's name is a text/ });
    assert.throws(() => signals.connect(name, () => {}), /a signal's name is a text/);
    assert.throws(() => signals.disconnect(name), /a signal's name is a text/);
  });
}

test("a socket is what signals are handed, and their options are known", () => {
  assert.throws(() => new library.Signals("/signals"), { name: "TypeError", message: /socket of the official client, not "\/signals"/ });
  assert.throws(() => make({ onErorr() {} }), { name: "TypeError", message: /unknown option "onErorr"; known are onerror/ });
});

// Listeners

test("a call runs the page's functions first, and then the server's (H-03)", async () => {
  const { signals, socket } = make();
  const heard = [];
  signals.connect("x", (opts, id) => heard.push(["first", opts, id, socket.sent.length]));
  signals.connect("x", (opts) => heard.push(["second", opts]));
  const call = signals.call("x", { a: 1 });
  assert.deepEqual(heard, [["first", { a: 1 }, null, 0], ["second", { a: 1 }]]);
  await call;
  assert.deepEqual(socket.names, ["x"]);
});

test("a local call stays in the page and tells what came of it (H-03)", async () => {
  const { signals, socket } = make();
  signals.connect("x", ({ a }) => a + 1);
  signals.connect("x", async ({ a }) => a + 2);
  assert.deepEqual(await signals.call("x", { a: 1 }, { local: true }), { ok: true, results: [2, 3], errors: [] });
  assert.deepEqual(await signals.call("nobody", {}, { local: true }), { ok: true, results: [], errors: [] });
  assert.deepEqual(socket.sent, []);
});

test("what is built in is called in the page alone, unless it is told otherwise (H-03)", async () => {
  const { signals, socket } = make();
  document.body.innerHTML = "<p></p>";
  await signals.call("html.text", { selector: "p", content: "a" });
  assert.deepEqual(socket.sent, []);
  await signals.call("html.text", { selector: "p", content: "b" }, { local: false });
  assert.deepEqual(socket.names, ["html.text"]);
  assert.equal(document.body.textContent, "b");
});

test("the server's signals run the page's functions (H-04)", () => {
  const { signals, socket } = make();
  const heard = [];
  signals.connect("x", (opts, id) => heard.push([opts, id]));
  socket.hear("signal", { signal: "x", opts: { a: 1 }, id: "1" });
  socket.hear("signal", { signal: "x" });
  socket.hear("signal", { signal: "nobody", opts: {}, id: "2" });
  assert.deepEqual(heard, [[{ a: 1 }, "1"], [{}, null]]);
});

test("functions are disconnected one by one, or all of a name (H-04, W-D17)", () => {
  const { signals, socket } = make();
  const heard = [];
  const [first, second] = ["first", "second"].map((name) => () => heard.push(name));
  const hear = () => {
    socket.hear("signal", { signal: "x" });
    return heard.splice(0);
  };
  signals.connect("x", first);
  signals.connect("x", first);
  const disconnectSecond = signals.connect("x", second);
  assert.deepEqual(hear(), ["first", "second"]);
  assert.equal(signals.disconnect("x", first), true);
  assert.equal(signals.disconnect("x", first), false);
  assert.deepEqual(hear(), ["second"]);
  assert.equal(disconnectSecond(), true);
  assert.deepEqual(hear(), []);
  assert.equal(signals.names.includes("x"), false);
  signals.connect("x", first);
  signals.connect("x", second);
  assert.equal(signals.disconnect("x"), true);
  assert.equal(signals.disconnect("x"), false);
  assert.deepEqual(hear(), []);
});

for (const listener of [undefined, null, "alert", {}]) {
  test(`${String(listener)} is no function to connect`, () => {
    assert.throws(() => make().signals.connect("x", listener), { name: "TypeError", message: /is a function, not/ });
  });
}

test("a function may disconnect itself while it runs", () => {
  const { signals, socket } = make();
  const heard = [];
  const once = signals.connect("x", () => heard.push("once") && once());
  signals.connect("x", () => heard.push("always"));
  socket.hear("signal", { signal: "x" });
  socket.hear("signal", { signal: "x" });
  assert.deepEqual(heard, ["once", "always", "always"]);
});

const FAILURES = [
  ["throws", () => { throw new Error("of a listener"); }],
  ["rejects", async () => { throw new Error("of a listener"); }],
];

for (const [what, failing] of FAILURES) {
  test(`a function that ${what} harms nobody and is reported (H-03, J-07)`, async () => {
    const reports = [];
    const { signals, socket } = make({ onerror: (error, context) => reports.push([error.message, context]) });
    const heard = [];
    signals.connect("x", failing);
    signals.connect("x", () => heard.push("second"));
    socket.hear("signal", { signal: "x", opts: { a: 1 }, id: "1" });
    await settled();
    assert.deepEqual(heard, ["second"]);
    assert.deepEqual(reports, [["of a listener", { signal: "x", opts: { a: 1 }, id: "1" }]]);
    expectComplaint(/signal "x".*of a listener/);
    assert.equal((await signals.call("x")).ok, true);
    assert.deepEqual(socket.names, ["x"]);
    expectComplaint(/of a listener/);
    const local = await signals.call("x", {}, { local: true });
    assert.deepEqual(local, { ok: false, results: [1 + heard.indexOf("second") + 2], errors: [{ code: "listener_failed", message: "of a listener" }] });
    expectComplaint(/of a listener/);
  });
}

test("an onerror that throws is told of as well, and nothing stops", () => {
  const { signals, socket } = make();
  signals.onerror = () => {
    throw new Error("of onerror");
  };
  socket.hear("signal", 5);
  assert.match(complaints.shift(), /bad|no signal/);
  expectComplaint(/of onerror/);
});

test("every function gets arguments of its own, down to the last list (H-14, W-F13)", async () => {
  const { signals, socket } = make();
  const seen = [];
  const spoil = (opts) => {
    seen.push(structuredClone(opts));
    opts.list[0].a = "spoiled";
    opts.more = true;
  };
  signals.connect("x", spoil);
  signals.connect("x", (opts) => spoil(opts));
  const mine = { list: [{ a: 1 }] };
  await signals.call("x", mine);
  assert.deepEqual(seen, [{ list: [{ a: 1 }] }, { list: [{ a: 1 }] }]);
  assert.deepEqual(mine, { list: [{ a: 1 }] });
  assert.deepEqual(socket.sent[0].opts, { list: [{ a: 1 }] });
});

for (const message of [undefined, null, 5, "x", [], {}, { signal: 5 }, { opts: {} }]) {
  test(`${JSON.stringify(message)} from the server is no signal, and is reported`, () => {
    const { socket } = make();
    const acknowledged = [];
    socket.hear("signal", message, (answer) => acknowledged.push(answer));
    expectComplaint(/what came from the server is no signal/);
    assert.deepEqual(acknowledged, [{ ok: false }]);
  });
}

test("the server learns that a signal has come, where it asks (W-F4)", () => {
  const { signals, socket } = make();
  const acknowledged = [];
  signals.connect("x", () => {});
  socket.hear("signal", { signal: "x" }, (answer) => acknowledged.push(answer));
  assert.deepEqual(acknowledged, [{ ok: true }]);
});

test("a message that comes twice runs once, and the memory of that is bounded (H-03, S-07, W-F13)", () => {
  const { signals, socket } = make();
  const heard = [];
  signals.connect("x", (opts, id) => heard.push(id));
  for (const id of ["a", "a", "b", "a", "b"]) socket.hear("signal", { signal: "x", opts: {}, id });
  assert.deepEqual(heard.splice(0), ["a", "b"]);
  for (let number = 0; number < 998; number += 1) socket.hear("signal", { signal: "x", id: number });
  socket.hear("signal", { signal: "x", id: "a" });
  assert.equal(heard.splice(0).length, 998);
  socket.hear("signal", { signal: "x", id: "one more" });
  socket.hear("signal", { signal: "x", id: "a" });
  assert.deepEqual(heard, ["one more", "a"]);
});

// The connection

test("calls wait for the connection and arrive in their order (H-03, H-05)", async () => {
  const { signals, socket } = offline();
  const calls = ["a", "b", "c"].map((name) => signals.call(name));
  await settled();
  assert.deepEqual([socket.sent, signals.waiting], [[], 3]);
  socket.arrive();
  assert.deepEqual(socket.names, ["a", "b", "c"]);
  assert.equal(signals.waiting, 0);
  await Promise.all(calls);
  socket.arrive();
  assert.deepEqual(socket.names, ["a", "b", "c"]);
});

test("a call that waits keeps its arguments as they were", async () => {
  const { signals, socket } = offline();
  const mine = { list: [1] };
  const call = signals.call("x", mine);
  mine.list.push(2);
  socket.arrive();
  await call;
  assert.deepEqual(socket.sent[0].opts, { list: [1] });
});

test("more calls than fit are refused, and the others still go (H-03)", async () => {
  const { signals, socket } = offline();
  const calls = Array.from({ length: 100 }, (_, number) => signals.call(`s${number}`));
  await assert.rejects(signals.call("one more"), (error) => refused("buffer_full")(error) && /"one more" was not called/.test(error.message));
  socket.arrive();
  await Promise.all(calls);
  assert.equal(socket.sent.length, 100);
});

test("a page that comes back is told to catch up, a page that begins is not (H-05, W-F4)", () => {
  let resyncs = 0;
  const { socket } = offline({ onresync: () => (resyncs += 1) });
  socket.arrive();
  assert.equal(resyncs, 0);
  socket.drop();
  socket.arrive();
  assert.equal(resyncs, 1);
});

test("a hook that throws is reported", () => {
  const { socket } = make({
    onresync() {
      throw new Error("of a hook");
    },
  });
  socket.drop();
  socket.arrive();
  expectComplaint(/"onresync".*of a hook/);
});

test("the official client reconnects, with its own delays; a server's own goodbye is no end either (H-05, W-F5)", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { socket } = make();
  socket.drop("transport close");
  mock.timers.tick(60_000);
  assert.equal(socket.connects, 0);
  socket.drop("io server disconnect");
  mock.timers.tick(999);
  assert.equal(socket.connects, 0);
  mock.timers.tick(2001);
  assert.equal(socket.connects, 1);
});

test("listeners do not pile up when a page reconnects (H-05, W-F13)", () => {
  const { socket } = make();
  const count = () => [...socket.listeners.values()].flat().length;
  const before = count();
  for (let time = 0; time < 5; time += 1) {
    socket.drop();
    socket.arrive();
  }
  assert.equal(count(), before);
});

test("a busy server is asked again later", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { socket } = make({ onrefused: () => assert.fail("it is not refused for good") });
  socket.refuse("too_many_connects");
  mock.timers.tick(9_999);
  assert.equal(socket.connects, 0);
  mock.timers.tick(10_001);
  assert.equal(socket.connects, 1);
});

test("a refused window says so, to those that wait and to those that call later", async () => {
  const refusals = [];
  const { signals, socket } = offline({ onrefused: (error) => refusals.push(error.data.code) });
  const early = signals.call("early");
  await settled();
  socket.refuse("token_invalid", "this page belongs to somebody else");
  await assert.rejects(early, (error) => refused("not_connected")(error) && /belongs to somebody else/.test(error.message));
  await assert.rejects(signals.call("late"), refused("not_connected"));
  assert.deepEqual([refusals, signals.refusal.data.code], [["token_invalid"], "token_invalid"]);
  socket.connect();
  const again = signals.call("again");
  await settled();
  socket.arrive();
  assert.equal((await again).ok, true);
  assert.equal(signals.refusal, null);
});

test("a network that fails refuses nobody", async () => {
  const { signals, socket } = offline({ onrefused: () => assert.fail("the client goes on trying") });
  const call = signals.call("x");
  await settled();
  socket.hear("connect_error", new Error("xhr poll error"));
  socket.arrive();
  assert.equal((await call).ok, true);
});

// The window's token

async function sent(pass) {
  return new Promise((resolve) => pass.auth(resolve));
}

test("the token goes along when the socket connects, and with requests (S-33)", async () => {
  const pass = new library.WindowPass({ window: "W", csrf_token: "C" });
  assert.deepEqual(await sent(pass), { csrf_token: "C", window: "W" });
  assert.deepEqual(make({ pass }).signals.windowHeader(), { "X-Socket-Window": "W" });
  assert.deepEqual(await sent(new library.WindowPass()), {});
  assert.deepEqual(make().signals.windowHeader(), {});
});

/** Answer requests; a function in the list stands for a failure of the network. */
function serve(...answers) {
  const requests = [];
  mock.method(globalThis, "fetch", async (url, options) => {
    requests.push([url, options]);
    const [status, body] = answers.shift();
    if (status === 0) throw new TypeError("Failed to fetch");
    return { status, ok: status < 300, json: async () => JSON.parse(body) };
  });
  return requests;
}

const EXPIRED = { window: "old", renew: "/renew/" };

test("an expired token is renewed with a protected request, and the page connects again (S-32)", async () => {
  const requests = serve([200, '{"window": "new"}']);
  const pass = new library.WindowPass({ ...EXPIRED, csrf_token: "C" });
  const { socket } = offline({ pass, onrefused: () => assert.fail("it is renewed") });
  socket.refuse("token_expired");
  await settled();
  assert.equal(socket.connects, 1);
  assert.deepEqual(await sent(pass), { csrf_token: "C", window: "new" });
  const [[url, { method, headers, body, credentials }]] = requests;
  assert.deepEqual([url, method, body, credentials], ["/renew/", "POST", '{"window":"old"}', "same-origin"]);
  assert.equal(headers["X-CSRFToken"], "C");
  assert.equal(headers["Content-Type"], "application/json");
});

test("the CSRF token comes from the cookie or from a form, where the page's settings have none", async () => {
  const requests = serve([200, '{"window": "new"}'], [200, '{"window": "newer"}']);
  document.body.innerHTML = '<form><input name="csrfmiddlewaretoken" value="from a form"></form>';
  const pass = new library.WindowPass(EXPIRED);
  await pass.renew();
  document.cookie = "csrftoken=from-a-cookie";
  await pass.renew();
  document.cookie = "csrftoken=; max-age=0";
  assert.deepEqual(requests.map(([, { headers }]) => headers["X-CSRFToken"]), ["from a form", "from-a-cookie"]);
});

test("a server that cannot be reached is asked for the token again, later and later", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const requests = serve([0], [503], [429], [200, '{"window": "new"}']);
  const { socket } = offline({ pass: new library.WindowPass(EXPIRED) });
  socket.refuse("token_expired");
  for (const [index, delay] of [1000, 2000, 5000].entries()) {
    await settled();
    mock.timers.tick(delay - 1);
    assert.equal(requests.length, index + 1);
    mock.timers.tick(1);
  }
  await settled();
  assert.equal(requests.length, 4);
  assert.equal(socket.connects, 1);
});

const NOT_RENEWED = [
  ["another session's token", [403, "{}"]],
  ["a server that has no such page", [404, "<h1>"]],
  ["an answer without a token", [200, "{}"]],
  ["an answer that is no JSON", [200, "<!doctype html>"]],
];

for (const [what, answer] of NOT_RENEWED) {
  test(`${what} ends in a refusal`, async () => {
    serve(answer);
    const refusals = [];
    const { signals, socket } = offline({ pass: new library.WindowPass(EXPIRED), onrefused: (error) => refusals.push(error.message) });
    const waiting = signals.call("x");
    await settled();
    socket.refuse("token_expired");
    await assert.rejects(waiting, refused("not_connected"));
    assert.equal(refusals.length, 1);
    assert.match(refusals[0], /was not renewed: \/renew\/ answers \d+/);
    assert.equal(socket.connects, 0);
  });
}

test("a fresh token that is refused as expired is not renewed for ever", async () => {
  const requests = serve([200, '{"window": "new"}'], [200, '{"window": "newer"}']);
  const refusals = [];
  const { socket } = offline({ pass: new library.WindowPass(EXPIRED), onrefused: () => refusals.push("refused") });
  socket.refuse("token_expired");
  await settled();
  socket.refuse("token_expired");
  await settled();
  assert.deepEqual([requests.length, refusals], [1, ["refused"]]);
  socket.arrive();
  socket.refuse("token_expired");
  await settled();
  assert.equal(requests.length, 2);
});

for (const settings of [{ window: "old" }, { renew: "/renew/" }, {}]) {
  test(`a window with ${JSON.stringify(settings)} cannot renew its token`, () => {
    const refusals = [];
    const { socket } = offline({ pass: new library.WindowPass(settings), onrefused: () => refusals.push("refused") });
    socket.refuse("token_expired");
    assert.deepEqual(refusals, ["refused"]);
  });
}

// Attributes

/** Fill the page, with the attribute written as JSON, and follow it. */
function show(html, calls = {}, options = {}) {
  document.body.innerHTML = html;
  for (const [selector, value] of Object.entries(calls)) attach(document.querySelector(selector), value);
  const made = make(options);
  unbind = made.signals.bind(document);
  return made;
}

const attach = (element, calls) =>
  element.setAttribute("data-df-signal", typeof calls === "string" ? calls : JSON.stringify(calls));

function fire(selector, type, init = {}) {
  const element = typeof selector === "string" ? document.querySelector(selector) : selector;
  const event = new Event(type, { bubbles: true, cancelable: true, ...init });
  element.dispatchEvent(event);
  return event;
}

const DEFAULTS = [
  ["<form></form>", "submit"],
  ["<input>", "change"],
  ['<input type="text">', "change"],
  ['<input type="checkbox">', "change"],
  ['<input type="file">', "change"],
  ['<input type="submit">', "click"],
  ['<input type="reset">', "click"],
  ['<input type="button">', "click"],
  ["<textarea></textarea>", "change"],
  ["<select></select>", "change"],
  ["<button></button>", "click"],
  ['<a href="#"></a>', "click"],
  ["<div></div>", "click"],
];

for (const [html, expected] of DEFAULTS) {
  test(`${html} calls on ${expected} (H-11, W-F14)`, async () => {
    const { socket } = show(html, { "body > *": [{ name: "x" }] });
    for (const type of ["submit", "change", "click", "input"]) {
      fire("body > *", type);
      await settled();
      assert.equal(socket.sent.splice(0).length, Number(type === expected), type);
    }
  });
}

test("an attribute names its event, and several calls have their own (H-10)", async () => {
  const { socket } = show("<input>", { input: [{ name: "typed", on: "keyup" }, { name: "left", on: "blur" }, { name: "changed" }] });
  fire("input", "keyup");
  fire("input", "blur", { bubbles: false });
  fire("input", "change");
  await settled();
  assert.deepEqual(socket.names, ["typed", "left", "changed"]);
});

test("an event inside an element is the element's too, unless it does not bubble (H-10)", async () => {
  const { socket } = show("<div id=outer><b><i></i></b></div>", {
    "#outer": [{ name: "outer" }, { name: "entered", on: "mouseenter" }],
    b: { name: "inner" },
  });
  fire("i", "click");
  fire("i", "mouseenter", { bubbles: false });
  await settled();
  assert.deepEqual(socket.names, ["inner", "outer"]);
  fire("#outer", "mouseenter", { bubbles: false });
  await settled();
  assert.equal(socket.names.at(-1), "entered");
});

const BAD = [
  ["no JSON", "{'name': 'x'}", /it is no JSON/],
  ["no JSON at all", "", /it is no JSON/],
  ["a text", '"x"', /each call has to be an object/],
  ["a list in a list", "[[[]]]", /each call has to be an object/],
  ["no name", '[{"on": "click"}]', /"name" has to be a text that is not empty, not null/],
  ["an empty name", '[{"name": ""}]', /"name" has to be a text/],
  ["a name that is none", '[{"name": 5}]', /"name" has to be a text/],
  ["options that are none", '[{"name": "x", "opts": [1]}]', /"opts" has to be an object, not \[1\]/],
  ["an event that is none", '[{"name": "x", "on": 5}]', /"on" has to be the name of an event/],
  ["a debounce that is none", '[{"name": "x", "debounce": "1"}]', /"debounce" has to be a number of milliseconds/],
  ["a prevent that is none", '[{"name": "x", "prevent": "no"}]', /"prevent" has to be true or false/],
];

for (const [what, written, complaint] of BAD) {
  test(`an attribute with ${what} is reported once and spoils no other (H-10, W-F14)`, async () => {
    const { socket } = show("<b></b><i></i>", { b: written, i: { name: "good" } });
    fire("b", "click");
    fire("i", "click");
    await settled();
    assert.deepEqual(socket.names, ["good"]);
    document.querySelector("b").setAttribute("data-df-signal", written);
    await settled();
    expectComplaint(complaint);
  });
}

test("a bad call spoils no other of its element (H-10, W-F14)", async () => {
  const { socket } = show("<b></b>", { b: [{ name: "" }, { name: "good" }, 5] });
  expectComplaint(/"name" has to be.*; each call has to be an object/);
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.names, ["good"]);
});

const PREVENTED = [
  ["<form></form>", "submit", {}, true],
  ["<a href='#'></a>", "click", {}, true],
  ["<button></button>", "click", {}, true],
  ["<button></button>", "click", { prevent: null }, true],
  ["<form></form>", "submit", { prevent: null }, true],
  ["<form></form>", "submit", { prevent: false }, false],
  ["<a href='#'></a>", "click", { prevent: false }, false],
  ["<input>", "change", {}, false],
  ["<input>", "change", { prevent: null }, false],
  ["<input>", "change", { prevent: true }, true],
  ["<input>", "keydown", { on: "keydown" }, false],
  ["<input>", "keydown", { on: "keydown", prevent: true }, true],
  ["<input type='checkbox'>", "click", { on: "click" }, false],
];

for (const [html, type, entry, expected] of PREVENTED) {
  test(`${html} with ${JSON.stringify(entry)}: ${type} is ${expected ? "" : "not "}prevented (H-15, W-F14)`, () => {
    show(html, { "body > *": [{ name: "x", ...entry }] });
    assert.equal(fire("body > *", type).defaultPrevented, expected);
  });
}

const FORM = `<form>
  <input name="title" value="a title"><input value="no name"><input name="off" value="x" disabled>
  <input type="checkbox" name="yes" value="1" checked><input type="checkbox" name="no" value="1">
  <input type="radio" name="one" value="a"><input type="radio" name="one" value="b" checked>
  <textarea name="text">some text</textarea><select name="pick"><option value="1"><option value="2" selected></select>
  <input type="file" name="empty"><input type="submit" name="send" value="Send"><button name="press" value="1">B</button>
</form>`;

const FIELDS = [
  { name: "title", value: "a title" },
  { name: "yes", value: "1" },
  { name: "one", value: "b" },
  { name: "text", value: "some text" },
  { name: "pick", value: "2" },
];

test("a form is sent as the browser would post it, without its buttons (H-12)", async () => {
  const { socket } = show(FORM, { form: [{ name: "save", form: "data", opts: { pk: 7 } }] });
  fire("form", "submit");
  await settled();
  assert.deepEqual(socket.sent[0].opts, { pk: 7, data: FIELDS });
});

test("what is in a form sends the form, what is in none says so (H-12)", async () => {
  const { socket } = show(`${FORM}<b></b>`, { "[name=title]": { name: "x", form: "data" }, b: { name: "y", form: "data" } });
  fire("[name=title]", "change");
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.sent.map(({ opts }) => opts), [{ data: FIELDS }]);
  expectComplaint(/"y" was refused/);
});

const VALUES = [
  ['<input value="a">', "a"],
  ['<input type="number" value="5">', "5"],
  ["<textarea>t</textarea>", "t"],
  ['<input type="checkbox" value="1" checked>', true],
  ['<input type="checkbox" value="1">', false],
  ['<input type="radio" value="1" checked>', true],
  ["<select><option value=1><option value=2 selected></select>", "2"],
  ['<button value="7"></button>', "7"],
  ["<p></p>", null],
];

for (const [html, expected] of VALUES) {
  test(`the value of ${html} is ${JSON.stringify(expected)} (H-13)`, async () => {
    const { socket } = show(html, { "body > *": [{ name: "x", on: "go", value: "v" }] });
    fire("body > *", "go");
    await settled();
    assert.deepEqual(socket.sent[0].opts, { v: expected });
  });
}

test("the value of a file field is the names of its files (H-13)", async () => {
  const { socket } = show('<input type="file">', { input: [{ name: "x", value: "names" }] });
  const files = [new File(["1"], "a.txt"), new File(["2"], "b.txt")];
  Object.defineProperty(document.querySelector("input"), "files", { value: files });
  fire("input", "change");
  await settled();
  assert.deepEqual(socket.sent[0].opts, { names: ["a.txt", "b.txt"] });
});

test("the arguments of an attribute are not changed by its calls (H-14, W-F13)", async () => {
  const { socket, signals } = show("<input>", { input: [{ name: "x", opts: { list: [] }, value: "v" }] });
  signals.connect("x", ({ list }) => list.push("spoiled"));
  for (const value of ["a", "b"]) {
    document.querySelector("input").value = value;
    fire("input", "change");
  }
  await settled();
  assert.deepEqual(socket.sent.map(({ opts }) => opts), [{ list: [], v: "a" }, { list: [], v: "b" }]);
});

test("what gets into the page later calls as well: itself, what is in it, and once (H-16, W-F14)", async () => {
  const { socket } = show("<main></main>");
  const added = document.createElement("form");
  added.innerHTML = "<b></b>";
  attach(added, { name: "root", on: "reset" });
  attach(added.firstChild, { name: "inside", on: "dblclick" });
  document.querySelector("main").append(added);
  await settled();
  for (let time = 0; time < 2; time += 1) added.dispatchEvent(new CustomEvent("DOMContentAdded", { bubbles: true }));
  fire(added, "reset");
  fire("b", "dblclick");
  await settled();
  assert.deepEqual(socket.names, ["root", "inside"]);
});

test("an attribute that changes, comes or goes is followed (H-16)", async () => {
  const { socket } = show("<b></b>");
  const element = document.querySelector("b");
  attach(element, { name: "first", on: "wheel" });
  await settled();
  fire(element, "wheel");
  attach(element, { name: "second", on: "keyup" });
  await settled();
  fire(element, "wheel");
  fire(element, "keyup");
  element.removeAttribute("data-df-signal");
  fire(element, "keyup");
  await settled();
  assert.deepEqual(socket.names, ["first", "second"]);
});

test("what is bound can be let go", async () => {
  const { socket } = show("<b></b>", { b: { name: "x" } });
  unbind();
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.sent, []);
});

test("a debounced call waits for quiet, and has the values of then (S-50)", async () => {
  const { socket } = show("<input><b></b>", {
    input: [{ name: "search", on: "input", value: "q", debounce: 300 }],
    b: { name: "other", debounce: 300 },
  });
  mock.timers.enable({ apis: ["setTimeout"] });
  for (const typed of ["s", "so", "soc"]) {
    document.querySelector("input").value = typed;
    fire("input", "input");
    mock.timers.tick(299);
  }
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.sent, []);
  mock.timers.tick(300);
  await settled();
  assert.deepEqual(socket.sent.map(({ signal, opts }) => [signal, opts]), [["search", { q: "soc" }], ["other", {}]]);
});

for (const agreed of [true, false]) {
  test(`a question that is answered ${agreed} ${agreed ? "calls" : "does not call, and posts nothing either"} (S-50)`, async () => {
    const asked = [];
    const confirm = (text, element) => asked.push([text, element.localName]) && agreed;
    const { socket } = show("<form></form>", { form: { name: "delete", confirm: "Really?", prevent: false } }, { confirm });
    assert.equal(fire("form", "submit").defaultPrevented, !agreed);
    await settled();
    assert.deepEqual(asked, [["Really?", "form"]]);
    assert.deepEqual(socket.names, agreed ? ["delete"] : []);
  });
}

test("a page may ask in its own way, and take its time (S-50)", async () => {
  let agree;
  const confirm = () => new Promise((resolve) => (agree = resolve));
  const { socket } = show("<b></b>", { b: { name: "delete", confirm: "Really?" } }, { confirm });
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.sent, []);
  agree(true);
  await settled();
  assert.deepEqual(socket.names, ["delete"]);
});

test("an element is told the answer to its call (W-F8)", async () => {
  const { socket } = show("<main><b></b></main>", { b: { name: "x" } });
  const told = [];
  document.querySelector("main").addEventListener("DFSignalAnswered", (event) => {
    told.push(event.detail);
    event.preventDefault();
  });
  socket.answer = { ok: false, results: [], errors: [{ code: "invalid", message: "m", fields: { a: ["no"] } }] };
  fire("b", "click");
  await settled();
  assert.deepEqual(told, [{ signal: "x", ...socket.answer }]);
});

test("a refusal that nobody deals with is in the console (W-F8)", async () => {
  const { socket } = show("<b></b>", { b: { name: "x" } });
  socket.answer = { ok: false, results: [], errors: [{ code: "permission_denied", message: "You may not do this." }] };
  fire("b", "click");
  await settled();
  expectComplaint(/"x" was refused/);
});

test("an attribute may keep its call in the page", async () => {
  const { socket } = show("<b></b>", { b: [{ name: "x", local: true }, { name: "html.text", opts: { selector: "b", content: "here" } }] });
  fire("b", "click");
  await settled();
  assert.deepEqual(socket.sent, []);
  assert.equal(document.body.textContent, "here");
});

// Files

test("files are sent as their names and bytes, in the order of the calls (H-12, W-F18)", async () => {
  const { signals, socket } = make();
  const file = new File(["bytes"], "a.txt");
  const calls = [signals.call("upload", { form: [{ name: "doc", value: file }] }), signals.call("next", { list: [1] })];
  await Promise.all(calls);
  assert.deepEqual(socket.names, ["upload", "next"]);
  const [{ name, value }] = socket.sent[0].opts.form;
  assert.equal(name, "doc");
  assert.equal(value.name, "a.txt");
  assert.equal(Buffer.from(value.content).toString(), "bytes");
  assert.deepEqual(socket.sent[1].opts, { list: [1] });
  await signals.call("at once");
  assert.deepEqual(socket.names.at(-1), "at once");
});

test("the page's own functions get the file itself", async () => {
  const { signals } = make();
  const file = new File(["bytes"], "a.txt");
  signals.connect("x", ({ file: given }) => given === file);
  assert.deepEqual((await signals.call("x", { file }, { local: true })).results, [true]);
});

test("a file that cannot be read rejects its call, and the next ones go (H-12)", async () => {
  const { signals, socket } = make();
  const file = new File(["bytes"], "gone.txt");
  file.arrayBuffer = async () => {
    throw new Error("NotReadableError");
  };
  const [upload, next] = [signals.call("upload", { file }), signals.call("next")];
  await assert.rejects(upload, (error) => refused("unreadable")(error) && /"gone.txt"/.test(error.message));
  await next;
  assert.deepEqual(socket.names, ["next"]);
});

test("a file that would close the connection is not sent (H-12)", async () => {
  const { signals, socket } = make({ maxPayload: 4 });
  await assert.rejects(signals.call("upload", { file: new File(["bytes"], "a.txt") }), (error) =>
    refused("too_large")(error) && /"a.txt" has 5 bytes; the server takes 4/.test(error.message));
  await signals.call("upload", { file: new File(["four"], "b.txt") });
  assert.equal(socket.sent.length, 1);
});

// Built in

/** Have the server call a built-in signal. */
function hear(name, opts) {
  const { socket } = make();
  socket.hear("signal", { signal: name, opts, id: null });
}

const INSERTIONS = [
  ["html.after", "<p>1</p><b>new</b><p>2</p><b>new</b>", "H-20"],
  ["html.append", "<p>1<b>new</b></p><p>2<b>new</b></p>", "H-21"],
  ["html.prepend", "<p><b>new</b>1</p><p><b>new</b>2</p>", "H-22"],
  ["html.before", "<b>new</b><p>1</p><b>new</b><p>2</p>", "H-23"],
  ["html.content", "<p><b>new</b></p><p><b>new</b></p>", "H-24"],
  ["html.replace_with", "<b>new</b><b>new</b>", "H-25"],
];

for (const [name, expected, row] of INSERTIONS) {
  test(`${name} puts HTML where it says, at every match, and tells of it (${row}, H-06)`, () => {
    document.body.innerHTML = "<p>1</p><p>2</p>";
    const added = [];
    const note = ({ target, bubbles }) => added.push([target.localName, target.isConnected, bubbles]);
    document.addEventListener("DOMContentAdded", note);
    hear(name, { selector: "p", content: "<b>new</b>" });
    document.removeEventListener("DOMContentAdded", note);
    assert.equal(document.body.innerHTML, expected);
    assert.deepEqual(added, [["b", true, true], ["b", true, true]]);
  });

  test(`${name} takes several elements and text between them (${row}, H-06)`, () => {
    document.body.innerHTML = "<p></p>";
    const added = [];
    const note = ({ target }) => added.push(target.outerHTML);
    document.addEventListener("DOMContentAdded", note);
    hear(name, { selector: "p", content: "a<b>1</b> <i>2</i>c" });
    document.removeEventListener("DOMContentAdded", note);
    assert.match(document.body.innerHTML, /a<b>1<\/b> <i>2<\/i>c/);
    assert.deepEqual(added, ["<b>1</b>", "<i>2</i>"]);
  });

  test(`${name} without content is refused, and the page stays (${row})`, () => {
    document.body.innerHTML = "<p>1</p>";
    hear(name, { selector: "p" });
    expectComplaint(/"content" has to be a text, not undefined/);
    assert.equal(document.body.innerHTML, "<p>1</p>");
  });
}

test("rows of a table get into it (H-21)", () => {
  document.body.innerHTML = "<table><tbody><tr><td>1</td></tr></tbody></table>";
  hear("html.append", { selector: "tbody", content: "<tr><td>2</td></tr>" });
  hear("html.after", { selector: "tr:first-child", content: "<tr><td>1.5</td></tr>" });
  assert.equal(document.querySelector("tbody").innerHTML, "<tr><td>1</td></tr><tr><td>1.5</td></tr><tr><td>2</td></tr>");
});

/** What is done to <p class="a b" title="t"><i>x</i></p>, and what becomes of it. */
const CHANGES = [
  ["html.empty", {}, '<p class="a b" title="t"></p>', "H-26"],
  ["html.remove", {}, "", "H-27"],
  ["html.add_class", { class_name: "c" }, '<p class="a b c" title="t"><i>x</i></p>', "H-28"],
  ["html.add_class", { class_name: " c  d " }, '<p class="a b c d" title="t"><i>x</i></p>', "H-28"],
  ["html.add_class", { class_name: ["c", "d e"] }, '<p class="a b c d e" title="t"><i>x</i></p>', "H-28"],
  ["html.remove_class", { class_name: "a" }, '<p class="b" title="t"><i>x</i></p>', "H-29"],
  ["html.remove_class", { class_name: ["b", "none"] }, '<p class="a" title="t"><i>x</i></p>', "H-29"],
  ["html.remove_class", {}, '<p title="t"><i>x</i></p>', "H-29"],
  ["html.remove_attr", { attr_name: "title" }, '<p class="a b"><i>x</i></p>', "H-30"],
  ["html.add_attribute", { attr_name: "lang", attr_value: "en" }, '<p class="a b" title="t" lang="en"><i>x</i></p>', "H-31"],
  ["html.add_attribute", { attr_name: "title", attr_value: 5 }, '<p class="a b" title="5"><i>x</i></p>', "H-31"],
  ["html.add_attribute", { attr_name: "inert" }, '<p class="a b" title="t" inert=""><i>x</i></p>', "H-31"],
  ["html.boolean_attribute", { name: "hidden", value: true }, '<p class="a b" title="t" hidden="hidden"><i>x</i></p>', "H-32"],
  ["html.boolean_attribute", { name: "title", value: false }, '<p class="a b"><i>x</i></p>', "H-32"],
  ["html.text", { content: "<b>5</b>" }, '<p class="a b" title="t">&lt;b&gt;5&lt;/b&gt;</p>', "H-33"],
  ["html.text", { content: 0 }, '<p class="a b" title="t">0</p>', "H-33"],
];

for (const [name, options, expected, row] of CHANGES) {
  test(`${name} with ${JSON.stringify(options)} changes every match (${row})`, () => {
    document.body.innerHTML = '<p class="a b" title="t"><i>x</i></p>'.repeat(2);
    hear(name, { selector: "p", ...options });
    assert.equal(document.body.innerHTML, expected.repeat(2));
  });
}

const UNUSABLE = [
  ["html.add_class", {}, /"class_name" has to be a text/, "H-28"],
  ["html.remove_attr", {}, /"attr_name" has to be a text/, "H-30"],
  ["html.add_attribute", { attr_value: "x" }, /"attr_name" has to be a text/, "H-31"],
  ["html.add_attribute", { attr_name: "onclick", attr_value: "alert(1)" }, /"onclick", which runs code/, "H-31"],
  ["html.add_attribute", { attr_name: "OnLoad", attr_value: "" }, /runs code/, "H-31"],
  ["html.add_attribute", { attr_name: "srcdoc", attr_value: "<script>" }, /runs code/, "H-31"],
  ["html.add_attribute", { attr_name: "href", attr_value: " jav\nascript:alert(1)" }, /no javascript: address/, "H-31"],
  ["html.boolean_attribute", { value: true }, /"name" has to be a text/, "H-32"],
  ["html.text", {}, /"content" has to be a text/, "H-33"],
];

for (const [name, options, complaint, row] of UNUSABLE) {
  test(`${name} with ${JSON.stringify(options)} changes nothing (${row}, W-F15)`, () => {
    document.body.innerHTML = "<p>x</p>";
    hear(name, { selector: "p", ...options });
    assert.equal(document.body.innerHTML, "<p>x</p>");
    expectComplaint(complaint);
  });
}

const NEED_A_SELECTOR = [
  "html.after", "html.append", "html.prepend", "html.before", "html.content", "html.replace_with", "html.empty",
  "html.remove", "html.add_class", "html.remove_class", "html.remove_attr", "html.add_attribute",
  "html.boolean_attribute", "html.text", "html.focus", "html.forms.set",
];

test("there are seventeen built-in signals (H-20 to H-36)", () => {
  assert.deepEqual(Object.keys(library.BUILT_IN).sort(), [...NEED_A_SELECTOR, "html.download_file"].sort());
});

for (const name of NEED_A_SELECTOR) {
  test(`${name} says what is wrong with its selector, and needs no match`, () => {
    const others = { content: "x", class_name: "x", attr_name: "x", name: "x", values: [] };
    for (const selector of [undefined, null, "", 5]) {
      hear(name, { selector, ...others });
      expectComplaint(/"selector" has to be a CSS selector/);
    }
    hear(name, { selector: "#nothing", ...others });
  });
}

for (const [name, key] of [["checked", "checkbox"], ["selected", null]]) {
  test(`html.boolean_attribute sets how a field is now: ${name} (H-32)`, () => {
    document.body.innerHTML = key ? `<input type="${key}">` : "<select><option>1<option>2</select>";
    const element = document.querySelector(key ? "input" : "option:last-child");
    for (const value of [true, false, 1, 0, "yes", null]) {
      hear("html.boolean_attribute", { selector: key ? "input" : "option:last-child", name, value });
      assert.deepEqual([element[name], element.getAttribute(name)], [Boolean(value), value ? name : null]);
    }
  });
}

/** Note what links are clicked instead of following them. */
function noteClicks() {
  const clicked = [];
  mock.method(window.HTMLAnchorElement.prototype, "click", function () {
    clicked.push([this.href, this.download, this.target, this.rel]);
  });
  return clicked;
}

const REL = "noopener noreferrer";
const DOWNLOADS = [
  [{ url: "/a.pdf", filename: "report.pdf" }, ["https://site.example/a.pdf", "report.pdf", "", REL]],
  [{ url: "a.pdf" }, ["https://site.example/page/a.pdf", "unknown", "", REL]],
  [{ url: "http://other.example/a.pdf" }, ["http://other.example/a.pdf", "unknown", "_blank", REL]],
  [{ url: "blob:https://site.example/1-2" }, ["blob:https://site.example/1-2", "unknown", "", REL]],
];

for (const [options, expected] of DOWNLOADS) {
  test(`html.download_file takes ${options.url} (H-34)`, () => {
    const clicked = noteClicks();
    hear("html.download_file", options);
    assert.deepEqual(clicked, [expected]);
    assert.equal(document.body.innerHTML, "");
  });
}

const UNSAFE = [
  "javascript:alert(1)", " java\tscript:alert(1)", "data:text/html,<script>", "file:///etc/passwd", "ftp://site.example/",
  "blob:https://other.example/1-2", "vbscript:x", "http://", undefined,
];

for (const url of UNSAFE) {
  test(`html.download_file refuses ${url} (H-34, W-F15)`, () => {
    const clicked = noteClicks();
    hear("html.download_file", { url });
    assert.deepEqual(clicked, []);
    expectComplaint(/html.download_file.*(takes http|Invalid URL|"url" has to be)/s);
  });
}

test("html.focus focuses the first match, and scrolls to it (H-35)", () => {
  document.body.innerHTML = "<input id=a><input id=b>";
  const focus = mock.method(document.querySelector("#a"), "focus");
  hear("html.focus", { selector: "input" });
  assert.equal(document.activeElement.id, "a");
  assert.deepEqual(focus.mock.calls[0].arguments, [{ preventScroll: false }]);
});

const SETTABLE = `<form>
  <input name="text"><textarea name="long"></textarea><input type="checkbox" name="single" value="on">
  <input type="checkbox" name="many" value="a"><input type="checkbox" name="many" value="b"><input type="checkbox" name="many" value="c">
  <input type="radio" name="one" value="a"><input type="radio" name="one" value="b">
  <select name="pick"><option value=""><option value="1"><option value="2"></select>
  <select name="picks" multiple><option value="1"><option value="2"><option value="3"></select>
  <input name="twin"><input name="twin"><input type="hidden" name="mixed" value="0"><input type="checkbox" name="mixed" value="1">
</form>`;

const state = (name) =>
  [...document.querySelectorAll(`[name=${name}]`)].map((field) => {
    if (["checkbox", "radio"].includes(field.type)) return field.checked;
    return field.multiple ? [...field.options].map(({ selected }) => selected) : field.value;
  });

const SETTINGS = [
  ["text", "hello", ["hello"]],
  ["text", 5, ["5"]],
  ["text", null, [""]],
  ["long", "several\nlines", ["several\nlines"]],
  ["single", true, [true]],
  ["single", ["on"], [true]],
  ["single", ["off"], [false]],
  ["many", true, [true, true, true]],
  ["many", ["a", "c"], [true, false, true]],
  ["many", "b", [false, true, false]],
  ["many", null, [false, false, false]],
  ["one", "b", [false, true]],
  ["one", ["a"], [true, false]],
  ["pick", "2", ["2"]],
  ["pick", 1, ["1"]],
  ["picks", ["1", 3], [[true, false, true]]],
  ["picks", "2", [[false, true, false]]],
  ["picks", null, [[false, false, false]]],
  ["twin", "x", ["x", "x"]],
  ["twin", ["x", "y"], ["x", "y"]],
  ["mixed", true, ["0", true]],
];

for (const [name, value, expected] of SETTINGS) {
  test(`html.forms.set puts ${JSON.stringify(value)} into "${name}" (H-36)`, () => {
    document.body.innerHTML = SETTABLE;
    hear("html.forms.set", { selector: "form", values: [{ name: "unknown", value: 1 }, { name, value }, null] });
    assert.deepEqual(state(name), expected);
  });
}

test("html.forms.set with false unticks all boxes of a name (H-36)", () => {
  document.body.innerHTML = SETTABLE;
  for (const value of [true, false]) hear("html.forms.set", { selector: "form", values: [{ name: "many", value }, { name: "single", value }] });
  assert.deepEqual([...state("many"), ...state("single")], [false, false, false, false]);
});

test("html.forms.set gives a single box another value (H-36)", () => {
  document.body.innerHTML = SETTABLE;
  hear("html.forms.set", { selector: "form", values: [{ name: "single", value: "7" }] });
  assert.equal(document.querySelector("[name=single]").value, "7");
});

test("html.forms.set takes fields too, as its documents always said (H-36)", () => {
  document.body.innerHTML = SETTABLE;
  hear("html.forms.set", { selector: "[name=text]", value: "hello" });
  hear("html.forms.set", { selector: "[name=picks]", value: ["2", "3"] });
  assert.deepEqual([state("text"), state("picks")], [["hello"], [[false, true, true]]]);
});

test("html.forms.set chooses no files (H-36)", () => {
  document.body.innerHTML = '<form><input type="file" name="doc"></form>';
  hear("html.forms.set", { selector: "form", values: [{ name: "doc", value: "/etc/passwd" }] });
  expectComplaint(/no page may choose a file.*"doc"/);
});

test("a page can do without a built-in signal, and add to it (W-F15)", () => {
  const { signals, socket } = make();
  document.body.innerHTML = "<p>1</p>";
  assert.equal(signals.disconnect("html.content"), true);
  socket.hear("signal", { signal: "html.content", opts: { selector: "p", content: "2" } });
  assert.equal(document.body.innerHTML, "<p>1</p>");
});

test("what is escaped shows what it was, in text and in attributes (W-F15)", () => {
  const text = `<img src=x onerror="alert('&')">`;
  document.body.innerHTML = `<p title="${library.escapeHTML(text)}">${library.escapeHTML(text)}</p>`;
  const element = document.querySelector("p");
  assert.deepEqual([element.textContent, element.title, element.children.length], [text, text, 0]);
  assert.equal(library.escapeHTML(5), "5");
});

// The start

function settings(content) {
  document.body.innerHTML = "";
  const block = document.createElement("script");
  Object.assign(block, { type: "application/json", id: "dtws-sio-signals", textContent: content });
  document.body.append(block);
}

test("a page connects with what the tag wrote (H-02)", async () => {
  settings('{"path": "/app/socket.io/", "namespace": "/signals", "window": "W", "renew": "/renew/"}');
  const socket = new Socket();
  const opened = [];
  globalThis.io = (namespace, options) => opened.push([namespace, options]) && socket;
  const started = library.start();
  delete globalThis.io;
  const [[namespace, { path, auth }]] = opened;
  assert.deepEqual([namespace, path], ["/signals", "/app/socket.io/"]);
  assert.deepEqual(await new Promise((resolve) => auth(resolve)), { window: "W" });
  assert.deepEqual(started.windowHeader(), { "X-Socket-Window": "W" });
  assert.equal(started.socket, socket);
});

const BROKEN = [
  ["{", /are not JSON.*dtws_sio_signals/],
  ["{}", /no "path" that is a string.*dtws_sio_signals/],
  ["null", /no "path" that is a string/],
  ['{"path": 5}', /no "path" that is a string/],
];

for (const [content, message] of BROKEN) {
  test(`the settings ${content}: the error names the remedy (H-02)`, () => {
    settings(content);
    assert.throws(() => library.start(), message);
  });
}

test("a page without settings, or without the client, is told which tag is missing (H-02)", () => {
  assert.throws(() => library.start(), /no element #dtws-sio-signals.*dtws_sio_signals/);
  settings('{"path": "/socket.io/"}');
  assert.throws(() => library.start(), /client is not loaded.*dtws_sio_signals/);
  assert.equal(library.signals, null);
  assert.equal(globalThis.DFSignals, undefined);
});

test("loading the file starts a page that has settings, once, and gives it DFSignals (H-01)", async () => {
  settings('{"path": "/socket.io/"}');
  const socket = new Socket();
  let opened = 0;
  globalThis.io = () => (opened += 1) && socket;
  const { signals } = await import("../src/signals.js?page");
  const again = await import("../src/signals.js?twice");
  const { DFSignals } = globalThis;
  delete globalThis.DFSignals;
  delete globalThis.io;
  assert.equal(again.signals, signals);
  assert.equal(opened, 1);
  assert.equal(DFSignals.connection, socket);
  assert.equal(DFSignals.buffer, 0);
  assert.ok(DFSignals.registry.includes("html.text"));
  assert.equal(DFSignals.wsurl, null);
  assert.deepEqual(DFSignals.windowHeader(), {});
  const heard = [];
  const listener = (opts) => heard.push(opts);
  DFSignals.connect("x", listener);
  assert.equal((await DFSignals.call("x", { a: 1 })).ok, true);
  DFSignals.disconnect("x", listener);
  await DFSignals.call("x", { a: 2 });
  assert.deepEqual(heard, [{ a: 1 }]);
  assert.deepEqual(socket.names, ["x", "x"]);
  socket.answer = null;
  DFSignals.call("x");
  await settled();
  expectComplaint(/the server's answer is none/);
});
