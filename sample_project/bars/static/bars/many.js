/* The page of Many in bars/sockets.py. */

import { connect } from "dtws_sio/connect";
import { ProgressBar } from "dtws_sio/progress";
import { ask, byId, follow } from "bars/page";

const socket = connect("/progress/many");
const box = byId("many");

const bars = Array.from({ length: Number(box.dataset.bars) }, (_, number) => {
  const container = document.createElement("div");
  box.append(container);
  return new ProgressBar(socket, container, {
    bar: `job-${number}`,
    remaining: false,
    accessible_name: `Job ${number + 1}`,
    strings: { done: "" },
  });
});

function enable() {
  const running = bars.filter(({ state }) => state === "running").length;
  const done = bars.filter(({ state }) => state === "done").length;
  byId("go").disabled = !socket.connected || running > 0;
  byId("count").value = running || done ? `${done} of ${bars.length} done` : "";
}

follow(socket, enable);
for (const bar of bars) bar.on("state", enable);
byId("go").addEventListener("click", () => ask(socket, "go"));
