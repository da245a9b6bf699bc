/* Curves: a line a method with its band, filled points for what was returned, hollow ones for the oracle. */
const DASHES = ["", "7 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2"];

/** Charts of a section, one at a time: by problem, by what is drawn, by what it costs. */
function charts(list) {
  const key = (c) => [c.title, c.y, c.x];
  const state = key(list[0]);
  const names = ["Problem", "Of", "Against"];
  const stage = h("div", { class: "figure" });
  const tools = h("div", { class: "tools" });
  const fits = (c, upto) => key(c).slice(0, upto).every((v, k) => v === state[k]);
  function draw() {
    for (let k = 1; k < 3; k++) {
      const options = unique(list.filter((c) => fits(c, k)).map((c) => key(c)[k]));
      if (!options.includes(state[k])) state[k] = options[0];
    }
    const controls = names.map((name, k) => {
      const options = unique(list.filter((c) => fits(c, k)).map((c) => key(c)[k]));
      return options.length > 1 ? choice(name, options.map((v) => [v, v]), state[k], (v) => { state[k] = v; draw(); }) : null;
    }).filter(Boolean);
    const own = list.find((c) => fits(c, 3));
    renew(tools, ...controls, button("Copy CSV", () => copy(chartCsv(own), "CSV")));
    stage.replaceChildren(...chart(own));
  }
  draw();
  return [tools, stage];
}

function chartCsv(own) {
  return asCsv([["what", "title", own.x, own.y, "low", "high"], ...own.lines.flatMap((l) => l.points.map((p) => ["line", l.title, ...p])), ...own.marks.map((m) => [m.kind, m.title, m.x, m.y])]);
}

function chart(own) {
  const lines = own.lines.map((l) => ({ ...l, points: l.points.map((p) => p.map(number)) }));
  const placed = own.marks.map((m) => ({ ...m, x: number(m.x), y: number(m.y) }));
  const xs = [...lines.filter((l) => !l.level).flatMap((l) => l.points.map((p) => p[0])), ...placed.map((m) => m.x)];
  const reference = number(own.reference);
  const ys = [...lines.flatMap((l) => l.points.flatMap((p) => p.slice(1))), ...placed.map((m) => m.y), reference];
  const { svg, x, y } = axes(xs, ys, own, { x: own.log_x, y: own.log_y }, own.title);
  const marks = placed.filter((m) => x.fits(m.x) && y.fits(m.y));
  const count = {};
  const nth = Object.fromEntries(lines.map((l) => [l.title, (count[l.family] = (count[l.family] ?? -1) + 1)]));
  const dashes = Object.fromEntries(lines.map((l) => [l.title, DASHES[nth[l.title] % DASHES.length]]));
  if (y.fits(reference)) svg.append(s("line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: y.to(reference), y2: y.to(reference), class: "reference" }));
  for (const line of lines) {
    const points = line.level ? [[null, BOX.left], [null, BOX.width - BOX.right]] : line.points;
    const band = line.level ? "" : between(line.points, x, y);
    const d = !line.level ? path(line.points, x, y) : y.fits(line.points[0][1]) ? `M${points[0][1]} ${y.to(line.points[0][1])}H${points[1][1]}` : "";
    svg.append(s("g", { class: "series", "data-title": line.title, colour: PAGE.colours[line.family] || "gray" },
      band ? s("path", { d: band, class: "band" }) : null,
      s("path", { d, class: nth[line.title] < DASHES.length ? "line" : "line pale", "stroke-dasharray": dashes[line.title] }, s("title", {}, line.title)),
      marks.filter((m) => m.title === line.title).map((m) => s("circle", { cx: x.to(m.x), cy: y.to(m.y), r: m.kind === "oracle" ? 5 : 4, class: m.kind }, s("title", {}, `${m.title}, ${m.kind}: ${brief(m.y)} at ${brief(m.x)}`)))));
  }
  const lone = marks.filter((m) => !lines.some((l) => l.title === m.title));
  for (const m of lone) svg.append(s("g", { class: "series", "data-title": m.title, colour: PAGE.colours[m.family] || "gray" }, s("circle", { cx: x.to(m.x), cy: y.to(m.y), r: 4, class: m.kind }, s("title", {}, `${m.title}: ${brief(m.y)} at ${brief(m.x)}`))));
  const named = [...lines, ...lone.filter((m, i) => lone.findIndex((o) => o.title === m.title) === i)];
  return [h("h4", {}, own.title), svg, legend(svg, named.map((l) => [l.title, l.family, dashes[l.title]])),
    h("p", { class: "legend" }, own.marks.length ? "Filled: what was returned. Hollow: the oracle, the best along the way, picked with the truth in hand, and no method's score. Bands: the middle half of the images." : "", own.marks.length && own.x === "network evaluations" ? " Evaluations are taken to be even over the solver's time." : "")];
}

/** The band between low and high, in pieces where one of them does not fit the scales. */
function between(points, x, y) {
  const runs = [[]];
  for (const p of points) {
    if (x.fits(p[0]) && y.fits(p[2]) && y.fits(p[3])) runs.at(-1).push(p);
    else runs.push([]);
  }
  return runs.filter((run) => run.length > 1).map((run) => `${path(run.map((p) => [p[0], p[3]]), x, y)}${path([...run].reverse().map((p) => [p[0], p[2]]), x, y).replace("M", "L")}Z`).join("");
}

/** Names with their colours; the one that is pointed at stands out in the chart. */
function legend(svg, entries) {
  const light = (title) => { for (const g of svg.querySelectorAll(".series")) g.classList.toggle("faint", title !== null && g.dataset.title !== title); };
  return h("div", { class: "key" }, entries.map(([title, family, dash]) => h("button", { type: "button", colour: PAGE.colours[family] || "gray", onmouseenter: () => light(title), onmouseleave: () => light(null), onfocus: () => light(title), onblur: () => light(null) },
    s("svg", { viewBox: "0 0 26 8", class: "sample", "aria-hidden": "true" }, s("line", { x1: 0, x2: 26, y1: 4, y2: 4, "stroke-dasharray": dash || null })), title)));
}
