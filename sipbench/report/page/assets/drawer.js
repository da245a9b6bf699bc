/* All it takes to repeat a cell, at the side of the page. */
const drawer = h("dialog", { class: "drawer", "aria-labelledby": "drawer-title", onclick: (event) => { if (event.target === drawer) drawer.close(); } });

function openEntry(table, row) {
  const cells = row.entry.cells.map((key) => PAGE.cells[key]).filter(Boolean);
  const m = row.method;
  drawer.replaceChildren(h("div", { class: "inner" },
    h("header", {}, h("h2", { id: "drawer-title" }, dot(m.family), `${m.title} on ${row.problem.title}, ${row.problem.dataset_title}`), button("×", () => drawer.close(), { class: "close", "aria-label": "Close" })),
    facts([["family", m.family], ["trained on", m.data], ["told", m.told], ["paper", m.citation], ["against its public code", m.parity], ["status", row.entry.status], ["images", counted(row.entry)], ["not converged", row.entry.unconverged ? `${row.entry.unconverged}` : ""]]),
    row.entry.reason ? h("p", { class: "reason" }, row.entry.reason) : null,
    h("h3", {}, "Scores"), scoresOf(table, row),
    cells.length ? cells.map(cellOf) : h("p", { class: "legend" }, "There is no cell of it.")), h("div", { class: "said", role: "status", "aria-live": "polite" }));
  drawer.showModal();
  drawer.scrollTop = 0;
}

function facts(list) {
  return h("dl", {}, list.filter(([, value]) => value !== "" && value !== null && value !== undefined).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function scoresOf(table, row) {
  const text = (m, key) => (row.entry.scores[m.key] ? shown(row.entry.scores[m.key][key], m) : BLANK);
  const interval = (m) => { const own = row.entry.scores[m.key]; return own && !Number.isNaN(number(own.low)) ? `${fixed(own.low, m.places)} to ${fixed(own.high, m.places)}` : BLANK; };
  return h("table", {}, h("thead", {}, h("tr", {}, ["", "measured", "95 % of the images", "oracle", "published"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, table.measures.map((m) => h("tr", {}, h("th", { scope: "row" }, m.title), h("td", {}, text(m, "mean")), h("td", {}, interval(m)), h("td", { class: "oracle" }, m.cost ? "" : text(m, "oracle")), h("td", { class: "published" }, Object.entries(row.entry.scores[m.key]?.published || {}).map(([name, value]) => h("div", {}, `${shown(value, m)} (${name})`)))))));
}

function cellOf(cell) {
  const failures = cell.runs.filter((run) => run.status !== "ok");
  return h("section", {}, h("h3", {}, cell.label),
    cell.command ? h("div", { class: "command" }, h("code", {}, cell.command), button("Copy", () => copy(cell.command, "Command"))) : null,
    cell.note ? h("p", { class: "note" }, cell.note) : null,
    failures.length ? [h("h4", {}, `Failures: ${failures.length} of ${cell.runs.length}`), h("ul", { class: "failures" }, failures.map((run) => h("li", {}, h("b", {}, `image ${run.image}: `), run.reason)))] : null,
    cell.options.length ? [h("h4", {}, "Options"), h("table", {}, h("thead", {}, h("tr", {}, ["option", "value", "from"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, cell.options.map((o) => h("tr", {}, h("th", { scope: "row" }, o.name), h("td", {}, h("code", {}, o.value)), h("td", {}, o.origin, o.chosen ? h("details", {}, h("summary", {}, "command"), h("code", {}, o.chosen)) : null)))))] : null,
    cell.weights.length ? [h("h4", {}, "Weights"), facts(cell.weights.map((w) => [w.part, h("span", {}, w.file, " ", h("code", {}, w.sha256))]))] : null,
    h("h4", {}, "Made with"), facts(cell.facts),
    cell.runs.length ? h("details", {}, h("summary", {}, cell.runs.length === 1 ? "1 image" : `${cell.runs.length} images`), h("table", {}, h("thead", {}, h("tr", {}, ["image", "status", "hash of y", "s"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, cell.runs.map((run) => h("tr", {}, h("th", { scope: "row" }, run.image), h("td", {}, run.status), h("td", {}, h("code", {}, run.y)), h("td", {}, seconds(run.seconds))))))) : null);
}
