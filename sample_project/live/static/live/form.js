/** Show what the server says about the fields. It is asked by the attributes of the forms, not from here. */

const booking = document.getElementById("booking");
const sending = document.getElementById("sending");
const digest = document.getElementById("digest");
const touched = new Set();

for (const type of ["input", "change"]) booking.addEventListener(type, ({ target }) => touched.add(target.name));

booking.addEventListener("DFSignalAnswered", (event) => {
  const { signal, ok, results, errors } = event.detail;
  event.preventDefault(); // refusals are dealt with here
  if (signal === "live.check_booking") {
    if (ok) showErrors(results[0].errors, touched);
  } else if (ok) {
    booking.reset();
    touched.clear();
    showErrors({});
  } else {
    const [{ fields = {}, message }] = errors;
    for (const { name } of booking.elements) touched.add(name);
    showErrors(Object.fromEntries(Object.entries(fields).map(([path, told]) => [path.split(".").at(-1), told])));
    document.getElementById("thanks").textContent = "";
    if (!Object.keys(fields).length) document.getElementById("thanks").textContent = message;
    booking.querySelector("[aria-invalid=true]")?.focus();
  }
});

/** Show the errors of some fields, of all by default; nobody is blamed for a field that is not filled in yet. */
function showErrors(errors, names = null) {
  for (const field of booking.querySelectorAll("[name]")) {
    const told = (names === null || names.has(field.name)) ? (errors[field.name] ?? []) : [];
    field.setAttribute("aria-invalid", String(told.length > 0));
    field.setAttribute("aria-describedby", `${field.name}-help ${field.name}-error`);
    document.getElementById(`${field.name}-error`).textContent = told.join(" ");
  }
}

sending.addEventListener("DFSignalAnswered", (event) => {
  const { ok, results, errors } = event.detail;
  event.preventDefault();
  digest.classList.toggle("failed", !ok);
  digest.value = ok ? described(results[0]) : errors[0].message;
});

const described = ({ name, size, sha256 }) => `${name}: ${size.toLocaleString("en")} bytes, SHA-256 ${sha256.slice(0, 16)}…`;
