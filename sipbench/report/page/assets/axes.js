/* The frame of a chart: scales, ticks and labels. */
const BOX = { width: 560, height: 340, left: 58, right: 14, top: 12, bottom: 46 };

/** A scale from values to pixels; {to, ticks, log}. */
function scaleOf(values, from, to, log) {
  let there = values.filter((v) => Number.isFinite(v) && (!log || v > 0));
  if (!there.length) there = log ? [1, 10] : [0, 1];
  let [low, high] = [Math.min(...there), Math.max(...there)];
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  [low, high] = [low - pad, high + pad];
  const place = (v) => from + ((v - low) / (high - low)) * (to - from);
  return { to: (v) => place(log ? Math.log10(v) : v), ticks: log ? decades(low, high) : even(low, high), fits: (v) => Number.isFinite(v) && (!log || v > 0) };
}

function even(low, high) {
  const rough = (high - low) / 5;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((k) => k * size >= rough) * size;
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => Number(((Math.ceil(low / step) + i) * step).toPrecision(10)));
}

function decades(low, high) {
  const wide = high - low;
  const steps = wide > 4 ? [1] : wide > 1.2 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let d = Math.floor(low); d <= Math.ceil(high); d++) for (const k of steps) {
    const v = Math.log10(k) + d;
    if (v >= low && v <= high) found.push(Number((k * 10 ** d).toPrecision(6)));
  }
  return wide > 6 ? found.filter((_, i) => i % 2 === 0) : found;
}

/** An empty chart with its axes: {svg, x, y, inside}. */
function axes(xs, ys, labels, log, title) {
  const { width, height, left, right, top, bottom } = BOX;
  const x = scaleOf(xs, left, width - right, log.x);
  const y = scaleOf(ys, height - bottom, top, log.y);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `${title}: ${labels.y} against ${labels.x}` });
  svg.append(
    ...x.ticks.map((v) => s("g", {}, s("line", { x1: x.to(v), x2: x.to(v), y1: top, y2: height - bottom, class: "rule" }), s("text", { x: x.to(v), y: height - bottom + 15, class: "tick middle" }, brief(v)))),
    ...y.ticks.map((v) => s("g", {}, s("line", { x1: left, x2: width - right, y1: y.to(v), y2: y.to(v), class: "rule" }), s("text", { x: left - 6, y: y.to(v) + 4, class: "tick end" }, brief(v)))),
    s("text", { x: (left + width - right) / 2, y: height - 8, class: "label middle" }, labels.x),
    s("text", { x: 14, y: (top + height - bottom) / 2, class: "label middle", transform: `rotate(-90 14 ${(top + height - bottom) / 2})` }, labels.y));
  return { svg, x, y };
}

/** A path through points; what does not fit the scales breaks it. */
function path(points, x, y) {
  let pen = "M";
  return points.map(([a, b]) => {
    if (!x.fits(a) || !y.fits(b)) { pen = "M"; return ""; }
    const step = `${pen}${x.to(a).toFixed(1)} ${y.to(b).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}
