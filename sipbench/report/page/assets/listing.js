/* A file of numbers with columns of its own: sorted, filtered and copied as it is. */
const MOST_VALUES = 24;
const MOST_ROWS = 400;

sections.listing = (listing) => [
  part("Numbers", "numbers", () => listed(listing)),
  listing.charts.length ? part("Curves", "curves", () => charts(listing.charts)) : null,
];

function listed(listing) {
  const state = { sort: -1, down: false, words: "", wanted: {} };
  const element = h("table", { class: "grid" });
  const count = h("span", { class: "count", role: "status" });
  const numeric = listing.columns.map((_, i) => listing.rows.every((row) => row[i] === null || typeof number(row[i]) === "number"));
  const known = (value) => (blank(value) ? null : value);
  const text = (value) => (blank(value) ? BLANK : Number.isInteger(value) ? fixed(value, 0) : typeof number(value) === "number" ? brief(value) : String(value));
  const rows = () => {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const there = listing.rows.filter((row) => Object.entries(state.wanted).every(([i, wanted]) => wanted === undefined || known(row[i]) === wanted)
      && words.every((word) => row.some((value) => `${text(value)} ${value ?? ""}`.toLowerCase().includes(word))));
    return state.sort < 0 ? there : [...there].sort((a, b) => compared(a[state.sort], b[state.sort], state.down));
  };
  function draw() {
    const there = rows();
    renew(element, h("caption", { class: "aside" }, listing.title),
      h("thead", {}, h("tr", {}, listing.columns.map((name, i) => h("th", { scope: "col", class: numeric[i] ? "numeric" : "", "aria-sort": state.sort === i ? (state.down ? "descending" : "ascending") : "none" },
        button([name, h("span", { class: "arrow", "aria-hidden": "true" }, state.sort === i ? (state.down ? " ▾" : " ▴") : "")], () => { Object.assign(state, { down: state.sort === i && !state.down, sort: i }); draw(); }, { "data-key": i }))))),
      h("tbody", {}, there.slice(0, MOST_ROWS).map((row) => h("tr", {}, row.map((value, i) => h("td", { class: numeric[i] ? "numeric" : "" }, text(value)))))));
    count.textContent = `${there.length} of ${listing.rows.length} rows${there.length > MOST_ROWS ? `, the first ${MOST_ROWS} shown` : ""}`;
  }
  const facets = listing.columns.map((name, i) => {
    const values = unique(listing.rows.map((row) => known(row[i])));
    if (values.length < 2 || values.length > MOST_VALUES || numeric[i]) return null;
    return choice(name, [["", "all"], ...values.map((value, k) => [String(k), text(value)])], "", (k) => { state.wanted[i] = k === "" ? undefined : values[k]; draw(); });
  });
  const columns = listing.columns.map((heading, i) => ({ heading, numeric: numeric[i] }));
  draw();
  return [
    h("div", { class: "tools" },
      h("input", { type: "search", class: "words", placeholder: "filter ( / )", "aria-label": "Filter rows by words", oninput: (event) => { state.words = event.target.value; draw(); } }), facets,
      button("Copy LaTeX", () => copy(asLatex(columns, [{ lines: rows().map((row) => row.map((value) => ({ text: text(value) }))) }]), "LaTeX")),
      button("Copy CSV", () => copy(asCsv([listing.columns, ...rows()]), "CSV")), count),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${listing.title}: numbers` }, element),
    h("p", { class: "legend" }, `Profile ${listing.profile}; ${listing.source}.`),
  ];
}
