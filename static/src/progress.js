/**
 * Show the progress bars of dtws_sio.progress in a page.
 *
 *     import { ProgressBar } from "{% static 'dtws_sio/progress.js' %}";
 *     const bar = new ProgressBar(socket, document.getElementById("rows"), { bar: "rows", cancel: true });
 *     bar.on("done", () => location.reload());
 *
 * or, where no script is wanted, <sio-progress namespace="/import" bar="rows" cancel></sio-progress>.
 *
 * The file goes from values to pixels: what the events make of a bar's values (pure functions), how they are put into
 * words, the engines that draw them, ProgressBar that joins a socket and an engine, and the element.
 * docs/progress-page.rst is the guide; the server's side is dtws_sio/progress/.
 */

const PATIENCE = 10_000; // milliseconds to wait for an acknowledgement
const RECONNECT_AFTER = [1000, 3000]; // milliseconds, at random between these, after the server closed the connection

/** The events of the wire that concern a bar, in the order in which they can come. */
export const EVENTS = Object.freeze([
  "before_init", "init", "after_init", "before_update", "update", "after_update", "done", "failed", "cancelled",
  "refused",
]);

// From events to values

/** What a bar is before anything is known about it. "waiting" also means that its job has not begun. */
export const UNKNOWN = Object.freeze({
  state: "waiting",
  indeterminate: false,
  min: 0,
  max: 100,
  current: 0,
  label: "",
  rate: null,
  remaining: null,
  message: "",
});

const finite = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
const text = (value, otherwise) => (value === undefined || value === null ? otherwise : String(value));

function started(values, data) {
  const min = finite(data.min, UNKNOWN.min);
  const max = finite(data.max, UNKNOWN.max);
  const indeterminate = data.indeterminate === true || max <= min;
  const current = finite(data.current, min);
  const hasBegun = data.status === undefined ? indeterminate || current !== min : data.status !== "idle";
  return {
    ...UNKNOWN,
    state: hasBegun ? "running" : "waiting",
    indeterminate,
    min,
    max,
    current,
    label: "label" in data ? text(data.label, "") : values.label,
    ...pace(data),
  };
}

const moved = (values, data) => ({
  ...values,
  current: finite(data.current, values.current),
  label: text(data.label, values.label),
});

const pace = (data) => ({ rate: finite(data.rate, null), remaining: finite(data.remaining, null) });
const ended = (values, data, state) => ({ ...moved(values, data), ...pace({}), state, message: text(data.message, "") });

const CHANGES = {
  init: started,
  update: (values, data) => ({ ...moved(values, data), ...pace(data), state: resumed(values.state) }),
  done: (values, data) => ended(values, data, "done"),
  failed: (values, data) => ended(values, data, "failed"),
  cancelled: (values, data) => ended(values, data, "cancelled"),
  refused: (values, data) => ({ ...values, state: "refused", message: text(data.message, "") }),
};

const ENDS = new Set(["done", "failed", "cancelled"]);
const resumed = (state) => (ENDS.has(state) ? state : "running");

/**
 * Tell what an event makes of a bar.
 *
 * A label that is absent from an update stays, and "" clears it; numbers that are none count as absent.
 *
 * @param {object} values a bar's values, such as UNKNOWN.
 * @param {string} event one of EVENTS; those before and after another change nothing.
 * @param {object} data what came with the event.
 * @returns {object} the new values, frozen.
 */
export function advance(values, event, data) {
  const change = CHANGES[event];
  return change ? Object.freeze(change(values, data)) : values;
}

/** Give the values of a bar that goes on meanwhile or has ended, from the answer to "watch". */
function joined(values, data) {
  const begun = advance(values, "init", data);
  return ENDS.has(data.status) ? advance(begun, data.status, data) : begun;
}

/**
 * Tell how much of a bar is done.
 *
 * @param {object} values a bar's values.
 * @returns {?number} 0 to 1, whatever the numbers are; null while it is unknown.
 */
export function fraction({ state, indeterminate, min, max, current }) {
  if (indeterminate) return state === "done" ? 1 : null;
  return Math.min(1, Math.max(0, finite((current - min) / (max - min), 0)));
}

/**
 * Round how much is done to a percentage, which is 100 only at the end.
 *
 * @param {?number} part what fraction() gave.
 * @param {number} [decimals] how many digits there may be after the point.
 * @returns {?number} 0 to 100, or null.
 */
export function percentage(part, decimals = 0) {
  if (part === null) return null;
  const rounded = Number((part * 100).toFixed(decimals));
  return rounded >= 100 && part < 1 ? Number((100 - 10 ** -decimals).toFixed(decimals)) : rounded;
}

// From values to words

/** What a bar says. Pages in another language change it before they make bars: Object.assign(ProgressBar.strings, {...}). */
const STRINGS = {
  name: "Progress",
  remaining: "about {duration} left",
  done: "Done",
  failed: "Failed",
  failed_because: "Failed: {message}",
  cancelled: "Cancelled",
  disconnected: "Connection lost",
  refused: "Not available: {message}",
  cancel: "Cancel",
  cancel_named: "Cancel: {name}",
  cancelling: "Cancelling…",
  cancel_failed: "Not cancelled: {message}",
  no_answer: "the server does not answer",
};

const fill = (pattern, parts) => pattern.replace(/\{(\w+)\}/g, (whole, key) => parts[key] ?? whole);

/** Below how many seconds a duration is told in which unit, and rounded to what. */
const DURATIONS = [
  { below: 10, unit: "second", size: 1, step: 1 },
  { below: 55, unit: "second", size: 1, step: 5 },
  { below: 55 * 60, unit: "minute", size: 60, step: 1 },
  { below: 22 * 3600, unit: "hour", size: 3600, step: 0.5 },
  { below: Infinity, unit: "day", size: 86400, step: 0.5 },
];

/**
 * Put a duration into words, roughly: "2 minutes".
 *
 * @param {number} seconds how long it takes.
 * @param {string} [locale] a BCP 47 language tag.
 * @returns {string} the words.
 */
export function formatDuration(seconds, locale) {
  const { unit, size, step } = DURATIONS.find(({ below }) => seconds < below) ?? DURATIONS.at(-1);
  const amount = Math.max(step, Math.round(seconds / size / step) * step);
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(amount);
}

/**
 * Put a percentage into a text.
 *
 * @param {(string|Function)} format a text with {progress}, {{progress}}, {percent} or {{percent}} in it, or a function
 *     that is given the number as text and the values and returns the text.
 * @param {string} number the percentage, as the page's language writes it.
 * @param {object} [values] handed to the function.
 * @returns {string} the text.
 */
export function formatProgression(format, number, values) {
  if (typeof format === "function") return String(format(number, values));
  return format.replace(/\{\{ *(?:progress|percent) *\}\}|\{ *(?:progress|percent) *\}/g, () => number);
}

function localeOf(container, given) {
  if (given !== null) return knownLocale(given) ?? fault(`locale ${show(given)} is no language tag; use one such as "en-GB"`);
  return knownLocale(container.closest("[lang]")?.lang);
}

function knownLocale(tag) {
  try {
    return Intl.getCanonicalLocales(tag || [])[0];
  } catch {
    return undefined; // the browser's own language then
  }
}

// Engines

function fault(message) {
  throw new TypeError(message);
}

function show(value) {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

const isElement = (value) => typeof HTMLElement === "function" && value instanceof HTMLElement;

function requireElement(value) {
  return isElement(value) ? value : fault(`the container has to be an HTML element, not ${show(value)}`);
}

function requireClasses(name, value) {
  if (!Array.isArray(value)) fault(`${name} has to be an array of class names, not ${show(value)}`);
}

const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

function make(tag, classes = [], content = "") {
  const element = document.createElement(tag);
  element.classList.add(...classes);
  element.textContent = content;
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === "") element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

/**
 * Draw a bar; the base of all engines.
 *
 * A custom engine extends it with three methods: createElements(), updateProgression(values), updateLabel(label); and
 * lists options of its own in `static defaults = { ...ProgressEngine.defaults, thickness: 4 }`. What it is shown, `values`,
 * is frozen: `state` ("waiting", "running", "done", "failed", "cancelled", "disconnected", "refused"), `indeterminate`,
 * `min`, `max`, `current`, `label`, `rate`, `remaining` and `message` as the server told; `fraction`, 0 to 1 or null while
 * unknown; `progression`, the same in percent and rounded; `number`, that as text; `name`, what the bar is for.
 */
export class ProgressEngine {
  static defaults = {
    label_visible: true,
    label_classes: ["progressbar-label"],
    label_position: "top",
    progression_visible: true,
    progression_format: "{{progress}}%",
  };

  #values = null;
  #nodes = [];

  /**
   * @param {HTMLElement} container what the bar is drawn in.
   * @param {object} [options] keys of `defaults`.
   * @throws {TypeError} if the container is no element, or an option unknown or unusable.
   */
  constructor(container, options = {}) {
    const { defaults } = this.constructor;
    for (const name of Object.keys(options)) {
      if (Object.hasOwn(defaults, name)) continue;
      fault(`unknown option ${show(name)}; known are ${Object.keys({ ...OPTIONS, ...defaults }).join(", ")}`);
    }
    this.container = requireElement(container);
    this.options = Object.freeze({ ...defaults, ...given(options) });
    const { progression_format: format, label_classes: classes } = this.options;
    if (typeof format !== "string" && typeof format !== "function") {
      fault(`progression_format has to be a text such as "{progress}%" or a function, not ${show(format)}`);
    }
    requireClasses("label_classes", classes);
  }

  /** What was drawn last; null before that. */
  get values() {
    return this.#values;
  }

  /** Put the engine's elements into the container. */
  render() {
    this.#nodes = [this.createElements()].flat();
    this.container.append(...this.#nodes);
  }

  /** Take them out again. */
  remove() {
    this.#nodes.forEach((node) => node.remove());
  }

  /**
   * Draw.
   *
   * @param {object} values see above.
   */
  update(values) {
    this.#values = values;
    this.updateProgression(values);
    this.updateLabel(values.label);
  }

  /**
   * Make the elements, in the order in which they go into the container.
   *
   * @returns {(Node|Node[])}
   */
  createElements() {
    return this.#missing("createElements");
  }

  /**
   * Draw how much is done.
   *
   * @param {object} values see above.
   */
  updateProgression(values) {
    return this.#missing("updateProgression", values);
  }

  /**
   * Show the label.
   *
   * @param {string} label "" for none.
   */
  updateLabel(label) {
    return this.#missing("updateLabel", label);
  }

  #missing(method) {
    throw new Error(`${this.constructor.name} has to implement ${method}(); see ProgressEngine`);
  }

  /** Give the text of the percentage; "" while that is unknown. */
  progressionText(values) {
    return values.number === "" ? "" : formatProgression(this.options.progression_format, values.number, values);
  }

  /** Tell assistive technology what an element shows: role, name and values of a progress bar. */
  describe(element, values) {
    const isKnown = values.fraction !== null;
    const [min, max, now] = values.indeterminate ? [0, 1, values.fraction] : [values.min, values.max, values.current];
    setAttributes(element, {
      role: "progressbar",
      "aria-label": values.name,
      "aria-valuemin": isKnown ? min : null,
      "aria-valuemax": isKnown ? max : null,
      "aria-valuenow": isKnown ? Math.min(max, Math.max(min, now)) : null,
      "aria-valuetext": [this.progressionText(values), values.label].filter(Boolean).join(", "),
    });
  }

  /** Make the element for the label, as the options want it. */
  makeLabel() {
    const label = make("span", ["sio-progress-label", ...this.options.label_classes]);
    label.dir = "auto"; // a label may be in another script than the page
    label.hidden = !this.options.label_visible;
    return label;
  }

  /** Put the label above or below the rest, as the options want it. */
  withLabel(label, rest) {
    return this.options.label_position === "top" ? [label, rest] : [rest, label];
  }
}

/** Draw with the browser's own element: <progress>. */
export class Html5Engine extends ProgressEngine {
  static defaults = { ...ProgressEngine.defaults, progression_position: "right" };

  createElements() {
    this.label = this.makeLabel();
    this.bar = make("progress", ["progress-bar"]);
    this.number = make("span", ["sio-progress-number"]);
    this.number.hidden = !this.options.progression_visible;
    this.number.setAttribute("aria-hidden", "true"); // the bar says it
    const box = make("div", ["progress", "sio-progress-line"]);
    box.append(...(this.options.progression_position === "left" ? [this.number, this.bar] : [this.bar, this.number]));
    return this.withLabel(this.label, box);
  }

  updateProgression(values) {
    this.number.textContent = this.progressionText(values);
    setAttributes(this.bar, this.#range(values));
    this.describe(this.bar, values);
  }

  // The element's range starts at 0, always.
  #range({ indeterminate, fraction: part, min, max }) {
    if (part === null) return { max: null, value: null };
    const size = indeterminate ? 1 : max - min;
    return { max: size, value: part * size };
  }

  updateLabel(label) {
    this.label.textContent = label;
  }
}

/** What Bootstrap calls things, by its version; and whether the whole bar or its filled part has the role. */
const BOOTSTRAP = {
  3: { context: (name) => [`progress-bar-${name}`], animated: "active", hidden: "sr-only", roleOnTrack: false },
  4: { context: (name) => [`bg-${name}`], animated: "progress-bar-animated", hidden: "sr-only", roleOnTrack: false },
  5: {
    context: (name) => [`bg-${name}`, `text-bg-${name}`], // the second, since 5.2, has a legible colour of text
    animated: "progress-bar-animated",
    hidden: "visually-hidden",
    roleOnTrack: true,
  },
};

const CONTEXTS = ["info", "success", "warning", "danger"];

/** Draw with Bootstrap's classes; without its stylesheet the bar looks like the other engine's. */
export class BootstrapEngine extends ProgressEngine {
  static defaults = {
    ...ProgressEngine.defaults,
    progression_format: "{{progress}} %",
    progressbar_context: "info",
    progressbar_striped: false,
    progressbar_animated: false,
    done_context: "success",
    failed_context: "danger",
    cancelled_context: "warning",
    bootstrap_version: 5,
  };

  constructor(container, options) {
    super(container, options);
    const { bootstrap_version: version } = this.options;
    this.names = Object.hasOwn(BOOTSTRAP, version) ? BOOTSTRAP[version] : fault(`bootstrap_version is 3, 4 or 5, not ${show(version)}`);
  }

  createElements() {
    this.label = this.makeLabel();
    this.number = make("span", this.options.progression_visible ? [] : [this.names.hidden, "sio-progress-hidden"]);
    this.bar = make("div", ["progress-bar"]);
    this.bar.append(this.number);
    this.track = make("div", ["progress", "sio-progress-track"]);
    this.track.append(this.bar);
    return this.withLabel(this.label, this.track);
  }

  updateProgression(values) {
    const isUnknown = values.fraction === null;
    const isMoving = isUnknown && values.state === "running";
    const { progressbar_striped: striped, progressbar_animated: animated } = this.options;
    this.number.textContent = this.progressionText(values);
    this.bar.style.setProperty("width", isUnknown ? "100%" : `${Number((values.fraction * 100).toFixed(2))}%`);
    this.bar.classList.toggle("progress-bar-striped", striped || isUnknown);
    this.bar.classList.toggle(this.names.animated, (striped && animated) || isMoving);
    this.#paint(this.options[`${values.state}_context`] || this.options.progressbar_context);
    this.describe(this.names.roleOnTrack ? this.track : this.bar, values);
  }

  #paint(context) {
    for (const each of CONTEXTS) {
      for (const name of this.names.context(each)) this.bar.classList.toggle(name, each === context);
    }
  }

  updateLabel(label) {
    this.label.textContent = label;
  }
}

// The line below a bar: remaining time, how it ended, the button

class Footer {
  #strings;
  #locale;
  #problem = "";
  #isCancelling = false;

  constructor({ strings, locale, remaining, cancel, cancel_classes: classes, accessible_name: name }, onCancel) {
    this.#strings = strings;
    this.#locale = locale;
    this.remaining = make("span", ["sio-progress-remaining"]);
    this.remaining.hidden = !remaining;
    this.status = make("span", ["sio-progress-status"]);
    this.status.dir = "auto";
    this.status.setAttribute("role", "status"); // read out when it changes, after what is being said
    this.element = make("div", ["sio-progress-footer"]);
    this.element.append(this.remaining, this.status);
    if (cancel) this.#addButton(name, ["sio-progress-cancel", ...classes], onCancel);
  }

  #addButton(name, classes, onCancel) {
    this.button = make("button", classes, this.#strings.cancel);
    this.button.type = "button";
    if (name) this.button.setAttribute("aria-label", fill(this.#strings.cancel_named, { name }));
    this.button.addEventListener("click", onCancel);
    this.element.append(this.button);
  }

  update(values) {
    const isRunning = values.state === "running";
    const duration = values.remaining === null ? "" : formatDuration(values.remaining, this.#locale);
    this.remaining.textContent = isRunning && duration ? fill(this.#strings.remaining, { duration }) : "";
    if (!isRunning && values.state !== "disconnected") this.#isCancelling = false;
    this.#say(isRunning ? this.#problem : this.#verdict(values));
    this.#showButton(values.state);
  }

  #verdict({ state, message }) {
    if (state === "failed" && message) return fill(this.#strings.failed_because, { message });
    return fill(this.#strings[state] ?? "", { message });
  }

  // Text that is the same is not written again: some screen readers would read it out again.
  #say(words) {
    if (this.status.textContent !== words) this.status.textContent = words;
  }

  #showButton(state) {
    if (!this.button) return;
    this.button.hidden = state !== "running" && state !== "disconnected";
    this.button.disabled = this.#isCancelling || state === "disconnected";
    this.button.textContent = this.#isCancelling ? this.#strings.cancelling : this.#strings.cancel;
  }

  /** Show that it has been asked to cancel, and is not answered yet, or was refused with a reason. */
  asked(isCancelling, problem = "") {
    this.#isCancelling = isCancelling;
    this.#problem = problem && fill(this.#strings.cancel_failed, { message: problem });
  }
}

// Sockets

const SETTINGS_ID = "dtws-sio"; // dtws_sio/templatetags/dtws_sio.py writes the element
const REMEDY = "put {% load dtws_sio %}{% dtws_sio_scripts %} into the page's template, or hand over a socket";
const opened = new Map();

const isSocket = (value) => ["on", "off", "emit", "timeout"].every((method) => typeof value?.[method] === "function");

/** Give the socket of a namespace; all bars of a page share it. A page's own `connect()` (connect.js) opens another. */
function socketFor(target) {
  if (isSocket(target)) return target;
  if (typeof target !== "string" && target !== undefined) {
    fault(`a bar needs the official client's socket, or a namespace such as "/chat", not ${show(target)}`);
  }
  const settings = pageSettings();
  const namespace = (target ?? settings.namespace ?? "/").trim().replace(/^(?!\/)/, "/");
  if (/^\/\/|[,?#]/.test(namespace)) throw new Error(`${show(target)} cannot be a namespace; use one such as "/chat"`);
  if (!opened.has(namespace)) opened.set(namespace, openSocket(namespace, settings));
  return opened.get(namespace);
}

function pageSettings() {
  const block = document.getElementById(SETTINGS_ID);
  if (!block || typeof globalThis.io !== "function") {
    throw new Error(`the official Socket.IO client or the page's settings are missing: ${REMEDY}`);
  }
  return JSON.parse(block.textContent);
}

// connect.js does the same for those who write scripts; these files have no way to share code.
function openSocket(namespace, { path, csrf_token: token }) {
  const socket = globalThis.io(namespace, { path, ...(token === undefined ? {} : { auth: { csrf_token: token } }) });
  socket.on("disconnect", (reason) => {
    if (reason !== "io server disconnect") return; // the client itself tries again after anything else
    const [least, most] = RECONNECT_AFTER;
    setTimeout(() => socket.connect(), least + (most - least) * Math.random());
  });
  return socket;
}

/** How many bars of the page watch a named bar: the last one tells the server. */
const watchers = new WeakMap();

function countWatchers(socket, bar, change) {
  const counts = watchers.get(socket) ?? new Map();
  watchers.set(socket, counts);
  counts.set(bar, (counts.get(bar) ?? 0) + change);
  return counts.get(bar);
}

// The bar

const BARS = new WeakMap();

/** What "watch" is answered while this client has no bar of that name; the second, if only others have one. */
const NOT_YET = new Set(["unknown_bar", "permission_denied"]);

const OPTIONS = Object.freeze({
  bar: null,
  engine: "html5",
  cancel: false,
  cancel_classes: [],
  remaining: true,
  decimals: 0,
  locale: null,
  accessible_name: "",
  strings: {},
});

function readOptions(options, container) {
  const all = { ...OPTIONS, ...options, strings: { ...ProgressBar.strings, ...options.strings } };
  const { bar, decimals, locale } = all;
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > 10) {
    fault(`decimals has to be a whole number from 0 to 10, not ${show(decimals)}`);
  }
  requireClasses("cancel_classes", all.cancel_classes);
  return Object.freeze({ ...all, bar: bar === null ? null : String(bar), locale: localeOf(container, locale) });
}

/**
 * A bar of the server, shown in an element of the page.
 *
 * It is an EventTarget: listeners for EVENTS and for "state" get a CustomEvent whose `detail` is what the server sent,
 * or { state, before }. They come on top of what the bar does itself.
 */
export class ProgressBar extends EventTarget {
  /** What all bars of the page say, unless the option `strings` says otherwise. */
  static strings = { ...STRINGS };

  /** The engines that the option `engine` can name; pages add theirs. */
  static engines = { html5: Html5Engine, bootstrap: BootstrapEngine };

  #options;
  #engine = null;
  #footer;
  #number;
  #values = UNKNOWN;
  #view = null;
  #isConnected = true;
  #heard = { init: 0, later: 0 };
  #callbacks = new Map();
  #stop;

  /**
   * @param {(Socket|string)} socketOrNamespace the official client's socket, or the namespace to connect to; undefined for
   *     the page's default namespace.
   * @param {HTMLElement} container the element to show it in.
   * @param {object} [options] those of the engine, and:
   * @param {?string} [options.bar] the name of the bar; null for the namespace's own.
   * @param {(string|Function)} [options.engine] "html5", "bootstrap", or a class that extends ProgressEngine.
   * @param {boolean} [options.cancel] whether there is a button that cancels the job.
   * @param {string[]} [options.cancel_classes] the button's classes, such as Bootstrap's ["btn", "btn-sm"].
   * @param {boolean} [options.remaining] whether the remaining time is shown, once the server knows it.
   * @param {number} [options.decimals] digits after the point of the percentage.
   * @param {?string} [options.locale] language of numbers and durations; that of the page if left out.
   * @param {string} [options.accessible_name] what the bar is for, as screen readers say it.
   * @param {object} [options.strings] replaces single texts of ProgressBar.strings.
   * @throws {TypeError} if an argument or option is unusable; the message names it.
   */
  constructor(socketOrNamespace, container, options = {}) {
    super();
    this.container = requireElement(container);
    if (BARS.has(container)) throw new Error("the container has a bar already; destroy() that first");
    const entries = Object.entries(given(options));
    const own = Object.fromEntries(entries.filter(([name]) => Object.hasOwn(OPTIONS, name)));
    const rest = Object.fromEntries(entries.filter(([name]) => !Object.hasOwn(OPTIONS, name)));
    this.#options = readOptions(own, container);
    this.#number = new Intl.NumberFormat(this.#options.locale, { maximumFractionDigits: this.#options.decimals });
    const engine = this.#makeEngine(this.#options.engine, rest);
    this.socket = socketFor(socketOrNamespace);
    this.#isConnected = this.socket.connected || this.socket.active !== false;
    this.#footer = new Footer(this.#options, () => this.#cancelByButton());
    this.#use(engine);
    this.#dress();
    this.#listen();
  }

  get bar() {
    return this.#options.bar;
  }

  get engine() {
    return this.#engine;
  }

  /** What the engine was last shown; ProgressEngine lists it. */
  get values() {
    return this.#view;
  }

  get state() {
    return this.#view.state;
  }

  get min() {
    return this.#values.min;
  }

  get max() {
    return this.#values.max;
  }

  get current() {
    return this.#values.current;
  }

  get label() {
    return this.#values.label;
  }

  /** How much is done, in percent and rounded; null while that is unknown. */
  get progression() {
    return this.#view.progression;
  }

  // Listeners

  /**
   * Call a function at each event of a kind, besides what the bar does itself.
   *
   * @param {string} event one of EVENTS, or "state".
   * @param {Function} callback is given what the server sent.
   * @returns {ProgressBar} this bar.
   * @throws {TypeError} if there is no such event, or the callback is no function.
   */
  on(event, callback) {
    if (event !== "state" && !EVENTS.includes(event)) fault(`there is no event ${show(event)}; there are ${EVENTS.join(", ")} and state`);
    if (typeof callback !== "function") fault(`the callback for "${event}" has to be a function, not ${show(callback)}`);
    const known = this.#callbacks.get(callback) ?? ((occurred) => callback.call(this, occurred.detail));
    this.#callbacks.set(callback, known);
    this.addEventListener(event, known);
    return this;
  }

  /**
   * Call a function no longer.
   *
   * @param {string} event what it was called at.
   * @param {Function} callback the function.
   * @returns {ProgressBar} this bar.
   */
  off(event, callback) {
    this.removeEventListener(event, this.#callbacks.get(callback) ?? callback);
    return this;
  }

  #tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  // Drawing

  /**
   * Draw with another engine from now on.
   *
   * @param {(string|Function)} engine a name in ProgressBar.engines, or a class that extends ProgressEngine.
   * @param {object} [options] the engine's options.
   * @throws {TypeError} if there is no such engine or option; the present engine stays then.
   */
  setEngine(engine, options = {}) {
    this.#use(this.#makeEngine(engine, options));
  }

  #makeEngine(engine, options) {
    const { engines } = this.constructor;
    const found = typeof engine === "string" && Object.hasOwn(engines, engine) ? engines[engine] : engine;
    if (typeof found !== "function" || !(found.prototype instanceof ProgressEngine)) {
      fault(`engine ${show(engine)} is neither one of ${Object.keys(engines).join(", ")} nor a class that extends ProgressEngine`);
    }
    return new found(this.container, options);
  }

  #use(engine) {
    this.#engine?.remove();
    this.#engine = engine;
    engine.render();
    this.container.append(this.#footer.element);
    this.#draw();
  }

  #dress() {
    BARS.set(this.container, this);
    this.container.classList.add("sio-progress");
    adoptStyles(this.container.getRootNode());
  }

  #draw() {
    const before = this.#view?.state;
    this.#view = this.#viewOf(this.#values);
    this.container.dataset.state = this.#view.state;
    this.#engine.update(this.#view);
    this.#footer.update(this.#view);
    if (before !== undefined && before !== this.#view.state) this.#tell("state", { state: this.#view.state, before });
  }

  #viewOf(values) {
    const part = fraction(values);
    const progression = percentage(part, this.#options.decimals);
    return Object.freeze({
      ...values,
      state: this.#isConnected || ENDS.has(values.state) || values.state === "refused" ? values.state : "disconnected",
      fraction: part,
      progression,
      number: progression === null ? "" : this.#number.format(progression),
      name: this.#options.accessible_name || this.#options.strings.name,
    });
  }

  #change(values) {
    this.#values = Object.freeze(values);
    this.#draw();
  }

  // The wire

  #listen() {
    const listeners = {
      connect: () => this.#onConnect(),
      disconnect: () => this.#onDisconnect(),
      connect_error: (error) => this.#onRefusal(error),
    };
    for (const event of EVENTS) listeners[event] = (data) => this.#receive(event, data);
    for (const [event, listener] of Object.entries(listeners)) this.socket.on(event, listener);
    this.#stop = () => Object.entries(listeners).forEach(([event, listener]) => this.socket.off(event, listener));
    if (this.bar !== null) countWatchers(this.socket, this.bar, 1);
    if (this.socket.connected) this.#watch(); // what everybody is told on connecting has been told already
  }

  #onConnect() {
    this.#isConnected = true;
    this.#footer.asked(false);
    this.#change(this.#values.state === "refused" ? { ...this.#values, state: "waiting", message: "" } : this.#values);
    if (this.bar !== null) this.#watch();
  }

  #onDisconnect() {
    this.#isConnected = false;
    this.#draw();
  }

  #onRefusal(error) {
    this.#isConnected = false;
    if (this.socket.active) this.#draw(); // the client tries again by itself
    else this.#change({ ...this.#values, state: "refused", message: error.message });
  }

  #receive(event, data) {
    const payload = typeof data === "object" && data !== null ? data : {};
    if ((payload.bar ?? null) !== this.bar) return;
    if (event in CHANGES) {
      this.#heard[event === "init" ? "init" : "later"] += 1;
      if (event === "init") this.#footer.asked(false);
      this.#change(advance(this.#values, event, payload));
    }
    this.#tell(event, payload);
  }

  async #watch() {
    const { socket } = this;
    const { id } = socket;
    const before = { ...this.#heard };
    const answer = await this.#ask("watch");
    if (this.#stop === null || socket.id !== id) return; // destroyed, or connected anew, which asked again
    if (answer.error) this.#onUnwatchable(answer.error, before);
    else if (answer.state) this.#join(answer.state, before);
  }

  // Whoever is connected gets the namespace's own bar anyway. What was heard since the question is newer than the answer.
  #onUnwatchable({ code, message }, before) {
    const { state } = this.#values;
    if (this.bar === null || this.#heard.init !== before.init || this.#heard.later !== before.later) return;
    if (!NOT_YET.has(code) && state === "waiting") this.#change({ ...this.#values, state: "refused", message });
    if (NOT_YET.has(code) && state === "running") this.#change(UNKNOWN); // it is another client's since we reconnected
  }

  // Updates and ends heard since the question are newer than the answer, except for the range, which they do not tell.
  #join(state, before) {
    const { current, label, rate, remaining, message, state: known } = this.#values;
    const values = joined(this.#values, state);
    const newer = { current, label: label || values.label, rate, remaining, message, state: known };
    this.#change(this.#heard.later === before.later ? values : { ...values, ...newer });
    if (this.#heard.init === before.init) this.#tell("init", state);
  }

  /** Ask the server about this bar; whatever goes wrong is in `error`, as the server's own refusals are. */
  async #ask(event) {
    try {
      const answer = await this.socket.timeout(PATIENCE).emitWithAck(event, { bar: this.bar });
      return answer ?? {};
    } catch {
      return { error: { code: "no_answer", message: this.#options.strings.no_answer } };
    }
  }

  /**
   * Ask the server to cancel the job; the bar shows when it has been.
   *
   * @returns {Promise<object>} the acknowledgement.
   * @throws {Error} if the server refuses, with its `code`, or does not answer.
   */
  async cancel() {
    const { error, ...answer } = this.socket.connected
      ? await this.#ask("cancel")
      : { error: { code: "disconnected", message: this.#options.strings.disconnected } };
    if (error) throw Object.assign(new Error(error.message), { code: error.code });
    return answer;
  }

  async #cancelByButton() {
    this.#footer.asked(true);
    this.#draw();
    try {
      await this.cancel();
    } catch (error) {
      this.#footer.asked(false, error.message);
      this.#draw();
    }
  }

  /** Empty the container and listen no longer; the socket stays open. */
  destroy() {
    if (this.#stop === null) return;
    this.#stop();
    this.#stop = null;
    if (this.bar !== null && countWatchers(this.socket, this.bar, -1) === 0 && this.socket.connected) {
      this.socket.emit("unwatch", { bar: this.bar });
    }
    this.#engine.remove();
    this.#footer.element.remove();
    this.container.classList.remove("sio-progress");
    delete this.container.dataset.state;
    BARS.delete(this.container);
  }
}

// The element

const READERS = {
  boolean: (value) => value !== "false",
  number: Number,
  string: String,
  array: (value) => value.split(/\s+/).filter(Boolean),
  object: JSON.parse,
};

const kindOf = (value) => (Array.isArray(value) ? "array" : value === null ? "string" : typeof value);

function readAttributes(element, defaults) {
  const options = {};
  for (const [name, value] of Object.entries(defaults)) {
    const written = element.getAttribute(name.replaceAll("_", "-"));
    if (written !== null) options[name] = READERS[kindOf(value)](written);
  }
  return options;
}

/**
 * <sio-progress namespace="/import" bar="rows">: a ProgressBar without a script.
 *
 * Options are attributes, with "-" for "_": label-position="bottom", cancel, remaining="false"; classes have spaces between
 * them, and strings='{"done": "Fertig"}' is JSON. Events of the bar are dispatched on the element as well, and do not
 * bubble.
 */
export class ProgressElement extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["namespace", "bar", "engine"];

  #bar = null;
  #socket = undefined;

  /** The ProgressBar; null while the element is not in a document. */
  get progressBar() {
    return this.#bar;
  }

  /** The socket; set before the element is inserted, it is used instead of one for the attribute `namespace`. */
  get socket() {
    return this.#bar?.socket ?? this.#socket;
  }

  set socket(socket) {
    this.#socket = socket;
    this.#renew();
  }

  connectedCallback() {
    this.#renew();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback() {
    if (this.#bar) this.#renew();
  }

  #end() {
    this.#bar?.destroy();
    this.#bar = null;
  }

  #renew() {
    this.#end();
    if (!this.isConnected) return;
    const engine = ProgressBar.engines[this.getAttribute("engine") ?? OPTIONS.engine];
    const options = readAttributes(this, { ...engine?.defaults, ...OPTIONS });
    const target = this.#socket ?? this.getAttribute("namespace") ?? undefined;
    this.#bar = new ProgressBar(target, this, options);
    for (const event of [...EVENTS, "state"]) {
      this.#bar.on(event, (detail) => this.dispatchEvent(new CustomEvent(event, { detail })));
    }
  }
}

// Styles

/**
 * They are in a cascade layer, so that any rule of the page wins, Bootstrap's included; and in a constructed stylesheet,
 * which needs no exception from a Content-Security-Policy. Colours stand out from white and from black alike.
 *
 * The last rules are in no layer: Bootstrap means other things by the classes that the HTML5 engine has always had.
 */
const STYLES = `
@layer dtws-sio {
  .sio-progress {
    --_fill: var(--sio-progress-color, #2672d3);
    display: block;
  }
  .sio-progress[data-state=done] { --_fill: var(--sio-progress-done, #1a7f45); }
  .sio-progress[data-state=failed], .sio-progress[data-state=refused] { --_fill: var(--sio-progress-failed, #c93a32); }
  .sio-progress[data-state=cancelled], .sio-progress[data-state=disconnected] { --_fill: var(--sio-progress-cancelled, #6a747e); }
  .sio-progress-label { display: block; margin-block-end: .25em; overflow-wrap: anywhere; text-align: -webkit-match-parent; text-align: match-parent; }
  .sio-progress-label:empty { display: none; }
  :is(.sio-progress-line, .sio-progress-track) + .sio-progress-label { margin-block: .25em 0; }
  .sio-progress [hidden] { display: none; }
  .sio-progress-line { display: flex; align-items: center; gap: .6em; }
  .sio-progress-number { min-inline-size: 3em; text-align: end; font-variant-numeric: tabular-nums; }
  .sio-progress-number:first-child { text-align: start; }
  .sio-progress-number:empty { display: none; }
  .sio-progress progress {
    appearance: none;
    flex: 1;
    min-inline-size: 0;
    border: 0;
    border-radius: 99px;
    overflow: hidden;
  }
  .sio-progress progress::-webkit-progress-bar { background: transparent; }
  .sio-progress progress::-webkit-progress-value { background: var(--_fill); border-radius: 99px; transition: inline-size .2s; }
  .sio-progress progress::-moz-progress-bar { background: var(--_fill); border-radius: 99px; }
  .sio-progress progress:indeterminate::-moz-progress-bar { background: transparent; }
  .sio-progress progress:not([value]), .sio-progress-track > .progress-bar-striped {
    background-image: linear-gradient(45deg, rgb(255 255 255 / 28%) 25%, transparent 25% 50%, rgb(255 255 255 / 28%) 50% 75%, transparent 75%);
    background-size: 1.25em 1.25em;
  }
  .sio-progress-track {
    display: flex;
    block-size: var(--sio-progress-size, 1.5em);
    border-radius: .4em;
    overflow: hidden;
    font-size: .8em;
    background: var(--sio-progress-track, color-mix(in srgb, currentcolor 16%, transparent));
  }
  .sio-progress-track > .progress-bar {
    display: flex;
    align-items: center;
    justify-content: center;
    overflow: hidden;
    white-space: nowrap;
    color: var(--sio-progress-text, #fff);
    background-color: var(--_fill);
    transition: width .2s;
  }
  .sio-progress-hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  .sio-progress-footer { display: flex; align-items: center; gap: .75em; margin-block-start: .3em; font-size: .875em; }
  .sio-progress-remaining:empty { display: none; }
  .sio-progress-remaining, .sio-progress-status { overflow-wrap: anywhere; text-align: -webkit-match-parent; text-align: match-parent; }
  .sio-progress-status { flex: 1; min-inline-size: 0; }
  .sio-progress-cancel { flex: none; }
  .sio-progress[data-state=disconnected] :is(.sio-progress-line, .sio-progress-track) { opacity: .6; }
  @media (prefers-reduced-motion: no-preference) {
    .sio-progress[data-state=running] progress:not([value]), .sio-progress-track > :is(.progress-bar-animated, .active) {
      animation: sio-progress-move 1s linear infinite;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .sio-progress progress::-webkit-progress-value, .sio-progress-track > .progress-bar { transition: none; }
  }
  @media (forced-colors: active) {
    .sio-progress[data-state] { --_fill: Highlight; }
    .sio-progress :is(progress, .progress-bar) { forced-color-adjust: none; }
    .sio-progress-track > .progress-bar { background-color: Highlight; color: HighlightText; }
    .sio-progress :is(progress, .sio-progress-track) { border: 1px solid CanvasText; }
  }
  @keyframes sio-progress-move { from { background-position-x: 1.25em; } to { background-position-x: 0; } }
}
.sio-progress > .sio-progress-line { block-size: auto; margin: 0; overflow: visible; font-size: inherit; background: none; box-shadow: none; }
.sio-progress progress.progress-bar {
  block-size: var(--sio-progress-size, .75em);
  font-size: inherit;
  color: inherit;
  background-color: var(--sio-progress-track, color-mix(in srgb, currentcolor 16%, transparent));
  box-shadow: none;
}
.sio-progress progress.progress-bar:not([value]) { background-color: var(--_fill); }`;

let sheet = null;

/** Give a document or shadow root the styles, once. */
function adoptStyles(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
  }
  const target = "adoptedStyleSheets" in root ? root : document; // a container may not be in the document yet
  if (!target.adoptedStyleSheets.includes(sheet)) target.adoptedStyleSheets = [...target.adoptedStyleSheets, sheet];
}

// Last of all: elements that are in the page already come to life here.
if (globalThis.customElements && !customElements.get("sio-progress")) customElements.define("sio-progress", ProgressElement);
