"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { labels, verdicts, texts } = data;
  const rows = data.rows.map(([id, mechanism, page, section, statement, codes, details]) => ({
    id, mechanism, page, section, statement, codes, details,
    searched: `${id} ${page} ${section} ${statement}`.toLowerCase(),
  }));
  const holds = String(verdicts.indexOf("holds"));
  const table = document.getElementById("table");
  const scroller = document.getElementById("clauses");
  const more = document.getElementById("more");
  const mechanism = document.getElementById("mechanism");
  const outcome = document.getElementById("outcome");
  const text = document.getElementById("text");
  const BATCH = 40;

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // The choices of the verdict filter: value, text, and the condition of a row.
  const judged = (row) => row.codes.replaceAll("-", "");
  const choices = [
    ["news", "does not hold everywhere", (row) => [...judged(row)].some((code) => code !== holds)],
    ["differ", "platforms differ", (row) => new Set(judged(row)).size > 1],
    ...verdicts.filter((word) => data.rows.some((row) => row[5].includes(verdicts.indexOf(word))))
      .map((word) => [word, `${word} somewhere`, (row) => row.codes.includes(verdicts.indexOf(word))]),
    ["unjudged", "not judged somewhere", (row) => row.codes.includes("-")],
    ["all", "all", () => true],
  ];
  for (const [value, words] of choices) outcome.append(element("option", { value, textContent: words }));
  for (const name of [...new Set(rows.map((row) => row.mechanism))].sort()) {
    mechanism.append(element("option", { value: name, textContent: name }));
  }

  // Cells are cloned, which is faster than creating them: a page may have a hundred thousand.
  const cells = verdicts.map((word) => element("td", { className: word, textContent: word }));
  const none = element("td", { textContent: "–" });
  const cell = (code) => (code === "-" ? none : cells[code]).cloneNode(true);

  let shown = [];
  let made = 0;
  let group = null;

  function makeMore() {
    for (const row of shown.slice(made, made + BATCH)) {
      if (group === null || group.mechanism !== row.mechanism) {
        const those = shown.filter((other) => other.mechanism === row.mechanism).length;
        const title = element("th", { colSpan: labels.length + 1, scope: "rowgroup" },
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
    const made = element("tr", {}, heading, ...[...row.codes].map(cell));
    made.dataset.clause = row.id; // no id: the browser would scroll there itself and take the focus from the clause
    return made;
  }

  // A text of several platforms is shown once, with their names.
  function detail(row) {
    const said = new Map();
    [...row.codes].forEach((code, column) => {
      const numbers = row.details[column] ?? [0, 0, 0, 0, 0];
      const key = `${code} ${numbers.slice(0, 4)}`;
      if (!said.has(key)) said.set(key, { code, numbers: [...numbers], where: [] });
      const entry = said.get(key);
      entry.where.push(labels[column]);
      entry.numbers[4] ||= numbers[4]; // the evidence of one platform is enough
    });
    const list = element("ul");
    for (const { code, numbers, where } of [...said.values()].sort((a, b) => (a.code < b.code ? -1 : 1))) {
      const word = code === "-" ? "not judged" : verdicts[code];
      const item = element("li", {}, element("span", { className: word, textContent: word }), ` on ${where.length === labels.length && labels.length > 1 ? "all platforms" : where.join("; ")}`);
      const [reason, expected, observed, known, evidence] = numbers.map((number) => texts[number]);
      const facts = [["expected", expected], ["observed", observed], ["reason", reason], ["known", known],
        [where.length > 1 ? "evidence of one" : "evidence", evidence]].filter(([, value]) => value);
      if (facts.length) {
        item.append(element("dl", {}, ...facts.flatMap(([name, value]) => [
          element("dt", { textContent: name }),
          element("dd", { textContent: value, className: value === evidence ? "evidence" : "" }),
        ])));
      }
      list.append(item);
    }
    const content = element("div", {},
      element("p", { className: "statement", textContent: `${row.statement}.` }),
      element("p", {}, `${row.page}, ${row.section} · `, element("a", { href: `#${row.id}`, textContent: "link to this clause" })),
      list);
    return element("tr", { className: "detail" }, element("td", { colSpan: labels.length + 1 }, content));
  }

  function toggle(button, open) {
    const line = button.closest("tr");
    if ((button.getAttribute("aria-expanded") === "true") === open) return;
    button.setAttribute("aria-expanded", String(open));
    if (open) {
      line.after(detail(rows.find((row) => row.id === line.dataset.clause)));
    } else {
      line.nextElementSibling.remove();
    }
  }

  function filter() {
    const takes = choices.find(([value]) => value === outcome.value)[2];
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = rows.filter((row) => (!mechanism.value || row.mechanism === mechanism.value)
      && takes(row) && words.every((word) => row.searched.includes(word)));
    for (const body of table.querySelectorAll("tbody")) body.remove();
    made = 0;
    group = null;
    scroller.scrollTop = 0;
    makeMore();
    watch.unobserve(more);
    watch.observe(more); // again: it reports only changes of the position
    document.getElementById("shown").textContent =
      shown.length ? `${shown.length} of ${rows.length} clauses` : `0 of ${rows.length} clauses`;
  }

  // The clause in the address is shown whatever the filters.
  function reveal() {
    const id = decodeURIComponent(location.hash.slice(1));
    const row = rows.find((other) => other.id === id);
    if (row === undefined) return;
    if (!shown.includes(row)) {
      mechanism.value = "";
      outcome.value = "all";
      text.value = "";
      filter();
    }
    while (find(id) === null) makeMore();
    const button = find(id).querySelector("button");
    toggle(button, true);
    find(id).scrollIntoView({ block: "center" });
    button.focus({ preventScroll: true });
  }

  const watch = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && made < shown.length) {
      makeMore();
      watch.unobserve(more);
      watch.observe(more);
    }
  }, { root: scroller, rootMargin: "1500px" });

  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button === null) return;
    const open = button.getAttribute("aria-expanded") !== "true";
    toggle(button, open);
    history.replaceState(null, "", open ? `#${button.closest("tr").dataset.clause}` : location.pathname + location.search);
  });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !event.target.matches("button")) return;
    const buttons = [...table.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (next !== undefined) {
      event.preventDefault();
      next.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.target.matches("input, select")) {
      event.preventDefault();
      text.focus();
    }
  });
  let pending = 0;
  text.addEventListener("input", () => {
    clearTimeout(pending);
    pending = setTimeout(filter, 100);
  });
  for (const control of [mechanism, outcome]) control.addEventListener("change", filter);
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("beforeprint", () => { while (made < shown.length) makeMore(); });
  addEventListener("hashchange", reveal);
  filter();
  reveal();
})();
