"""STSL against its formulas written out once more, on latents that are a mixture of two Gaussians."""

import inspect

import pytest
import torch

from baselines.diffusion import stsl as module
from baselines.diffusion.stsl import stsl
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.priors.schedules import named
from sipbench.problem import Problem, Rng
from sipbench.testing.trial import Shuffle

SIZE, CENTRE, STD = 8, 0.5, 0.2
CHOSEN = {"steps": 8, "K": 3, "lam": 0.2, "eta": 0.4, "damping": 1e-2}


class TwoValued(Prior):
    """Each number by itself is N(+-0.5, 0.2^2), either sign as likely: the Hessian's trace depends on the place."""

    def __init__(self, shape, schedule):
        super().__init__(named(schedule))
        self.shape = shape

    def denoise(self, x_t, t):
        alpha, sigma = self.scales(t)
        v = alpha**2 * STD**2 + sigma**2
        side = torch.tanh(alpha * CENTRE * x_t / v)
        return CENTRE * side + alpha * STD**2 / v * (x_t - alpha * CENTRE * side)


def pose(make=Inpainting, *, images=(0, 1), schedule="vp", inner=TwoValued):
    rng, shape = Rng.of(0, "stsl", images), (len(images), 3, SIZE, SIZE)
    f = make(shape, rng.child("operator").portable)
    x = CENTRE * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64).sign()
    y = Gaussian(0.01)(f(x), rng.child("noise").portable)
    prior = LatentPrior(inner((12, SIZE // 2, SIZE // 2), schedule=schedule), Shuffle(shape[1:]))
    return Problem(y, f, Gaussian(0.01), shape, Counted(prior), rng.child("solver"))


def log_density(z, alpha, sigma):
    """log p_t(z) of one latent: its gradient is the score."""
    v = alpha**2 * STD**2 + sigma**2
    two = torch.stack([-((z - s * alpha * CENTRE) ** 2) / (2 * v) for s in (-1, 1)])
    return torch.logsumexp(two, 0).sum()


def reference(problem, steps, K, lam, eta, damping):
    """One image after another; the score by differentiating log p_t, the posterior mean by Tweedie's formula."""
    P = torch.cat([torch.ones(1).double(), torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000).double(), 0)])
    P = P[torch.cat([torch.linspace(1000, 1, steps).double().round().long(), torch.zeros(1).long()])]
    prior, shape, rng = problem.prior, problem.prior.shape, Rng(problem.rng.keys)
    draws = [rng.normal(*shape, dtype=torch.float64) for _ in range(K * steps)]
    seeds, out = rng.portable.normal(*shape, dtype=torch.float64), []

    for i, seed in enumerate(seeds):
        f, y = problem.f.select(slice(i, i + 1)), problem.y[i].flatten()
        units = torch.eye(seed.numel(), dtype=torch.float64)
        A = torch.stack([f(prior.decode(e.view(1, *shape))).flatten() for e in units], 1)
        z_0 = A.T @ torch.linalg.solve(A @ A.T + damping * torch.eye(len(A)).double(), y)
        z = P[0].sqrt() * z_0 + (1 - P[0]).sqrt() * seed.flatten()
        for k in range(steps):
            a, s = P[k].sqrt(), (1 - P[k]).sqrt()

            def score(z, a=a, s=s):
                z = z if z.requires_grad else z.detach().requires_grad_()
                return torch.autograd.grad(log_density(z, a, s), z, create_graph=True)[0]

            for j in range(K):
                e = draws[k * K + j][i].flatten()
                z = z.detach().requires_grad_()
                z_hat = (z + s**2 * score(z)) / a
                trace = (e * (score(z + e) - score(z))).sum() / len(e)
                loss = lam * torch.linalg.norm(y - A @ z_hat) + eta * trace
                z = (z - torch.autograd.grad(loss, z)[0]).detach()
            z_hat = ((z + s**2 * score(z)) / a).detach()
            z = P[k + 1].sqrt() * z_hat + (1 - P[k + 1]).sqrt() * (z - a * z_hat) / s
        out.append(prior.decode(z.view(1, *shape)))
    return torch.cat(out)


@pytest.mark.parametrize("eta", [0.4, 0.0])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, eta):
    problem, chosen = pose(operator), CHOSEN | {"eta": eta}
    assert (stsl(problem, **chosen) - reference(problem, **chosen)).abs().max() < 1e-7


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(at.alpha * z_hat - z) / at.sigma**2", "(at.alpha * z_hat - z) / at.sigma"),
        ("- score(z_t, z_hat, now)", "+ score(z_t, z_hat, now)"),
        ("eta / d *", "-eta / d *"),
        (".flatten(1).norm(dim=1)", ".norm()[None]"),
        ("denoise(z_t, now.t), now, then)", "denoise(z_t, then.t), now, then)"),
        ("+ first.alpha *", "+ 0 *"),
    ],
    ids=["variance", "sum for difference", "sign", "norm over the batch", "swapped levels", "start"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert not (broken["stsl"](pose(), **CHOSEN) - reference(pose(), **CHOSEN)).abs().max() < 1e-4


def test_on_a_gaussian_the_second_order_says_nothing():
    """The Hessian of a Gaussian's logarithm is the same everywhere."""
    problem = pose(inner=IsotropicGaussian)
    with_it, without = (stsl(problem, steps=10, eta=eta) for eta in (0.5, 0.0))
    assert (with_it - without).abs().max() < 1e-9


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = pose(schedule=schedule)
    free, guided = (stsl(problem, steps=50, lam=lam) for lam in (0.0, 0.1))
    residual = [((problem.y - problem.f(x)) * problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.5 * residual[0]


@pytest.mark.parametrize(("eta", "each"), [(0.02, 11), (0.0, 6)])
def test_evaluations(eta, each):
    problem = pose()
    stsl(problem, steps=4, eta=eta)
    assert problem.prior.evaluations == each * 4 * 2


def test_images_do_not_feel_each_other():
    together = stsl(pose(), **CHOSEN)
    alone = [stsl(pose(images=[i]), **CHOSEN) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
