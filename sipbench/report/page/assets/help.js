/* What the keys do. */
const KEYS = [
  ["?", "this list"], ["/", "filter the rows by words"], ["[  ]", "the table before, the one after"], ["t", "light or dark"], ["Esc", "close what is open"],
  ["n  p", "the next image, the one before"], ["1 … 9", "flicker: show the first, second, ... of the chosen pictures"], ["s  b  f", "side by side; before and after; flicker"],
  ["i  e  r", "the image; its error; its residual"], ["+  −  0", "zoom in, out, show all"], ["← → ↑ ↓", "move the pictures, when they have the focus; or the divider"], ["wheel, drag", "zoom and move all pictures together"],
];
const keysHelp = h("dialog", { class: "keys", "aria-labelledby": "keys-title", onclick: (event) => { if (event.target === keysHelp) keysHelp.close(); } },
  h("div", { class: "inner" }, h("header", {}, h("h2", { id: "keys-title" }, "Keys"), button("×", () => keysHelp.close(), { class: "close", "aria-label": "Close" })),
    h("table", {}, h("tbody", {}, KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, key.split("  ").map((k) => [h("kbd", {}, k), " "])), h("td", {}, what)))))));

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
  const gallery = document.querySelector("main .gallery");
  const own = { "?": () => keysHelp.showModal(), "/": () => document.querySelector("main .words")?.focus(), "[": () => turn(-1), "]": () => turn(1), t: theme }[event.key]
    || (gallery && (/^[1-9]$/.test(event.key) ? () => gallery.keys.digit(Number(event.key)) : gallery.keys[event.key]));
  if (!own) return;
  event.preventDefault();
  own();
}
