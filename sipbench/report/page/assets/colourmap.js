/* Error and residual maps: from black over purple and orange to pale yellow, even to the eye, also in grey (inferno). */
const STOPS = [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]];

function colourAt(share) {
  const at = Math.min(1, Math.max(0, share)) * (STOPS.length - 1);
  const k = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[k].map((from, c) => Math.round(from + (at - k) * (STOPS[k + 1][c] - from)));
}

const TABLE = Array.from({ length: 256 }, (_, i) => colourAt(i / 255));

/** A canvas coloured by a level in [0, 1] of each pixel. */
function coloured(width, height, level) {
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = TABLE[Math.round(Math.min(1, Math.max(0, level(i))) * 255)];
    image.data.set([r, g, b, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** |a - b| of a pixel, root mean square over its colours, of intensities in [0, 1]. */
function difference(a, b, i) {
  let sum = 0;
  for (let c = 0; c < 3; c++) sum += ((a[4 * i + c] - b[4 * i + c]) / 255) ** 2;
  return Math.sqrt(sum / 3);
}

/** The scale below maps: black is 0, the last colour is `span`. */
function scaleBar(span, unit, what) {
  const bar = coloured(128, 1, (i) => i / 127);
  bar.className = "ramp";
  return h("div", { class: "scale", role: "img", "aria-label": `${what}: black is 0, pale yellow is ${brief(span)}${unit} or more` },
    h("span", {}, what), h("span", {}, "0"), bar, h("span", {}, `≥ ${brief(span)}${unit ? ` ${unit}` : ""}`));
}
