// What a clause shows when it is opened: its sentence, its sources, the verdicts with their reasons, its history.
function manualPage(page) {
  const found = /^([\w.-]+)\((\d)(\w*)\)$/.exec(page);
  return found && `https://man7.org/linux/man-pages/man${found[2]}/${found[1]}.${found[2]}${found[3]}.html`;
}

const outside = (href, text) => element("a", { href, textContent: text, rel: "noopener noreferrer" });

function copyButton(text, label) {
  const button = element("button", { type: "button", className: "copy", textContent: label });
  button.dataset.copy = text;
  return button;
}

// A text of several platforms is shown once, with their names.
function said(row) {
  const found = new Map();
  for (const column of columns()) {
    const code = row.codes[column];
    const numbers = row.details[column] ?? [0, 0, 0, 0, 0];
    const flaky = row.flaky.includes(column);
    const key = `${code} ${flaky} ${numbers.slice(0, 4)}`;
    if (!found.has(key)) found.set(key, { code, flaky, numbers: [...numbers], where: [] });
    const entry = found.get(key);
    entry.where.push(labels[column]);
    entry.numbers[4] ||= numbers[4]; // the evidence of one platform is enough
  }
  return [...found.values()].sort((a, b) => (a.code < b.code ? -1 : a.code > b.code ? 1 : 0));
}

function verdictOf({ code, flaky, numbers, where }) {
  const everywhere = where.length === labels.length && labels.length > 1;
  const item = element("li", {}, element("span", { className: word(code), textContent: word(code) }),
    ...(flaky ? [" ", element("span", { className: "flaky", textContent: "flaky" })] : []),
    ` on ${everywhere ? "all platforms" : where.join("; ")}`);
  const [reason, expected, observed, known, evidence] = numbers.map((number) => texts[number]);
  const facts = [["expected", expected], ["observed", observed], ["reason", reason], ["known", known],
    [where.length > 1 ? "evidence of one" : "evidence", evidence]].filter(([, value]) => value);
  if (facts.length) {
    item.append(element("dl", {}, ...facts.flatMap(([name, value]) => [
      element("dt", { textContent: name }),
      element("dd", { textContent: value, className: value === evidence ? "evidence" : "" }),
    ])));
  }
  return item;
}

// The verdicts of a platform over its reports, as far as they changed: holds 2026-01-01 → deviates 2026-01-08.
function past(row) {
  return Object.entries(data.history).flatMap(([column, reports]) => {
    const steps = reports.filter(([, changes]) => row.id in changes);
    if (steps.length === 0) return [];
    const line = element("li", {}, `history on ${labels[column]}: `);
    steps.forEach(([date, changes], number) => {
      const code = changes[row.id];
      line.append(number ? " → " : "", element("span", { className: word(code), textContent: word(code) }), ` ${date.slice(0, 10)}`);
    });
    return [line];
  });
}

function detail(row, width) {
  const page = manualPage(row.page);
  const where = element("p", {}, page ? outside(page, row.page) : row.page, `, ${row.section} · `,
    element("a", { href: `#${row.id}`, textContent: "link to this clause" }));
  if (row.source) where.append(" · ", outside(`${data.source}${row.source}`, "source of the test"));
  const command = `pytest-ipc check ${row.id}`;
  const content = element("div", {},
    element("p", { className: "statement", textContent: `${row.statement}.` }),
    where,
    element("p", { className: "line" }, element("code", { textContent: command }), " ", copyButton(command, "Copy")),
    element("ul", {}, ...said(row).map(verdictOf), ...past(row)));
  return element("tr", { className: "detail" }, element("td", { colSpan: width }, content));
}
