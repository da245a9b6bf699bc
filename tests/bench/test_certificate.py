"""What a solver says of its own result reaches the rows, image by image."""

import torch

from sipbench.bench import store
from sipbench.bench.run import run


def test_a_certificate_becomes_columns(cell, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\nfrom sipbench.problem import Estimate\n"
        "def solve(problem):\n"
        "    x = problem.y.clone()\n"
        "    gap = x.flatten(1).mean(1)\n"
        "    said = torch.arange(len(x)) != 1\n"
        "    return Estimate(x, converged=said, certificate={'violation': gap, 'objective': 2 * gap})\n"
    )
    c = cell(f"method.solver._target_={path}:solve", "method.name=mine", "degradation=denoise")
    for _ in run(c):
        pass
    found = store.read(c.folder)
    assert found["converged"].tolist() == [True, False, True]
    gap = torch.tensor(found["certificate_violation"])
    assert gap.isfinite().all() and gap.unique().numel() == 3
    torch.testing.assert_close(torch.tensor(found["certificate_objective"]), 2 * gap)


def test_without_one_there_are_no_such_columns(cell):
    c = cell("method=pinv", "degradation=sr4")
    for _ in run(c):
        pass
    found = store.read(c.folder)
    assert not [name for name in found if name.startswith("certificate")]
    assert found["converged"].isna().all()
