/* The page of Task in bars/sockets.py; the bar itself needs none of this. */

import "dtws_sio/progress";
import { ask, byId, follow } from "bars/page";

const element = byId("bar");
const { socket } = element;

function enable() {
  byId("queue").disabled = !socket.connected || element.dataset.state === "running";
}

follow(socket, enable);
element.addEventListener("state", enable);
byId("queue").addEventListener("click", () => ask(socket, "queue"));
