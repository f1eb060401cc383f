import { connect } from "dtws_sio/connect";
import { followTransport, keepConnected, showConnection } from "home/connection";

const EVERY = 2000; // milliseconds between two measurements

const socket = connect("/echo");
const byId = (id) => document.getElementById(id);
const times = [];

showConnection(socket, byId("state"));
keepConnected(socket);

followTransport(socket, (name) => {
  byId("transport-polling").classList.add("done");
  byId("transport-polling").classList.toggle("now", name === "polling");
  byId("transport-websocket").classList.toggle("now", name === "websocket");
});

async function measure() {
  const start = performance.now();
  await socket.timeout(5000).emitWithAck("echo", "how long does this take?");
  times.push(performance.now() - start);
  byId("round-trip").value = times.at(-1).toFixed(1);
  byId("best").value = Math.min(...times.splice(0, times.length, ...times.slice(-100))).toFixed(1);
  byId("count").value = times.length;
}

async function keepMeasuring() {
  if (socket.connected && !document.hidden) await measure().catch(() => byId("round-trip").value = "–");
  setTimeout(keepMeasuring, times.length < 5 ? EVERY / 5 : EVERY);
}

socket.once("connect", keepMeasuring);
