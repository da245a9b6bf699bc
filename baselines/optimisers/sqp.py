"""BFGS-SQP: nonsmooth, nonconvex, constrained minimisation of many images at once, with a certificate.

F. Curtis, T. Mitchell, M. Overton: A BFGS-SQP method for nonsmooth, nonconvex, constrained optimization and its
evaluation using relative minimization profiles, Optimization Methods and Software 2017,
https://doi.org/10.1080/10556788.2016.1208749
R. Byrd, J. Nocedal, R. Schnabel: Representations of quasi-Newton matrices, Mathematical Programming 1994.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.common.algebra import dot
from baselines.optimisers.qp import least_combination, within_box

ARMIJO, CURVATURE, TRIALS = 1e-4, 0.5, 25
ROUNDING = 1e-13  # a constraint within this is zero
ENDED = 2  # trials of a line search after which H is not trusted with another function
ENOUGH, SHRINK, SHRINKS = 0.1, 0.9, 120  # steering: c_v, c_mu, and how often mu may shrink in one iteration


class SQP:
    """min f(x) subject to c_i(x) <= 0 and e_j(x) = 0, on the exact penalty phi(x; mu) = mu f(x) + v(x) with
    v = sum_i max(c_i, 0) + sum_j |e_j|.

    The direction minimises mu <grad f, d> + sum_i max(c_i + <grad c_i, d>, 0) + d H^-1 d / 2, with a BFGS matrix H of
    phi, and likewise |e_j + <grad e_j, d>|. Its dual has one number lam in [0, 1] an inequality and in [-1, 1] an
    equation: d = -H (mu grad f + sum_i lam_i grad c_i), which follows for any mu from the Gram matrix of the gradients
    under H. Steering: mu shrinks by c_mu = 0.9 until d is predicted to lower v by at least c_v = 0.1 of v, or of what
    it would be lowered by without the objective. Then a line search on phi for the weak Wolfe conditions, one
    evaluation of f, c and e a step, each image at its own pace as in `LBFGS`.

    `stationarity` is the length of the smallest sum of a convex combination of the objective's recent gradients and
    multiples of those of the (nearly) active constraints; recent are the last `bundle` iterates within a path of length
    `near`. Beside the published code: docs/notes/sqp.md.

    Args:
        unknowns: tensors (B, ...), taken together as one vector an image; `step` moves them in place.
        history: pairs that H remembers. As many as there will be steps make it the full BFGS matrix.
        mu: the weight of the objective to start with.
        scale: H starts at this multiple of the identity; from the first pair on it is s y / y y.
        near, active: see above; a constraint is nearly active from -`active` on.
        slack: how much less than that v may be predicted to fall; with v itself below it mu has no reason to shrink.
        rescale: take s y / y y from the newest pair. False keeps that of the first pair, as the published code does.
    Attributes:
        mu: the weight of the objective, (B,).
        F, J: objective and constraints (B, 1 + m) and their gradients (B, 1 + m, n) at the last accepted point x.
        stuck: images whose line search failed along the gradient itself, as it does where a nonsmooth function ends.
        done: images that the caller wants to stay where they are.
    """

    def __init__(
        self,
        unknowns: Sequence[Tensor],
        *,
        mu: float = 1.0,
        history: int = 50,
        scale: float = 1.0,
        bundle: int = 20,
        near: float = 1e-4,
        active: float = 1e-6,
        slack: float = 1e-8,
        rescale: bool = True,
    ) -> None:
        self.unknowns, self.scale, self.near = list(unknowns), scale, near
        self.active, self.slack, self.rescale = active, slack, rescale
        self.x = torch.cat([v.detach().flatten(1) for v in self.unknowns], 1)
        b, n = self.x.shape
        new = self.x.new_zeros
        self.first_mu, self.mu, self.gamma = mu, new(b) + mu, new(b) + scale
        self.pairs = new(b, 2 * history, n)  # all s, then all y
        self.SY, self.YY = new(b, history, history), new(b, history, history)
        self.count = torch.zeros(b, dtype=torch.long, device=self.x.device)
        self.phi, self.t, self.low, self.high = new(b) + torch.inf, new(b), new(b), new(b) + torch.inf
        self.trials, self.stuck, self.done = torch.zeros_like(self.count), self.count > 0, self.count > 0
        self.least = new(0)  # of each multiplier
        self.F, self.J, self.g, self.d = new(b, 0), new(b, 0, n), new(b, n), new(b, n)
        self.bundle, self.gathered, self.path = bundle, new(b, 0, 0, n), new(b, bundle) + torch.inf
        self.steps = 0

    @torch.no_grad()
    def step(self, f: Tensor, c: Tensor, e: Tensor | None = None) -> Tensor:
        """To the next points, from f (B,), c (B, m) and e (B, p) here, with their graphs; (B,): who accepted."""
        with torch.enable_grad():
            F = torch.cat([f[:, None], c] + ([] if e is None else [e]), 1)
        self.least = torch.where(torch.arange(F.shape[1] - 1, device=F.device) < c.shape[1], 0.0, -1.0).to(F)
        with torch.enable_grad():
            J = gradients(F, self.unknowns)
        F = F.detach()
        accepted, given_up = (which & ~self.done for which in self._judge(F, J))
        s = self.t[:, None] * self.d
        self._remember(accepted, s, self._gradient(F, J) - self.g)
        self.x = torch.where(accepted[:, None], self.x + s, self.x)
        if self.steps == 0:
            self.F, self.J = F, J
            self.gathered = J.new_zeros(len(J), self.bundle, *J.shape[1:])
        self.F = torch.where(accepted[:, None], F, self.F)
        self.J = torch.where(accepted[:, None, None], J, self.J)
        self._gather(accepted, s)
        self.stuck = self.stuck | (given_up & (self.count == 0))
        self.count = self.count.masked_fill(given_up, 0)
        self.gamma = self.gamma.masked_fill(given_up, self.scale)
        self.steps += 1

        self._steer(accepted | given_up)
        self.t = self.t.masked_fill(accepted | given_up, 1.0)
        self.write(self.x + self.t[:, None] * self.d)
        return accepted

    def again(self) -> None:
        """f is another from here on: what is evaluated next lies at x, and is compared with nothing.

        mu begins anew. H is kept, but not where the search had come to its end: the last pairs there are of rounding,
        and directions that they make too long would have mu shrink to nothing.
        """
        ended = self.trials > ENDED
        self.count, self.gamma = self.count.masked_fill(ended, 0), self.gamma.masked_fill(ended, self.scale)
        self.mu = torch.full_like(self.mu, self.first_mu)
        self.steps, self.stuck = 0, torch.zeros_like(self.stuck)
        self.t, self.low, self.high = (torch.full_like(self.t, v) for v in (0.0, 0.0, torch.inf))
        self.trials, self.path = torch.zeros_like(self.trials), torch.full_like(self.path, torch.inf)
        self.write(self.x)

    def _value(self, F: Tensor) -> Tensor:
        return self.mu * F[:, 0] + self._missed(F[:, 1:])

    def _missed(self, c: Tensor) -> Tensor:
        """v: by how much c and e (..., m + p) are off in all."""
        return (c.clamp(min=0) + self.least * c.clamp(max=0)).sum(-1)

    def _gradient(self, F: Tensor, J: Tensor) -> Tensor:
        weights = torch.cat([self.mu[:, None], (F[:, 1:] > 0) + self.least * (F[:, 1:] < 0)], 1)
        return torch.einsum("bi,bin->bn", weights, J)

    def _slope(self, F: Tensor, J: Tensor, d: Tensor) -> Tensor:
        """The derivative of phi along d, (B,).

        Where a constraint is zero to rounding its sign says nothing and phi has a kink: there it is one-sided.
        """
        along = torch.einsum("bin,bn->bi", J, d)
        signs = (F[:, 1:] > 0) + self.least * (F[:, 1:] < 0)
        kink = F[:, 1:].abs() <= ROUNDING
        return self.mu * along[:, 0] + (signs * along[:, 1:] * ~kink).sum(1) + self._missed(along[:, 1:] * kink)

    def _judge(self, F: Tensor, J: Tensor) -> tuple[Tensor, Tensor]:
        """Which points are accepted, and whose search is given up; the others' brackets and steps are adjusted."""
        if self.steps == 0:
            return torch.ones_like(self.stuck), torch.zeros_like(self.stuck)
        phi, slope = self._value(F), self._slope(self.F, self.J, self.d)
        lower = phi <= self.phi + ARMIJO * self.t * slope
        flat = self._slope(F, J, self.d) >= CURVATURE * slope
        self.trials = self.trials + 1
        over = self.trials >= TRIALS
        accepted, given_up = lower & (flat | over), ~lower & over
        fresh = accepted | given_up
        self.high = torch.where(lower, self.high, self.t).masked_fill(fresh, torch.inf)
        self.low = torch.where(lower, self.t, self.low).masked_fill(fresh, 0.0)
        self.t = torch.where(fresh, self.t, torch.where(self.high.isinf(), 2 * self.t, (self.low + self.high) / 2))
        self.trials = self.trials.masked_fill(fresh, 0)
        return accepted, given_up

    def _steer(self, fresh: Tensor) -> None:
        """A new direction, and a new mu, for those whose search is over."""
        HJ = self._times(self.J)
        K = torch.einsum("bin,bjn->bij", self.J, HJ)[:, None]
        c, v = self.F[:, None, 1:], self._missed(self.F[:, 1:])
        shrunk = SHRINK ** torch.arange(SHRINKS, dtype=K.dtype, device=K.device)
        mu = torch.cat([self.mu[:, None] * shrunk, torch.zeros_like(v)[:, None]], 1)
        b = c - mu[..., None] * K[..., 1:, 0]
        C = K[..., 1:, 1:].expand(-1, mu.shape[1], -1, -1)
        lam = within_box(C, b, self.least)
        predicted = self._missed(b - torch.einsum("bkij,bkj->bki", C, lam))
        fall = v[:, None] - predicted
        enough = ENOUGH * torch.minimum(v, fall[:, -1].clamp(min=0)) - self.slack
        good = (fall[:, :-1] >= enough[:, None]) | (v <= self.slack)[:, None]
        good[:, -1] = True
        chosen = good.to(torch.uint8).argmax(1)
        images = torch.arange(len(v), device=v.device)
        weights = torch.cat([mu[images, chosen][:, None], lam[images, chosen]], 1)
        d = -torch.einsum("bi,bin->bn", weights, HJ)

        self.mu = torch.where(fresh, mu[images, chosen], self.mu)
        self.phi, self.g = self._value(self.F), self._gradient(self.F, self.J)
        downhill = self._slope(self.F, self.J, d) < 0
        d = torch.where(downhill[:, None], d, -self.scale * self.g)
        self.d = torch.where(fresh[:, None], d, self.d)

    def _times(self, V: Tensor) -> Tensor:
        """H V for V (B, k, n), in the compact form: two products with all pairs for all vectors at once.

        H = gamma I + [S, gamma Y] M [S, gamma Y]^T, from R = the upper triangle of S^T Y, D = its diagonal, and Y^T Y.
        """
        h = self.SY.shape[1]
        at, count = torch.arange(h, device=self.count.device), self.count[:, None]
        order = (count + at) % h  # from the oldest pair on
        filled = (self.SY.diagonal(dim1=1, dim2=2).gather(1, order) > 0) & (at >= h - count)  # not those forgotten
        both = filled[:, :, None] & filled[:, None, :]
        SY, YY = (_ordered(M, order) * both for M in (self.SY, self.YY))
        R, D = SY.triu() + torch.diag_embed((~filled).to(SY)), SY.diagonal(dim1=1, dim2=2)[..., None]

        places = torch.cat([order, order + h], 1)[..., None].expand(-1, -1, V.shape[1])
        products = (self.pairs @ V.mT).gather(1, places) * torch.cat([filled, filled], 1)[..., None]
        p, q = products.chunk(2, 1)
        gamma = self.gamma[:, None, None]
        u = torch.linalg.solve_triangular(R, p, upper=True)
        w = torch.linalg.solve_triangular(R.mT, D * u + gamma * (YY @ u - q), upper=False)
        weights = torch.cat([w, -gamma * u], 1) * torch.cat([filled, filled], 1)[..., None]
        return gamma * V + torch.zeros_like(weights).scatter(1, places, weights).mT @ self.pairs

    def _remember(self, accepted: Tensor, s: Tensor, y: Tensor) -> None:
        """Keep the pair (s, y) of the images that moved, if its curvature is positive; each has its own ring."""
        sy, yy = dot(s, y), dot(y, y)
        keep = accepted & (sy > torch.finfo(s.dtype).eps * (dot(s, s) * yy).sqrt())
        h, images = self.SY.shape[1], torch.arange(len(s), device=s.device)
        slot, first = self.count % h, keep & (self.count == 0)
        for place, new in ((slot, s), (slot + h, y)):
            self.pairs[images, place] = torch.where(keep[:, None], new, self.pairs[images, place])
        (_, column), (row, squares) = (part.unbind(2) for part in (self.pairs @ torch.stack([s, y], 2)).chunk(2, 1))
        here = (torch.arange(h, device=s.device) == slot[:, None]) & keep[:, None]
        SY, YY = (M.masked_fill(first[:, None, None], 0.0) for M in (self.SY, self.YY))
        self.SY, self.YY = _crossed(SY, here, row, column), _crossed(YY, here, squares, squares)
        self.gamma = torch.where(keep if self.rescale else first, sy / yy, self.gamma)
        self.count = self.count + keep

    def _gather(self, accepted: Tensor, s: Tensor) -> None:
        """Keep the gradients at the last accepted points, and how long the path from there has become."""
        images, length = torch.arange(len(s), device=s.device), s.norm(dim=1)
        self.path = self.path + torch.where(accepted, length, 0.0)[:, None]
        oldest = self.path.argmax(1)
        self.gathered[images, oldest] = torch.where(accepted[:, None, None], self.J, self.gathered[images, oldest])
        self.path[images, oldest] = torch.where(accepted, 0.0, self.path[images, oldest])

    def stationarity(self) -> Tensor:
        """The smallest vector's length, (B,)."""
        recent = (self.path <= self.near)[..., None]
        G, A = self.gathered[:, :, 0], self.gathered[:, :, 1:]
        G = torch.where(recent, G, self.J[:, None, 0])
        touching = (self.F[:, None, 1:, None] >= -self.active) | (self.least < 0)[:, None]
        A = torch.where(recent[..., None], A, self.J[:, None, 1:]) * touching
        rows = torch.cat([G, A.flatten(1, 2), (self.least[:, None] * A).flatten(1, 2)], 1)
        w = least_combination(rows @ rows.mT, self.bundle)
        return torch.einsum("bi,bin->bn", w, rows).norm(dim=1)

    @torch.no_grad()
    def write(self, x: Tensor) -> None:
        """Set the unknowns to this vector."""
        sizes = [v[0].numel() for v in self.unknowns]
        for v, part in zip(self.unknowns, x.split(sizes, 1), strict=True):
            v.copy_(part.view_as(v))


def gradients(F: Tensor, unknowns: Sequence[Tensor]) -> Tensor:
    """The gradients (B, k, n) of k functions an image, F (B, k), one backward pass each."""
    rows, last = [], F.shape[1] - 1
    for i in range(last + 1):
        parts = torch.autograd.grad(F[:, i].sum(), unknowns, retain_graph=i < last, materialize_grads=True)
        rows.append(torch.cat([part.flatten(1) for part in parts], 1))
    return torch.stack(rows, 1)


def _ordered(M: Tensor, order: Tensor) -> Tensor:
    """Rows and columns of M (B, h, h) in this order."""
    M = M.gather(1, order[..., None].expand_as(M))
    return M.gather(2, order[:, None, :].expand_as(M))


def _crossed(M: Tensor, here: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """M (B, h, h) with another row and column at one place, marked in `here` (B, h), of those images that have one."""
    return torch.where(here[:, None, :], column[:, :, None], torch.where(here[:, :, None], row[:, None, :], M))
