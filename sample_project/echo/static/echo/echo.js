import { connect } from "dtws_sio/connect";
import { keepConnected, showConnection } from "home/connection";

const MAX_FILE = 900_000; // bytes; the server closes a connection that sends more than DTWS_SIO["MAX_PAYLOAD"]
const PATIENCE = 10_000; // milliseconds to wait for an acknowledgement

const byId = (id) => document.getElementById(id);
const demos = byId("demos");
const socket = connect("/echo");

showConnection(socket, byId("state"));
keepConnected(socket);
socket.on("connect", () => enable(true));
socket.on("disconnect", () => enable(false));

function enable(isConnected) {
  if (isConnected) demos.hidden = false;
  for (const control of demos.querySelectorAll("button, input")) control.disabled = !isConnected;
}

// An event each way

byId("event-form").addEventListener("submit", (event) => {
  event.preventDefault();
  socket.emit("message", { message: event.target.text.value });
  event.target.reset();
});

socket.on("new_message", ({ message }) => {
  const line = document.createElement("li");
  line.textContent = `Server said: ${message}`;
  byId("event-log").prepend(line);
});

// An acknowledgement

byId("ack-form").addEventListener("submit", (event) => {
  event.preventDefault();
  answer(byId("ack-result"), async () => {
    const data = JSON.parse(event.target.data.value);
    return JSON.stringify(await call("echo", data));
  });
});

// Bytes

byId("bytes-random").addEventListener("click", () => echoBytes(crypto.getRandomValues(new Uint8Array(65_536))));

byId("bytes-file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (file) echoBytes(new Uint8Array(await file.arrayBuffer()));
  target.value = "";
});

function echoBytes(sent) {
  answer(byId("bytes-result"), async () => {
    if (sent.length > MAX_FILE) throw new Error(`please choose a file of ${MAX_FILE.toLocaleString()} bytes at most`);
    const start = performance.now();
    const received = new Uint8Array(await call("echo", sent));
    const took = (performance.now() - start).toFixed(0);
    const isSame = sent.length === received.length && sent.every((byte, index) => byte === received[index]);
    return `${received.length.toLocaleString()} bytes came back in ${took} ms, ${isSame ? "every one the same" : "CHANGED"}`;
  });
}

// Something wrong

const WRONG = {
  event: () => call("mesage", { message: "hello" }),
  arguments: () => call("echo", 1, 2, 3),
  data: () => call("message", { text: "hello" }),
};

demos.addEventListener("click", ({ target }) => {
  const wrong = WRONG[target.dataset.wrong];
  if (wrong) answer(byId("wrong-result"), async () => JSON.stringify(await wrong()));
});

// Helpers

function call(event, ...data) {
  return socket.timeout(PATIENCE).emitWithAck(event, ...data);
}

async function answer(output, work) {
  output.classList.remove("failed");
  try {
    output.value = await work();
  } catch (error) {
    output.classList.add("failed");
    output.value = error.message;
  }
}
