/* The pictures of a table, problem by problem: side by side, before and after, or one after the other. */
const MODES = [["side", "side by side"], ["slider", "before / after"], ["flicker", "flicker"]];
const MAPS = [["image", "image"], ["error", "error |x̂ − x|"], ["residual", "residual |y − f(x̂)|"], ["kernel", "kernel"]];
const FIRST = 10; // panes at the start

function viewer(table, box) {
  const at = Object.fromEntries(table.problems.map((p) => [p.key, p]));
  const stage = h("div", { class: "stage" });
  const open = (key) => stage.replaceChildren(...gallery(table, table.galleries.find((g) => g.problem === key)));
  const problems = table.galleries.map((g) => [g.problem, `${at[g.problem].title}, ${at[g.problem].dataset_title}`]);
  const first = problems[0][0];
  open(first);
  return [problems.length > 1 ? h("div", { class: "tools" }, choice("Problem", problems, first, open)) : h("p", { class: "legend" }, problems[0][1]), stage];
}

function gallery(table, own) {
  const scores = table.measures.filter((m) => !m.cost && own.values[m.key]);
  const known = subjects(table, own);
  const methods = known.filter(([key]) => !key.startsWith("="));
  const sprites = picturesOf(own);
  const state = {
    image: 0, mode: "side", map: "image", span: 0.25, by: "index", measure: scores[0], rule: "",
    ...firstTwo(own, scores[0], methods.map(([key]) => key)), chosen: new Set(known.slice(0, FIRST).map(([key]) => key)), flick: 0, sources: {},
  };
  if (methods.length === 1) state.b = known.find(([key]) => key !== state.a)[0];
  const view = new View(() => paint());
  const strip = h("div", { class: "thumbs", role: "listbox", "aria-label": "Images", tabindex: "0" });
  const area = h("div", { class: "panes", tabindex: "0", role: "group", "aria-label": "Pictures: + and − zoom, arrows move, 0 shows all" });
  const told = h("p", { class: "legend told", role: "status" });
  const scale = h("div", { class: "scales" });
  const controls = h("div", { class: "tools" });
  let panes = [];

  const titleOf = (key) => known.find(([own]) => own === key)[1];
  const familyOf = (key) => (table.methods.find((m) => m.key === key) || {}).family;
  const scoreOf = (key) => (state.measure && own.values[state.measure.key][key] ? own.values[state.measure.key][key][state.image] : null);
  const keys = () => known.map(([key]) => key).filter((key) => state.chosen.has(key));

  /** The subjects on screen: all chosen ones, the two of the slider, or the one of the flicker. */
  function seen() {
    if (state.mode === "slider") return [state.a, state.b];
    if (state.mode === "flicker") return keys().slice(state.flick, state.flick + 1);
    return keys();
  }

  async function draw() {
    const wanted = `${state.image} ${state.mode} ${state.map} ${state.span} ${seen()} ${state.measure?.key}`;
    state.wanted = wanted;
    const found = await Promise.all(seen().map((key) => sourceOf(own, key, state.image, state.map, state.span)));
    if (state.wanted !== wanted) return;
    state.sources = Object.fromEntries(seen().map((key, i) => [key, found[i]]));
    build();
    paint();
    tell();
  }

  function build() {
    const focused = document.activeElement && document.activeElement.classList.contains("divider");
    const share = panes.divider ? panes.divider.range.value : 50;
    const shape = state.mode === "slider" ? [seen()] : seen().map((key) => [key]);
    panes = shape.map((list) => pane(list));
    area.className = `panes by-${state.mode}`;
    area.replaceChildren(...panes.map((p) => p.element));
    if (state.mode === "slider") {
      panes.divider = slider(() => paint());
      panes.divider.range.value = share;
      panes.divider.line.style.setProperty("left", `${share}%`);
      panes[0].frame.append(panes.divider.line);
      panes[0].element.append(panes.divider.range);
      if (focused) panes.divider.range.focus();
    }
  }

  function pane(list) {
    const value = h("output", { class: "value" });
    const label = list.map((key) => `${titleOf(key)}, image ${own.images[state.image]}${said(key)}`).join("; before and after: ");
    const canvas = h("canvas", { width: 512, height: 512, role: "img", "aria-label": state.map === "image" ? label : `${state.map} of ${label}` });
    const frame = h("div", { class: "frame" }, canvas);
    const number = state.mode === "slider" ? null : keys().indexOf(list[0]) + 1;
    const heads = list.map((key) => h("span", { class: "name" }, number && number < 10 ? h("kbd", {}, number) : null, familyOf(key) ? dot(familyOf(key)) : null, titleOf(key), h("b", {}, said(key))));
    const note = list.map((key) => state.sources[key]?.note).filter(Boolean)[0];
    const element = h("figure", { class: "pane" }, h("figcaption", {}, heads), frame, note ? h("p", { class: "note" }, note) : null, value);
    movable(frame, view, (point) => { for (const p of panes) p.read(point); });
    const read = (point) => { value.textContent = list.map((key) => valueAt(state.sources[key], point, state.map === "residual" ? own.unit : "")).join("  |  "); };
    return { element, frame, canvas, list, read };
  }

  function said(key) {
    const value = scoreOf(key);
    return Number.isNaN(number(value)) ? "" : `  ${state.measure.title.split(" ")[0]} ${fixed(value, state.measure.places)}`;
  }

  function paint() {
    area.classList.toggle("zoomed", view.zoom > 1);
    for (const p of panes) {
      const sources = p.list.map((key) => state.sources[key]?.canvas);
      const shape = sources.find(Boolean);
      if (shape) p.canvas.height = Math.max(8, Math.round((512 * shape.height) / shape.width));
      view.draw(p.canvas, sources.at(-1));
      if (p.list.length === 2 && sources[0]) {
        const over = h("canvas", { width: 512, height: p.canvas.height });
        view.draw(over, sources[0]);
        const wide = Math.round(512 * panes.divider.share());
        if (wide > 0) p.canvas.getContext("2d").drawImage(over, 0, 0, wide, over.height, 0, 0, wide, over.height);
      }
    }
  }

  function tell() {
    const rule = state.rule ? `, the ${state.rule} of ${own.images.filter((_, i) => !Number.isNaN(number(own.values[state.measure.key][state.a]?.[i]))).length} for ${titleOf(state.a)} by ${state.measure.title}` : "";
    told.textContent = `Image ${own.images[state.image]}${rule}. ${own.images.length < own.of ? `${own.images.length} of ${own.of} images are on this page, evenly from the easiest to the hardest. ` : ""}${own.reduced ? `Pictures are ${own.reduced}.` : ""}`;
    scale.replaceChildren(...(state.map === "error" ? [scaleBar(state.span, "", "error, intensities in [0, 1]"), choice("Scale", ERROR_SPANS.map((v) => [String(v), String(v)]), String(state.span), (v) => { state.span = Number(v); draw(); })]
      : state.map === "residual" ? [scaleBar(own.span, own.unit, own.unit ? "residual, in noise levels" : "residual, in the units of y")] : []));
    for (const [i, thumb] of [...strip.children].entries()) {
      const on = Number(thumb.dataset.image) === state.image;
      thumb.setAttribute("aria-selected", String(on));
      if (on) { strip.setAttribute("aria-activedescendant", thumb.id); state.place = i; }
    }
  }

  async function thumbs() {
    const places = ordered(own, state.measure || { key: "" }, state.by, state.a, state.b);
    const sprite = sprites.truth || sprites.measurement;
    const canvases = places.map(() => h("canvas", { width: sprite.width, height: sprite.height, "aria-hidden": "true" }));
    strip.replaceChildren(...places.map((i, k) => h("div", { class: "thumb", role: "option", id: `${own.pictures}-${i}`, "data-image": i, title: `image ${own.images[i]}`, onclick: () => go(i) }, canvases[k], h("span", {}, own.images[i]))));
    for (const [k, i] of places.entries()) {
      const source = await picture(sprite, i);
      if (source) canvases[k].getContext("2d").drawImage(source, 0, 0);
    }
    tell();
  }

  function go(i, rule = "") {
    Object.assign(state, { image: i, rule });
    strip.querySelector(`[data-image="${i}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    return draw();
  }
  const step = (by) => { const n = strip.children.length; go(Number(strip.children[((state.place || 0) + by + n) % n].dataset.image)); };
  const rule = (name) => { const i = picked(own, state.measure, state.a, name); if (i !== null) go(i, name); };
  const set = (change) => { Object.assign(state, change); refresh(); };

  function refresh() {
    const maps = MAPS.filter(([key]) => key === "image" || (key === "error" && sprites.truth) || (key === "residual" && Object.keys(sprites.residuals).length) || (key === "kernel" && Object.keys(sprites.kernels).length));
    const pressed = (text, on, click, extra = {}) => button(text, click, { "aria-pressed": String(on), ...extra });
    const group = (label, ...buttons) => h("span", { class: "group", role: "group", "aria-label": label }, buttons);
    renew(controls, ...[
      group("How", MODES.map(([key, text]) => pressed(text, state.mode === key, () => set({ mode: key }), { "data-mode": key }))),
      group("What", maps.map(([key, text]) => pressed(text, state.map === key, () => set({ map: key }), { "data-map": key }))),
      scores.length ? choice("By", scores.map((m) => [m.key, m.title]), state.measure.key, (key) => { set({ measure: scores.find((m) => m.key === key), rule: "" }); thumbs(); }) : null,
      choice("A", methods, state.a, (a) => { set({ a, rule: "" }); thumbs(); }),
      known.length > 1 ? choice("B", known, state.b, (b) => { set({ b, rule: "" }); thumbs(); }) : null,
      scores.length ? group("Image by rule, for A", ["best", "median", "worst"].map((name) => button(name, () => rule(name), { "data-rule": name, title: `the image where A is ${name === "median" ? "in the middle" : name}` }))) : null,
      choice("Order", [["index", "by number"], ["difficulty", "by difficulty"], ["disagreement", "by disagreement of A and B"]], state.by, (by) => { state.by = by; thumbs(); }),
      group("Zoom", button("−", () => view.zoomBy(1 / 1.5), { "aria-label": "Zoom out" }), button("+", () => view.zoomBy(1.5), { "aria-label": "Zoom in" }), button("all", () => view.reset(), { "aria-label": "Show the whole picture" })),
      chooser(`Shown: ${state.chosen.size} of ${known.length}`,
        button("all", () => { state.chosen = new Set(known.map(([key]) => key)); refresh(); }),
        known.map(([key, title]) => tick(title, state.chosen.has(key), (on) => { state.chosen[on ? "add" : "delete"](key); controls.querySelector(".chooser summary").textContent = `Shown: ${state.chosen.size} of ${known.length}`; state.flick = 0; draw(); }))),
    ].filter(Boolean));
    draw();
  }

  strip.addEventListener("keydown", (event) => { const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; if (by) { event.preventDefault(); event.stopPropagation(); step(by); } });
  area.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (move && event.target === area) { event.preventDefault(); view.pan(...move); }
  });
  const element = h("div", { class: "gallery" }, controls, strip, told, scale, area);
  element.keys = {
    n: () => step(1), p: () => step(-1), e: () => set({ map: state.map === "error" ? "image" : "error" }), r: () => set({ map: state.map === "residual" ? "image" : "residual" }), i: () => set({ map: "image" }),
    s: () => set({ mode: "side" }), b: () => set({ mode: "slider" }), f: () => set({ mode: "flicker" }), "+": () => view.zoomBy(1.5), "=": () => view.zoomBy(1.5), "-": () => view.zoomBy(1 / 1.5), 0: () => view.reset(),
    digit: (n) => { if (n > keys().length) return; set({ mode: "flicker", flick: n - 1 }); say(titleOf(keys()[n - 1])); },
  };
  refresh();
  thumbs();
  return [element];
}
