"""A cell with a solver of a few lines."""

import textwrap

import pytest


@pytest.fixture
def solver(cell, tmp_path):
    """A cell with a solver of these lines."""

    def make(body, *words):
        path = tmp_path / "mine.py"
        path.write_text("import torch\n\ndef solve(problem):\n" + textwrap.indent(textwrap.dedent(body), "    "))
        return cell(f"method.solver._target_={path}:solve", "method.name=mine", "degradation=inpaint70", *words)

    return make
