/** Show what the server answered to the button; the report itself needs no script. */

const answer = document.getElementById("answer");
const button = document.getElementById("ask");

button.addEventListener("click", () => (answer.value = ""));

button.addEventListener("DFSignalAnswered", (event) => {
  const { ok, results, errors } = event.detail;
  event.preventDefault();
  answer.classList.toggle("failed", !ok);
  if (!ok) answer.value = errors[0].message;
  else answer.value = results[0]?.queued ? "The server has queued it." : "The server has done it.";
});
