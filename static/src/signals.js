/**
 * Signals: names to which functions are connected, in pages and on the server; either side calls the other's.
 *
 *     import { signals } from "{% static 'dtws_sio/signals.js' %}";
 *     signals.connect("article.saved", ({ title }) => show(title));
 *     const { ok, results, errors } = await signals.call("article.like", { pk: 7 });
 *
 * or, where no script is wanted, <button {% js_call "article.like" pk=7 %}>.
 *
 * In a page with {% dtws_sio_signals %} loading this file is enough: `signals` is connected, follows the attributes
 * data-df-signal and is there as window.DFSignals too. Elsewhere `new Signals(socket)` takes any socket of the official
 * client.
 *
 * The file goes from the wire to the page: errors and copies, the window's token, Signals, the attributes, the signals
 * that are built in, the start. docs/signals-page.rst is the guide; the server's side is dtws_sio/signals/.
 */

const SETTINGS_ID = "dtws-sio-signals"; // dtws_sio/templatetags/dtws_sio.py writes the element
const REMEDY = "put {% load dtws_sio %}{% dtws_sio_signals %} into the page's template";
const EVENT = "signal"; // in both directions, see dtws_sio/signals/namespace.py
const HEADER = "X-Socket-Window"; // by which Django's views know the window, see dtws_sio/signals/windows.py
const ATTRIBUTE = "data-df-signal";

const PATIENCE = 20_000; // milliseconds to wait for an answer
const MOST_WAITING = 100; // calls that are kept while there is no connection
const MOST_REMEMBERED = 1000; // ids of messages that came; a server repeats none later than that
const RECONNECT_AFTER = [1000, 3000]; // milliseconds, at random between these, after the server closed the connection
const RETRY_AFTER = [10_000, 20_000]; // the same, after it was too busy to take one
const RENEW_AGAIN_AFTER = [1000, 2000, 5000, 10_000, 30_000]; // the same without the dice, while it cannot be reached

/** Refusals that end by themselves; see dtws_sio/limits.py. */
const BUSY = new Set(["rate_limited", "too_many_connects", "too_many_connections"]);

// Errors and copies

/**
 * A call that got no answer, or something that came and cannot be used.
 *
 * Its `code` is "no_answer" (in time), "disconnected" (while the server had the call: it may have run), "not_connected"
 * (the server refused this window), "buffer_full", "too_large", "unreadable" (a file), "bad_answer", "bad_message", or
 * "bad_attribute".
 */
export class SignalError extends Error {
  name = "SignalError";

  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

const show = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

function requireName(name) {
  if (typeof name === "string" && name) return name;
  throw new TypeError(`a signal's name is a text such as "article.saved", not ${show(name)}`);
}

const isPlain = (value) => [Object.prototype, null].includes(Object.getPrototypeOf(value));

/** Copy objects and lists all the way down; files, bytes, dates and elements stay the same ones. */
function copy(value, change = (leaf) => leaf) {
  if (Array.isArray(value)) return value.map((each) => copy(each, change));
  if (typeof value !== "object" || value === null || !isPlain(value)) return change(value);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copy(each, change)]));
}

const isFile = (value) => typeof Blob === "function" && value instanceof Blob;

function filesIn(value) {
  const found = [];
  copy(value, (leaf) => isFile(leaf) && found.push(leaf));
  return found;
}

/** Put what files hold in their place, as dtws_sio.validation.SerializedForm takes it. */
async function withContents(opts) {
  const read = async (file) => [file, { name: file.name ?? "", content: await contentOf(file) }];
  const contents = new Map(await Promise.all(filesIn(opts).map(read)));
  return copy(opts, (leaf) => contents.get(leaf) ?? leaf);
}

async function contentOf(file) {
  try {
    return await file.arrayBuffer();
  } catch (cause) {
    throw new SignalError("unreadable", `the file ${show(file.name)} cannot be read; choose it again`, { cause });
  }
}

/** Make a random id; crypto.randomUUID() is missing from pages that came over plain http. */
function makeId() {
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.*)$/, "$1-$2-4$3-8$4-$5");
}

const between = ([least, most]) => least + Math.random() * (most - least);

/**
 * Escape a text for the option `content` of the html.* signals, which is trusted HTML.
 *
 * @param {*} text anything; it is turned into text first.
 * @returns {string} HTML that shows it, also inside an attribute in quotes.
 */
export function escapeHTML(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.codePointAt()};`);
}

// The window's token

/**
 * What tells the server which window this is, and which topics the page was given.
 *
 * The token comes with the page, is bound to the session and the user, and expires; this renews it.
 */
export class WindowPass {
  #token;
  #renewal;
  #csrfToken;

  /**
   * @param {object} [settings] what {% dtws_sio_signals %} wrote.
   * @param {?string} [settings.window] the token; without one a window has no topics.
   * @param {?string} [settings.renew] the URL that gives a new one for an expired one.
   * @param {string} [settings.csrf_token] Django's; if it is left out it is read from the cookie or from a form.
   */
  constructor({ window = null, renew = null, csrf_token = null } = {}) {
    this.#token = window;
    this.#renewal = renew;
    this.#csrfToken = csrf_token;
  }

  /** The token as it is now. */
  get token() {
    return this.#token;
  }

  get isRenewable() {
    return Boolean(this.#token && this.#renewal);
  }

  /** The option `auth` for the official client, which asks whenever it is about to connect. */
  auth = (send) => {
    send({ ...(this.#csrfToken && { csrf_token: this.#csrfToken }), ...(this.#token && { window: this.#token }) });
  };

  /** What a request of this page carries, so that WINDOW means this window in the view: fetch(url, { headers }). */
  get headers() {
    return this.#token ? { [HEADER]: this.#token } : {};
  }

  /**
   * Ask for a new token.
   *
   * @returns {Promise<?string>} null, or why the server gives none; asking again is of no use then.
   * @throws {Error} if the server cannot be reached, or has a failure.
   */
  async renew() {
    const headers = { "Content-Type": "application/json", "X-Requested-With": "XMLHttpRequest", "X-CSRFToken": this.#csrf() };
    const body = JSON.stringify({ window: this.#token });
    const answer = await fetch(this.#renewal, { method: "POST", credentials: "same-origin", headers, body });
    if (answer.status >= 500 || answer.status === 429) throw new Error(`${this.#renewal} answers ${answer.status}`);
    const { window } = answer.ok ? await answer.json().catch(() => ({})) : {};
    if (typeof window !== "string") return `the token was not renewed: ${this.#renewal} answers ${answer.status}`;
    this.#token = window;
    return null;
  }

  #csrf() {
    const { document } = globalThis;
    const cookie = document?.cookie.match(/(?:^|; *)csrftoken=([^;]*)/)?.[1];
    return this.#csrfToken ?? cookie ?? document?.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  }
}

// Signals

/** The signals of a page: those that its functions are connected to, and those that it calls. */
export class Signals {
  #socket;
  #pass;
  #maxPayload;
  #listeners = new Map();
  #waiting = [];
  #heard = new Set();
  #reading = null;
  #refusal = null;
  #wasConnected = false;
  #isFresh = false;

  /** Called as onerror(error, { signal, opts, id }) for what a listener threw, and for what came and cannot be used. */
  onerror = null;

  /** Called once the connection is back: what was sent meanwhile has not come, so it is time to fetch the present state. */
  onresync = null;

  /** Called with an error, whose `data.code` says why, when the server does not let this window in. */
  onrefused = null;

  /** Asked as confirm(text, element), for data-df-signal; it may give a promise. */
  confirm = (text) => globalThis.confirm(text);

  /**
   * @param {Socket} socket the official client's, of the namespace "/signals".
   * @param {object} [options] onerror, onresync, onrefused and confirm, as above; and
   * @param {WindowPass} [options.pass] what the socket's `auth` comes from.
   * @param {number} [options.maxPayload] how many bytes the server takes at once: DTWS_SIO["MAX_PAYLOAD"].
   */
  constructor(socket, { pass = new WindowPass(), maxPayload = Infinity, ...hooks } = {}) {
    if (typeof socket?.on !== "function") throw new TypeError(`Signals takes a socket of the official client, not ${show(socket)}`);
    for (const name of Object.keys(hooks)) {
      if (!HOOKS.has(name)) throw new TypeError(`unknown option ${show(name)}; known are ${[...HOOKS, "pass", "maxPayload"].join(", ")}`);
    }
    this.#socket = socket;
    this.#pass = pass;
    this.#maxPayload = maxPayload;
    Object.assign(this, hooks);
    for (const [name, listener] of Object.entries(BUILT_IN)) this.connect(name, listener);
    socket.on(EVENT, (message, acknowledge) => this.#hear(message, acknowledge));
    socket.on("connect", () => this.#onConnect());
    socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    socket.on("connect_error", (error) => this.#onConnectError(error));
    if (socket.connected) this.#onConnect();
  }

  /** The official client's socket. */
  get socket() {
    return this.#socket;
  }

  /** Why the server does not let this window in; null while it does, or may. For code that comes after onrefused. */
  get refusal() {
    return this.#refusal;
  }

  /** How many calls wait for the connection. */
  get waiting() {
    return this.#waiting.length;
  }

  /** The names that functions are connected to, the built-in ones included. */
  get names() {
    return [...this.#listeners.keys()];
  }

  /** Give the headers by which a view knows this window; for requests to this site only. */
  windowHeader() {
    return this.#pass.headers;
  }

  /**
   * Connect a function to a signal, whoever calls it: the server, or this page.
   *
   * @param {string} name the signal.
   * @param {(opts: object, id: ?string) => *} listener gets a copy of the arguments of its own, and the id of the server's
   *     message, null for a call of this page.
   * @returns {() => void} what disconnects it again.
   */
  connect(name, listener) {
    requireName(name);
    if (typeof listener !== "function") throw new TypeError(`what is connected to ${show(name)} is a function, not ${show(listener)}`);
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.disconnect(name, listener);
  }

  /**
   * Disconnect a function, or all of a signal; those that are built in are no exception.
   *
   * @returns {boolean} whether it was connected.
   */
  disconnect(name, listener = undefined) {
    const listeners = this.#listeners.get(requireName(name));
    const wasThere = listener === undefined ? listeners !== undefined : Boolean(listeners?.delete(listener));
    if (listener === undefined || listeners?.size === 0) this.#listeners.delete(name);
    return wasThere;
  }

  /**
   * Call a signal: first the functions of this page, then those of the server.
   *
   * While there is no connection calls wait, a hundred of them at most; calls arrive in the order in which they were made.
   *
   * @param {string} name the signal.
   * @param {object} [opts] its arguments; files in them are sent as {name, content}.
   * @param {object} [how]
   * @param {boolean} [how.local] whether the call stays in this page; by default the built-in ones do.
   * @param {number} [how.timeout] milliseconds from the sending until an answer has to be there.
   * @returns {Promise<{ok: boolean, results: Array, errors: Array<{code: string, message: string}>}>} the server's answer;
   *     of a local call, what this page's functions returned. Refusals are answers too.
   * @throws {SignalError} if there is no answer.
   */
  async call(name, opts = {}, { local = Object.hasOwn(BUILT_IN, name), timeout = PATIENCE } = {}) {
    requireName(name);
    const outcomes = this.#run(name, opts, null);
    if (local) return told(await Promise.all(outcomes));
    const files = filesIn(opts);
    this.#checkSizes(files);
    return this.#send({ signal: name, opts: await this.#inTurn(copy(opts), files), id: makeId() }, timeout);
  }

  /** Files are read, which takes time: what is called meanwhile is not to overtake them. */
  #inTurn(opts, files) {
    if (!files.length && !this.#reading) return opts;
    const read = withContents(opts);
    const turn = Promise.allSettled([this.#reading, read]).then(() => {
      if (this.#reading === turn) this.#reading = null;
      return read;
    });
    this.#reading = turn;
    return turn;
  }

  #checkSizes(files) {
    const most = this.#maxPayload; // whoever sends more at once is disconnected
    const large = files.find(({ size }) => size > most);
    if (!large) return;
    throw new SignalError("too_large", `the file ${show(large.name)} has ${large.size} bytes; the server takes ${most} at once`);
  }

  #send(message, timeout) {
    return new Promise((resolve, reject) => {
      const call = { message, timeout, resolve, reject };
      if (this.#socket.connected) this.#transmit(call);
      else if (this.#refusal && !this.#socket.active) reject(notConnected(message.signal, this.#refusal));
      else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(call);
      else reject(new SignalError("buffer_full", `${show(message.signal)} was not called: ${MOST_WAITING} calls wait for the connection`));
    });
  }

  #transmit({ message, timeout, resolve, reject }) {
    const name = show(message.signal);
    try {
      this.#socket.timeout(timeout).emit(EVENT, message, (error, answer) => {
        if (!error) settle(name, answer, resolve, reject);
        else if (this.#socket.connected) reject(new SignalError("no_answer", `${name}: no answer within ${timeout} ms`));
        else reject(new SignalError("disconnected", `${name}: the connection ended before the answer came; it may have run`));
      });
    } catch (error) {
      reject(error); // arguments that no packet can hold, such as a BigInt
    }
  }

  #hear(message, acknowledge) {
    const { signal, id = null } = message ?? {};
    const opts = message?.opts ?? {};
    if (typeof signal !== "string") {
      this.report(new SignalError("bad_message", "what came from the server is no signal"), { signal, opts, id });
    } else if (this.#isNews(id)) {
      this.#run(signal, opts, id);
    }
    acknowledge?.({ ok: typeof signal === "string" });
  }

  #isNews(id) {
    if (id === null) return true;
    if (this.#heard.has(id)) return false;
    this.#heard.add(id);
    if (this.#heard.size > MOST_REMEMBERED) this.#heard.delete(this.#heard.values().next().value);
    return true;
  }

  /** Run the functions of this page, each by itself; give promises, which never reject, of what came of them. */
  #run(signal, opts, id) {
    return Array.from(this.#listeners.get(signal) ?? [], (listener) => this.#runOne(listener, { signal, opts, id }));
  }

  async #runOne(listener, { signal, opts, id }) {
    try {
      return { result: await listener(copy(opts), id) };
    } catch (error) {
      this.report(error, { signal, opts, id });
      return { error: { code: "listener_failed", message: String(error?.message ?? error) } };
    }
  }

  /** Tell of an error that has no caller: in the console, and to onerror. */
  report(error, context) {
    console.error(`dtws_sio: signal ${show(context.signal)}:`, error);
    try {
      this.onerror?.(error, context);
    } catch (fault) {
      console.error("dtws_sio: onerror:", fault);
    }
  }

  // The connection

  #onConnect() {
    this.#refusal = null;
    this.#isFresh = false;
    const isBack = this.#wasConnected;
    this.#wasConnected = true;
    for (const call of this.#waiting.splice(0)) this.#transmit(call);
    if (isBack) this.#tell("onresync");
  }

  #onDisconnect(reason) {
    // The client takes a server's own "disconnect" for final, but a server that restarts says it too.
    if (reason === "io server disconnect") this.#reconnect(between(RECONNECT_AFTER));
  }

  #onConnectError(error) {
    if (this.#socket.active) return; // the network; the client tries again, later and later
    const code = error.data?.code;
    if (code === "token_expired" && this.#pass.isRenewable && !this.#isFresh) this.#renew(0);
    else if (BUSY.has(code)) this.#reconnect(between(RETRY_AFTER));
    else this.#giveUp(error);
  }

  async #renew(attempt) {
    let refusal;
    try {
      refusal = await this.#pass.renew();
    } catch {
      setTimeout(() => this.#renew(attempt + 1), RENEW_AGAIN_AFTER[attempt] ?? RENEW_AGAIN_AFTER.at(-1));
      return;
    }
    if (refusal) return this.#giveUp(Object.assign(new Error(refusal), { data: { code: "token_expired" } }));
    this.#isFresh = true; // one that is refused as expired nevertheless would be renewed for ever
    this.#socket.connect();
  }

  #reconnect(delay) {
    setTimeout(() => this.#socket.connect(), delay);
  }

  #giveUp(error) {
    this.#refusal = error;
    for (const { message, reject } of this.#waiting.splice(0)) reject(notConnected(message.signal, error));
    this.#tell("onrefused", error);
  }

  #tell(hook, ...data) {
    try {
      this[hook]?.(...data);
    } catch (error) {
      this.report(error, { signal: hook, opts: {}, id: null });
    }
  }

  // The page

  /**
   * Follow the attributes data-df-signal below an element, whenever they got there.
   *
   * @param {(Document|Element)} [root] where to listen.
   * @returns {() => void} what ends it.
   */
  bind(root = globalThis.document) {
    const attributes = new Attributes(this, root);
    return () => attributes.end();
  }
}

const HOOKS = new Set(["onerror", "onresync", "onrefused", "confirm"]);

const notConnected = (signal, cause) =>
  new SignalError("not_connected", `${show(signal)} was not called: the server refuses this window: ${cause.message}`, { cause });

function told(outcomes) {
  const errors = outcomes.flatMap(({ error }) => error ?? []);
  return { ok: !errors.length, results: outcomes.filter(({ error }) => !error).map(({ result }) => result), errors };
}

/** An event that never came to a signal is answered {error: {code, message}}, as any other event is. */
function settle(name, answer, resolve, reject) {
  if (typeof answer?.ok === "boolean") resolve({ results: [], errors: [], ...answer });
  else if (answer?.error) resolve({ ok: false, results: [], errors: [answer.error] });
  else reject(new SignalError("bad_answer", `${name}: the server's answer is none: ${JSON.stringify(answer)}`));
}

// The attributes

/** Which events start a call, where an attribute names none. */
function defaultEvent(element) {
  if (element.localName === "form") return "submit";
  if (element.localName === "input") return BUTTONS.has(element.type) ? "click" : "change";
  return ["select", "textarea"].includes(element.localName) ? "change" : "click";
}

const BUTTONS = new Set(["button", "image", "reset", "submit"]);
const TICKABLE = new Set(["checkbox", "radio"]);

/** Forms are not posted and links not followed, unless the attribute says so; boxes can be ticked. */
function isPrevented({ prevent }, { type, target }) {
  if (typeof prevent === "boolean") return prevent;
  return type === "submit" || (type === "click" && !TICKABLE.has(target.type));
}

/** The rules of an attribute's keys; null counts as absent. */
const KEYS = {
  name: ["a text that is not empty", (value) => typeof value === "string" && value !== ""],
  on: ["the name of an event", (value) => typeof value === "string" && value !== ""],
  opts: ["an object", (value) => typeof value === "object" && !Array.isArray(value)],
  form: ["the name of an argument", (value) => typeof value === "string"],
  value: ["the name of an argument", (value) => typeof value === "string"],
  prevent: ["true or false", (value) => typeof value === "boolean"],
  debounce: ["a number of milliseconds", (value) => Number.isFinite(value) && value >= 0],
  confirm: ["a question", (value) => typeof value === "string"],
  local: ["true or false", (value) => typeof value === "boolean"],
};

function checkEntry(entry) {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return "each call has to be an object";
  for (const [key, [meaning, fits]] of Object.entries(KEYS)) {
    const value = entry[key] ?? null;
    if (value === null ? key === "name" : !fits(value)) return `${show(key)} has to be ${meaning}, not ${JSON.stringify(value)}`;
  }
  return null;
}

/**
 * Read the calls of an element.
 *
 * @returns {{calls: Array<object>, faults: Array<string>}} those that can be used, and what is wrong with the others.
 */
function readCalls(element) {
  let entries;
  try {
    entries = [JSON.parse(element.getAttribute(ATTRIBUTE))].flat();
  } catch (error) {
    return { calls: [], faults: [`it is no JSON: ${error.message}`] };
  }
  const faults = entries.map(checkEntry);
  const usable = entries.filter((_, index) => faults[index] === null);
  const calls = usable.map((entry) => ({ ...entry, on: entry.on ?? defaultEvent(element) }));
  return { calls, faults: faults.filter((fault) => fault !== null) };
}

/**
 * Put the fields of a form into a list, as the browser would post it: with a name, not disabled, ticked, no buttons.
 *
 * @param {HTMLElement} element the form, or something inside one.
 * @returns {Array<{name: string, value: (string|File)}>} what dtws_sio.validation.SerializedForm takes once it is sent.
 * @throws {SignalError} if there is no form.
 */
export function serializeForm(element) {
  const form = element.localName === "form" ? element : (element.form ?? element.closest("form"));
  if (!form) throw new SignalError("bad_attribute", `<${element.localName}> is in no form, so "form" has nothing to send`);
  const isEmpty = (value) => isFile(value) && !value.name && !value.size; // a file field without a file
  return Array.from(new FormData(form), ([name, value]) => ({ name, value })).filter(({ value }) => !isEmpty(value));
}

function valueOf(element) {
  if (TICKABLE.has(element.type)) return element.checked;
  if (element.type === "select-multiple") return Array.from(element.selectedOptions, ({ value }) => value);
  if (element.type === "file") return Array.from(element.files, ({ name }) => name);
  return element.value ?? null;
}

function argumentsOf(element, { opts, form, value }) {
  const given = { ...opts };
  if (typeof form === "string") given[form] = serializeForm(element);
  if (typeof value === "string") given[value] = valueOf(element);
  return given;
}

/**
 * Turns events of elements with the attribute into calls.
 *
 * Nothing is attached to the elements: one listener for each kind of event at the root hears those of all elements that
 * are there or will be. A new kind is noticed when an element that names it appears.
 */
class Attributes {
  #signals;
  #root;
  #observer;
  #types = new Map();
  #timers = new WeakMap();
  #blamed = new WeakMap();

  constructor(signals, root) {
    this.#signals = signals;
    this.#root = root;
    this.#observer = new MutationObserver((changes) => changes.forEach((change) => this.#follow(change)));
    this.#observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: [ATTRIBUTE] });
    this.#scan(root);
  }

  end() {
    this.#observer.disconnect();
    for (const [type, { bubbling, direct }] of this.#types) {
      this.#root.removeEventListener(type, bubbling);
      this.#root.removeEventListener(type, direct, true);
    }
  }

  #follow({ type, target, addedNodes }) {
    if (type === "attributes") this.#note(target);
    else addedNodes.forEach((node) => node.querySelectorAll && this.#scan(node));
  }

  #scan(root) {
    if (root.hasAttribute?.(ATTRIBUTE)) this.#note(root);
    root.querySelectorAll(`[${ATTRIBUTE}]`).forEach((element) => this.#note(element));
  }

  #note(element) {
    if (!element.hasAttribute(ATTRIBUTE)) return;
    const { calls, faults } = readCalls(element);
    calls.forEach(({ on }) => this.#listen(on));
    if (faults.length) this.#blame(element, faults);
  }

  #blame(element, faults) {
    const written = element.getAttribute(ATTRIBUTE);
    if (this.#blamed.get(element) === written) return;
    this.#blamed.set(element, written);
    const message = `${ATTRIBUTE} of <${element.localName}>: ${faults.join("; ")}; it says ${written}`;
    this.#signals.report(new SignalError("bad_attribute", message), { signal: null, opts: {}, id: null, element });
  }

  #listen(type) {
    if (this.#types.has(type)) return;
    // Those that do not bubble, such as "focus", pass the root on their way down only.
    const bubbling = (event) => event.bubbles && this.#hear(event);
    const direct = (event) => !event.bubbles && this.#hear(event);
    this.#types.set(type, { bubbling, direct });
    this.#root.addEventListener(type, bubbling);
    this.#root.addEventListener(type, direct, true);
  }

  #hear(event) {
    for (let element = event.target; element?.closest; element = event.bubbles ? element.parentElement : null) {
      if (element.hasAttribute(ATTRIBUTE)) this.#start(element, event);
    }
  }

  #start(element, event) {
    const { calls } = readCalls(element);
    calls.forEach((call, index) => {
      if (call.on !== event.type) return;
      if (isPrevented(call, event)) event.preventDefault();
      if (call.debounce) this.#later(element, call, index);
      else this.#ask(element, call, event);
    });
  }

  /** Wait until nothing has happened for a while; the values are those of that time. */
  #later(element, call, index) {
    const timers = this.#timers.get(element) ?? this.#timers.set(element, new Map()).get(element);
    clearTimeout(timers.get(index));
    timers.set(index, setTimeout(() => this.#ask(element, call), call.debounce));
  }

  #ask(element, call, event = null) {
    if (typeof call.confirm !== "string") return void this.#call(element, call);
    const agreed = this.#signals.confirm(call.confirm, element);
    if (agreed !== true) event?.preventDefault();
    Promise.resolve(agreed).then((isAgreed) => isAgreed === true && this.#call(element, call));
  }

  async #call(element, call) {
    const answer = await this.#answer(element, call);
    const detail = { signal: call.name, ...answer };
    const happening = new CustomEvent("DFSignalAnswered", { bubbles: true, cancelable: true, detail });
    const isDealtWith = !(element.isConnected ? element : this.#root).dispatchEvent(happening);
    if (!answer.ok && !isDealtWith) console.warn(`dtws_sio: signal ${show(call.name)} was refused:`, answer.errors);
  }

  async #answer(element, call) {
    try {
      const how = typeof call.local === "boolean" ? { local: call.local } : {};
      return await this.#signals.call(call.name, argumentsOf(element, call), how);
    } catch (error) {
      return { ok: false, results: [], errors: [{ code: error.code ?? "failed", message: error.message }] };
    }
  }
}

// Built in

function all(selector) {
  if (typeof selector === "string" && selector) return [...document.querySelectorAll(selector)];
  throw new TypeError(`the option "selector" has to be a CSS selector such as "#news", not ${show(selector)}`);
}

function textOf(options, key) {
  const value = options[key];
  if (typeof value === "string" || Number.isFinite(value)) return String(value);
  throw new TypeError(`the option ${show(key)} has to be a text, not ${show(value)}`);
}

/** What a Content-Security-Policy with require-trusted-types-for names: trusted-types dtws-sio. */
let policy;
const trusted = (html) =>
  (policy ??= globalThis.trustedTypes?.createPolicy("dtws-sio", { createHTML: (text) => text }) ?? { createHTML: String }).createHTML(html);

/**
 * Make nodes of HTML as they would be made inside an element: a <tr> needs its table, a <circle> its <svg>.
 *
 * They are made in a document of their own, where neither images nor custom elements come to life before their time;
 * scripts never run.
 */
function parse(html, context) {
  const box = document.implementation.createHTMLDocument("").importNode(context, false);
  box.innerHTML = trusted(html);
  return [...box.childNodes];
}

/**
 * Make a signal that puts HTML into the page.
 *
 * @param {string} method the method of elements that takes the nodes.
 * @param {boolean} isBeside whether they get beside the element, rather than into it.
 */
function inserting(method, isBeside) {
  return (options) => {
    const html = textOf(options, "content");
    for (const element of all(options.selector)) {
      const nodes = parse(html, isBeside ? (element.parentElement ?? element) : element);
      element[method](...nodes);
      nodes.filter(({ nodeType }) => nodeType === 1).forEach(announce);
    }
  };
}

const announce = (element) => element.dispatchEvent(new CustomEvent("DOMContentAdded", { bubbles: true }));

/** Split class names, which come as a text with spaces or as a list. */
const classes = (names) => [names].flat().flatMap((name) => textOf({ class_name: name }, "class_name").split(/\s+/).filter(Boolean));

function removeClasses({ selector, class_name: names = null }) {
  for (const element of all(selector)) {
    if (names === null) element.removeAttribute("class");
    else element.classList.remove(...classes(names));
  }
}

/** What looks like an attribute and is code, which no value of a user may become. */
function checkAttribute(name, value) {
  if (/^on|^srcdoc$/i.test(name)) throw new TypeError(`html.add_attribute sets no ${show(name)}, which runs code`);
  if (schemeOf(value) === "javascript:") throw new TypeError(`html.add_attribute sets no javascript: address, as in ${show(value)}`);
}

function schemeOf(address) {
  try {
    return new URL(address, document.baseURI).protocol;
  } catch {
    return null;
  }
}

function addAttribute(options) {
  const [name, value] = [textOf(options, "attr_name"), textOf({ attr_value: "", ...options }, "attr_value")];
  checkAttribute(name, value);
  for (const element of all(options.selector)) element.setAttribute(name, value);
}

/** Attributes of these names only tell how a field began; how it is now is a property. */
const STATES = new Set(["checked", "indeterminate", "muted", "selected"]);

function setBoolean(options) {
  const name = textOf(options, "name");
  for (const element of all(options.selector)) {
    if (options.value) element.setAttribute(name, name);
    else element.removeAttribute(name);
    if (STATES.has(name)) element[name] = Boolean(options.value);
  }
}

const DOWNLOADABLE = new Set(["http:", "https:", "blob:"]);

function download({ url, filename = "unknown" }) {
  const address = new URL(textOf({ url }, "url"), document.baseURI);
  const isForeign = address.origin !== location.origin;
  if (!DOWNLOADABLE.has(address.protocol) || (isForeign && address.protocol === "blob:")) {
    throw new TypeError(`html.download_file takes http, https and blob addresses of this site, not ${show(url)}`);
  }
  // Browsers open what is another site's instead of saving it; this page is to stay.
  const target = isForeign ? { target: "_blank" } : {};
  Object.assign(document.createElement("a"), { href: address.href, download: filename, rel: "noopener noreferrer", ...target }).click();
}

/** Set a field; a list means those of its values that are chosen. */
function setField(field, value) {
  const chosen = Array.isArray(value) ? value.map(String) : null;
  if (field.localName === "select") setOptions(field, chosen ?? (value === null ? [] : [String(value)]));
  else if (typeof value === "boolean" && TICKABLE.has(field.type)) field.checked = value;
  else if (chosen && TICKABLE.has(field.type)) field.checked = chosen.includes(field.value);
  else if (field.type === "radio") field.checked = field.value === String(value);
  else if (field.type === "file") throw new TypeError(`no page may choose a file, as html.forms.set was to for ${show(field.name)}`);
  else field.value = value ?? "";
}

function setOptions(select, values) {
  for (const option of select.options) option.selected = values.includes(option.value);
}

/** Set all fields of one name. Boxes that share it are a group, in which a single value ticks the equal one. */
function setFields(fields, value) {
  const boxes = fields.filter(({ type }) => TICKABLE.has(type));
  const isGroup = boxes.length > 1 && typeof value !== "boolean";
  if (isGroup) boxes.forEach((box) => setField(box, [value ?? []].flat()));
  else if (boxes.length) boxes.forEach((box) => setField(box, value));
  else if (fields.length > 1 && Array.isArray(value)) fields.forEach((field, index) => setField(field, value[index]));
  else fields.forEach((field) => setField(field, value));
}

function setForms({ selector, values, value }) {
  const entries = (values ?? []).filter((entry) => typeof entry?.name === "string" && entry.name);
  for (const element of all(selector)) {
    if (element.localName !== "form") setField(element, value);
    else for (const { name, value: given } of entries) setFields([...element.elements].filter((field) => field.name === name), given);
  }
}

/** What the server can do to a page without a script of its own; calls of the page itself go no further than the page. */
export const BUILT_IN = Object.freeze({
  "html.after": inserting("after", true),
  "html.append": inserting("append", false),
  "html.prepend": inserting("prepend", false),
  "html.before": inserting("before", true),
  "html.content": inserting("replaceChildren", false),
  "html.replace_with": inserting("replaceWith", true),
  "html.empty": ({ selector }) => all(selector).forEach((element) => element.replaceChildren()),
  "html.remove": ({ selector }) => all(selector).forEach((element) => element.remove()),
  "html.add_class": ({ selector, class_name: names }) => all(selector).forEach((element) => element.classList.add(...classes(names))),
  "html.remove_class": removeClasses,
  "html.remove_attr": (options) => all(options.selector).forEach((element) => element.removeAttribute(textOf(options, "attr_name"))),
  "html.add_attribute": addAttribute,
  "html.boolean_attribute": setBoolean,
  "html.text": (options) => all(options.selector).forEach((element) => (element.textContent = textOf(options, "content"))),
  "html.download_file": download,
  "html.focus": ({ selector }) => void all(selector)[0]?.focus({ preventScroll: false }),
  "html.forms.set": setForms,
});

// The start

/**
 * Read what {% dtws_sio_signals %} wrote.
 *
 * @throws {Error} if it is missing or unusable; the message names the remedy.
 */
function readSettings() {
  const block = globalThis.document?.getElementById(SETTINGS_ID);
  if (!block) throw new Error(`the page has no element #${SETTINGS_ID} with the settings of its signals: ${REMEDY}`);
  try {
    const settings = JSON.parse(block.textContent);
    if (typeof settings?.path === "string") return { namespace: "/signals", ...settings };
  } catch (cause) {
    throw new Error(`the settings in #${SETTINGS_ID} are not JSON: ${REMEDY}`, { cause });
  }
  throw new Error(`the settings in #${SETTINGS_ID} have no "path" that is a string: ${REMEDY}`);
}

/**
 * Connect a page that has {% dtws_sio_signals %}. Loading this file has done so already; later calls are for tests.
 *
 * @param {object} [hooks] options of Signals.
 * @returns {Signals} what follows the page's attributes, too.
 * @throws {Error} if the settings or the official client are missing.
 */
export function start(hooks = {}) {
  const settings = readSettings();
  if (typeof globalThis.io !== "function") throw new Error(`the official Socket.IO client is not loaded: ${REMEDY}`);
  const pass = new WindowPass(settings);
  const socket = globalThis.io(settings.namespace, { path: settings.path, auth: pass.auth });
  const started = new Signals(socket, { pass, maxPayload: settings.max_payload, ...hooks });
  started.bind();
  return started;
}

/** What pages that come from df_websockets know as window.DFSignals. */
function facade(signals) {
  return Object.freeze({
    signals,
    connect: (name, listener) => signals.connect(name, listener),
    disconnect: (name, listener) => signals.disconnect(name, listener),
    windowHeader: () => signals.windowHeader(),
    call(name, opts, how) {
      cancelInline();
      const answer = signals.call(name, opts, how);
      answer.catch((error) => console.warn(`dtws_sio: ${error.message}`)); // few of those pages look at what it returns
      return answer;
    },
    get connection() {
      return signals.socket;
    },
    get buffer() {
      return signals.waiting;
    },
    get registry() {
      return signals.names;
    },
    get wsurl() {
      return signals.socket.io?.uri ?? null;
    },
  });
}

/** An inline handler that ends in "return DFSignals.call(...)" gave false once, and so kept the form from being posted. */
function cancelInline() {
  const { event } = globalThis;
  const handler = event?.currentTarget?.getAttribute?.(`on${event.type}`) ?? "";
  if (/\breturn\s+(window\.)?DFSignals\.call\b/.test(handler)) event.preventDefault();
}

function startPage() {
  if (globalThis.DFSignals?.signals) return globalThis.DFSignals.signals; // the file was loaded under another URL as well
  if (!globalThis.document?.getElementById(SETTINGS_ID)) return null;
  const started = start();
  globalThis.DFSignals = facade(started);
  return started;
}

/** The signals of this page; null in one without {% dtws_sio_signals %}. */
export const signals = startPage();
