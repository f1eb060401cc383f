/* The page of One in bars/sockets.py. */

import { connect } from "dtws_sio/connect";
import { ProgressBar } from "dtws_sio/progress";
import { ask, byId, follow } from "bars/page";

const socket = connect("/progress/one");
const bar = new ProgressBar(socket, byId("bar"), { cancel: true, accessible_name: "The job" });

function enable() {
  byId("start").disabled = !socket.connected || bar.state === "running";
  byId("reset").disabled = byId("start").disabled;
}

follow(socket, enable);
bar.on("state", enable);
byId("start").addEventListener("click", () => ask(socket, "start"));
byId("reset").addEventListener("click", () => ask(socket, "reset"));
