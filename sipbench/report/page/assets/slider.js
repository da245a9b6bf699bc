/* Before and after: two pictures on one pane, and a line between them that is dragged or moved by arrows. */
function slider(change) {
  const range = h("input", { type: "range", min: 0, max: 100, value: 50, class: "divider", "aria-label": "How much of the picture on the left is seen", oninput: () => place() });
  const line = h("div", { class: "line", "aria-hidden": "true" });
  const place = () => { line.style.setProperty("left", `${range.value}%`); change(range.value / 100); };
  line.style.setProperty("left", "50%");
  return { range, line, share: () => range.value / 100 };
}
