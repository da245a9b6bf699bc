"""What the tests of latent optimisation share: a generator that is a matrix, whose answers are known."""

import numpy as np
import torch
from torch import nn

from tests.baselines.reference import dense, pose

SIDE, CODE = 6, 4


class Matrices(nn.Module):
    """x = M_L ... M_1 z + b, in stages; `encode` gives the code whose image is nearest, and no variance."""

    def __init__(self, *widths, side=SIDE, seed=0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        widths = (CODE, *widths, side**2)
        self.matrices = nn.ParameterList(
            torch.randn(b, a, generator=draw, dtype=torch.float64) / a**0.5
            for a, b in zip(widths, widths[1:], strict=False)
        ).requires_grad_(False)
        self.b = nn.Parameter(0.1 * torch.randn(side**2, generator=draw, dtype=torch.float64), requires_grad=False)
        self.latent, self.depth, self.side = (CODE,), len(widths) - 1, side

    def forward(self, h, begin=0, end=None):
        for M in self.matrices[begin:end]:
            h = h @ M.T
        return (h + self.b).unflatten(1, (1, self.side, self.side)) if end is None else h

    def matrix(self, begin=0):
        """What stages from `begin` on are together."""
        M = np.eye(self.matrices[begin].shape[1])
        for part in self.matrices[begin:]:
            M = part.numpy() @ M
        return M

    def encode(self, x):
        z = (x.flatten(1) - self.b) @ torch.linalg.pinv(torch.from_numpy(self.matrix())).T
        return z, torch.full_like(z, -20.0)


def posed(make, **options):
    return pose(make, shape=(1, SIDE, SIDE), sigma=0.05, **options)


class Known:
    """The problem of a generator of matrices as matrices: of each image C with y = C h + noise for codes h."""

    def __init__(self, problem, G):
        self.problem, self.G, self.b = problem, G, G.b.numpy()
        self.A = [dense(problem.f.select(slice(i, i + 1)), problem.shape[1:]) for i in range(len(problem.y))]
        self.y, self.rows = problem.y.flatten(1).numpy(), []
        for A, y in zip(self.A, self.y, strict=True):
            told = np.abs(A).sum(1) > 0
            self.rows.append((A[told], y[told]))

    def loss(self, i, h, begin=0, lam=0.0):
        """mean (y - A G(h))^2 + lam |h|^2 of image i, and its slope."""
        A, y = self.rows[i]
        M = self.G.matrix(begin)
        r = A @ (M @ h + self.b) - y
        return np.mean(r**2) + lam * np.sum(h**2), 2 * M.T @ (A.T @ r) / len(y) + 2 * lam * h

    def ridge(self, i, lam):
        """The code with the smallest loss, in closed form."""
        A, y = self.rows[i]
        C, k = A @ self.G.matrix(), self.G.matrix().shape[1]
        return np.linalg.solve(C.T @ C / len(y) + lam * np.eye(k), C.T @ (y - A @ self.b) / len(y))

    def image(self, h, begin=0):
        return self.G.matrix(begin) @ h + self.b

    def images(self, rows):
        return torch.from_numpy(np.stack(rows)).view(self.problem.shape)
