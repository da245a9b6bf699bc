/* What a pane shows: truth, measurement or a method; as it is, or as the map of its error or its residual. */
const ERROR_SPANS = [0.05, 0.1, 0.25, 0.5, 1];

/** What can be shown of a gallery, in order: [key, title]. */
function subjects(table, gallery) {
  const sprites = picturesOf(gallery);
  const methods = table.methods.filter((m) => sprites.estimates[m.key]);
  return [
    ...(sprites.truth ? [["=truth", "truth"]] : []),
    ["=measurement", "measurement"],
    ...methods.map((m) => [m.key, m.title]),
  ];
}

/** The picture of a subject for a map: {canvas, note}; a map that does not exist says so in `note`. */
async function sourceOf(gallery, key, i, map, span) {
  const sprites = picturesOf(gallery);
  if (key === "=truth") return { canvas: await picture(sprites.truth, i) };
  if (key === "=measurement") return { canvas: await picture(sprites.measurement, i) };
  if (map === "kernel") {
    const own = await picture(sprites.kernels[key], i);
    return { canvas: own, note: own ? "" : "no kernel" };
  }
  if (map === "residual") {
    const level = await picture(sprites.residuals[key], i);
    if (!level) return { canvas: null, note: "no residual map: the measurement is no picture, or f is not known" };
    const data = pixels(level);
    return { canvas: coloured(level.width, level.height, (k) => data[4 * k] / 255), level: (k) => (data[4 * k] / 255) * gallery.span, last: (k) => data[4 * k] === 255 };
  }
  const own = await picture(sprites.estimates[key], i);
  if (map !== "error" || !own) return { canvas: own, note: own ? "" : "nothing is stored" };
  const truth = await picture(sprites.truth, i);
  if (!truth || truth.width !== own.width) return { canvas: null, note: "no truth to compare with" };
  const [a, b] = [pixels(own), pixels(truth)];
  const level = (k) => difference(a, b, k);
  return { canvas: coloured(own.width, own.height, (k) => level(k) / span), level };
}

/** Values below the cursor: position, intensities in [0, 1], and of a map its level. */
function valueAt(source, point, unit) {
  if (!source || !source.canvas || !point) return "";
  const { width, height } = source.canvas;
  const [x, y] = [Math.floor(point[0] * width), Math.floor(point[1] * height)];
  if (x < 0 || y < 0 || x >= width || y >= height) return "";
  const k = y * width + x;
  if (source.level) return `(${x}, ${y}) ${source.last?.(k) ? "≥ " : ""}${source.level(k).toPrecision(3)}${unit ? ` ${unit}` : ""}`;
  const data = pixels(source.canvas).slice(4 * k, 4 * k + 3);
  const values = data[0] === data[1] && data[1] === data[2] ? [data[0]] : [...data];
  return `(${x}, ${y}) ${values.map((v) => (v / 255).toFixed(3)).join(" ")}`;
}
