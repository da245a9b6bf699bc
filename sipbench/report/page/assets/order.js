/* In which order images are shown, and which of them a rule picks. */

/** The places of the images in the order that is chosen; `by` is index, difficulty or disagreement of methods a and b. */
function ordered(gallery, measure, by, a, b) {
  const places = gallery.images.map((_, i) => i);
  const own = gallery.values[measure.key] || {};
  if (by === "index") return places;
  const key = by === "difficulty" ? (i) => mean(Object.values(own).map((line) => line[i])) * (measure.better === "higher" ? 1 : -1)
    : (i) => -Math.abs(number(own[a]?.[i]) - number(own[b]?.[i]));
  return places.sort((i, j) => compared(key(i), key(j), false) || i - j);
}

function mean(values) {
  const there = values.map(number).filter(Number.isFinite);
  return there.length ? there.reduce((sum, v) => sum + v, 0) / there.length : NaN;
}

/** The image where a method is best, worst, or in the middle (the lower one of two). */
function picked(gallery, measure, method, rule) {
  const line = (gallery.values[measure.key] || {})[method] || [];
  const places = gallery.images.map((_, i) => i).filter((i) => !Number.isNaN(number(line[i])));
  places.sort((i, j) => compared(line[i], line[j], measure.better === "higher") || i - j);
  if (!places.length) return null;
  return { best: places[0], median: places[Math.ceil((places.length - 1) / 2)], worst: places.at(-1) }[rule];
}

/** The two methods that are held against each other at first: the best two. */
function firstTwo(gallery, measure, methods) {
  const lines = measure ? gallery.values[measure.key] : {};
  const [a, b] = [...methods].sort((x, y) => compared(mean(lines[x] || []), mean(lines[y] || []), measure?.better === "higher"));
  return { a, b: b || a };
}
