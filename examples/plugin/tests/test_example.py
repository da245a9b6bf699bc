"""The method keeps the contract, the map has its adjoint, and all four work together."""

import torch

import sipbench
from sipbench import testing


def test_the_method_keeps_the_contract():
    findings = testing.check("rollback")
    assert findings[0].status != "SKIP" and all(f.passed for f in findings), testing.render(findings)


def test_the_adjoint_of_the_degradation_is_one():
    f = sipbench.pose(dataset="stripes", degradation="ghost", images=2, size=32)[0].linear
    x, y = torch.randn(2, 2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close((f(x) * y).sum(), (x * f.T(y)).sum())


def test_all_four_work_together():
    problem, truth = sipbench.pose(dataset="stripes", degradation="ghost", images=3, size=32)
    before = sipbench.score(problem.y, truth, problem, ["psnr"])
    after = sipbench.score(sipbench.solve(problem, method="rollback"), truth, problem, ["psnr", "edges"])
    assert (after["psnr"] > before["psnr"] + 5).all()
    assert (after["edges"] > 0).all() and (sipbench.score(truth, truth, problem, ["edges"])["edges"] == 0).all()
