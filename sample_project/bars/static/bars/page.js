/** What the pages with progress bars share. */

import { keepConnected, showConnection } from "home/connection";

const SAID_BY_THE_BAR = new Set(["cancelled", "bad_file"]);

export const byId = (id) => document.getElementById(id);

/** Show how a socket is connected, and let the buttons be pressed only while it is. */
export function follow(socket, enable) {
  showConnection(socket, byId("state"));
  keepConnected(socket);
  for (const event of ["connect", "disconnect"]) socket.on(event, () => enable(socket.connected));
}

/** Send an event, and show what the server has against it; give the answer, or null after an error. */
export async function ask(socket, event, ...data) {
  const output = byId("result");
  output.value = "";
  output.classList.remove("failed");
  const answer = await socket.emitWithAck(event, ...data);
  if (!answer?.error) return answer ?? {};
  if (SAID_BY_THE_BAR.has(answer.error.code)) return null;
  output.classList.add("failed");
  output.value = answer.error.message;
  return null;
}
