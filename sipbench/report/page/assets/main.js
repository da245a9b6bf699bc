/* The page: a list of its sections, and the one that is looked at. */
const PAGE = JSON.parse(document.getElementById("data").textContent);
const main = h("main", { id: "main", tabindex: "-1" });
const links = PAGE.sections.map((section) => h("a", { href: `#${encodeURIComponent(section.key)}`, "data-key": section.key }, h("span", {}, section.title), h("small", {}, summary(section))));
const jump = h("select", { "aria-label": "Table", onchange: (event) => { location.hash = encodeURIComponent(event.target.value); } }, PAGE.sections.map((one) => h("option", { value: one.key }, `${one.title} (${one.profile})`)));

function summary(section) {
  const parts = [section.profile];
  if (section.entries) parts.push(`${section.entries.length} cells`);
  if (section.galleries && section.galleries.length) parts.push("pictures");
  return parts.join(" · ");
}

function current() {
  const key = location.hash.slice(1);
  return Math.max(0, PAGE.sections.findIndex((section) => section.key === key || encodeURIComponent(section.key) === key));
}

function turn(by) {
  const n = PAGE.sections.length;
  if (!n) return;
  location.hash = encodeURIComponent(PAGE.sections[(current() + by + n) % n].key);
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function show() {
  const section = PAGE.sections[current()];
  if (!section) return main.replaceChildren(h("p", { class: "legend" }, "There is no table on this page."));
  for (const link of links) {
    if (link.dataset.key === section.key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  jump.value = section.key;
  document.title = `${section.title} · ${PAGE.title}`;
  const parts = sections[section.kind](section, PAGE).filter(Boolean);
  const inside = h("nav", { class: "inside", "aria-label": "Parts of this table" }, parts.map((p) => button(p.getAttribute("aria-label"), () => { p.focus({ preventScroll: true }); p.scrollIntoView({ behavior: "smooth" }); })));
  main.replaceChildren(h("header", {}, h("h2", {}, section.title), h("p", { class: "source" }, `profile ${section.profile} · ${section.source}`), inside), ...parts);
  scrollTo(0, 0);
}

document.body.append(
  h("a", { href: "#main", class: "skip", onclick: (event) => { event.preventDefault(); main.focus(); } }, "To the table"),
  h("header", { class: "top" }, h("h1", {}, PAGE.title), jump,
    h("span", { class: "spring" }), h("span", { class: "families", "aria-label": "Families" }, Object.keys(PAGE.colours).map((family) => h("span", {}, dot(family), family || "other"))),
    button("◐", theme, { "aria-label": "Light or dark", title: "light or dark (t)" }), button("?", () => keysHelp.showModal(), { "aria-label": "Keys", title: "keys (?)" })),
  h("div", { class: "body" }, h("nav", { class: "side", "aria-label": "Tables" }, links), main),
  h("footer", {}, `${PAGE.made}. Everything on this page is in this file.`),
  h("div", { id: "said", class: "said", role: "status", "aria-live": "polite" }), drawer, keysHelp);
addEventListener("hashchange", show);
addEventListener("keydown", onKey);
show();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
