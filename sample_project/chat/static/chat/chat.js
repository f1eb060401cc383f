/* The page of chat/sockets.py; the events and what they carry are listed there. */

import { connect } from "dtws_sio/connect";
import { keepConnected, showConnection } from "home/connection";

const PATIENCE = 10_000; // milliseconds to wait for an acknowledgement
const MOST_LINES = 500; // kept on the page; the oldest go first

const byId = (id) => document.getElementById(id);
const page = byId("chat");
const list = byId("messages");
const scroll = byId("scroll");
const input = byId("message-text");

let wanted = page.dataset.room; // the room to be in, also after a reconnect
let joined = null; // the room the server has us in
let you = null;
let mute = null; // why we may not write
const members = new Map();

const socket = connect("/chat", { autoConnect: false });

// Connecting

showConnection(socket, byId("state"));
keepConnected(socket);

socket.on("connect", () => join());

socket.on("disconnect", () => {
  joined = null;
  refreshForm();
});

socket.on("connect_error", (error) => {
  if (!socket.active) shut(error.message); // the server refused, and says why; else the client tries again by itself
});

/** Show why there is nothing to see here any more. */
function shut(reason) {
  joined = null;
  empty();
  refreshForm();
  byId("closed-reason").textContent = reason;
  byId("closed").hidden = false;
  byId("closed").focus();
}

byId("change-name").addEventListener("click", () => {
  byId("guest-form").hidden = false;
  byId("guest-form").elements.name.select();
});

// Rooms

async function join() {
  const room = wanted;
  joined = null;
  refreshForm();
  try {
    const answer = await call("join", room);
    if (room !== wanted) return; // another room was chosen meanwhile
    joined = answer.room;
    show(answer);
  } catch (error) {
    if (socket.connected && room === wanted) problem(error.message);
  }
  refreshForm();
}

function show({ room, you: self, history, members: people }) {
  you = self;
  byId("closed").hidden = true;
  byId("room-name").textContent = room.name;
  members.clear();
  people.forEach((person) => members.set(person.id, person));
  showMembers();
  list.setAttribute("aria-busy", "true"); // not read out line by line
  history.forEach((message) => showMessage(message));
  list.setAttribute("aria-busy", "false");
  problem("");
  toNewest();
}

function goTo(slug) {
  if (slug === wanted) return;
  if (socket.connected) socket.emit("leave", wanted);
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

socket.on("removed", ({ room }) => {
  if (room === "moderators") showSanctions([], false);
  if (room !== joined?.id) return;
  byId("rooms").querySelector("[aria-current]")?.closest("li").remove();
  shut(`You may not be in the room “${joined.name}” any more.`);
});

// Who is here

socket.on("presence_joined", ({ room, who }) => {
  if (room !== joined?.id) return;
  members.set(who.id, who);
  showMembers();
  showNotice(`${who.name} joined`);
});

socket.on("presence_left", ({ room, who }) => {
  if (room !== joined?.id) return;
  members.delete(who.id);
  showMembers();
  showNotice(`${who.name} left`);
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
  if (moderates && !isYou(person)) line.append(button("⋯", `Moderate ${person.name}`, () => moderate(person)));
  return line;
}

const isYou = ({ id }) => you?.id === id;

// Messages

socket.on("new_message", (message) => {
  if (message.room !== wanted) return;
  keepingPlace(() => showMessage(message), isYou(message.author));
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

function messageLine({ id, author, text, created }) {
  const line = element("li", isYou(author) ? "message mine" : "message");
  line.dataset.id = id;
  const head = element("div", "head");
  head.append(element("span", "author", author.name));
  if (author.guest) head.append(element("span", "tag", "guest"));
  head.append(time(created));
  line.append(avatar(author), head, element("p", "text", text));
  return line;
}

function showNotice(text) {
  keepingPlace(() => list.append(element("li", "notice", text)));
}

// Sending

byId("message-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = input.value;
  if (!text.trim() || input.readOnly || mute) return;
  if (!joined) return problem("Not connected: your message stays here until you can send it.");
  input.readOnly = true;
  try {
    await call("message", joined.slug, text);
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
  byId("send").disabled = !joined || mute !== null;
  input.disabled = mute !== null;
  byId("muted").textContent = mute?.text ?? "";
  byId("as").textContent = you ? `You are ${you.name}${you.guest ? ", a guest" : ""}.` : "";
  byId("change-name").hidden = !you?.guest;
}

function problem(text) {
  byId("problem").textContent = text;
}

socket.on("muted", (sanction = null) => {
  mute = sanction;
  refreshForm();
  if (mute?.until) setTimeout(() => mute === sanction && unmute(), new Date(mute.until) - Date.now());
});

function unmute() {
  mute = null;
  refreshForm();
}

/** Emit, and return what the handler returned; what the library or an EventError answered instead is thrown. */
async function call(event, ...data) {
  const answer = await socket.timeout(PATIENCE).emitWithAck(event, ...data);
  if (answer?.error) throw new Error(Object.values(answer.error.fields ?? {})[0]?.[0] ?? answer.error.message);
  return answer;
}

// Moderators: the server sends `sanctions` to them only, and asks for the permission again whenever they act

const dialog = byId("moderate");
let moderates = false;

socket.on("sanctions", (sanctions) => showSanctions(sanctions));

function showSanctions(sanctions, isModerator = true) {
  if (!dialog) return; // a moderator since a moment ago: the page has to be loaded again
  moderates = isModerator;
  showMembers();
  byId("sanctions").hidden = sanctions.length === 0;
  byId("sanction-list").replaceChildren(...sanctions.map(sanctionLine));
}

function sanctionLine({ id, kind, name }) {
  const line = element("li");
  line.append(element("span", "name", name), element("span", "tag", kind === "ban" ? "banned" : "muted"));
  line.append(button("Lift", `Lift: ${name}`, () => command("lift", id)));
  return line;
}

function moderate(person) {
  byId("moderate-name").textContent = person.name;
  dialog.returnValue = "";
  dialog.onclose = () => {
    const minutes = Number(byId("minutes").value) || null;
    if (dialog.returnValue) command(dialog.returnValue, person.id, minutes);
  };
  dialog.showModal();
}

function command(event, ...data) {
  call(event, ...data).then(() => problem(""), (error) => problem(error.message));
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

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function button(text, label, action) {
  const made = element("button", "link", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
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
if (page.dataset.person) {
  socket.connect();
} else {
  byId("state").dataset.state = "refused";
  byId("state").textContent = "not connected";
  byId("guest-form").elements.name.focus();
}
