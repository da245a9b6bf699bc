/* A table of the benchmark: one body a problem, sorted within it, or all rows together. */
const sections = {};

sections.table = (table) => {
  const at = Object.fromEntries(table.problems.map((p) => [p.key, p]));
  const of = Object.fromEntries(table.methods.map((m) => [m.key, m]));
  const rows = table.entries.map((entry, i) => ({ entry, i, problem: at[entry.problem], method: of[entry.method] }));
  const several = table.problems.length > 1;
  return [
    part("Numbers", "numbers", () => grid(table, rows, several)),
    table.galleries.length ? part("Pictures", "pictures", (box) => viewer(table, box)) : null,
    part("Quality and cost", "pareto", () => pareto(table, rows)),
    table.charts.length ? part("Curves", "curves", () => charts(table.charts)) : null,
    table.matrices.length ? part("Every pair", "pairs", () => matrices(table)) : null,
    part("How to read it", "notes", () => notes(table)),
  ];
};

/** A part of a section: the numbers at once, another when it is come to. */
function part(title, name, draw) {
  const box = h("div", { class: "drawn" });
  const fill = () => box.append(...[draw(box)].flat().filter(Boolean));
  if (name === "numbers") fill();
  else lazily(box, fill);
  return h("section", { class: `part ${name}`, "data-part": name, "aria-label": title, tabindex: "-1" }, h("h3", {}, title), box);
}

function grid(table, rows, several) {
  const columns = columnsOf(table);
  const filter = {};
  const state = { sort: null, down: false, together: false, intervals: true };
  const problem = { ...plain("problem", "Problem", (row) => `${row.problem.title}, ${row.problem.dataset_title}`, true) };
  const element = h("table", { class: "grid" });
  const count = h("span", { class: "count", role: "status" });
  const seen = () => (state.together && several ? [problem, ...columns] : columns).filter((c) => c.on || c.always);

  function groups() {
    const there = rows.filter((row) => passes(row, filter));
    const sorted = state.sort ? [...there].sort((a, b) => compared(state.sort.value(a), state.sort.value(b), state.down) || a.i - b.i) : there;
    if (state.together) return [{ title: "", rows: sorted }];
    return table.problems.map((p) => ({ title: `${p.title}, ${p.dataset_title}`, rows: sorted.filter((row) => row.problem === p) })).filter((g) => g.rows.length);
  }

  function draw() {
    const shownColumns = seen();
    const kinds = [];
    for (const c of shownColumns) (kinds.length && kinds.at(-1)[0] === kindOf(c) ? kinds.at(-1)[1]++ : kinds.push([kindOf(c), 1, c.kind]));
    const head = h("thead", {},
      h("tr", { class: "kinds" }, kinds.map(([text, n, kind]) => h("th", { colspan: n, class: kind, scope: "colgroup", title: KINDS[kind][1] }, text))),
      h("tr", {}, shownColumns.map((c) => h("th", { scope: "col", class: `${c.kind}${c.numeric ? " numeric" : ""} c-${c.key.split(":")[0]}`, "aria-sort": state.sort && state.sort.key === c.key ? (state.down ? "descending" : "ascending") : "none" },
        button([c.title, h("span", { class: "arrow", "aria-hidden": "true" }, state.sort && state.sort.key === c.key ? (state.down ? " ▾" : " ▴") : "")], () => sort(c), { "data-key": c.key, title: "sort" })))));
    const bodies = groups().map((group) => h("tbody", {},
      group.title ? h("tr", { class: "problem" }, h("th", { colspan: shownColumns.length, scope: "rowgroup" }, h("span", {}, group.title))) : null,
      group.rows.map((row) => h("tr", { "data-method": row.method.key, "data-problem": row.problem.key },
        shownColumns.map((c) => h(c.key === "method" ? "th" : "td", { scope: c.key === "method" ? "row" : null, class: `${c.kind}${c.numeric ? " numeric" : ""} c-${c.key.split(":")[0]}` }, c.cell(row)))))));
    renew(element, h("caption", { class: "aside" }, table.title), head, ...bodies);
    element.classList.toggle("bare", !state.intervals);
    const n = groups().reduce((sum, g) => sum + g.rows.length, 0);
    count.textContent = n === rows.length ? `${n} rows` : `${n} of ${rows.length} rows`;
  }

  function sort(column) {
    if (state.sort && state.sort.key === column.key) {
      if (state.down === column.down) state.down = !state.down;
      else state.sort = null;
    } else Object.assign(state, { sort: column, down: column.down });
    draw();
  }

  const lines = () => groups().map((g) => ({ title: g.title, lines: g.rows.map((row) => seen().map((c) => ({ text: (c.text || c.value)(row), best: c.best ? c.best(row) : false }))) }));
  const named = () => seen().map((c) => ({ ...c, heading: ["oracle", "published"].includes(c.kind) ? `${kindOf(c)}: ${c.title}` : c.title }));
  const csv = () => {
    const own = named().filter((c) => c.key !== "problem");
    return asCsv([["problem", ...own.map((c) => c.heading)], ...groups().flatMap((g) => g.rows.map((row) => [problem.text(row), ...own.map((c) => (c.numeric && c.key !== "images" ? c.value(row) : (c.text || c.value)(row)))]))]);
  };
  const groupsOf = unique(columns.filter((c) => ["oracle", "published"].includes(c.kind)).map(kindOf));
  const boxes = chooser("Columns",
    columns.filter((c) => !c.always && !groupsOf.includes(kindOf(c))).map((c) => tick(c.title, c.on, (on) => { c.on = on; draw(); })),
    groupsOf.map((kind) => tick(kind, false, (on) => { for (const c of columns) if (kindOf(c) === kind) c.on = on; draw(); }, { class: "tick all" })));
  draw();
  return [
    h("div", { class: "tools" }, filters(rows, filter, draw), boxes,
      tick("intervals", true, (on) => { state.intervals = on; draw(); }, { title: "the 95 % interval of the paired difference to the best" }),
      several ? tick("all problems together", false, (on) => { state.together = on; draw(); }) : null,
      button("Copy LaTeX", () => copy(asLatex(named(), lines()), "LaTeX"), { class: "copy-latex" }), button("Copy CSV", () => copy(csv(), "CSV"), { class: "copy-csv" }), count),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${table.title}: numbers` }, element),
    h("p", { class: "legend" }, h("span", { class: "mark" }, "●"), " in the group that these images cannot separate from the best. In brackets: the 95 % interval of the paired difference to the best. A click on a method says how to repeat it.", table.published ? ` ${table.published}` : ""),
    table.remarks.length ? h("details", { class: "remarks" }, h("summary", {}, `${table.remarks.length} ${table.remarks.length > 1 ? "remarks" : "remark"}: what is missing, and why`), h("ul", {}, table.remarks.map((line) => h("li", {}, line)))) : null,
  ];
}

function notes(table) {
  return [h("p", { class: "source" }, `Profile ${table.profile}; ${table.source}.`), h("ul", {}, table.notes.map((line) => h("li", {}, line)))];
}
