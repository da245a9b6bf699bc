/* What is seen of a table, as CSV or LaTeX, on the clipboard: by the rules of sipbench/tables/latex.py and safety/text.py. */
const LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "|": "\\textbar{}", '"': "\\char34{}", "`": "\\textasciigrave{}",
  "<": "$<$", ">": "$>$", "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": "\\ldots{}", "°": "$^\\circ$", "½": "1/2", "\u00a0": "~",
  "ß": "\\ss{}", "ø": "\\o{}", "Ø": "\\O{}", "æ": "\\ae{}", "Æ": "\\AE{}", "ł": "\\l{}", "ı": "\\i{}", "−": "$-$", "∥": "$\\|$", "ς": "$\\varsigma$",
};
const SYMBOLS = {
  "±": "pm", "×": "times", "·": "cdot", "÷": "div", "∞": "infty", "√": "surd", "∂": "partial", "↑": "uparrow", "↓": "downarrow", "←": "leftarrow", "→": "rightarrow",
  "↔": "leftrightarrow", "⇒": "Rightarrow", "≤": "le", "≥": "ge", "≈": "approx", "≠": "neq", "≡": "equiv", "∼": "sim", "≪": "ll", "≫": "gg", "∝": "propto", "∈": "in",
  "∉": "notin", "∇": "nabla", "∑": "sum", "∏": "prod", "∫": "int", "ℓ": "ell", "⊥": "perp", "∗": "ast", "●": "bullet", "•": "bullet", "∘": "circ", "⊗": "otimes", "⊕": "oplus",
  "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
};
const GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma sigma tau upsilon phi chi psi omega".split(" ");
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻";
const LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋";
const ACCENTS = { "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c", "\u0331": "b" };
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const FORMULA = /^[=+@\t\r-]/;
const PLAIN = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;

/** Plain text as one line of ASCII that LaTeX shows the same; a sign that it has not is shown by its number. */
function latexText(text) {
  const line = String(text).split(/\s+/).filter(Boolean).join(" ").replace(HIDDEN, "\ufffd").normalize("NFD");
  const found = (line.match(/[A-Za-z][\u0300-\u0331]|./gsu) || []).map((c) => (c.length > 1 && ACCENTS[c[1]] ? `\\${ACCENTS[c[1]]}{${c[0]}}` : [...c].map(latexSign).join(""))).join("");
  return /^[[*]/.test(found) ? `{}${found}` : found; // after a line's end they would be its options
}

function latexSign(c) {
  if (LATEX[c]) return LATEX[c];
  if ("&%$#_{}".includes(c)) return `\\${c}`;
  if (c >= " " && c <= "~") return c;
  if (SYMBOLS[c]) return `$\\${SYMBOLS[c]}$`;
  if (c >= "α" && c <= "ω") return c === "ο" ? "o" : `$\\${GREEK[c.charCodeAt(0) - 0x3b1]}$`;
  if (RAISED.includes(c)) return `\\textsuperscript{${"0123456789+-"[RAISED.indexOf(c)]}}`;
  if (LOWERED.includes(c)) return `$_{${"0123456789+-"[LOWERED.indexOf(c)]}}$`;
  return `\\texttt{U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}}`;
}

/** Lines of {text, best} as booktabs; a heading above each group of lines. */
function asLatex(columns, groups) {
  const lines = [`\\begin{tabular}{${columns.map((c) => (c.numeric ? "r" : "l")).join("")}}`, "\\toprule",
    `${columns.map((c) => latexText(c.heading)).join(" & ")} \\\\`];
  for (const group of groups) {
    lines.push("\\midrule");
    if (group.title) lines.push(`\\multicolumn{${columns.length}}{l}{\\emph{${latexText(group.title)}}} \\\\`);
    for (const line of group.lines) lines.push(`${line.map((v) => (v.best ? `\\textbf{${latexText(v.text)}}` : latexText(v.text))).join(" & ")} \\\\`);
  }
  return [...lines, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

/** Text that a spreadsheet would take for a formula gets an apostrophe in front; what is not known is empty. */
function asCsv(lines) {
  const plain = (value) => {
    if (typeof number(value) === "number") return Number.isNaN(number(value)) ? "" : String(value);
    const text = String(value).replace(HIDDEN, "\ufffd");
    return FORMULA.test(text) && !PLAIN.test(text) ? `'${text}` : text;
  };
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return lines.map((line) => line.map((value) => quoted(plain(value))).join(",")).join("\n") + "\n";
}

/** Put text on the clipboard, and say whether it is there. */
async function copy(text, what) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "aside" });
    area.value = text;
    const before = document.activeElement;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
  }
  say(done ? `${what} copied` : `${what} could not be copied: the browser does not allow it`);
}
