"""`sipbench check`: the contract tests, on a solver of one's own or on a method's name."""

from __future__ import annotations

from sipbench.cli.words import pairs
from sipbench.errors import UserError

HELP = """\
sipbench check mine.py:solve|METHOD [degradation=NAME] [size=N] [option=value ...]     what every solver must keep to

  degradation= size=     the problem that it is tried on, where the check's own will not do
  option=value           options of the solver, under the paper's names

One line a clause: passed, failed or skipped, with the reason. Exit code 0 where none failed.

Example:  sipbench check mine.py:solve steps=10
"""


def main(words: list[str]) -> int:
    """Print the findings."""
    if not words:
        raise UserError("check what? sipbench check mine.py:solve, or the name of a method")
    options = pairs(words[1:], "sipbench check mine.py:solve [degradation=NAME size=N option=value ...]")
    from sipbench import testing

    setting = {k: options.pop(k) for k in ("degradation", "size") if k in options}
    findings = testing.check(words[0], **setting, options=options)
    print(testing.render(findings))
    return 0 if all(f.passed for f in findings) else 1
