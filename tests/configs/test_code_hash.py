"""The hash of a solver's code: blind to comments and layout, and sees all that the code is made of."""

import os
import sys
import time

import pytest

from sipbench import configs
from sipbench.bench.run import run
from sipbench.errors import UserError


def test_it_is_blind_to_comments_and_docstrings_and_sees_code(tmp_path):
    path, hashes = tmp_path / "mine.py", []
    for text in ("def f():\n    return 1\n", "# a\ndef f():\n    'a'\n    return (1)\n", "def f():\n    return 2\n"):
        path.write_text(text)
        hashes.append(configs.code_hash(f"{path}:f"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_it_follows_imports_of_the_own_package(monkeypatch):
    before, other = (configs.code_hash(t) for t in ("baselines.single.dip.dip", "baselines.classical.pinv.pinv"))
    module = sys.modules["sipbench.configs.code_hash"]
    real = module.without_layout
    monkeypatch.setattr(module, "_known", {})  # what was hashed before
    monkeypatch.setattr(module, "without_layout", lambda path: real(path) + ("#" if path.name == "stopping.py" else ""))
    assert configs.code_hash("baselines.single.dip.dip") != before
    assert configs.code_hash("baselines.classical.pinv.pinv") == other


PACKAGE = {
    "__init__.py": "from . import beside\n",
    "solver.py": "from pan import kernel as kernels\n\ndef solve(problem):\n    return kernels.f()\n",
    "plain.py": "import pan.kernel\n\ndef solve(problem):\n    return pan.kernel.f()\n",
    "relative.py": "from . import kernel\nfrom .deep.inner import g\n\ndef solve(problem):\n    return kernel.f()\n",
    "within.py": "def solve(problem):\n    from .deep import inner\n    return inner.g()\n",
    "kernel.py": "from pan.deep import inner\n\ndef f():\n    return inner.g()\n",
    "beside.py": "B = 1\n",
    "alone.py": "import json\n\ndef solve(problem):\n    return 1\n",
    "deep/__init__.py": "C = 1\n",
    "deep/inner.py": "def g():\n    return 1\n",
}


@pytest.fixture
def pan(tmp_path, monkeypatch):
    """A package whose modules import each other in every way."""
    for name, text in PACKAGE.items():
        (tmp_path / "pan" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pan" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "pan"
    for name in [name for name in sys.modules if name.partition(".")[0] == "pan"]:
        del sys.modules[name]


@pytest.mark.parametrize("module", ["solver", "plain", "relative", "within", "kernel"])
@pytest.mark.parametrize("changed", ["deep/inner.py", "kernel.py", "alone.py", "deep/__init__.py", "beside.py"])
def test_it_follows_every_kind_of_import(pan, module, changed):
    """`from package import module`, `import a.b`, relative ones, within functions; the packages' own code counts."""
    before = configs.code_hash(f"pan.{module}.solve")
    (pan / changed).write_text((pan / changed).read_text() + "\nX = 1\n")
    unused = changed == "alone.py" or (module, changed) == ("within", "kernel.py")
    assert (configs.code_hash(f"pan.{module}.solve") == before) == unused
    assert "pan" not in sys.modules


@pytest.mark.parametrize("line", ["from helper import gain", "import helper", "from tools.helper import gain"])
def test_its_helpers_count_too(tmp_path, line):
    place = tmp_path / ("tools" if "tools" in line else "")
    place.mkdir(exist_ok=True)
    (place / "helper.py").write_text("gain = 2\n")
    (tmp_path / "mine.py").write_text(f"{line}\n\ndef f():\n    return 1\n")
    before = configs.code_hash(f"{tmp_path}/mine.py:f")
    (place / "helper.py").write_text("gain = 3\n")
    assert configs.code_hash(f"{tmp_path}/mine.py:f") != before


def test_a_cell_of_a_file_is_the_same_cell_in_another_folder(tmp_path, cell):
    hashes = {}
    for folder, name in (("here", "mine"), ("there", "mine"), ("third", "other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.py").write_text("def solve(problem, *, a=1):\n    return problem.y\n")
        hashes[folder] = cell(f"method={tmp_path}/{folder}/{name}.py:solve").hash
    assert hashes["here"] == hashes["there"] != hashes["third"]


def test_a_file_that_was_edited_runs_as_it_is_now(tmp_path, monkeypatch):
    """In one process, as in a notebook: the file, and the neighbour that it imports."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path, neighbour, seen = tmp_path / "mine.py", tmp_path / "beside.py", []
    for gain, shift in ((1, 0), (2, 0), (2, 5)):
        neighbour.write_text(f"shift = {shift}\n")
        path.write_text(f"from beside import shift\n\ndef solve(x):\n    return {gain} * x + shift\n")
        seen.append(configs.locate(f"{path}:solve")(1))
    assert seen == [1, 2, 7]


def test_a_file_that_was_edited_is_read_again_whatever_its_time_says(tmp_path, monkeypatch):
    """As after `touch -r` or an archive that was unpacked over it, of the same length."""
    module = sys.modules["sipbench.configs.code_hash"]
    monkeypatch.setattr(module, "SETTLED", -9.0)  # kept at once
    path = tmp_path / "mine.py"
    path.write_text("def f():\n    return 1\n")
    before, said = configs.code_hash(f"{path}:f"), path.stat()
    time.sleep(0.02)  # the clock of the file system ticks
    path.write_text("def f():\n    return 2\n")
    os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
    assert configs.code_hash(f"{path}:f") != before


def test_a_package_that_was_edited_after_it_was_imported_is_named(pan, cell):
    """As in a notebook: what would run is the old code, under the name of the new."""
    c = cell("method.solver._target_=pan.solver.solve", "method.name=mine")
    assert c.hash and configs.locate("pan.solver.solve")(None) == 1 and configs.edited("pan.solver.solve") == ""
    (pan / "deep/inner.py").write_text("def g():\n    return 2\n")
    assert configs.edited("pan.solver.solve") == "pan.deep.inner"
    with pytest.raises(UserError, match="pan.deep.inner was edited after it was imported here: begin a new process"):
        list(run(cell("method.solver._target_=pan.solver.solve", "method.name=mine")))
    (pan / "deep/inner.py").write_text("def g():  # as it was\n    return 1\n")
    assert configs.edited("pan.solver.solve") == ""
