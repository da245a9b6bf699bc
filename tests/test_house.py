"""The house stays tidy: what import-linter cannot say, since it leaves out imports for types alone."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
VOCABULARY = {"noise", "problem", "operators.base", "operators.iterative", "operators.jpeg"}
"""What a solver needs speaks of itself: a problem has an operator, and an operator is inverted where a problem says."""


def order(imports):
    """Each after what it imports, the vocabulary as one."""

    def room(name):
        return "vocabulary" if name.removeprefix("sipbench.") in VOCABULARY else name

    wanted = {}
    for name, others in imports.items():
        wanted.setdefault(room(name), set()).update({room(other) for other in others} - {room(name)})
    return list(TopologicalSorter(wanted).static_order())


def test_no_module_needs_itself_not_even_for_types():
    graph = grimp.build_graph("sipbench", "baselines", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert "vocabulary" in order(imports)


def test_a_circle_is_seen():
    with pytest.raises(CycleError):
        order({"sipbench.bench.run": {"sipbench.bench.draws"}, "sipbench.bench.draws": {"sipbench.bench.run"}})


def test_no_file_is_long_and_few_lie_flat():
    files = [file for room in ("sipbench", "baselines") for file in (ROOT / room).rglob("*.py")]
    assert [file.name for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 400] == []
    assert len(list((ROOT / "sipbench").glob("*.py"))) <= 10
