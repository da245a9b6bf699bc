/* What is seen of a table, as CSV or LaTeX, on the clipboard. */
const LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "±": "$\\pm$", "×": "$\\times$",
  "↑": "$\\uparrow$", "↓": "$\\downarrow$", "∞": "$\\infty$", "σ": "$\\sigma$", "⁺": "\\textsuperscript{+}", "–": "--", "−": "$-$",
};

function latexText(text) {
  return [...String(text)].map((c) => LATEX[c] || ("&%$#_{}".includes(c) ? `\\${c}` : c)).join("");
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

function asCsv(lines) {
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return lines.map((line) => line.map((value) => quoted(value === null || value === undefined ? "" : String(value))).join(",")).join("\n") + "\n";
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "aside" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}
