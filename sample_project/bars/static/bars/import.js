/* The page of Import in bars/sockets.py. */

import { connect } from "dtws_sio/connect";
import { ProgressBar } from "dtws_sio/progress";
import { ask, byId, follow } from "bars/page";

const socket = connect("/progress/import");
const form = byId("upload-form");
const bar = new ProgressBar(socket, byId("bar"), { bar: "rows", cancel: true, accessible_name: "The import" });
let isBusy = false;

function enable() {
  for (const button of form.querySelectorAll("button")) button.disabled = !socket.connected || isBusy;
}

follow(socket, enable);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = byId("file").files;
  if (file) send(file);
});

form.addEventListener("click", ({ target: { dataset } }) => {
  if (dataset.rows) send(priceList(Number(dataset.rows), { wrong: Number(dataset.wrong), broken: dataset.broken }));
});

/** Make a file; every so many rows, a price is wrong. */
function priceList(rows, { wrong, broken }) {
  const lines = [broken ? "sku,title" : "sku,name,price"];
  for (let number = 1; number <= rows; number += 1) {
    const price = wrong && number % wrong === 0 ? "free" : (number / 100).toFixed(2);
    lines.push(`A-${String(number).padStart(6, "0")},Article ${number},${price}`);
  }
  return new File([lines.join("\n"), "\n"], "prices.csv", { type: "text/csv" });
}

async function send(file) {
  isBusy = true;
  enable();
  byId("rejected").replaceChildren();
  try {
    const report = await ask(socket, "import", { upload: await upload(file) });
    if (report) show(report);
  } catch (error) {
    byId("result").classList.add("failed");
    byId("result").value = error.message;
  }
  isBusy = false;
  enable();
}

async function upload(file) {
  const body = new FormData(form);
  body.set("file", file);
  const response = await fetch(form.action, { method: "POST", body });
  const answer = await response.json();
  if (!response.ok) throw new Error(Object.values(answer.errors).flat().join(" "));
  return answer.upload;
}

function show({ imported, rejected }) {
  byId("result").value = `${imported.toLocaleString()} rows were imported, ${rejected.length} were not.`;
  byId("rejected").replaceChildren(...rejected.slice(0, 10).map(({ row, errors }) => {
    const line = document.createElement("li");
    const messages = Object.entries(errors).map(([column, texts]) => `${column}: ${texts.join(" ")}`);
    line.textContent = `Row ${row.toLocaleString()}, ${messages.join("; ")}`;
    return line;
  }));
}
