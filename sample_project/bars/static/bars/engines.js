/* The bar of One in bars/sockets.py, drawn in several ways. */

import { connect } from "dtws_sio/connect";
import { ProgressBar } from "dtws_sio/progress";
import { ask, byId, follow } from "bars/page";
import { RingEngine } from "bars/ring";

const socket = connect("/progress/one");

const bars = [
  ["html5", {}],
  ["html5-options", { label_position: "bottom", progression_position: "left", progression_format: "{progress} of 100", remaining: false }],
  ["bootstrap", { engine: "bootstrap", progressbar_striped: true, progressbar_animated: true, remaining: false }],
  ["ring", { engine: RingEngine, decimals: 1, remaining: false }],
].map(([id, options]) => new ProgressBar(socket, byId(id), { accessible_name: "The job", ...options }));

function enable() {
  byId("start").disabled = !socket.connected || bars[0].state === "running";
  byId("reset").disabled = byId("start").disabled;
}

follow(socket, enable);
bars[0].on("state", enable);
byId("start").addEventListener("click", () => ask(socket, "start"));
byId("reset").addEventListener("click", () => ask(socket, "reset"));
