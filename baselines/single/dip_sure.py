"""Deep image prior for denoising, fitted to an unbiased estimate of its own error.

Y. Jo, S. Y. Chun, J. Choi: Rethinking Deep Image Prior for Denoising, ICCV 2021, https://arxiv.org/abs/2108.12841
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.stopping import Stop, Stopper
from baselines.single.fit import fit
from baselines.single.layers import Conv, Norm
from sipbench.problem import Estimate, Problem, Rng


class S2S(nn.Module):
    """The authors' U-shaped denoiser, (B, c, H, W) -> (B, c, H, W) in [0, 1], one for each stream of rng.

    Two 3 x 3 convolutions a scale, the first with stride 2 on the way down; nearest upsampling; each convolution is
    followed by norm and softplus, and what is joined is normed.
    """

    def __init__(
        self, rng: Rng, c: int, down: Sequence[int], up: int, last: Sequence[int] = (64, 32), *, dtype: torch.dtype
    ) -> None:
        super().__init__()

        def block(*channels: int, stride: int = 1, joined: bool = False) -> nn.Sequential:
            layers: list[nn.Module] = [Norm(rng, channels[0], dtype=dtype)] if joined else []
            for i, (c_in, c_out) in enumerate(zip(channels, channels[1:], strict=False)):
                layers += [Conv(rng, c_in, c_out, 3, stride if i == 0 else 1, dtype=dtype)]
                layers += [Norm(rng, c_out, dtype=dtype), nn.Softplus()]
            return nn.Sequential(*layers)

        widths = zip([c, *down], down, strict=False)
        self.down = nn.ModuleList([block(c_in, c_out, c_out, stride=2) for c_in, c_out in widths])
        self.bottom = block(down[-1], up)
        self.up = nn.ModuleList([block(up + skip, up, up, joined=True) for skip in reversed(down[:-1])])
        self.last = nn.Sequential(block(up + c, *last), Conv(rng, last[-1], c, 3, dtype=dtype), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) <= 2 ** len(self.down):
            raise ValueError(
                f"a network of {len(self.down)} scales needs images of more than {2 ** len(self.down)} pixels a side, "
                f"not {x.shape[2]} x {x.shape[3]}: name fewer in channels"
            )
        skips = [x]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = self.bottom(skips.pop())
        for up in self.up:
            x = up(joined(x, skips.pop()))
        return self.last(joined(x, skips.pop()))


def joined(x: Tensor, skip: Tensor) -> Tensor:
    h, w = skip.shape[2:]
    return torch.cat([F.interpolate(x, scale_factor=2, mode="nearest")[..., :h, :w], skip], 1)


class ZeroCrossing:
    """Each iterate is better than the one before, until the estimated error is negative: so ends an overfit."""

    def __init__(self, like: Tensor) -> None:
        self.k = 0
        self.over = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor:
        assert loss is not None
        self.k += 1
        self.over = self.over | (loss < 0)
        return torch.zeros_like(loss, dtype=torch.float64).sub(self.k).masked_fill(self.over, torch.inf)


def divergence(h: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, b: Tensor, epsilon: float = 0.0) -> Tensor:
    """<b, J b> / N of each image, J the derivative of x = h(y): its mean over normal b is the divergence / N.

    With epsilon it is the difference <b, h(y + epsilon b) - x> / (epsilon N).
    """
    if epsilon:
        return (b * (h(y + epsilon * b) - x) / epsilon).flatten(1).mean(1)
    (Jtb,) = torch.autograd.grad((b * x).sum(), y, create_graph=True)
    return (b * Jtb).flatten(1).mean(1)


def esure(x: Tensor, y: Tensor, divergence: Tensor, sigma: float) -> Tensor:
    """|x - y|^2 / N + 2 sigma^2 divergence - sigma^2 of each image."""
    return (x - y).square().flatten(1).mean(1) + 2 * sigma**2 * divergence - sigma**2


def dip_sure(
    problem: Problem,
    *,
    iterations: int = 3000,
    lr: float = 0.1,
    gamma: float = 0.9,
    step: int = 300,
    sigma_e: float = 0.5,
    uniform: bool = True,
    epsilon: float = 0.0,
    channels: Sequence[int] = (48,) * 5,
    width: int = 96,
    ema: float = 0.99,
    zero_crossing: bool = True,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """min_theta |h(y') - y|^2 / N + 2 sigma^2 div h(y') / N - sigma^2 by rectified Adam; y' = y + s n, n drawn anew.

    h_theta is fed the noisy image itself. The loss (eSURE) is an unbiased estimate of |h(y') - x|^2 / N as n is drawn
    apart from y; a quarter of it is descended, that of images on [0, 1], as the first steps of this Adam go with the
    gradient. The divergence is taken along one random direction, as a difference over epsilon sigma where `epsilon` >
    0. s = sigma_e sigma, or uniform between zero and that (`uniform`). The learning rate falls by `gamma` every `step`
    iterations. Fitting ends when the estimate turns negative, or without `zero_crossing` by the rule `stop`; the moving
    average of the outputs is returned. An iteration costs three times a deep image prior's, for its second derivatives.
    How it stands to the public code: docs/notes/dip_sure.md.
    """
    if zero_crossing and stop.rule != "fixed":
        raise ValueError(f"zero_crossing ends the fit already: turn it off to stop by {stop.rule}")
    rng, y, sigma = problem.rng, problem.y, problem.sigma
    G = S2S(rng.child("theta").portable, problem.shape[1], channels, width, dtype=y.dtype)
    spread, n, probe = rng.child("spread"), rng.child("perturbation"), rng.child("probe")
    optimiser = torch.optim.RAdam(G.parameters(), lr=lr)
    fed = y

    def h(v: Tensor) -> Tensor:
        return 2 * G((v + 1) / 2) - 1

    def generate(k: int) -> Tensor:
        nonlocal fed
        s = sigma_e * sigma * (spread.uniform(1, 1, 1, dtype=y.dtype) if uniform else 1)
        fed = (y + s * n.normal_like(y)).requires_grad_()
        return h(fed)

    def misfit(x: Tensor) -> Tensor:
        return esure(x, y, divergence(h, x, fed, probe.normal_like(y), epsilon * sigma), sigma) / 4

    return fit(
        problem,
        generate,
        optimiser,
        iterations=iterations,
        misfit=misfit,
        stop=(lambda like, _: Stopper(ZeroCrossing(like), like, 1)) if zero_crossing else stop,
        ema=ema,
        schedule=torch.optim.lr_scheduler.StepLR(optimiser, step, gamma),
    )
