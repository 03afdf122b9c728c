// The table of clauses: rows are created when they become visible. On a phone a clause lists the platforms that differ.
const table = control("table");
const scroller = control("clauses");
const more = control("more");
const phone = matchMedia("(max-width: 40rem)");
const BATCH = 40;

// Cells are cloned, which is faster than creating them: a page may have a hundred thousand.
const cells = verdicts.map((name) => element("td", { className: name, textContent: name }));
const none = element("td", { textContent: "–" });
const flakyMark = element("span", { className: "flaky", textContent: "flaky" });

let visible = [];
let shown = [];
let made = 0;
let group = null;

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

function makeMore() {
  for (const row of shown.slice(made, made + BATCH)) {
    if (group === null || group.mechanism !== row.mechanism) {
      const those = shown.filter((other) => other.mechanism === row.mechanism).length;
      const title = element("th", { colSpan: width(), scope: "rowgroup" },
        element("span", {}, row.mechanism, " ", element("small", { textContent: `${those} clause${those === 1 ? "" : "s"}` })));
      const body = element("tbody", {}, element("tr", { className: "group" }, title));
      table.append(body);
      group = { mechanism: row.mechanism, body };
    }
    group.body.append(line(row));
  }
  made = Math.min(made + BATCH, shown.length);
  more.style.height = made < shown.length ? "1px" : "0";
}

const find = (id) => table.querySelector(`tr[data-clause="${CSS.escape(id)}"]`);

function line(row) {
  const button = element("button", { type: "button", textContent: row.id });
  button.setAttribute("aria-expanded", "false");
  const heading = element("th", { scope: "row" }, button);
  const made = element("tr", {}, heading, ...(phone.matches ? [differences(row)] : visible.map((column) => cell(row, column))));
  made.dataset.clause = row.id; // no id: the browser would scroll there itself and take the focus from the clause
  return made;
}

function toggle(button, open) {
  const line = button.closest("tr");
  if ((button.getAttribute("aria-expanded") === "true") === open) return;
  button.setAttribute("aria-expanded", String(open));
  if (open) line.after(detail(byId.get(line.dataset.clause), width()));
  else line.nextElementSibling.remove();
}

const watch = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && made < shown.length) {
    makeMore();
    watch.unobserve(more);
    watch.observe(more);
  }
}, { root: scroller, rootMargin: "1500px" });

function fill() {
  const takes = choices.find(([value]) => value === state.verdict)[2];
  const column = state.platform ? labels.indexOf(state.platform) : -1;
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  visible = columns();
  shown = rows.filter((row) => (!state.mechanism || row.mechanism === state.mechanism)
    && takes(row, column) && words.every((each) => row.searched.includes(each)));
  makeHead();
  made = 0;
  group = null;
  scroller.scrollTop = 0;
  makeMore();
  watch.unobserve(more);
  watch.observe(more); // again: it reports only changes of the position
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
  while (find(row.id) === null) makeMore();
  const button = find(row.id).querySelector("button");
  toggle(button, true);
  find(row.id).scrollIntoView({ block: "center" });
  button.focus({ preventScroll: true });
}
