"""The method keeps the contract, the map has its adjoint, and all four work together."""

import pytest
import torch

import sipbench
from sipbench import configs, testing
from sipbench.errors import UserError


def test_the_method_keeps_the_contract():
    findings = testing.check("rollback")
    assert findings[0].status != "SKIP" and all(f.passed for f in findings), testing.render(findings)


def test_the_adjoint_of_the_degradation_is_one():
    f = sipbench.pose(dataset="stripes", degradation="ghost", images=2, size=32)[0].linear
    x, y = torch.randn(2, 2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close((f(x) * y).sum(), (x * f.T(y)).sum())


def test_the_dataset_has_no_image_beyond_the_end():
    stripes = configs.locate(configs.read("dataset", "stripes")["_target_"])("test", 32)
    for index in (-1, len(stripes)):
        with pytest.raises(UserError, match="outside"):
            stripes.load([index])


def test_all_four_work_together():
    problem, truth = sipbench.pose(dataset="stripes", degradation="ghost", images=3, size=32)
    before = sipbench.score(problem.y, truth, problem, ["psnr"])
    after = sipbench.score(sipbench.solve(problem, method="rollback"), truth, problem, ["psnr", "edges"])
    assert (after["psnr"] > before["psnr"] + 5).all()
    assert (after["edges"] > 0).all() and (sipbench.score(truth, truth, problem, ["edges"])["edges"] == 0).all()
