"""Deblurring with the true kernel, and the error ratio that is measured by it."""

import torch
from scipy.optimize import minimize

from sipbench.datasets.faces import Faces
from sipbench.metrics import METRICS, deconvolution, evaluate, psnr, psnr_aligned
from sipbench.metrics.alignment import error_ratio
from sipbench.metrics.deconvolution import deblurred
from sipbench.noise import Gaussian
from sipbench.operators.blind import BlindBlur
from sipbench.problem import Rng
from tests.metrics.images import pair


def posed(sigma=0.01, b=2, side=32, **options):
    x = Faces("validation", 32).load(range(b))[..., :side, :side]
    rng = Rng.of(0, "deblurred", range(b))
    f = BlindBlur(tuple(x.shape), rng.portable, size=9, boundary="valid", **options)
    A = f.given(f.draw(rng.child("theta")))
    return A, Gaussian(sigma)(A(x), rng.child("noise")), x


def test_it_minimises_what_it_says():
    """Beside scipy on the same function, with corners rounded where the weights are: from there nothing is gained."""
    sigma, corner = 0.05, deconvolution.CORNER
    A, y, _ = posed(sigma, 1, 16)
    y, shape = y[:, :1].double(), (1, 1, 16, 16)

    def energy(flat):
        x = torch.tensor(flat.reshape(shape), requires_grad=True)
        t = torch.cat([x.diff(dim=-2).flatten(), x.diff(dim=-1).flatten()]).abs()
        quadratic = 0.4 * corner**-1.2 * t.square() + 0.6 * corner**0.8
        rho = torch.where(t < corner, quadratic, t.clamp(min=corner) ** 0.8)
        value = (A(x) - y).square().sum() + deconvolution.WEIGHT * sigma**2 * rho.sum()
        value.backward()
        return value.item(), x.grad.numpy().ravel()

    found = deblurred(A, y, sigma, rounds=40, steps=80).numpy().ravel()
    nearby = minimize(energy, found, jac=True, method="L-BFGS-B")
    start = energy(A.T(y).numpy().ravel())[0]
    assert energy(found)[0] - nearby.fun < 1e-3 * (start - nearby.fun)


def test_it_deblurs_each_image_by_itself():
    A, y, x = posed()
    found = deblurred(A, y, 0.01)
    gain = psnr(found[..., 4:-4, 4:-4], x[..., 4:-4, 4:-4].double()) - psnr(y, x[..., 4:-4, 4:-4])
    assert gain.min() > 4
    alone = deblurred(A.select(slice(1, 2)), y[1:], 0.01)
    torch.testing.assert_close(found[1:], alone, rtol=0, atol=1e-10)
    assert deblurred(A, y, None).isfinite().all()


def test_the_ratio_is_that_of_squared_errors():
    """In the field that is compared; an estimate with twice the error of the best one has a ratio of 4."""
    x_hat, x = pair(2, 3, 64, 64, noise=0.0)
    x = 0.5 * x
    assert torch.equal(psnr_aligned(0.5 * x_hat, x).isinf(), torch.tensor([True, True]))
    torch.testing.assert_close(error_ratio(x + 0.2, x, x + 0.1).float(), torch.tensor([4.0, 4.0]), rtol=1e-2, atol=0)
    scores = evaluate(["error_ratio", "success_2", "success_3"], x + 0.16, x, best=lambda: x + 0.1)
    assert (scores["error_ratio"] - 2.56).abs().max() < 0.1
    assert scores["success_2"].tolist() == [0, 0] and scores["success_3"].tolist() == [1, 1]


def test_where_nothing_tells_the_best_there_is_no_ratio():
    names = [name for name, metric in METRICS.items() if metric.against_best]
    assert all(score.isnan().all() for score in evaluate(names, *pair(2)).values())


def test_a_stored_result_is_scored_by_it(tmp_path):
    """From a cell to its row, and once more by the notebook's way; what is not blind has none."""
    import sipbench
    from sipbench import configs
    from sipbench.bench.cell import Cell
    from sipbench.bench.run import Bench

    words = ["degradation=blind_motion", "degradation.operator.size=5", "size=32", "images=2", f"results={tmp_path}"]
    words += ["metrics=[psnr,error_ratio]", "method=pan_l0", "method.solver.iterations=1"]
    cell = Cell.of(configs.compose(words), words)
    row = Bench.of(cell).rows([0, 1], None)[0]
    assert row["status"] == "ok" and row["error_ratio"] > 0
    problem, x = sipbench.pose("faces", "blind_motion", 2, size=32, overrides=["degradation.operator.size=5"])
    rows = sipbench.score(x, x, problem, ["error_ratio", "success_2"])
    assert rows["error_ratio"].tolist() == [0, 0] and rows["success_2"].tolist() == [1, 1]
    problem, x = sipbench.pose("faces", "sr4", 1, size=32)
    assert sipbench.score(x, x, problem, ["error_ratio"])["error_ratio"].isna().all()
