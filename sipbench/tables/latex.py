r"""Text and tables as LaTeX that compiles, whatever a title or a name holds.

What is written here is for \input into a document with \usepackage{booktabs,graphicx}. Only ASCII stands outside of
comments, so that every engine and every encoding reads it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from sipbench.safety.text import line as one_line

FIT = r"""
\providecommand{\sipbenchfit}[1]{\setbox0=\hbox{\ignorespaces#1\unskip}\ifdim\wd0>\linewidth
  \resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
""".strip()
"""A table as wide as it is, or as the line where it would be wider."""
SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "<": "$<$",
    ">": "$>$",
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "°": r"$^\circ$",
    "½": "1/2",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ł": r"\l{}",
    "ı": r"\i{}",
    "\N{NO-BREAK SPACE}": "~",
}
SYMBOLS = {
    **{"±": "pm", "×": "times", "·": "cdot", "⋅": "cdot", "÷": "div", "∞": "infty", "√": "surd", "∂": "partial"},
    **{"↑": "uparrow", "↓": "downarrow", "←": "leftarrow", "→": "rightarrow", "↔": "leftrightarrow", "⇒": "Rightarrow"},
    **{"≤": "le", "≥": "ge", "≈": "approx", "≠": "neq", "≡": "equiv", "∼": "sim", "≪": "ll", "≫": "gg", "∝": "propto"},
    **{"∈": "in", "∉": "notin", "∇": "nabla", "∑": "sum", "∏": "prod", "∫": "int", "ℓ": "ell", "∥": "|", "⊥": "perp"},
    **{"−": "-", "∗": "ast", "●": "bullet", "•": "bullet", "∘": "circ", "⊗": "otimes", "⊕": "oplus", "∀": "forall"},
}
ACCENTS = {0x300: "`", 0x301: "'", 0x302: "^", 0x303: "~", 0x304: "=", 0x306: "u", 0x307: ".", 0x308: '"'}
ACCENTS |= {0x30A: "r", 0x30B: "H", 0x30C: "v", 0x323: "d", 0x327: "c", 0x331: "b"}


def escape(text: object) -> str:
    """Plain text as LaTeX: one line of ASCII that shows the same. A sign that LaTeX has not is shown by its number."""
    found = "".join(map(_sign, unicodedata.normalize("NFC", one_line(text))))
    return f"{{}}{found}" if found[:1] in ("[", "*") else found  # after a line's end they would be its options


def _sign(c: str) -> str:
    if c in SPECIAL:
        return SPECIAL[c]
    if c.isascii():
        return c
    if c in SYMBOLS:
        name = SYMBOLS[c]
        return f"$\\{name}$" if name != "-" else "$-$"
    return _greek(c) or _composed(c) or rf"\texttt{{U+{ord(c):04X}}}"


def _greek(c: str) -> str:
    """σ as its command; a capital that looks like a Latin one is that one."""
    kind, _, name = unicodedata.name(c, "").partition(" LETTER ")
    if kind not in ("GREEK SMALL", "GREEK CAPITAL") or not name.isalpha():
        return ""
    name = name.lower().replace("lamda", "lambda")
    if kind == "GREEK SMALL":
        return "o" if name == "omicron" else f"$\\{name}$"
    if name in ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"):
        return f"$\\{name.capitalize()}$"
    return {"eta": "H", "rho": "P", "chi": "X"}.get(name, name[0].upper())


def _composed(c: str) -> str:
    """A letter with its accent, a raised or lowered sign, or one that stands for plain ones."""
    kind, *codes = unicodedata.decomposition(c).split() or [""]
    if not codes:
        return ""
    if kind.startswith("<"):
        raised = {"<super>": r"\textsuperscript", "<sub>": r"$_{%s}$"}.get(kind)
        inner = "".join(_sign(chr(int(code, 16))) for code in codes)
        if raised is None:
            return inner
        return raised % inner.strip("$") if "%s" in raised else f"{raised}{{{inner}}}"
    parts = [int(code, 16) for code in (kind, *codes)]
    if len(parts) == 2 and parts[1] in ACCENTS and chr(parts[0]).isascii():
        return f"\\{ACCENTS[parts[1]]}{{{chr(parts[0])}}}"
    return ""


def float_(caption: str, parts: Iterable[str]) -> str:
    """A `table` of these tabulars below each other; the caption is LaTeX already."""
    body = "\n\n\\medskip\n".join(f"\\sipbenchfit{{\n{part}}}" for part in parts)
    return "\n".join(["\\begin{table}", "\\centering", "\\scriptsize", f"\\caption{{{caption}}}", body, "\\end{table}"])


def tabular(columns: str, head: Iterable[str], groups: Iterable[Iterable[Sequence[str]]]) -> str:
    """A `tabular` of rows of cells that are LaTeX already, with a rule before each group."""
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", *head]
    for group in groups:
        lines += ["\\midrule", *(" & ".join(cells) + r" \\" for cells in group)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def stack(lines: Sequence[str]) -> str:
    """A heading of several lines."""
    text = r"\\".join(map(escape, lines))
    return f"\\shortstack{{{text}}}" if len(lines) > 1 else text


def page(said: Iterable[str], tables: Iterable[str]) -> str:
    """A file: what is said as comments, then the tables."""
    comments = [f"% {one_line(line)}" for line in said]
    return "\n".join(comments) + f"\n\n{FIT}\n\n" + "\n\n".join(tables) + "\n"
