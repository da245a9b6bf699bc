"""An algorithm written for InverseBench: a class of `__init__(net, forward_op, ...)` and `inference(observation)`.

Zheng, Chu, Wang, Kovachki, Baptista, Yue: InverseBench: Benchmarking Plug-and-Play Diffusion Priors for Inverse
Problems in Physical Sciences, ICLR 2025, https://arxiv.org/abs/2503.11043
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sipbench.problem import Problem


def inversebench(problem: Problem, *, algo: Callable[..., Any]) -> Tensor:
    """x = algo(net, forward_op).inference(y), each image by itself, with draws from its own stream; to the
    harness it is one step.

    Args:
        algo: what builds the algorithm from its net and its forward operator.
    """
    x = problem.y.new_zeros(problem.shape)
    for _ in problem.steps(1):
        x = torch.cat([_solved(problem.select(slice(i, i + 1)), algo) for i in range(len(x))])
    return x


def _solved(one: Problem, algo: Callable[..., Any]) -> Tensor:
    """The estimate of one image."""
    with one.rng.lent() as seed:  # InverseBench's own algorithms draw from the global state
        generator = torch.Generator(one.device).manual_seed(seed)
        found = algo(net=Net(one), forward_op=ForwardOp(one, generator)).inference(one.y, num_samples=1)
    return found.detach().to(one.y.dtype)


class Net(torch.nn.Module):
    """The prior as InverseBench calls its networks: E[x | x + sigma z] at a level sigma, one or one for each image."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.prior, self.sigma_min, self.sigma_max = problem.prior, 0.0, float("inf")
        self.img_channels, self.img_resolution = problem.shape[1], problem.shape[-1]

    def forward(self, x: Tensor, sigma: Any, *_: Any, **__: Any) -> Tensor:
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).flatten()
        t = self.prior.time_at(level if len(level) == len(x) else level[:1].expand(len(x)))
        alpha = self.prior.scales(t)[0]
        return self.prior.denoise(self.prior.spread(alpha, x) * x, t)

    def round_sigma(self, sigma: Any) -> Tensor:
        return torch.as_tensor(sigma)


class ForwardOp:
    """f as InverseBench has it: its loss |f(x) - y|^2 and the gradient of that, for any number of candidates.

    Images are on [-1, 1] on either side, so that nothing is normalised. A linear map with a cheap singular value
    decomposition gives it, `M` being 1 where the singular value is not 0, and `S` 1 where it is. `generator` is what
    draws here come from.
    """

    unnorm_shift, unnorm_scale = 0.0, 1.0

    def __init__(self, problem: Problem, generator: torch.Generator) -> None:
        self.f, self.device, self.generator = problem.f, problem.device, generator
        told = problem.noise.sigma if problem.noise is not None else None
        self.sigma_noise = 0.0 if told is None else told
        svd = problem.linear.svd(problem.y.dtype) if problem.f.linear else None
        if svd is not None:
            s = svd.s.expand_as(svd.Vt(torch.zeros(problem.shape, dtype=problem.y.dtype, device=self.device)))[0]
            self.M, self.S = (s > 0).to(s), torch.where(s > 0, s, torch.ones_like(s))
            self.U, self.Ut, self.V, self.Vt = svd.U, svd.Ut, svd.V, svd.Vt
            self.pseudo_inverse = problem.linear.pinv

    def forward(self, inputs: Tensor, **_: Any) -> Tensor:
        return torch.cat([self.f(x) for x in inputs.split(1)])

    def __call__(self, inputs: dict[str, Tensor], **options: Any) -> Tensor:
        y = self.forward(inputs["target"], **options)
        return y + self.sigma_noise * torch.randn(y.shape, generator=self.generator, dtype=y.dtype, device=y.device)

    def loss(self, pred: Tensor, observation: Tensor, **_: Any) -> Tensor:
        return self.loss_m(self.forward(pred), observation)

    def gradient(self, pred: Tensor, observation: Tensor, return_loss: bool = False) -> Any:
        with torch.enable_grad():
            x = pred.detach().clone().requires_grad_()
            loss = self.loss(x, observation).sum()
            (gradient,) = torch.autograd.grad(loss, x)
        return (gradient, loss.detach()) if return_loss else gradient

    def loss_m(self, measurements: Tensor, observation: Tensor) -> Tensor:
        return (measurements - observation).square().flatten(1).sum(1)

    def gradient_m(self, measurements: Tensor, observation: Tensor) -> Tensor:
        return 2 * (measurements - observation)

    def unnormalize(self, inputs: Tensor) -> Tensor:
        return inputs

    def normalize(self, inputs: Tensor) -> Tensor:
        return inputs

    def close(self) -> None:
        """Nothing is held."""


class Guided:
    """Posterior sampling as an algorithm of InverseBench: Euler steps of the probability flow, pulled towards y.

    With D = net(x, sigma), over noise levels that fall geometrically from sigma_max to sigma_min and then to 0,

        x <- x + (sigma - sigma') (D - x) / sigma - scale grad_x |f(D) - y|

    Args:
        net, forward_op: what InverseBench hands an algorithm.
        steps: Euler steps.
        scale: the strength of the pull.
    """

    def __init__(
        self,
        net: Any,
        forward_op: Any,
        *,
        steps: int = 100,
        scale: float = 1.0,
        sigma_max: float = 40.0,
        sigma_min: float = 0.02,
    ) -> None:
        self.net, self.forward_op, self.steps, self.scale = net, forward_op, steps, scale
        self.levels = [sigma_max * (sigma_min / sigma_max) ** (k / max(1, steps - 1)) for k in range(steps)] + [0.0]

    def inference(self, observation: Tensor, num_samples: int = 1, **_: Any) -> Tensor:
        side, at = self.net.img_resolution, {"device": self.forward_op.device, "dtype": observation.dtype}
        shape = (num_samples, self.net.img_channels, side, side)
        x = self.levels[0] * torch.randn(shape, generator=self.forward_op.generator, **at)
        for now, then in zip(self.levels, self.levels[1:], strict=False):
            x = x.detach().requires_grad_()
            denoised = self.net(x, torch.as_tensor(now, **at))
            pull, loss = self.forward_op.gradient(denoised, observation, return_loss=True)
            (pull,) = torch.autograd.grad(denoised, x, pull / (2 * loss.sqrt()).clamp(min=1e-12))
            x = x + (now - then) * (denoised - x) / now - self.scale * pull
        return x.detach()
