"""min R(x) subject to RMS(y - f(x)) <= sigma and -1 <= x <= 1: the statement, ways to solve it, and a certificate.

How much to trust the data is then no weight to tune but the noise level, which is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.common.algebra import norm, where
from baselines.common.losses import Loss
from baselines.optimisers.qp import least_combination
from baselines.optimisers.sqp import SQP, gradients
from sipbench.problem import Problem

STAGES, CORNERS = 8, (0.3, 5e-5)  # of a smoothed regulariser, in units of [-1, 1]
ACTIVE = 0.01  # a constraint within 1 % of sigma counts as met with equality
SLACK = 1e-3  # a violation of less is no reason for a heavier penalty
EDGE = 1e-3  # a pixel this near to the box's side lies on it


class Statement:
    """Objective R(x) (B,) and constraint c(x) = RMS(y - f(x)) / sigma - 1 <= 0 (B,), over f.valid.

    Where the noise is zero, c is the RMS itself. The norm and not its square: it grows linearly outside of the ball,
    so that an exact penalty of finite weight exists.
    """

    def __init__(self, problem: Problem, R: Loss, sigma: float, dtype: torch.dtype) -> None:
        self.problem, self.R, self.sigma = problem, R, sigma
        self.y, valid = problem.y.to(dtype), problem.f.valid
        self.mask = torch.ones_like(self.y) if valid is None else (valid != 0).expand_as(self.y).to(dtype)
        self.root = self.mask.flatten(1).sum(1).clamp(min=1).sqrt()

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rms = norm(self.mask * (self.y - self.problem.f(x))) / self.root
        return self.R(x), rms / self.sigma - 1 if self.sigma else rms


@dataclass
class Unknown:
    """What is solved for: tensors (B, ...) and the image x that they stand for; `free` says that they are x itself."""

    tensors: list[Tensor]
    image: Callable[[], Tensor]
    free: bool

    @property
    def x(self) -> Tensor:
        """As one vector an image, (B, n)."""
        return torch.cat([v.detach().flatten(1) for v in self.tensors], 1)

    @torch.no_grad()
    def put(self, v: Tensor) -> None:
        for part, new in zip(self.tensors, v.split([t[0].numel() for t in self.tensors], 1), strict=True):
            part.copy_(new.view_as(part))


def by_multipliers(
    statement: Statement,
    unknown: Unknown,
    *,
    iterations: int,
    lr: float,
    rho: float,
    growth: float = 1.0,
    inner: int = 20,
    dual: bool = False,
) -> Tensor:
    """Adam on the augmented Lagrangian L = R + (max(0, lam + rho c)^2 - lam^2) / (2 rho), one multiplier lam an image.

    dual = False keeps lam = 0: the quadratic penalty, which ends where rho c = lam*, its multiplier, and so
    misses the constraint by lam* / rho. With growth > 1, rho grows by this factor every `inner` iterations; with a dual
    step lam <- max(0, lam + rho c) at each of these, only where a violation has not halved since the last one
    (Nocedal, Wright: Numerical Optimization, 2006, section 17.4). Adam's step falls to zero linearly, and a free image
    is projected onto its box after each. Returned is the last iteration, (B,).
    """
    adam = torch.optim.Adam(unknown.tensors, lr=lr)
    fall = torch.optim.lr_scheduler.LambdaLR(adam, lambda k: max(0.0, 1 - k / iterations))
    lam = statement.y.new_zeros(len(statement.y))
    weight, before, k = lam + rho, lam + torch.inf, 0
    for k in statement.problem.steps(iterations):
        x = unknown.image()
        R, c = statement(x)
        loss = R + ((lam + weight * c).clamp(min=0).square() - lam.square()) / (2 * weight)
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
        fall.step()
        if unknown.free:
            x.data.clamp_(-1, 1)
        statement.problem.show(x.detach(), loss=R.detach())
        if (k + 1) % inner == 0:
            with torch.no_grad():
                missed = torch.maximum(c, -lam / weight).abs()
                lam = (lam + weight * c).clamp(min=0) if dual else lam
                grow = (missed > before / 2) & (missed > SLACK) if dual else torch.ones_like(c, dtype=torch.bool)
                weight = torch.where(grow, growth * weight, weight)
                before = missed
    return torch.full((len(lam),), k, device=lam.device)


def by_sqp(
    statement: Statement,
    unknown: Unknown,
    *,
    iterations: int,
    mu: float,
    history: int,
    tolerance: float,
    radius: float,
    rounded: Callable[[float], Loss] | None,
) -> Tensor:
    """BFGS-SQP on R with `rounded` corners, CORNERS wide at the first stage and at the last; in one stage without.

    Where an image is piecewise constant R has a corner in thousands of directions, more than any number of remembered
    pairs can learn; a rounded one is smooth, and each stage starts where the one before ended. In the last one an image
    is done where it is stationary to `tolerance`, relative to the objective's gradient, within a `radius` (RMS), and
    feasible to ACTIVE; or where its line search can do no more. (B,): at which evaluation.

    A free image is x = sin u, from within the box: H starts at n times the identity: R and c are means.
    """
    inner = unknown
    if unknown.free:
        u = (0.98 * unknown.tensors[0].detach()).asin().requires_grad_()
        inner = Unknown([u], lambda: u.sin(), free=False)
    n = inner.x.shape[1]
    scale = float(n) if unknown.free else 1.0
    solver = SQP(inner.tensors, mu=mu, history=history, scale=scale, near=radius * n**0.5, active=ACTIVE, slack=SLACK)
    stopped = torch.full((len(statement.y),), -1, device=statement.y.device)
    k, stage, stages, x_hat = 0, -1, STAGES if rounded else 1, inner.image().detach()
    widths = [CORNERS[0] * (CORNERS[1] / CORNERS[0]) ** (i / (STAGES - 1)) for i in range(STAGES)]
    for k in statement.problem.steps(iterations):
        if stage < k * stages // iterations:
            stage = k * stages // iterations
            statement.R = rounded(widths[stage]) if rounded else statement.R
            solver.again()
        x = inner.image()
        R, c = statement(x)
        accepted = solver.step(R, c[:, None])
        x_hat = where(accepted, x.detach(), x_hat)
        statement.problem.show(x_hat, loss=solver.F[:, 0])
        if k % 20 == 19 and stage == stages - 1:
            solver.done = _finished(solver, tolerance)
            stopped = torch.where(solver.done & (stopped < 0), k, stopped)
            if bool(solver.done.all()):
                break
    statement.R = rounded(0.0) if rounded else statement.R
    inner.put(solver.x)
    if unknown.free:
        unknown.put(inner.x.sin())
    return torch.where(stopped < 0, k, stopped)


def _finished(solver: SQP, tolerance: float) -> Tensor:
    small = solver.stationarity() <= tolerance * solver.J[:, 0].norm(dim=1)
    return solver.done | solver.stuck | (small & (solver.F[:, 1] <= ACTIVE))


def certify(statement: Statement, unknown: Unknown, *, radius: float, points: int) -> dict[str, Tensor]:
    """What an estimate can claim, whoever found it: (B,) each.

    violation      max(c, 0): by how much, in units of sigma, the residual exceeds sigma
    objective      R(x)
    stationarity   |s| / |grad R|: s is the smallest sum of a convex combination of gradients of R, multiples from 0 on
                   of gradients of c (if c is within 1 % of its bound) and normals of the box, all within `radius`
                   (RMS) of x: at 0 x meets the first-order conditions to that distance, at 1 nothing cancels

    The gradients (A. Goldstein: Optimization of Lipschitz continuous functions, Mathematical Programming 1977) are
    gathered one by one: each new point lies a radius away from x along -s. More points can only make s smaller.
    """
    x, tiny = unknown.x, torch.finfo(statement.y.dtype).tiny
    b, n = x.shape
    inside = (x.abs() < 1 - EDGE).to(x) if unknown.free else torch.ones_like(x)
    rows, Q = x.new_zeros(b, 2 * points, n), x.new_zeros(b, 2 * points, 2 * points)
    R = c = size = s = x.new_zeros(b)
    for k in range(points):
        v = x if k == 0 else x - radius * n**0.5 * s / s.norm(dim=1, keepdim=True).clamp(min=tiny)
        unknown.put(v.clamp(-1, 1) if unknown.free else v)
        F = torch.stack(statement(unknown.image()), 1)
        J, F = gradients(F, unknown.tensors), F.detach()
        if k == 0:
            R, c, size = F[:, 0], F[:, 1], J[:, 0].norm(dim=1)
        new, known = [k, points + k], [*range(k + 1), *range(points, points + k + 1)]
        rows[:, k], rows[:, points + k] = J[:, 0], J[:, 1] * (c >= -ACTIVE)[:, None]
        products = (rows[:, new] * inside[:, None]) @ rows.mT
        Q[:, new], Q[:, :, new] = products, products.mT
        w = least_combination(Q[:, known][:, :, known], k + 1)
        s = torch.einsum("bk,bkn->bn", w, rows[:, known])
        s = torch.where(inside > 0, s, torch.where(x > 0, s.clamp(min=0), s.clamp(max=0)))
    unknown.put(x)
    left = torch.where(size > 0, s.norm(dim=1) / size, 0.0)
    return {"violation": c.clamp(min=0), "objective": R, "stationarity": left}
