// Controls, keys, and the files of what is shown.
for (const name of [...new Set(rows.map((row) => row.mechanism))].sort()) {
  control("mechanism").append(element("option", { value: name, textContent: name }));
}
for (const label of labels) control("platform").append(element("option", { value: label, textContent: label }));
for (const [value, words] of choices) control("verdict").append(element("option", { value, textContent: words }));

function showState() {
  for (const name of Object.keys(DEFAULTS)) {
    if (document.activeElement !== control(name) || name !== "text") control(name).value = state[name];
  }
  showChoices();
}

// The list of the columns: hide one, or put it first.
function showChoices() {
  const focused = document.activeElement?.closest?.("#choices") ? document.activeElement.dataset.first : undefined;
  const hidden = data.order.filter((column) => state.hide.has(labels[column]));
  control("choices").replaceChildren(...[...columns(), ...hidden].map((column) => {
    const box = element("input", { type: "checkbox", checked: !state.hide.has(labels[column]), name: labels[column] });
    const first = element("button", { type: "button", textContent: "first" });
    first.setAttribute("aria-label", `first: ${labels[column]}`);
    first.dataset.first = labels[column];
    return element("li", {}, element("label", {}, box, labels[column]), " ", first);
  }));
  if (focused !== undefined) control("choices").querySelector(`[data-first="${CSS.escape(focused)}"]`)?.focus();
}

function update(changes, options) {
  Object.assign(state, changes, { clause: "" });
  showState();
  fill();
  writeAddress(options);
}

function follow() {
  readAddress(location.hash);
  showState();
  fill();
  reveal();
}

for (const name of ["mechanism", "platform", "verdict", "order"]) {
  control(name).addEventListener("change", () => update({ [name]: control(name).value }));
}
let pending = 0;
control("text").addEventListener("input", () => {
  clearTimeout(pending);
  pending = setTimeout(() => update({ text: control("text").value }), 100);
});
control("reset").addEventListener("click", () => {
  control("text").value = "";
  update({ ...DEFAULTS, hide: new Set(), first: [] });
});
control("choices").addEventListener("change", (event) => {
  const { name, checked } = event.target;
  const hide = new Set(state.hide);
  if (checked) hide.delete(name);
  else hide.add(name);
  if (hide.size === labels.length) { // one column at least
    event.target.checked = true;
    return;
  }
  Object.assign(state, { hide, clause: "" });
  fill();
  writeAddress();
});
control("choices").addEventListener("click", (event) => {
  const label = event.target.dataset.first;
  if (label === undefined) return;
  const hide = new Set(state.hide);
  hide.delete(label);
  update({ hide, first: [label, ...state.first.filter((other) => other !== label)] });
});
control("filters").addEventListener("submit", (event) => event.preventDefault());

// A number of a table above sets the filters and keeps the columns.
document.querySelectorAll("#totals, #summary").forEach((found) => found.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { order, hide, first } = state;
  readAddress(link.hash);
  if (state.platform) hide.delete(state.platform);
  update({ order, hide, first }, { back: true });
  control("matrix").focus();
}));

table.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (button === null) return;
  const open = button.getAttribute("aria-expanded") !== "true";
  toggle(button, open);
  state.clause = open ? button.closest("tr").dataset.clause : "";
  writeAddress();
});
table.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined || !event.target.matches("th button")) return;
  const buttons = [...table.querySelectorAll("th button")];
  const next = buttons[buttons.indexOf(event.target) + step];
  if (next !== undefined) {
    event.preventDefault();
    next.focus();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.target.matches("input, select")) {
    event.preventDefault();
    control("text").focus();
  }
});

// Copying: by the clipboard, or where a page may not use it, by a selection.
async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { value: text, readOnly: true });
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = button.textContent;
  if (before !== "Copied") {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 2000);
  }
}
document.addEventListener("click", (event) => {
  const text = event.target.dataset?.copy;
  if (text !== undefined) copy(event.target, text);
});
control("link").addEventListener("click", () => copy(control("link"), location.href));

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A spreadsheet would take a text that begins with one of these for a formula.
const quoted = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

control("csv").addEventListener("click", () => {
  const lines = [["clause", "mechanism", "page", "section", "statement", ...visible.map((column) => labels[column])],
    ...shown.map((row) => [row.id, row.mechanism, row.page, row.section, row.statement,
      ...visible.map((column) => (row.codes[column] === "-" ? "" : word(row.codes[column])))])];
  save("ipc.csv", "text/csv", lines.map((fields) => `${fields.map(quoted).join(",")}\r\n`).join(""));
});

control("json").addEventListener("click", () => {
  const names = ["reason", "expected", "observed", "known", "evidence"];
  const found = shown.map(({ id, mechanism, page, section, statement, codes, details, flaky }) => ({
    id, mechanism, page, section, statement,
    platforms: Object.fromEntries(visible.filter((column) => codes[column] !== "-").map((column) => [labels[column], {
      verdict: word(codes[column]),
      ...(flaky.includes(column) ? { flaky: true } : {}),
      ...Object.fromEntries(names.map((name, number) => [name, texts[details[column]?.[number] ?? 0]]).filter(([, text]) => text)),
    }])),
  }));
  save("ipc.json", "application/json", `${JSON.stringify(found, null, 1)}\n`);
});

addEventListener("beforeprint", () => {
  near.disconnect();
  chunks.forEach(bringToLife);
});
addEventListener("afterprint", watchChunks);
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
phone.addEventListener("change", () => { fill(); reveal(); });
follow();
