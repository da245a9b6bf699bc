"""GibbsDDRM: DDRM for the image and Langevin dynamics for the kernel, in turn.

Murata, Saito, Lai, Takida, Uesaka, Mitsufuji, Ermon: GibbsDDRM: A Partially Collapsed Gibbs Sampler for Solving Blind
Inverse Problems with Denoising Diffusion Restoration, ICML 2023, https://arxiv.org/abs/2301.12686
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.common.algebra import dot, each, norm
from baselines.diffusion.sampling import Level, descend, level, start
from sipbench.operators.base import BlindOperator, invert
from sipbench.operators.blind import BlindBlur
from sipbench.operators.blur import Blur
from sipbench.operators.convolution import fast_length
from sipbench.priors.schedules import Spacing
from sipbench.problem import Estimate, Problem, Rng


@torch.no_grad()
def gibbsddrm(
    problem: Problem,
    *,
    steps: int = 100,
    eta_a: float = 0.0,
    eta_b: float = 0.9,
    eta_c: float = 0.8,
    eta_d: float = 0.8,
    width: float = 10.0,
    begin: float = 0.7,
    updates: int = 3,
    iterations: int = 500,
    lr: float = 1e-11,
    gamma: float = 1000.0,
    sigma_h: float | None = 0.04,
    cutoff: float = 0.05,
    spacing: Spacing = "even",
) -> Estimate:
    """One step of DDRM in the spectral coordinates of the current kernel, then, from time `begin` on, `updates` times:
    the kernel moves under the estimate at the new level, and the step is done again with it.

        x_s ~ p(x_s | x_t, k, y)                                                              (see `step`)
        k   <- k - lr / 2 grad_k (|| y - f(E[x | x_s], k) ||^2 / (2 sigma_h^2) + gamma || k ||_1) + sqrt(lr) z

    the latter `iterations` times, then k is divided by its sum. k starts as exp(-|i| / width).

    A blur has cheap coordinates on a torus only: the image lies with zeros round it on a grid that holds all of k * x,
    and what of that is not measured is drawn anew at each step. A tilt map is left at zero. Cost: `steps` evaluations,
    and `updates` more in each step from `begin` on but the last. More: docs/notes/gibbsddrm.md.

    Args:
        steps: number of sampling steps.
        eta_a, eta_c: the weights of the predicted noise and of y where x_t is less noisy than y.
        eta_b: the weight of y where x_t is the noisier one.
        eta_d: the share of fresh noise where y says nothing.
        width: of the kernel to start from, in pixels.
        begin: the time from which on the kernel is updated.
        updates: of the kernel in each step.
        iterations: of Langevin dynamics in each update.
        lr: their step size where sigma_h is 0.04, the image 256 x 256 and the kernel 64 x 64; scaled elsewhere.
        gamma: the weight of the kernel's sparsity, a Laplace prior.
        sigma_h: the noise in the kernel's likelihood; null is that of y.
        cutoff: singular values below it count as zero.
        spacing: the times, `even`, or `leading` as in the public code.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    blur, sigma = getattr(f, "blur", f), problem.sigma
    assert isinstance(f, BlindOperator) and isinstance(blur, BlindBlur)
    frame, etas = Frame.of(blur), (eta_a, eta_b, eta_c, eta_d)
    sigma_h = sigma if sigma_h is None else sigma_h
    if not sigma_h > 0:
        raise ValueError(f"the kernel's likelihood needs a noise above zero, not sigma_h={sigma_h}: set sigma_h")
    lr = lr * (sigma_h / 0.04) ** 2 * (256 * 64) ** 2 / math.prod((*blur.shape[-2:], *blur.box))
    k = exponential(blur.box, width, y)
    times = prior.times(steps, spacing)

    def coordinates(k: Tensor, around: Tensor) -> Coordinates:
        A = Blur((*y.shape[:2], *frame.grid), Rng((), y.device), kernel=k, boundary="circular")
        outside = A(around) + sigma * rng.normal(y.shape[1], *frame.grid, dtype=y.dtype)
        return Coordinates(A, frame, frame.complete(outside, y), sigma, cutoff)

    placed = frame.complete(y.new_zeros(*y.shape[:2], *frame.grid), y)
    first = level(problem, times[0])
    x_t = coordinates(k, placed).start(start(problem, first), first)
    for now, then in descend(problem, times):
        late = now.t <= begin
        x_hat = prior.denoise(x_t, now.t)
        around = frame.pad(x_hat) if late else placed
        x_s = coordinates(k, around).step(x_t, x_hat, now, then, rng.normal_like(x_t), etas)
        for _ in range(updates if late and then.sigma > 0 else 0):
            guess = prior.denoise(x_s, then.t)
            k = langevin(blur, y, guess, k, rng, iterations, lr, gamma, sigma_h)
            k = k / k.sum((-2, -1), keepdim=True)
            x_s = coordinates(k, around).step(x_t, x_hat, now, then, rng.normal_like(x_t), etas)
        x_t = x_s
        problem.show(x_hat)
    left = {name: y.new_zeros(len(y), *shape) for name, shape in f.theta_shapes.items()}
    return Estimate(x_t, theta=left | {"kernel": k})


class Coordinates:
    """x_bar = V^T x / alpha and U^T y for the blur of one kernel, A = U diag(s) V^T, on the grid."""

    def __init__(self, A: Blur, frame: Frame, y: Tensor, sigma: float, cutoff: float) -> None:
        svd = A.svd(y.dtype)
        assert svd is not None
        self.svd, self.frame, self.sigma = svd, frame, sigma
        self.s = torch.where(svd.s < cutoff, 0.0, svd.s)
        self.Uty, inverse = svd.Ut(y), invert(self.s)
        self.y_bar, self.floor = inverse * self.Uty, sigma * inverse

    def start(self, x_T: Tensor, at: Level) -> Tensor:
        """x_bar = y_bar + sqrt(S^2 - (sigma / s)^2) z where that is possible, else S z, from x_T = sigma_T z."""
        S, z = at.S, self._Vt(x_T / at.sigma)
        known = self.y_bar + (S**2 - self.floor**2).clamp(min=0).sqrt() * z
        return at.alpha * self._V(torch.where(S * self.s > self.sigma, known, S * z))

    def step(
        self, x_t: Tensor, x_hat: Tensor, now: Level, then: Level, z: Tensor, etas: tuple[float, float, float, float]
    ) -> Tensor:
        """DDRM's step with weights of its own. S = sigma / alpha at the new level, h = V^T x_hat, e the noise in x_t:

            s = 0           x_bar = h + S (sqrt(1 - eta_d^2) e + eta_d z)
            S s <= sigma    x_bar = h + S (eta_a e + eta_c c + rest z),    c = (U^T y - s h) / sigma
            otherwise       x_bar = (1 - eta_b) h + eta_b y_bar + sqrt(S^2 - (eta_b sigma / s)^2) z

        rest^2 = 1 - eta_a^2 - eta_c^2 - 2 eta_a eta_c |corr(e, c)|, the correlation of each image over this band.
        """
        eta_a, eta_b, eta_c, eta_d = etas
        S, sigma = then.S, max(self.sigma, 1e-30)
        h, e, z = self._Vt(x_hat), self._Vt((x_t - now.alpha * x_hat) / now.sigma), self._Vt(z)
        c = (self.Uty - self.s * h) / sigma
        told, loud = self.s > 0, S * self.s > self.sigma
        band_e, band_c = (told & ~loud) * e, (told & ~loud) * c
        corr = dot(band_e, band_c).abs() / (norm(band_e) * norm(band_c) + 1e-10)
        rest = (1 - eta_a**2 - eta_c**2 - 2 * eta_a * eta_c * corr).clamp(min=0).sqrt()
        unseen = h + S * ((1 - eta_d**2) ** 0.5 * e + eta_d * z)
        quiet = h + S * (eta_a * e + eta_c * c + each(rest, z) * z)
        spread = (S**2 - (eta_b * self.floor) ** 2).clamp(min=0).sqrt()
        known = (1 - eta_b) * h + eta_b * self.y_bar + spread * z
        return then.alpha * self._V(torch.where(told, torch.where(loud, known, quiet), unseen))

    def _Vt(self, x: Tensor) -> Tensor:
        return self.svd.Vt(self.frame.pad(x))

    def _V(self, x_bar: Tensor) -> Tensor:
        return self.frame.crop(self.svd.V(x_bar))


@dataclass(frozen=True)
class Frame:
    """A torus (`grid`) that a blurred image fits on, and the window of it that is measured: its rows and columns.

    The image begins at the corner.
    """

    image: tuple[int, int]
    grid: tuple[int, int]
    rows: slice
    columns: slice

    @classmethod
    def of(cls, blur: BlindBlur) -> Frame:
        """A mirrored or replicated boundary is unknown to a torus: what of y saw it is left out."""
        (h, w), (kh, kw) = blur.shape[-2:], blur.box
        if blur.boundary == "zero":
            return cls((h, w), (fast_length(h + kh - 1), fast_length(w + kw - 1)), slice(0, h), slice(0, w))
        if blur.boundary == "circular":
            return cls((h, w), (h, w), slice(0, h), slice(0, w))
        rows, columns = (slice(m - 1 - m // 2, n - m // 2) for n, m in ((h, kh), (w, kw)))
        return cls((h, w), (h, w), rows, columns)

    def pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, self.grid[1] - self.image[1], 0, self.grid[0] - self.image[0]))

    def crop(self, x: Tensor) -> Tensor:
        return x[..., : self.image[0], : self.image[1]]

    def complete(self, outside: Tensor, y: Tensor) -> Tensor:
        """What is measured inside the window, something else outside it."""
        window = outside[..., self.rows, self.columns]
        whole = outside.clone()
        whole[..., self.rows, self.columns] = y if y.shape == window.shape else y[..., self.rows, self.columns]
        return whole


def langevin(
    blur: BlindBlur, y: Tensor, x: Tensor, k: Tensor, rng: Rng, n: int, lr: float, gamma: float, sigma: float
) -> Tensor:
    """n steps of Langevin dynamics from k on in p(k | x, y) ~ exp(-|y - k * x|^2 / (2 sigma^2) - gamma |k|_1)."""
    for _ in range(n):
        with torch.enable_grad():
            k = k.detach().requires_grad_()
            residual = (y - blur(x, {"kernel": k})).square().sum()
            (gradient,) = torch.autograd.grad(residual / (2 * sigma**2) + gamma * k.abs().sum(), k)
        k = k.detach() - lr / 2 * gradient + lr**0.5 * rng.normal_like(k)
    return k


def exponential(box: tuple[int, int], width: float, y: Tensor) -> Tensor:
    """exp(-|i| / width) round the sample (k - 1) // 2, of sum 1, for each image: (B, 1, *box)."""
    rows, columns = (torch.arange(n, dtype=y.dtype, device=y.device) - (n - 1) // 2 for n in box)
    k = torch.exp(-torch.hypot(rows[:, None], columns) / width)
    return (k / k.sum()).expand(len(y), 1, *box)
