// The data of the page, and what a filter accepts.
const data = JSON.parse(document.getElementById("data").textContent);
const { labels, verdicts, texts } = data;
const rows = data.rows.map(([id, mechanism, page, section, statement, codes, details, source, flaky]) => ({
  id, mechanism, page, section, statement, codes, details, source, flaky,
  searched: `${id} ${page} ${section} ${statement}`.toLowerCase(),
}));
const byId = new Map(rows.map((row) => [row.id, row]));
const HOLDS = String(verdicts.indexOf("holds"));
const DEVIATES = String(verdicts.indexOf("deviates"));

const control = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const word = (code) => (code === "-" ? "not judged" : verdicts[code]);

// The codes of a row that a filter looks at: of one platform, or of all that judge it.
const judged = (row, column) => (column < 0 ? [...row.codes] : [row.codes[column]]).filter((code) => code !== "-");
const isUnexpected = (row, column) => row.codes[column] === DEVIATES && !(row.details[column] && row.details[column][3]);
const columnsOf = (column) => (column < 0 ? labels.map((_, number) => number) : [column]);

// The choices of the verdict filter: value, text, and the condition of a row on a platform, or on any with -1.
const choices = [
  ["news", "does not hold", (row, column) => judged(row, column).some((code) => code !== HOLDS)],
  ["differ", "platforms differ", (row) => new Set(judged(row, -1)).size > 1],
  ...verdicts.filter((name) => rows.some((row) => row.codes.includes(verdicts.indexOf(name))))
    .map((name) => [name, name, (row, column) => judged(row, column).includes(String(verdicts.indexOf(name)))]),
  ["unexpected", "deviates, not expected", (row, column) => columnsOf(column).some((each) => isUnexpected(row, each))],
  ["flaky", "flaky", (row, column) => (column < 0 ? row.flaky.length > 0 : row.flaky.includes(column))],
  ["unjudged", "not judged", (row, column) => columnsOf(column).some((each) => row.codes[each] === "-")],
  ["all", "all", () => true],
].filter(([value, , takes]) => value === "news" || value === "all" || rows.some((row) => takes(row, -1)));
