/* The page of chat/sockets.py; the events and what they carry are listed there. */

import { connect } from "dtws_sio/connect";
import { keepConnected, showConnection } from "home/connection";

const PATIENCE = 10_000; // milliseconds to wait for an acknowledgement
const MOST_LINES = 500; // kept on the page; the oldest go first
const NAME_KEY = "chat.guest-name"; // in sessionStorage: each tab can be another guest

const byId = (id) => document.getElementById(id);
const page = byId("chat");
const list = byId("messages");
const scroll = byId("scroll");
const input = byId("message-text");

let wanted = page.dataset.room; // the room to be in, also after a reconnect
let joined = null; // the room the server has us in
let you = null;
const members = new Map();

const socket = connect("/chat", {
  autoConnect: false,
  auth: (send) => send({ name: sessionStorage.getItem(NAME_KEY) }),
});

// Connecting

showConnection(socket, byId("state"));
keepConnected(socket);

socket.on("connect", () => {
  byId("guest-form").hidden = true;
  join();
});

socket.on("disconnect", () => {
  joined = null;
  refreshForm();
});

socket.on("connect_error", (error) => {
  if (socket.active) return; // no answer yet: the client tries again by itself
  sessionStorage.removeItem(NAME_KEY);
  askForName(error.message); // the server refused, and says why
});

function askForName(reason = "") {
  you = null;
  refreshForm();
  byId("guest-form").hidden = false;
  byId("refusal").textContent = reason;
  byId("guest-name").focus();
}

byId("guest-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(NAME_KEY, byId("guest-name").value);
  byId("refusal").textContent = "";
  socket.connect();
});

byId("change-name").addEventListener("click", () => {
  sessionStorage.removeItem(NAME_KEY);
  socket.disconnect();
  empty();
  askForName();
});

// Rooms

async function join() {
  const room = wanted;
  joined = null;
  refreshForm();
  try {
    const answer = await call("join", { room });
    if (room !== wanted) return; // another room was chosen meanwhile
    joined = room;
    show(answer);
  } catch (error) {
    if (socket.connected && room === wanted) problem(error.message);
  }
  refreshForm();
}

function show({ room, you: self, history, members: people }) {
  you = self;
  byId("room-name").textContent = room.name;
  members.clear();
  people.forEach((person) => members.set(key(person), person));
  showMembers();
  list.setAttribute("aria-busy", "true"); // not read out line by line
  history.forEach((message) => showMessage(message));
  list.setAttribute("aria-busy", "false");
  problem("");
  toNewest();
}

function goTo(slug) {
  if (slug === wanted) return;
  wanted = slug;
  empty();
  for (const link of byId("rooms").querySelectorAll("a")) {
    if (link.dataset.room === slug) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (socket.connected) join();
}

function empty() {
  list.replaceChildren();
  members.clear();
  showMembers();
}

byId("rooms").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState({ room: link.dataset.room }, "", link.href);
  goTo(link.dataset.room);
});

history.replaceState({ room: wanted }, "");
addEventListener("popstate", ({ state }) => state?.room && goTo(state.room));

// Who is here

const key = ({ name, guest }) => `${guest ? "guest" : "user"} ${name}`;

socket.on("joined", ({ room, ...person }) => {
  if (room !== wanted) return;
  members.set(key(person), person);
  showMembers();
  showNotice(`${person.name} joined`);
});

socket.on("left", ({ room, ...person }) => {
  if (room !== wanted) return;
  members.delete(key(person));
  showMembers();
  showNotice(`${person.name} left`);
});

function showMembers() {
  const people = [...members.values()].sort((a, b) => a.name.localeCompare(b.name));
  byId("member-count").textContent = people.length;
  byId("members").replaceChildren(...people.map(memberLine));
}

function memberLine(person) {
  const line = element("li", isYou(person) ? "you" : "");
  line.append(avatar(person), element("span", "name", person.name));
  if (isYou(person)) line.append(element("span", "tag", "you"));
  else if (person.guest) line.append(element("span", "tag", "guest"));
  return line;
}

const isYou = ({ name, guest }) => you !== null && you.name === name && you.guest === guest;

// Messages

socket.on("new_message", (message) => {
  if (message.room !== wanted) return;
  const person = { name: message.author, guest: message.guest };
  keepingPlace(() => showMessage(message), isYou(person));
});

socket.on("announcement", ({ text, created }) => keepingPlace(() => {
  const line = element("li", "announcement");
  line.append(element("strong", "", "Announcement"), element("p", "", text), time(created));
  list.append(line);
}));

/** Put a message where its id belongs; one that is there already, seen before a reconnect, is left alone. */
function showMessage(message) {
  const later = [...list.querySelectorAll("[data-id]")].reverse();
  let before = null;
  for (const line of later) {
    if (Number(line.dataset.id) === message.id) return;
    if (Number(line.dataset.id) < message.id) break;
    before = line;
  }
  list.insertBefore(messageLine(message), before);
  while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
}

function messageLine({ id, author, guest, text, created }) {
  const person = { name: author, guest };
  const line = element("li", isYou(person) ? "message mine" : "message");
  line.dataset.id = id;
  const head = element("div", "head");
  head.append(element("span", "author", author));
  if (guest) head.append(element("span", "tag", "guest"));
  head.append(time(created));
  line.append(avatar(person), head, element("p", "text", text));
  return line;
}

function showNotice(text) {
  keepingPlace(() => list.append(element("li", "notice", text)));
}

// Sending

byId("message-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = input.value;
  if (!text.trim() || input.readOnly) return;
  if (!joined) return problem("Not connected: your message stays here until you can send it.");
  input.readOnly = true;
  try {
    await call("message", { text });
    input.value = "";
    problem("");
  } catch (error) {
    problem(`Not sent: ${error.message}`); // the text stays in the field
  }
  input.readOnly = false;
});

input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("message-form").requestSubmit();
});

function refreshForm() {
  byId("send").disabled = !joined;
  byId("as").textContent = you ? `You are ${you.name}${you.guest ? ", a guest" : ""}.` : "";
  byId("change-name").hidden = !you?.guest;
}

function problem(text) {
  byId("problem").textContent = text;
}

/** Emit, and return what the handler returned; what the library or an EventError answered instead is thrown. */
async function call(event, ...data) {
  const answer = await socket.timeout(PATIENCE).emitWithAck(event, ...data);
  if (answer?.error) throw new Error(answer.error.message);
  return answer;
}

// Staff

byId("announce-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
  byId("announce-result").value = answer?.ok ? "Announced." : "That did not work.";
  if (answer?.ok) form.text.value = "";
});

// Scrolling: follow the newest line, unless the reader has gone up

let follows = true;

function keepingPlace(change, follow = false) {
  change();
  if (follows || follow) toNewest();
  else byId("newest").hidden = false;
}

function toNewest() {
  scroll.scrollTop = scroll.scrollHeight;
  follows = true;
  byId("newest").hidden = true;
}

byId("newest").addEventListener("click", toNewest);
scroll.addEventListener("scroll", () => {
  follows = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  if (follows) byId("newest").hidden = true;
});
new ResizeObserver(() => follows && toNewest()).observe(scroll); // a phone's keyboard opens, a long message is typed

// Elements: textContent only, so that nothing anyone writes becomes markup

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function avatar({ name, guest }) {
  const made = element("span", "avatar", [...name][0].toUpperCase());
  made.setAttribute("aria-hidden", "true");
  made.dataset.tone = guest ? "guest" : [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 0) % 6;
  return made;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function time(created) {
  const date = new Date(created);
  const isToday = date.toDateString() === new Date().toDateString();
  const made = element("time", "", (isToday ? CLOCK : CALENDAR).format(date));
  made.dateTime = created;
  made.title = CALENDAR.format(date);
  return made;
}

// Start

refreshForm();
if (page.dataset.user || sessionStorage.getItem(NAME_KEY)) {
  socket.connect();
} else {
  byId("state").dataset.state = "refused";
  byId("state").textContent = "not connected";
  askForName();
}
