// The table of clauses. Rows exist only near the visible part: a page may have a hundred thousand cells, and the layout
// of a table takes as long as it has cells. Other rows are a space of their height, in chunks. On a phone a clause lists
// the platforms that differ.
const table = control("table");
const scroller = control("clauses");
const phone = matchMedia("(max-width: 40rem)");
const CHUNK = 10;
const NEAR = 700; // pixels above and below the visible part

// Cells are cloned, which is faster than creating them: a page may have a hundred thousand.
const cells = verdicts.map((name) => element("td", { className: name, textContent: name }));
const none = element("td", { textContent: "–" });
const flakyMark = element("span", { className: "flaky", textContent: "flaky" });

let visible = [];
let shown = [];
let chunks = []; // of { rows, body, isLive }
let rowHeight = 28; // pixels, measured on the first rows
const opened = new Set(); // ids of the clauses whose details are shown

function cell(row, column) {
  const code = row.codes[column];
  const found = (code === "-" ? none : cells[code]).cloneNode(true);
  if (row.flaky.includes(column)) found.append(" ", flakyMark.cloneNode(true));
  return found;
}

// Verdicts other than holds with their platforms, and the number of the others.
function differences(row) {
  const where = new Map();
  for (const column of visible) {
    const name = word(row.codes[column]) + (row.flaky.includes(column) ? ", flaky" : "");
    where.set(name, [...(where.get(name) ?? []), labels[column]]);
  }
  const holding = where.get("holds") ?? [];
  where.delete("holds");
  const lines = [...where].map(([name, those]) => element("div", {},
    element("span", { className: name.split(",")[0], textContent: name }),
    ` on ${those.length === visible.length && those.length > 1 ? "all" : those.join(", ")}`));
  if (holding.length) lines.push(element("div", { className: "faint", textContent: lines.length ? `holds on ${holding.length} more` : `holds on all ${holding.length}` }));
  return element("td", { className: "differences" }, ...lines);
}

const width = () => (phone.matches ? 2 : visible.length + 1);

function makeHead() {
  const names = phone.matches ? ["verdicts"] : visible.map((column) => labels[column]);
  const line = element("tr", {}, element("th", { scope: "col", className: "clause", textContent: "clause" }),
    ...names.map((name) => element("th", { scope: "col", className: "platform", textContent: name })));
  table.replaceChildren(element("thead", {}, line));
  table.style.setProperty("--platforms", names.length);
}

function makeChunks() {
  near.disconnect();
  chunks = [];
  let last = null;
  for (const [number, row] of shown.entries()) {
    if (chunks.length === 0 || chunks.at(-1).rows.length === CHUNK) chunks.push({ rows: [], body: element("tbody"), isLive: false });
    chunks.at(-1).rows.push({ row, number, isFirst: row.mechanism !== last });
    last = row.mechanism;
  }
  table.append(...chunks.map((chunk) => chunk.body));
  table.setAttribute("aria-rowcount", shown.length + 1);
  counts = new Map();
  for (const row of shown) counts.set(row.mechanism, (counts.get(row.mechanism) ?? 0) + 1);
  chunks.slice(0, 2).forEach(bringToLife);
  const measured = table.querySelectorAll("tr[data-clause]");
  if (measured.length) rowHeight = [...measured].reduce((sum, row) => sum + row.offsetHeight, 0) / measured.length || rowHeight;
  chunks.slice(2).forEach((chunk) => replaceBySpace(chunk, chunk.rows.length * rowHeight));
  watchChunks();
}

function watchChunks() {
  for (const chunk of chunks) near.observe(chunk.body);
}

let counts = new Map(); // by mechanism, the clauses shown

function bringToLife(chunk) {
  if (chunk.isLive) return;
  chunk.isLive = true;
  chunk.body.replaceChildren(...chunk.rows.flatMap(({ row, number, isFirst }) => [
    ...(isFirst ? [title(row.mechanism)] : []), line(row, number),
    ...(opened.has(row.id) ? [detail(row, width())] : []),
  ]));
}

function replaceBySpace(chunk, height) {
  chunk.isLive = false;
  const space = element("td", { colSpan: width(), className: "space" });
  space.style.height = `${height}px`;
  const row = element("tr", {}, space);
  row.setAttribute("aria-hidden", "true");
  chunk.body.replaceChildren(row);
}

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chunk = chunks.find(({ body }) => body === target);
    if (chunk === undefined) continue;
    if (isIntersecting) bringToLife(chunk);
    else if (chunk.isLive && !target.contains(document.activeElement)) replaceBySpace(chunk, target.offsetHeight);
  }
}, { root: scroller, rootMargin: `${NEAR}px` });

function title(mechanism) {
  const count = counts.get(mechanism);
  return element("tr", { className: "group" }, element("th", { colSpan: width(), scope: "rowgroup" },
    element("span", {}, mechanism, " ", element("small", { textContent: `${count} clause${count === 1 ? "" : "s"}` }))));
}

const find = (id) => table.querySelector(`tr[data-clause="${CSS.escape(id)}"]`);

function line(row, number) {
  const button = element("button", { type: "button", textContent: row.id });
  button.setAttribute("aria-expanded", String(opened.has(row.id)));
  const heading = element("th", { scope: "row" }, button);
  const made = element("tr", {}, heading, ...(phone.matches ? [differences(row)] : visible.map((column) => cell(row, column))));
  made.setAttribute("aria-rowindex", number + 2);
  made.dataset.clause = row.id; // no id: the browser would scroll there itself and take the focus from the clause
  return made;
}

function toggle(button, open) {
  const line = button.closest("tr");
  if ((button.getAttribute("aria-expanded") === "true") === open) return;
  button.setAttribute("aria-expanded", String(open));
  if (open) opened.add(line.dataset.clause);
  else opened.delete(line.dataset.clause);
  if (open) line.after(detail(byId.get(line.dataset.clause), width()));
  else line.nextElementSibling.remove();
}

function fill() {
  const takes = choices.find(([value]) => value === state.verdict)[2];
  const column = state.platform ? labels.indexOf(state.platform) : -1;
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  visible = columns();
  shown = rows.filter((row) => (!state.mechanism || row.mechanism === state.mechanism)
    && takes(row, column) && words.every((each) => row.searched.includes(each)));
  opened.clear();
  makeHead();
  scroller.scrollTop = 0;
  makeChunks();
  const hidden = labels.length - visible.length;
  control("shown").textContent = `${shown.length} of ${rows.length} clauses`
    + (hidden ? `, ${visible.length} of ${labels.length} platforms` : "");
}

// The clause in the address is shown whatever the filters.
function reveal() {
  const row = byId.get(state.clause);
  if (row === undefined) return;
  if (!shown.includes(row)) {
    Object.assign(state, { mechanism: "", platform: "", verdict: "all", text: "" });
    showState();
    fill();
  }
  const place = chunks.findIndex((chunk) => chunk.rows.some((entry) => entry.row === row));
  chunks.slice(Math.max(0, place - 2), place + 3).forEach(bringToLife); // those around it too, which have other heights
  const button = find(row.id).querySelector("button");
  toggle(button, true);
  find(row.id).scrollIntoView({ block: "center" });
  button.focus({ preventScroll: true });
}
