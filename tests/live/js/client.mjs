// Drives the official JavaScript client, by order of tests/live/test_javascript_client.py.
//
// Each line on stdin is an order {scenario, url, transports, tag}; the answer is a line {result} or {error} on stdout.
// A scenario only does things and says what it saw; what that should be is for the tests to say.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { io } = createRequire(new URL("../../../static/package.json", import.meta.url))("socket.io-client");

const PATIENCE = 10_000; // milliseconds for one scenario

const once = (emitter, event) => new Promise((resolve) => emitter.once(event, (...values) => resolve(values)));

// The error that a connection ends with, or the fact that there was none.
const refusal = (socket) =>
  Promise.race([
    once(socket, "connect_error").then(([error]) => ({ message: error.message, data: error.data ?? null })),
    once(socket, "connect").then(() => "connected"),
  ]);

class Page {
  constructor({ url, transports, tag }) {
    Object.assign(this, { url, transports, tag, managers: new Set() });
  }

  // A socket that has not connected yet; each one has a connection of its own unless told otherwise.
  socket(namespace = "/", options = {}) {
    const { transports, tag } = this;
    const socket = io(this.url + namespace, { transports, auth: { tag }, forceNew: true, ...options });
    this.managers.add(socket.io);
    return socket;
  }

  async connected(namespace, options) {
    const socket = this.socket(namespace, options);
    await once(socket, "connect");
    return socket;
  }

  // The same, when the better transport has taken over.
  async settled(namespace, options) {
    const socket = await this.connected(namespace, options);
    const wanted = this.transports.at(-1);
    if (socket.io.engine.transport.name !== wanted) await once(socket.io.engine, "upgrade");
    return socket;
  }

  close() {
    for (const manager of this.managers) manager._close();
  }
}

const SCENARIOS = {
  async connects(page) {
    const socket = await page.settled();
    return { sid: socket.id, transport: socket.io.engine.transport.name };
  },

  async echo(page) {
    const socket = await page.settled();
    const values = ["text", "é 漢 😀 \u2028", "\ud83d", "", 0, -1.5, 2 ** 70, true, null, [], {}, { a: [{ b: null }] }];
    const answers = [];
    for (const value of values) answers.push(await socket.emitWithAck("echo", value));
    return { same: JSON.stringify(answers) === JSON.stringify(values), answers };
  },

  async several(page) {
    const socket = await page.settled();
    const ask = (...event) => new Promise((resolve) => socket.emit(...event, (...values) => resolve(values)));
    return [await ask("several", 1, "two", { three: 3 }), await ask("several"), await ask("nothing")];
  },

  async no_ack(page) {
    const socket = await page.settled();
    const first = await socket.timeout(300).emitWithAck("silence").catch((error) => error.message);
    return [first, await socket.emitWithAck("echo", "still here")];
  },

  async binary(page) {
    const socket = await page.settled();
    const sent = { name: "x", parts: [Buffer.from([0, 1, 255]), { deep: Buffer.alloc(100_000, 7) }], none: Buffer.alloc(0) };
    const acked = await socket.emitWithAck("echo", sent);
    const back = once(socket, "back");
    socket.emit("send_back", "back", Buffer.from("one"), [Buffer.from("two")], "three");
    const event = await back;
    return {
      acked: [acked.name, [...acked.parts[0]], acked.parts[1].deep.equals(sent.parts[1].deep), acked.none.length],
      event: [event[0].toString(), event[1][0].toString(), event[2]],
    };
  },

  async namespaces(page) {
    const root = await page.connected();
    const chat = root.io.socket("/chat", { auth: { tag: `${page.tag}-chat` } });
    await once(chat, "connect");
    const shared = root.io === chat.io && root.id !== chat.id;
    const answers = [await root.emitWithAck("echo", "a"), await chat.emitWithAck("echo", "b")];
    chat.disconnect();
    return { shared, answers, after: await root.emitWithAck("echo", "c"), root: root.connected, chat: chat.connected };
  },

  async rooms(page) {
    const room = page.tag;
    const [speaker, member, other] = await Promise.all([page.settled(), page.settled(), page.settled()]);
    const heard = { speaker: [], member: [], other: [] };
    speaker.on("said", (text) => heard.speaker.push(text));
    member.on("said", (text) => heard.member.push(text));
    other.on("said", (text) => heard.other.push(text));
    await member.emitWithAck("join", room);
    await speaker.emitWithAck("join", room);
    await speaker.emitWithAck("say", room, "one");
    await member.emitWithAck("leave", room);
    await speaker.emitWithAck("say", room, "two");
    for (const socket of [speaker, member, other]) await socket.emitWithAck("nothing");
    return heard;
  },

  async refusals(page) {
    const seen = {};
    for (const how of ["reason", "data", "builtin", "false", "error", "failure", "none"]) {
      seen[how] = await refusal(page.socket("/guarded", { auth: { how } }));
    }
    return seen;
  },

  async unknown_namespace(page) {
    return refusal(page.socket("/nobody-wrote-this"));
  },

  async refused_beside_another(page) {
    const root = await page.connected();
    const guarded = root.io.socket("/guarded", { auth: { how: "reason" } });
    return [await refusal(guarded), await root.emitWithAck("echo", "still here")];
  },

  async error_acks(page) {
    const socket = await page.settled();
    const seen = {
      unknown: await socket.emitWithAck("nobody_handles_this"),
      wrong: await socket.emitWithAck("pair", "only one"),
      many: await socket.emitWithAck("pair", 1, 2, 3),
      failed: await socket.emitWithAck("fail"),
      denied: await socket.emitWithAck("deny"),
    };
    socket.emit("fail"); // without an acknowledgement, nothing comes back
    return { ...seen, after: await socket.emitWithAck("echo", "still here") };
  },

  async kicked(page) {
    const socket = await page.settled();
    const end = once(socket, "disconnect");
    socket.emit("kick");
    return { sid: socket.id ?? null, reason: (await end)[0] };
  },

  async leaves_namespace(page) {
    const root = await page.settled("/", { auth: { tag: `${page.tag}-root` } });
    const chat = root.io.socket("/chat", { auth: { tag: page.tag } });
    await once(chat, "connect");
    chat.disconnect();
    return root.emitWithAck("echo", "still here");
  },

  async leaves(page) {
    const socket = await page.settled();
    socket.disconnect();
    return socket.connected;
  },

  async loses_connection(page) {
    const socket = await page.settled();
    socket.io.engine.close();
    return socket.connected;
  },

  async view_emits(page) {
    const socket = await page.settled();
    await socket.emitWithAck("join", page.tag);
    const news = once(socket, "news");
    const body = JSON.stringify({ event: "news", data: { title: "é" }, room: page.tag });
    const answer = await fetch(`${page.url}/emit/`, { method: "POST", body });
    return { status: answer.status, news: await news };
  },

  async background_task_emits(page) {
    const socket = await page.settled();
    const steps = [];
    const done = new Promise((resolve) => socket.on("step", (step) => steps.push(step) === 3 && resolve()));
    await socket.emitWithAck("work", 3);
    await done;
    return steps;
  },

  async server_asks(page) {
    const socket = await page.settled();
    socket.on("question", (question, answer) => answer(question.toUpperCase(), Buffer.from("!")));
    const [text, mark] = await socket.emitWithAck("ask", "why");
    return [text, mark.toString()];
  },

  // Not settled on purpose: with both transports, the events go on while the connection is upgraded.
  async many_up(page) {
    const socket = await page.connected();
    for (let number = 0; number < 300; number += 1) socket.emit("note", number, number % 10 ? "x" : Buffer.from("x"));
    return socket.emitWithAck("notes");
  },

  async many_down(page) {
    const socket = await page.connected();
    const numbers = [];
    socket.on("number", (number) => numbers.push(number));
    const end = await socket.emitWithAck("count", 300);
    return { end, numbers };
  },

  async greeting(page) {
    const socket = page.socket("/greeting");
    const order = [];
    socket.on("connect", () => order.push("connect"));
    socket.on("hello", (number) => order.push(number));
    while (order.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    return order;
  },

  // The test restarts the server when it is told that the client is connected.
  async reconnects(page, tell) {
    const socket = await page.settled("/", { reconnectionDelay: 100, reconnectionDelayMax: 300 });
    const first = socket.id;
    const end = once(socket, "disconnect");
    tell("connected");
    const [reason] = await end;
    await once(socket, "connect");
    return { reason, renewed: socket.id !== first, answer: await socket.emitWithAck("echo", "again") };
  },
};

const timeout = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error(`not done after ${PATIENCE} ms`)), PATIENCE).unref());

const print = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const page = new Page(order);
  try {
    const scenario = SCENARIOS[order.scenario](page, (news) => print({ news }));
    print({ result: await Promise.race([scenario, timeout()]) });
  } catch (error) {
    print({ error: error.stack });
  } finally {
    page.close();
  }
}
process.exit();
