/* The columns of a table: what they are headed, what they show, what they are sorted by. Each is of one kind:
   row, measured, cost, oracle or published, and kinds are never mixed. */
const KINDS = {
  row: ["", ""],
  measured: ["measured", "Means over the images, scores of what was returned"],
  cost: ["cost", "What a run takes"],
  oracle: ["oracle", "The best along the way, picked with the truth in hand: no method's score"],
  published: ["published", "Copied from papers, not measured here"],
};

function columnsOf(table) {
  const scores = table.measures.filter((m) => !m.cost);
  const oracle = table.entries.some((entry) => scores.some((m) => has(entry, m, "oracle")));
  const published = unique(table.entries.flatMap((e) => Object.values(e.scores).flatMap((score) => Object.keys(score.published))));
  const method = {
    key: "method", kind: "row", title: "Method", down: false, value: (row) => row.method.title, on: true, always: true,
    cell: (row) => [dot(row.method.family), button(row.method.title, () => openEntry(table, row), { class: "link", "aria-label": `${row.method.title}: how to repeat it` })],
  };
  return [
    method,
    plain("family", "Family", (row) => row.method.family, true),
    plain("data", "Trained on", (row) => row.method.data, false),
    plain("told", "Told", (row) => row.method.told, false),
    ...scores.map((m) => scoreColumn(m)),
    ...table.measures.filter((m) => m.cost).map((m) => valueColumn(m, "mean", "cost", true)),
    { ...plain("images", "images", (row) => counted(row.entry), true), kind: "cost", numeric: true, value: (row) => row.entry.n },
    { ...plain("origins", "options", (row) => row.entry.origins || (row.entry.n ? "paper's" : BLANK), true), kind: "cost" },
    ...(oracle ? scores.map((m) => valueColumn(m, "oracle", "oracle", false)) : []),
    ...published.flatMap((name) => scores.map((m) => publishedColumn(m, name))),
  ];
}

function has(entry, measure, key) {
  return entry.scores[measure.key] && !Number.isNaN(number(entry.scores[measure.key][key]));
}

function plain(key, title, text, on) {
  return { key, kind: "row", title, down: false, value: text, on, text, cell: (row) => text(row) };
}

/** Measured: the mean, its interval of the difference to the best, and the mark of the group of the best. */
function scoreColumn(m) {
  const score = (row) => row.entry.scores[m.key];
  const text = (row) => (["n/a", "failed", "not yet"].includes(row.entry.status) ? row.entry.status : score(row) ? shown(score(row).mean, m) : BLANK);
  const cell = (row) => {
    const own = score(row);
    if (!own || text(row) === row.entry.status) return h("span", { class: "none", title: row.entry.reason }, text(row));
    const apart = !Number.isNaN(number(own.difference_low)) && (own.difference_low || own.difference_high);
    return [
      own.best ? h("strong", { title: "in the group that these images cannot separate from the best" }, h("span", { class: "mark", "aria-label": "in the best group" }, "●"), text(row)) : text(row),
      apart ? h("small", { class: "interval" }, `[${signed(own.difference_low, m.places)}, ${signed(own.difference_high, m.places)}]`) : null,
    ];
  };
  return { key: `m:${m.key}`, kind: "measured", title: m.title, numeric: true, down: m.better === "higher", value: (row) => (score(row) ? score(row).mean : null), on: true, text, cell, best: (row) => Boolean(score(row) && score(row).best) };
}

function valueColumn(m, key, kind, on) {
  const value = (row) => (row.entry.scores[m.key] ? row.entry.scores[m.key][key] : null);
  const text = (row) => shown(value(row), m);
  const title = kind === "cost" ? m.title.replace("residual/sigma", "residual/σ") : m.title;
  return { key: `${kind}:${m.key}`, kind, title, numeric: true, down: m.better === "higher", value, on, text, cell: text };
}

function publishedColumn(m, name) {
  const value = (row) => row.entry.scores[m.key]?.published[name] ?? null;
  const text = (row) => shown(value(row), m);
  return { key: `published:${name}:${m.key}`, kind: "published", of: name, title: m.title, numeric: true, down: m.better === "higher", value, on: false, text, cell: text };
}

/** What stands above the columns of a kind. */
function kindOf(column) {
  return column.of ? `${column.kind}, on ${column.of}` : KINDS[column.kind][0];
}

function counted(entry) {
  const all = entry.n + entry.failed + entry.todo;
  return all ? `${entry.n}/${all}` : BLANK;
}

function dot(family) {
  return h("span", { class: "dot", colour: PAGE.colours[family] || "gray", title: family, "aria-hidden": "true" });
}
