/* Elements from data. What is shown goes in as text, never as HTML. */
const SVG = "http://www.w3.org/2000/svg";

/** An element: h("td", {class: "best", onclick: f}, "text", child, ...); what is null is left out. */
function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, of SVG. */
function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "colour") element.style.setProperty("--colour", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A choice of options [value, label], with its label before it. */
function choice(label, options, value, change) {
  const select = h("select", { "aria-label": label, onchange: (event) => change(event.target.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

function button(text, click, attributes = {}) {
  return h("button", { type: "button", onclick: click, ...attributes }, text);
}

/** A box to tick. */
function tick(text, checked, change, attributes = {}) {
  const box = h("input", { type: "checkbox", onchange: (event) => change(event.target.checked) });
  box.checked = checked;
  return h("label", { class: "tick", ...attributes }, box, h("span", {}, text));
}

/** Boxes behind a button, which stay on the screen. */
function chooser(title, ...children) {
  const pop = h("div", { class: "pop" }, children);
  return h("details", { class: "chooser", ontoggle: () => {
    pop.classList.remove("leftwards");
    pop.classList.toggle("leftwards", pop.getBoundingClientRect().right > document.documentElement.clientWidth);
  } }, h("summary", {}, title), pop);
}

function unique(values) {
  return [...new Set(values)];
}

/** New children in the place of the old ones; the control that had the focus has it again, found by its name or its place. */
function renew(box, ...children) {
  const controls = () => [...box.querySelectorAll("button, select, input, summary")];
  const name = (e) => `${e.tagName} ${e.dataset.key ?? e.getAttribute("aria-label") ?? e.textContent}`;
  const old = controls();
  const place = old.indexOf(document.activeElement);
  box.replaceChildren(...children);
  if (place < 0) return;
  const now = controls();
  (now.find((e) => name(e) === name(old[place])) || now[place])?.focus({ preventScroll: true });
}

/** Say something to those who listen to the page, and show it for a moment: in the dialog that is open, if one is. */
function say(text) {
  const line = document.querySelector("dialog[open] .said") || document.getElementById("said");
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { for (const one of document.querySelectorAll(".said")) one.classList.remove("shown"); }, 2600);
}

/** Draw a part of the page when it comes near the screen. */
function lazily(element, draw) {
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    draw();
  }, { rootMargin: "300px" });
  watch.observe(element);
  addEventListener("beforeprint", () => { watch.disconnect(); if (element.isConnected && !element.childElementCount) draw(); }, { once: true });
  return element;
}
