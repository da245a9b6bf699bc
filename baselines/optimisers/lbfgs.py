"""L-BFGS for many images at once: each has its own curvature, its own step size and its own line search.

Nocedal, Wright: Numerical Optimization, 2006, algorithm 7.4; the line search is the bisection for the weak Wolfe
conditions of Lewis and Overton, Mathematical Programming 2013.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.common.algebra import dot

ARMIJO, CURVATURE, GROWTH, TRIALS = 1e-4, 0.9, 4.0, 20


class LBFGS:
    """Minimises one function an image, at the price of one evaluation of all of them a step.

    The caller evaluates the losses (B,) and their gradients at `unknowns`, and `step` moves these in place to the next
    points to try. An image that is still in its line search tries another step size while its neighbour goes on, so
    that the number of evaluations is the same for all and nothing waits for the device:

        f(x + t d) <= f(x) + c_1 t <g, d>   and   <g(x + t d), d> >= c_2 <g, d>,     c_1 = 1e-4, c_2 = 0.9

    or else t is halved towards the last one that was too short, or grows fourfold. The second condition keeps the
    curvature positive. After 20 trials an image starts again along its gradient.

    Args:
        unknowns: tensors (B, ...), taken together as one vector an image.
        lr: the step tried first; at the start, and after giving up, it is divided by |g|_1 where that is above 1.
        history: pairs of steps and gradient changes to remember.
        line_search: False takes each step of length lr unseen, as `torch.optim.LBFGS` does by default.
    """

    def __init__(
        self, unknowns: Sequence[Tensor], *, lr: float = 1.0, history: int = 100, line_search: bool = True
    ) -> None:
        self.unknowns, self.lr, self.line_search = list(unknowns), lr, line_search
        self.x = _flat(self.unknowns)
        self.g = self.d = torch.zeros_like(self.x)
        b, n = self.x.shape
        self.S, self.Y = self.x.new_zeros(2, history, b, n)
        self.rho = self.x.new_zeros(history, b)
        self.gamma = self.x.new_ones(b)
        self.count = torch.zeros(b, dtype=torch.long, device=self.x.device)
        self.f, self.t, self.low = self.x.new_full((b,), torch.inf), self.x.new_zeros(b), self.x.new_zeros(b)
        self.high, self.trials = self.x.new_full((b,), torch.inf), torch.zeros_like(self.count)
        self.steps = 0

    @torch.no_grad()
    def step(self, loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """The next points to try, from the loss and gradients at the present ones; (B,) says which were accepted."""
        loss, g = loss.detach(), _flat(gradients)
        accepted, given_up = self._judge(loss, g)
        s = self.t[:, None] * self.d
        self._remember(accepted, s, g - self.g)
        take = accepted[:, None]
        self.x, self.g = torch.where(take, self.x + s, self.x), torch.where(take, g, self.g)
        self.f = torch.where(accepted, loss, self.f)
        self.gamma = self.gamma.masked_fill(given_up, 1.0)
        self.count = self.count.masked_fill(given_up, 0)
        self.steps += 1

        self.d = self._direction()
        careful = self.lr * (1 / self.g.abs().sum(1)).clamp(max=1.0)
        self.t = torch.where(accepted | given_up, torch.where(self.count > 0, self.lr, careful), self.t)
        self._write(self.x + self.t[:, None] * self.d)
        return accepted

    def _judge(self, loss: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Which points are accepted, and whose search is given up; the others' brackets and steps are adjusted."""
        if not self.line_search or self.steps == 0:
            return torch.ones_like(loss, dtype=torch.bool), torch.zeros_like(loss, dtype=torch.bool)
        slope = dot(self.g, self.d)
        lower = loss <= self.f + ARMIJO * self.t * slope
        flat = dot(g, self.d) >= CURVATURE * slope
        self.trials = self.trials + 1
        over = self.trials >= TRIALS
        accepted, given_up = lower & (flat | over), ~lower & over
        fresh = accepted | given_up
        self.high = torch.where(lower, self.high, self.t).masked_fill(fresh, torch.inf)
        self.low = torch.where(lower, self.t, self.low).masked_fill(fresh, 0.0)
        self.t = torch.where(fresh, self.t, torch.where(self.high.isinf(), GROWTH * self.t, (self.low + self.high) / 2))
        self.trials = self.trials.masked_fill(fresh, 0)
        return accepted, given_up

    def _remember(self, accepted: Tensor, s: Tensor, y: Tensor) -> None:
        """Keep the pair (s, y) of the images that moved, if its curvature is positive; each has its own ring."""
        sy, yy = dot(s, y), dot(y, y)
        keep = accepted & (sy > torch.finfo(s.dtype).eps * (dot(s, s) * yy).sqrt())
        images = torch.arange(len(s), device=s.device)
        slot = self.count % len(self.rho)
        for ring, new in ((self.S, s), (self.Y, y), (self.rho[..., None], (1 / sy)[:, None])):
            ring[slot, images] = torch.where(keep[:, None], new, ring[slot, images])
        self.gamma = torch.where(keep, sy / yy, self.gamma)
        self.count = self.count + keep

    def _direction(self) -> Tensor:
        """-H g by the two loops, from H = gamma I; -g where that would not descend."""
        images = torch.arange(len(self.g), device=self.g.device)
        back = range(1, min(self.steps, len(self.rho)) + 1)
        slots = [(self.count - j) % len(self.rho) for j in back]
        rho = [torch.where(self.count >= j, self.rho[at, images], 0.0) for j, at in zip(back, slots, strict=True)]
        q, a = -self.g, []
        for at, r in zip(slots, rho, strict=True):
            a.append(r * dot(self.S[at, images], q))
            q = q - a[-1][:, None] * self.Y[at, images]
        q = self.gamma[:, None] * q
        for at, r, a_j in zip(reversed(slots), reversed(rho), reversed(a), strict=True):
            q = q + (a_j - r * dot(self.Y[at, images], q))[:, None] * self.S[at, images]
        return torch.where((dot(q, self.g) < 0)[:, None], q, -self.g)

    def _write(self, x: Tensor) -> None:
        sizes = [v[0].numel() for v in self.unknowns]
        for v, part in zip(self.unknowns, x.split(sizes, 1), strict=True):
            v.copy_(part.view_as(v))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors (B, ...) as one (B, n)."""
    return torch.cat([v.detach().flatten(1) for v in tensors], 1)
