import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { runInThisContext } from "node:vm";

import { connect, pageSettings } from "../src/connect.js";

/** The very file that pages load; it sets the global `io`. */
const CLIENT = readFileSync(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");

const quiet = { autoConnect: false, forceNew: true };

function page(content) {
  const block = content === null ? null : { textContent: content };
  return { getElementById: (id) => (id === "dtws-sio" ? block : null) };
}

beforeEach(() => {
  globalThis.location = { protocol: "https:", host: "site.example", hostname: "site.example", port: "" };
  globalThis.document = page('{"path": "/app/socket.io/", "namespace": "/chat"}');
  runInThisContext(CLIENT);
});

afterEach(() => {
  delete globalThis.io;
  delete globalThis.document;
  delete globalThis.location;
});

test("the socket uses the page's path and origin (J-03: no port or protocol of its own)", () => {
  const socket = connect("/news", quiet);
  assert.equal(socket.nsp, "/news");
  assert.equal(socket.io.opts.path, "/app/socket.io/");
  assert.equal(socket.io.uri, "https://site.example/news");
});

test("without a namespace the page's default is used", () => {
  assert.equal(connect(undefined, quiet).nsp, "/chat");
});

test("without a default either, it is the main namespace", () => {
  globalThis.document = page('{"path": "/socket.io/"}');
  assert.equal(connect(undefined, quiet).nsp, "/");
});

const NORMALISED = [
  ["chat", "/chat"],
  [" /chat ", "/chat"],
  ["/chat", "/chat"],
  ["", "/"],
  ["/", "/"],
  ["a/b", "/a/b"],
];

for (const [given, expected] of NORMALISED) {
  test(`the namespace ${JSON.stringify(given)} becomes ${expected} (D-20, J-02)`, () => {
    assert.equal(connect(given, quiet).nsp, expected);
  });
}

for (const given of [null, 7, ["/chat"], { auth: { token: "t" } }]) {
  test(`a namespace that is ${JSON.stringify(given)} is a TypeError that says so (J-02)`, () => {
    assert.throws(() => connect(given, quiet), { name: "TypeError", message: /is a string.*options come second/ });
  });
}

for (const given of ["//evil.example", "/a?b", "/a#b", "/a,b"]) {
  test(`the namespace ${given}, which the client would take for something else, is refused`, () => {
    assert.throws(() => connect(given, quiet), /cannot be a namespace/);
  });
}

test("the caller's options win over the page's settings (J-03)", () => {
  const socket = connect("/chat", { ...quiet, path: "/elsewhere/", auth: { token: "t" }, transports: ["websocket"] });
  assert.equal(socket.io.opts.path, "/elsewhere/");
  assert.deepEqual(socket.auth, { token: "t" });
  assert.deepEqual(socket.io.opts.transports, ["websocket"]);
});

const TOKEN = '{"path": "/socket.io/", "csrf_token": "T"}';

/** What the client would send along to join; it calls `auth` on the socket where that is a function. */
async function sent(socket) {
  if (typeof socket.auth !== "function") return socket.auth;
  return new Promise((resolve) => socket.auth(resolve));
}

const AUTHS = [
  ["nothing", undefined, { csrf_token: "T" }],
  ["null", null, { csrf_token: "T" }],
  ["an object", { room: 1 }, { csrf_token: "T", room: 1 }],
  ["a function", (send) => send({ room: 1 }), { csrf_token: "T", room: 1 }],
  ["a function that has nothing", (send) => send(), { csrf_token: "T" }],
  ["a function that answers later", (send) => setTimeout(send, 1, { room: 1 }), { csrf_token: "T", room: 1 }],
  ["a token of its own", { csrf_token: "mine" }, { csrf_token: "mine" }],
];

for (const [what, auth, expected] of AUTHS) {
  test(`the page's CSRF token joins ${what}`, async () => {
    globalThis.document = page(TOKEN);
    assert.deepEqual(await sent(connect("/chat", { ...quiet, auth })), expected);
  });
}

test("an auth function is asked anew for each connection, on the socket", async () => {
  globalThis.document = page(TOKEN);
  const asked = [];
  const socket = connect("/chat", {
    ...quiet,
    auth(send) {
      asked.push(this);
      send({ number: asked.length });
    },
  });
  assert.deepEqual(await sent(socket), { csrf_token: "T", number: 1 });
  assert.deepEqual(await sent(socket), { csrf_token: "T", number: 2 });
  assert.deepEqual(asked, [socket, socket]);
});

test("the caller's options stay as they were", () => {
  globalThis.document = page(TOKEN);
  const options = { ...quiet, auth: { room: 1 } };
  connect("/chat", options);
  assert.deepEqual(options, { ...quiet, auth: { room: 1 } });
});

for (const settings of ['{"path": "/"}', '{"path": "/", "csrf_token": null}', '{"path": "/", "csrf_token": 5}']) {
  test(`with the settings ${settings} auth is left alone`, () => {
    globalThis.document = page(settings);
    const auth = { room: 1 };
    assert.equal(connect("/chat", { ...quiet, auth }).auth, auth);
    assert.equal(connect("/news", quiet).auth, undefined);
  });
}

test("two namespaces of a page share one connection", () => {
  const [chat, news] = [connect("/chat", { autoConnect: false }), connect("/news", { autoConnect: false })];
  assert.equal(chat.io, news.io);
});

test("what a socket was made with can be read from it (J-11, J-12)", async () => {
  const socket = connect("/chat", { ...quiet, auth: { room: 1 } });
  assert.equal(socket.nsp, "/chat");
  assert.equal(socket.io.opts.path, "/app/socket.io/");
  assert.equal(socket.io.uri, "https://site.example/chat");
  assert.deepEqual(await sent(socket), { room: 1 });
  const listener = () => {};
  socket.on("news", listener);
  assert.deepEqual(socket.listeners("news"), [listener]);
});

test("a module is a class over a namespace of its own, and needs no prefix for its events (J-09, J-10)", () => {
  class Module {
    constructor(namespace) {
      this.heard = [];
      this.socket = connect(namespace, { autoConnect: false });
      this.socket.on("init", (data) => this.heard.push(data));
    }
  }
  const [one, other] = [new Module("/bars/one"), new Module("/bars/other")];
  assert.notEqual(one.socket, other.socket);
  assert.equal(one.socket.io, other.socket.io);
  one.socket.listeners("init").forEach((listener) => listener("of one"));
  assert.deepEqual([one.heard, other.heard], [["of one"], []]);
});

test("a page without the official client is told which tag loads it", () => {
  delete globalThis.io;
  assert.throws(() => connect("/chat"), /client is not loaded.*dtws_sio_scripts/);
});

const BROKEN = [
  ["no settings block", null, /no element #dtws-sio/],
  ["settings that are not JSON", "{", /are not JSON/],
  ["settings without a path", "{}", /no "path" that is a string/],
  ["a path that is no string", '{"path": 5}', /no "path" that is a string/],
  ["null for settings", "null", /no "path" that is a string/],
];

for (const [what, content, message] of BROKEN) {
  test(`${what}: the error names the remedy`, () => {
    globalThis.document = page(content);
    assert.throws(() => pageSettings(), message);
    assert.throws(() => connect("/chat", quiet), /dtws_sio_scripts/);
  });
}

test("outside a browser there are no page settings", () => {
  delete globalThis.document;
  assert.throws(() => pageSettings(), /no element #dtws-sio/);
});
