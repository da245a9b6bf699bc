/* Quality against cost: a point a method, and the front of those that none is both better and cheaper than. */
const CHEAPEST = 1e-4;
const LEFT = { start: 0, middle: 0.5, end: 1 }; // the part of a label left of its place

function pareto(table, rows) {
  const scores = table.measures.filter((m) => !m.cost && m.better);
  const costs = table.measures.filter((m) => m.cost && m.key !== "residual/sigma");
  const free = (p, c) => rows.filter((row) => row.problem.key === p && number(row.entry.scores[c.key]?.mean) === 0 && c.key !== "s/image").map((row) => row.method.title);
  const points = (p, m, c) => rows.filter((row) => row.problem.key === p).map((row) => {
    const [score, cost] = [row.entry.scores[m.key], row.entry.scores[c.key]];
    return { title: row.method.title, family: row.method.family, x: number(cost?.mean), y: number(score?.mean), oracle: number(score?.oracle), whole: !row.entry.failed && !row.entry.todo };
  }).filter((d) => Number.isFinite(d.y) && d.x >= 0).map((d) => ({ ...d, x: c.key === "s/image" ? Math.max(d.x, CHEAPEST) : d.x })).filter((d) => d.x > 0);
  const problems = table.problems.filter((p) => scores.some((m) => costs.some((c) => points(p.key, m, c).length)));
  if (!problems.length) return h("p", { class: "legend" }, "Nothing was measured of both quality and cost.");
  const state = { problem: problems[0].key, measure: scores[0], cost: costs[0], oracle: false };
  const stage = h("div", { class: "figure" });
  const csv = () => asCsv([["title", state.cost.title, state.measure.title, "oracle"], ...points(state.problem, state.measure, state.cost).map((d) => [d.title, d.x, d.y, d.oracle])]);
  function draw() {
    const [own, left] = [points(state.problem, state.measure, state.cost), free(state.problem, state.cost)];
    const up = state.measure.better === "higher";
    const labels = { x: state.cost.key === "s/image" ? "seconds an image" : "network evaluations", y: state.measure.title };
    const title = table.problems.find((p) => p.key === state.problem).title;
    const { svg, x, y } = axes(own.map((d) => d.x), [...own.map((d) => d.y), ...(state.oracle ? own.map((d) => d.oracle) : [])], labels, { x: true, y: false }, title);
    const best = front(own.filter((d) => d.whole), up);
    const dots = s("g", {});
    svg.append(s("path", { d: path(best.map((d) => [d.x, d.y]), x, y), class: "front" }), dots);
    const taken = own.map((d) => ({ left: x.to(d.x) - 5, right: x.to(d.x) + 5, top: y.to(d.y) - 5, bottom: y.to(d.y) + 5 }));
    for (const d of own) {
      const [px, py] = [x.to(d.x), y.to(d.y)];
      const spot = freeSpot(px, py, wideOf(d.title) * (best.includes(d) ? 1.1 : 1), taken);
      if (Math.abs(spot[1] - py) > 18) svg.insertBefore(s("line", { x1: px, y1: py, x2: spot[0], y2: spot[1] < py ? spot[1] + 2 : spot[1] - 9, class: "leader" }), dots);
      svg.insertBefore(s("text", { x: spot[0], y: spot[1], class: `point${best.includes(d) ? " onfront" : ""} ${spot[2]}` }, d.title), dots);
      dots.append(s("g", { class: "series", colour: PAGE.colours[d.family] || "gray" },
        state.oracle && Number.isFinite(d.oracle) && d.oracle !== d.y ? [s("line", { x1: px, x2: px, y1: py, y2: y.to(d.oracle), class: "to-oracle" }), s("circle", { cx: px, cy: y.to(d.oracle), r: 5, class: "oracle" }, s("title", {}, `${d.title}, oracle: ${brief(d.oracle)}`))] : null,
        s("circle", { cx: px, cy: py, r: 5, class: "returned" }, s("title", {}, `${d.title}: ${brief(d.y)} at ${brief(d.x)}`))));
    }
    stage.replaceChildren(h("h4", {}, title), svg,
      h("p", { class: "legend" }, `The line is the front: of those that solved all images, no method is both better and cheaper than those on it. ${left.length ? `Without one, and not drawn: ${left.join(", ")}. ` : ""}${state.oracle ? "Hollow: the oracle, picked with the truth in hand." : ""}`));
  }
  draw();
  return [h("div", { class: "tools" },
    problems.length > 1 ? choice("Problem", problems.map((p) => [p.key, `${p.title}, ${p.dataset_title}`]), state.problem, (v) => { state.problem = v; draw(); }) : null,
    choice("Of", scores.map((m) => [m.key, m.title]), state.measure.key, (v) => { state.measure = scores.find((m) => m.key === v); draw(); }),
    choice("Against", costs.map((c) => [c.key, c.key === "s/image" ? "seconds an image" : "network evaluations"]), state.cost.key, (v) => { state.cost = costs.find((c) => c.key === v); draw(); }),
    tick("oracle", false, (on) => { state.oracle = on; draw(); }), button("Copy CSV", () => copy(csv(), "CSV"))), stage];
}

/** Those that no other beats in one without losing in the other, by cost. */
function front(points, up) {
  const kept = [];
  for (const d of [...points].sort((a, b) => a.x - b.x || (up ? b.y - a.y : a.y - b.y))) if (!kept.length || (up ? d.y > kept.at(-1).y : d.y < kept.at(-1).y)) kept.push(d);
  return kept;
}

/** About how wide a label is drawn. */
function wideOf(text) {
  return [...text].reduce((sum, c) => sum + (c === c.toLowerCase() ? 6.6 : 8.6), 0);
}

/** Where a label covers no other: right of its point, left, above or below. */
function freeSpot(px, py, wide, taken) {
  const near = [[8, 4, "start"], [-8, 4, "end"], [4, -9, "start"], [4, 17, "start"], [-4, -9, "end"], [-4, 17, "end"]];
  const far = [20, 32, 44, 56, 68].flatMap((d) => [[0, -d, "middle"], [8, -d, "start"], [-8, -d, "end"], [8, d + 8, "start"], [-8, d + 8, "end"]]);
  const tries = [...near, ...far].map(([dx, dy, side]) => [px + dx, py + dy, side]);
  const box = ([x, y, side]) => ({ left: x - wide * LEFT[side], right: x + wide * (1 - LEFT[side]), top: y - 11, bottom: y + 2 });
  const clear = (b) => b.right < BOX.width && b.left > BOX.left && b.top > 0 && b.bottom < BOX.height - BOX.bottom && taken.every((o) => b.right < o.left || b.left > o.right || b.bottom < o.top || b.top > o.bottom);
  const spot = tries.find((t) => clear(box(t))) || tries[0];
  taken.push(box(spot));
  return spot;
}
