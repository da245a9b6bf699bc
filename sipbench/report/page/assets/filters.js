/* Which rows of a table are shown. */
const FACETS = [
  ["family", "Family", (row) => row.method.family],
  ["dataset", "Dataset", (row) => row.problem.dataset_title],
  ["problem", "Problem", (row) => row.problem.title],
  ["data", "Trained on", (row) => row.method.data],
  ["told", "Told", (row) => row.method.told],
];

/** The controls of the facets that can tell rows apart, and a field for words; `change` is told after each. */
function filters(rows, state, change) {
  const words = h("input", { type: "search", class: "words", placeholder: "filter ( / )", "aria-label": "Filter rows by words",
    oninput: (event) => { state.words = event.target.value; change(); } });
  const selects = FACETS.map(([key, label, of]) => {
    const values = unique(rows.map(of)).filter((value) => value !== "");
    if (values.length < 2) return null;
    const control = choice(label, [["", "all"], ...values.map((value) => [value, value])], "", (value) => { state[key] = value; change(); });
    control.dataset.facet = key;
    return control;
  });
  return [words, ...selects];
}

function passes(row, state) {
  const text = `${row.method.title} ${row.method.key} ${row.method.family} ${row.problem.title} ${row.problem.dataset_title} ${row.entry.status}`;
  const words = (state.words || "").toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => text.toLowerCase().includes(word)) && FACETS.every(([key, , of]) => !state[key] || of(row) === state[key]);
}
