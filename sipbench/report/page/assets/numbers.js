/* Numbers as text. In the data null is not known, and infinity is a word. */
const BLANK = "–";

function number(value) {
  if (value === null || value === undefined) return NaN;
  return value === "inf" ? Infinity : value === "-inf" ? -Infinity : value;
}

function fixed(value, places) {
  const own = number(value);
  if (Number.isNaN(own)) return BLANK;
  return Number.isFinite(own) ? own.toFixed(places).replace("-", "−") : own > 0 ? "∞" : "−∞";
}

function signed(value, places) {
  return number(value) >= 0 ? `+${fixed(value, places)}` : fixed(value, places);
}

/** About three digits, never an exponent. */
function seconds(value) {
  const own = number(value);
  if (Number.isNaN(own)) return BLANK;
  if (!Number.isFinite(own)) return fixed(own, 0);
  if (own < 0.001) return "<0.001";
  return own.toFixed(own < 1 ? 3 : own < 10 ? 2 : own < 100 ? 1 : 0);
}

function shown(value, measure) {
  return measure.key === "s/image" ? seconds(value) : fixed(value, measure.places);
}

/** Short, for an axis. */
function brief(value) {
  const own = number(value);
  if (!Number.isFinite(own)) return fixed(own, 0);
  const size = Math.abs(own);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return own.toExponential(0).replace("e+", "e");
  return String(Number(own.toPrecision(4))).replace("-", "−");
}

/** Whether there is nothing: no number, no text, or the sign that is shown in the place of both. */
function blank(value) {
  return value === "" || value === BLANK || (typeof number(value) === "number" && Number.isNaN(number(value)));
}

/** Order two values, numbers within text by their size; what is not known stands last, whichever way. */
function compared(a, b, down) {
  const [x, y] = [a, b].map((v) => (blank(v) ? NaN : number(v)));
  const [noX, noY] = [x, y].map((v) => typeof v === "number" && Number.isNaN(v));
  if (noX || noY) return noX - noY;
  const order = typeof x === "string" || typeof y === "string" ? String(x).localeCompare(String(y), "en", { numeric: true }) : x === y ? 0 : x - y;
  return down ? -order : order;
}
