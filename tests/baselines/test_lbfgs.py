"""L-BFGS on many functions at once, against torch's own on each."""

import pytest
import torch

from baselines.optimisers.lbfgs import LBFGS

BAD = torch.tensor([[-1.2, 1.0], [0.5, -0.5], [2.0, 2.0]], dtype=torch.float64)


def rosenbrock(x):
    return (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2


def ellipses(x):
    """A quadratic of another scale for each image, condition 1e4."""
    scales = torch.logspace(-2, 2, x.shape[1], dtype=x.dtype)
    return (x.square() * scales).sum(1) * 10.0 ** torch.arange(-3, len(x) - 3, dtype=x.dtype)


def minimise(function, start, steps, cls=LBFGS, **options):
    x = start.clone().requires_grad_()
    solver, losses = cls([x], **options), []
    for _ in range(steps):
        loss = function(x)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        solver.step(loss, [gradient])
        losses.append(solver.f)
    return solver.x, torch.stack(losses)


def test_it_finds_the_minimum_of_each_function():
    x, losses = minimise(rosenbrock, BAD, 100)
    assert (x - 1).abs().max() < 1e-8
    assert (losses.diff(dim=0) <= 0).all()


def test_functions_of_different_scales_converge_together():
    start = torch.linspace(-1, 2, 40, dtype=torch.float64).expand(6, -1)
    x, losses = minimise(ellipses, start, 150)
    assert (losses[-1] < 1e-12 * losses[0]).all()


START = torch.linspace(-1, 2, 10, dtype=torch.float64).expand(3, -1).contiguous()


def gap_to_torch(history, cls=LBFGS):
    """The largest difference from torch's L-BFGS without line search, run on one function after another."""
    ours, _ = minimise(ellipses, START, 12, cls=cls, lr=0.5, history=history, line_search=False)
    gaps = []
    for i in range(3):
        x = START.clone().requires_grad_()
        own = torch.optim.LBFGS(
            [x], lr=0.5, max_iter=11, max_eval=99, history_size=history, tolerance_grad=0, tolerance_change=0
        )

        def closure(x=x, own=own, i=i):
            own.zero_grad()
            loss = ellipses(x)[i]
            loss.backward()
            return loss

        own.step(closure)
        gaps.append(float((ours[i] - x[i].detach()).abs().max()))
    return max(gaps)


def witness(cls, history=3):
    assert gap_to_torch(history, cls) < 1e-8


@pytest.mark.parametrize("history", [3, 100])
def test_without_line_search_it_is_torchs(history):
    witness(LBFGS, history)


def test_images_do_not_feel_each_other():
    together, _ = minimise(rosenbrock, BAD, 30)
    alone = [minimise(rosenbrock, BAD[i : i + 1], 30)[0] for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_several_unknowns_are_one_vector():
    together, _ = minimise(rosenbrock, BAD, 15)
    a, b = (BAD[:, i : i + 1].clone().requires_grad_() for i in (0, 1))
    solver = LBFGS([a, b])
    for _ in range(15):
        loss = rosenbrock(torch.cat([a, b], 1))
        solver.step(loss, torch.autograd.grad(loss.sum(), [a, b]))
    assert torch.equal(solver.x, together)


def test_a_step_into_nothing_is_taken_back():
    """A function that is not a number beyond 1: the search comes back from there."""
    x, losses = minimise(lambda x: (0.1 * x - (1 - x).log()).sum(1), torch.full((1, 1), -5.0).double(), 60, lr=100.0)
    assert losses.isfinite().all() and x.isfinite().all()
