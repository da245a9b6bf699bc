/* Every method against every other: the mean difference over the same images, wins, ties and losses, and p. */
const LEVEL = 0.05;

function matrices(table) {
  const title = (key) => table.methods.find((m) => m.key === key).title;
  const at = (key) => table.problems.find((p) => p.key === key);
  const state = { problem: table.matrices[0].problem, measure: table.matrices[0].measure };
  const stage = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Every pair of methods" });
  const tools = h("div", { class: "tools" });
  function draw() {
    const there = table.matrices.filter((m) => m.problem === state.problem);
    const own = there.find((m) => m.measure === state.measure) || there[0];
    const measure = table.measures.find((m) => m.key === own.measure);
    renew(tools,
      choice("Problem", unique(table.matrices.map((m) => m.problem)).map((key) => [key, `${at(key).title}, ${at(key).dataset_title}`]), state.problem, (v) => { state.problem = v; draw(); }),
      choice("Of", there.map((m) => [m.measure, table.measures.find((o) => o.key === m.measure).title]), own.measure, (v) => { state.measure = v; draw(); }),
      button("Copy CSV", () => copy(asCsv([["row", "column", "mean difference", "wins", "ties", "losses", "p"], ...own.methods.flatMap((a, i) => own.methods.map((b, j) => [a, b, own.entries[i][j]]).filter((e) => e[2]).map(([, b, e]) => [a, b, e.mean, e.wins, e.ties, e.losses, e.p]))]), "CSV")));
    const cell = (e, a, b) => {
      if (!e) return h("td", { class: "self" });
      const sure = number(e.p) < LEVEL;
      const better = e.wins > e.losses ? "win" : e.wins < e.losses ? "loss" : "even";
      return h("td", { class: `${better}${sure ? " sure" : ""}`, title: `${title(a)} minus ${title(b)}: ${signed(e.mean, measure.places)}; ${e.wins} wins, ${e.ties} ties, ${e.losses} losses; p ${brief(number(e.p))}` }, signed(e.mean, measure.places), h("small", {}, `${e.wins}/${e.ties}/${e.losses}`));
    };
    stage.replaceChildren(h("table", { class: "matrix" }, h("caption", { class: "aside" }, `${measure.title}: row minus column`),
      h("thead", {}, h("tr", {}, h("td", {}, own.images === 1 ? "1 image" : `${own.images} images`), own.methods.map((m) => h("th", { scope: "col" }, h("span", {}, title(m)))))),
      h("tbody", {}, own.methods.map((a, i) => h("tr", {}, h("th", { scope: "row" }, dot(table.methods.find((m) => m.key === a).family), title(a)), own.methods.map((b, j) => cell(own.entries[i][j], a, b)))))));
  }
  draw();
  return [tools, stage, h("p", { class: "legend" }, "Row minus column over the same images; below it wins / ties / losses of the row. Blue: the row wins more often; orange: the column. Strong and bold: p of Wilcoxon's signed-rank test, corrected by Holm over the matrix, is below 0.05.")];
}
