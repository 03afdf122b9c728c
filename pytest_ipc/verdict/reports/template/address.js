// The filters, the columns and the open clause, as the fragment of the address has them: #shm.a, or
// #mechanism=shm&verdict=deviates&clause=shm.a. Only what differs from the page's own state is in it.
const DEFAULTS = { mechanism: "", platform: "", verdict: "news", text: "", order: "deviations" };
const state = { ...DEFAULTS, hide: new Set(), first: [], clause: "" };

function readAddress(fragment) {
  const text = fragment.replace(/^#/, "");
  const isClause = text !== "" && !text.includes("=");
  const given = new URLSearchParams(isClause ? "" : text);
  const known = (name) => given.getAll(name).filter((label) => labels.includes(label));
  for (const [name, usual] of Object.entries(DEFAULTS)) state[name] = given.get(name) ?? usual;
  if (!rows.some((row) => row.mechanism === state.mechanism)) state.mechanism = "";
  if (!labels.includes(state.platform)) state.platform = "";
  if (!choices.some(([value]) => value === state.verdict)) state.verdict = DEFAULTS.verdict;
  if (![...control("order").options].some((option) => option.value === state.order)) state.order = DEFAULTS.order;
  state.hide = new Set(known("hide"));
  state.first = known("first");
  let clause = isClause ? text : given.get("clause") ?? "";
  try {
    clause = decodeURIComponent(clause);
  } catch { /* it names no clause */ }
  state.clause = byId.has(clause) ? clause : "";
}

function address() {
  const given = Object.entries(DEFAULTS).filter(([name, usual]) => state[name] !== usual).map(([name]) => [name, state[name]]);
  given.push(...[...state.hide].map((label) => ["hide", label]), ...state.first.map((label) => ["first", label]));
  if (given.length === 0) return state.clause ? `#${state.clause}` : "";
  if (state.clause) given.push(["clause", state.clause]);
  return `#${new URLSearchParams(given)}`;
}

function writeAddress({ back = false } = {}) {
  const url = address() || location.pathname + location.search;
  if (back) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

// The visible columns in their order: those put first, then the platform of the filter, then the others.
function columns() {
  const ordered = data.order.slice();
  if (state.order === "given") ordered.sort((a, b) => a - b);
  if (state.order === "name") ordered.sort((a, b) => labels[a].localeCompare(labels[b], "en", { numeric: true }));
  const front = [...state.first, ...(state.platform ? [state.platform] : [])].map((label) => labels.indexOf(label));
  return [...new Set([...front, ...ordered])].filter((column) => !state.hide.has(labels[column]));
}
