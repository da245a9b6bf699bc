"""The classical solvers beside scikit-image and deepinv: seconds at the same accuracy, on the same objective.

Run by hand: python benchmarks/classical.py [size [rounds]]. One grey image, single precision, all in turns so that they
meet the same machine; printed is the median. Iterative solvers of one objective get as many iterations as each needs to
come within an accuracy of the minimiser (relative distance, found beforehand by a long run); solvers without a choice
get the same number. A ratio of at most 1 is the goal. Wavelets need PyWavelets, and deepinv's ptwt.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from deepinv import optim
from deepinv.models import TVDenoiser, WaveletDenoiser
from deepinv.physics import BlurFFT, LinearPhysics
from skimage import data, restoration
from skimage.transform import resize
from torch import Tensor

from baselines.classical.richardson_lucy import richardson_lucy
from baselines.classical.tv import tv
from baselines.classical.wavelet import wavelet
from sipbench.noise import Gaussian
from sipbench.operators.blur import Blur
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng

LAM, DEBLUR, SIGMA, SECONDS = 0.2, 0.002, 0.2, 0.2
Solve = Callable[[int], Tensor]


def pose(make: Callable[..., Any], size: int, sigma: float) -> Problem:
    x = torch.from_numpy(resize(data.camera(), (size, size), anti_aliasing=True)).float()[None, None] * 2 - 1
    rng = Rng.of(0, "bench", [0])
    f = make(x.shape, rng)
    return Problem(Gaussian(sigma)(f(x), rng), f, Gaussian(sigma), tuple(x.shape), None, rng)


def blurred(boundary: str) -> Callable[..., Blur]:
    return lambda shape, rng: Blur(shape, rng, kernel="gaussian", size=9, sigma=1.5, boundary=boundary)


def double(problem: Problem) -> Problem:
    return Problem(problem.y.double(), problem.f, problem.noise, problem.shape, None, problem.rng)


def seconds(go: Callable[[], Any]) -> float:
    """Of one call, averaged over as many as fill a fraction of a second."""
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < SECONDS:
        go()
        count += 1
    return (time.perf_counter() - began) / count


def enough(solve: Solve, target: Tensor, accuracy: float) -> int:
    """The least number of iterations, on a grid of ratio 1.25, that comes within the accuracy of the target."""
    n = 8
    while float((solve(n) - target).norm() / target.norm()) > accuracy:
        n = math.ceil(1.25 * n)
        if n > 20000:
            raise RuntimeError("it does not come that near")
    return n


def report(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, note: str = "") -> None:
    ours(), theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, peer = (statistics.median(t) for t in zip(*times, strict=True))
    print(f"{name:<42}{1e3 * mine:>10.2f}{1e3 * peer:>12.2f}{mine / peer:>8.2f}  {note}", flush=True)


def race(name: str, ours: Solve, theirs: Solve, target: Tensor, accuracy: float, rounds: int) -> None:
    mine, peer = enough(ours, target, accuracy), enough(theirs, target, accuracy)
    note = f"{mine} against {peer} iterations to {accuracy:g}"
    report(name, lambda: ours(mine), lambda: theirs(peer), rounds, note)


def total_variation(size: int, rounds: int) -> None:
    problem = pose(Denoise, size, SIGMA)
    image = problem.y[0, 0].numpy()

    def ours(n: int, problem: Problem = problem) -> Tensor:
        return tv(problem, c=None, lam=LAM, iterations=n, tolerance=0.0, scale=0.03).x

    def scikit(n: int) -> Tensor:
        return torch.from_numpy(restoration.denoise_tv_chambolle(image, LAM, eps=0, max_num_iter=n))[None, None]

    target = ours(3000, double(problem)).float()
    race("TV denoising, scikit-image", ours, scikit, target, 5e-3, rounds)
    for accuracy in (5e-3, 1e-3):
        race(
            "TV denoising, deepinv",
            ours,
            lambda n: TVDenoiser(n_it_max=n, crit=0.0)(problem.y, LAM),
            target,
            accuracy,
            rounds,
        )


def deblurring(size: int, rounds: int) -> None:
    """deepinv's primal-dual method has the steps of ours, which over-relaxes."""
    problem = pose(blurred("circular"), size, 0.02)
    A = BlurFFT(img_size=problem.shape[1:], filter=problem.f.kernel.float())
    start = problem.f.T(problem.y)
    state = {"est": (start, start, TVDenoiser.nabla(start) * 0)}

    def ours(n: int, problem: Problem = problem) -> Tensor:
        return tv(problem, c=None, lam=DEBLUR, iterations=n, tolerance=0.0, scale=0.1).x

    def deepinv(n: int) -> Tensor:
        method = optim.PDCP(
            K=TVDenoiser.nabla,
            K_adjoint=TVDenoiser.nabla_adjoint,
            data_fidelity=optim.L2(),
            prior=optim.L12Prior(),
            lambda_reg=DEBLUR,
            stepsize=0.1 / math.sqrt(8) / DEBLUR,
            stepsize_dual=10 * DEBLUR / math.sqrt(8),
            g_first=True,
            max_iter=n,
            custom_init=lambda y, physics: state,
        )
        return method(problem.y, A)

    target = ours(4000, double(problem)).float()
    race("TV deblurring, deepinv's PDCP", ours, deepinv, target, 5e-3, rounds)


def wavelets(size: int, rounds: int) -> None:
    problem = pose(Denoise, size, SIGMA)
    image, threshold = problem.y[0, 0].numpy(), SIGMA * math.sqrt(2 * math.log(size * size))
    for name, order in (("haar", 1), ("db4", 4)):
        options: Any = {"sigma": SIGMA, "wavelet": name, "mode": "soft", "method": "VisuShrink", "wavelet_levels": 4}
        go = lambda order=order: wavelet(problem, c=None, lam=threshold, order=order)  # noqa: E731
        if importlib.util.find_spec("pywt"):
            scikit = lambda options=options: restoration.denoise_wavelet(image, **options)  # noqa: E731
            report(f"wavelet denoising ({name}), scikit-image", go, scikit, rounds)
        if importlib.util.find_spec("ptwt"):
            peer = WaveletDenoiser(level=4, wv=name)
            report(f"wavelet denoising ({name}), deepinv", go, lambda peer=peer: peer(problem.y, threshold), rounds)
    if not importlib.util.find_spec("ptwt"):
        return
    problem = pose(blurred("circular"), size, 0.02)
    A = LinearPhysics(A=problem.f, A_adjoint=problem.f.T)
    prior = optim.WaveletPrior(level=4, wv="db4")
    fista = optim.FISTA(optim.L2(), prior, lambda_reg=0.1, stepsize=0.99, max_iter=50)
    ours = lambda: wavelet(problem, c=None, lam=0.01, iterations=50, tolerance=0.0)  # noqa: E731
    report("wavelet deblurring (db4), deepinv's FISTA", ours, lambda: fista(problem.y, A), rounds, "50 iterations each")


def likelihood(size: int, rounds: int) -> None:
    problem = pose(blurred("zero"), size, 0.02)
    kernel = problem.f.kernel[0, 0].float().numpy()
    b = ((problem.y + problem.f(torch.ones_like(problem.y))) / 2).clamp(min=0)
    scikit = lambda: restoration.richardson_lucy(b[0, 0].numpy(), kernel, num_iter=50)  # noqa: E731
    ours = lambda: richardson_lucy(problem, iterations=50, normalise=False)  # noqa: E731
    gap = float((((ours() + 1) / 2)[0, 0] - torch.from_numpy(scikit())).abs().max())
    report("Richardson-Lucy, scikit-image", ours, scikit, rounds, f"50 iterations each, which differ by {gap:.0e}")
    A = LinearPhysics(A=problem.f, A_adjoint=problem.f.T)
    mlem = optim.MLEM(data_fidelity=optim.PoissonLikelihood(denormalize=False), prior=None, max_iter=50)
    start = torch.full_like(problem.y, 0.5)
    report(
        "Richardson-Lucy, deepinv's MLEM",
        lambda: richardson_lucy(problem),
        lambda: mlem(b, A, init=start),
        rounds,
        "50 iterations each",
    )


@torch.no_grad()
def main(size: int = 256, rounds: int = 7) -> None:
    print(f"{size} x {size}, one grey image, {torch.get_num_threads()} threads, medians of {rounds}")
    print(f"{'':<42}{'ours, ms':>10}{'theirs, ms':>12}{'ratio':>8}")
    for part in (total_variation, deblurring, wavelets, likelihood):
        part(size, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
