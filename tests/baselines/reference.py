"""What references written out in numpy share: problems of several images, levels, matrices, draws, Gaussians, Adam."""

import numpy as np
import torch

from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blind import BlindBlur
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import GaussianBlur
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.priors.schedules import LINEAR, VariancePreserving, named
from sipbench.problem import Problem, Rng
from sipbench.testing.stand_ins import Shuffle

MEAN, STD = 0.1, 0.5  # of the Gaussian prior of each pixel
SCHEDULES = ["vp", "ve", "flow"]


def pose(make=Inpainting, *, images=(0, 1), shape=(3, 8, 8), sigma=0.01, schedule="vp", prior=None, **options):
    """A map, a measurement and a stream for each image, in double precision; what a blind map draws is not told."""
    rng, batch = Rng.of(0, "reference", images), (len(images), *shape)
    f = make(batch, rng.child("operator").portable, **options)
    x = MEAN + STD * rng.child("x").portable.normal(*shape, dtype=torch.float64)
    y = f(x, f.draw(rng.child("theta").portable)) if f.blind else f(x)
    y = Gaussian(sigma)(y, rng.child("noise").portable)
    prior = IsotropicGaussian(shape, MEAN, STD, schedule) if prior is None else prior
    return Problem(y, f, Gaussian(sigma), batch, Counted(prior), rng.child("solver"))


def pose_latent(make=Inpainting, *, schedule="vp", side=8, inner=IsotropicGaussian, **options):
    """The same with a prior of latents, which are the pixels in another order."""
    code, settings = (12, side // 2, side // 2), (MEAN, STD) if inner is IsotropicGaussian else ()
    prior = LatentPrior(inner(code, *settings, schedule=schedule), Shuffle((3, side, side)))
    return pose(make, shape=(3, side, side), prior=prior, **options)


def pose_blind(*, images=(0, 1), side=6, box=3, sigma=0.02, boundary="zero", known=None, schedule="vp"):
    """A blind blur of images of another mean, the images and the kernels; the prior may know the images."""
    rng, shape = Rng.of(0, "blind", images), (len(images), 3, side, side)
    f = BlindBlur(shape, rng.portable, size=box, boundary=boundary)
    x = 2 * MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    theta = f.draw(rng.child("theta").portable)
    y = Gaussian(sigma)(f(x, theta), rng.child("noise").portable)
    prior = Known(x, known) if known else IsotropicGaussian(shape[1:], 2 * MEAN, STD, schedule)
    return Problem(y, f.sealed(), Gaussian(sigma), shape, Counted(prior), rng.child("solver")), x, theta["kernel"]


class Known(Prior):
    """A prior of one state, the same whatever is asked."""

    def __init__(self, x, schedule="vp"):
        super().__init__(named(schedule))
        self.x, self.shape = x, tuple(x.shape[1:])

    def denoise(self, x_t, t):
        return self.x[: len(x_t)].to(x_t) + 0 * x_t


class Rescaled(IsotropicGaussian):
    """The prior of a variance-preserving schedule whose states are in other units: the noise levels stay."""

    def __init__(self, shape, schedule):
        super().__init__(shape, MEAN, STD)
        self.schedule = Units(schedule)


class Units(VariancePreserving):
    def __init__(self, kind):
        super().__init__(LINEAR)
        self.kind = kind

    def scales(self, t):
        alpha, sigma = super().scales(t)
        n = {"vp": 1.0, "ve": alpha, "flow": alpha + sigma}[self.kind]
        return alpha / n, sigma / n


def pooling(shape, rng):
    """The mean of each 2 x 2 pixels: a map of whole batches, for long chains of many draws."""
    return AveragePooling(shape, rng, factor=2)


class WithoutSVD(AveragePooling):
    def svd(self, dtype=torch.float32):
        return None


OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
    "blur": lambda shape, rng: GaussianBlur(shape, rng, size=3, sigma=1.2, boundary="circular"),
    "without SVD": lambda shape, rng: WithoutSVD(shape, rng, factor=2),
}


def pinv(A, cutoff=0.03, damped=False):
    """A^+ without the singular values below a cutoff, or with them damped."""
    if damped:
        return np.linalg.solve(A.T @ A + cutoff**2 * np.eye(A.shape[1]), A.T)
    return np.linalg.pinv(A, rcond=max(1e-9, cutoff / np.linalg.norm(A, 2)))


def ddpm(steps):
    """(alpha, sigma) at the times of a sampler in DDPM's table, where P_0 = 1, as a list of pairs."""
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    P = P[np.concatenate([np.round(np.linspace(1000, 1, steps)), [0]]).astype(int)]
    return list(zip(np.sqrt(P), np.sqrt(1 - P), strict=True))


def levels(problem, steps):
    """(alpha, sigma) at the times of the problem's prior."""
    scales = problem.prior.scales(problem.prior.times(steps))
    return list(zip(*(v.numpy() for v in scales), strict=True))


def flow_times(problem, steps, shift):
    """The times u of the straight path (1 - u) x + u z by the formula, from the noisiest the prior knows."""
    alpha, sigma = (float(v) for v in problem.prior.scales(problem.prior.times(1)[0]))
    top = sigma / (alpha + sigma)
    v = np.linspace(1, 0, steps + 1) * top / (shift - (shift - 1) * top)
    return shift * v / (1 + (shift - 1) * v)


def dense(f, shape):
    """A map of images of this shape as a matrix."""
    units = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, 1, *shape)
    return np.stack([f(unit).flatten().numpy() for unit in units], 1)


def matrix(problem, i=0):
    """From the prior's state of one image to its measurement."""
    f = problem.f.select(slice(i, i + 1))
    return dense(lambda z: f(problem.prior.decode(z)), problem.prior.shape)


def mul(A, x):
    """Each matrix times its vector."""
    return (A @ x[..., None])[..., 0]


def back(A, y):
    """The transpose of each matrix times its vector."""
    return mul(np.swapaxes(A, 1, 2), y)


def unit(x):
    """Each vector divided by its norm."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def streams(problem, shape=None):
    """The first draw of each image, on the CPU, and a function that draws from the images' streams: (B, n)."""
    rng, shape = Rng(problem.rng.keys), tuple(shape or problem.prior.shape)

    def draw(source=rng, shape=shape):
        return source.normal(*shape, dtype=torch.float64).flatten(1).numpy()

    return draw(rng.portable), draw


def parts(problem, own=False):
    """The map as a matrix, or as one of its own for each image; y; the first draw of each image, and how to draw on."""
    A = np.stack([matrix(problem, i) for i in range(len(problem.y))]) if own else matrix(problem)
    return A, problem.y.flatten(1).numpy(), *streams(problem)


def images(problem, rows):
    """The images of states, one a row."""
    z = torch.from_numpy(np.stack(rows))
    return problem.prior.decode(z.view(len(z), *problem.prior.shape))


def denoise(x, a, b, mean=MEAN, std=STD):
    """E[x | x_t] of a Gaussian at alpha = a, sigma = b, and its derivative."""
    slope = a * std**2 / (a**2 * std**2 + b**2)
    return mean + slope * (x - a * mean), slope


def clipped(raw, clip=True):
    """The estimate, and where it still moves."""
    return (np.clip(raw, -1, 1), np.abs(raw) <= 1) if clip else (raw, np.ones_like(raw))


def ancestral(x, x_hat, now, then, z):
    """A draw of x_s given x_t and x, from q(x_t | x_s) = N(step x_s, width) by the rule of Bayes."""
    (a, b), (c, s) = now, then
    step = a / c
    width = b**2 - step**2 * s**2
    return (width * c * x_hat + s**2 * step * x) / b**2 + np.sqrt(width * s**2 / b**2) * z


class Adam:
    """Adam's step by hand, with AdamW's decay."""

    def __init__(self, lr, betas=(0.9, 0.999), decay=0.0):
        self.lr, self.betas, self.decay, self.m, self.u, self.k = lr, betas, decay, 0.0, 0.0, 0

    def __call__(self, v, g):
        (a, b), self.k = self.betas, self.k + 1
        self.m, self.u = a * self.m + (1 - a) * g, b * self.u + (1 - b) * g**2
        step = self.m / (1 - a**self.k) / (np.sqrt(self.u / (1 - b**self.k)) + 1e-8)
        return v * (1 - self.lr * self.decay) - self.lr * step


def gap(a, b):
    """The largest difference; infinite where there is a value that is none."""
    return float((a - b).abs().nan_to_num(nan=torch.inf).max())


def residual(problem, x):
    """|y - f(x)| of each image, where something is measured."""
    valid = 1.0 if problem.f.valid is None else problem.f.valid
    return ((problem.y - problem.f(x)) * valid).flatten(1).norm(dim=1)
