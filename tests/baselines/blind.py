"""Blind deblurring of drawn faces and of blocks: problems, and scores at the best shift."""

import torch
import torch.nn.functional as F

from sipbench.datasets.faces import Faces
from sipbench.metrics import psnr
from sipbench.metrics.alignment import align
from sipbench.metrics.shifts import inside
from sipbench.noise import Gaussian
from sipbench.operators.blind import BlindBlur
from sipbench.problem import Problem, Rng

BOXED = {"of": "blocks", "size": 13, "support": [0.5, 0.5], "kernel": "motion", "intensity": 0.0}
"""A straight motion in a box twice too large."""


def blocks(pixels, n):
    """Thirty rectangles of any grey, one on the other: edges everywhere."""
    draws = Rng.of(0, "blocks", range(n)).uniform(30, 5)
    x = torch.zeros(n, 1, pixels, pixels)
    for image, rectangles in zip(x, draws.tolist(), strict=True):
        for top, left, height, width, grey in rectangles:
            at = [int(pixels * v) for v in (top, left, top + 0.1 + 0.3 * height, left + 0.1 + 0.3 * width)]
            image[0, at[0] : at[2], at[1] : at[3]] = 1.8 * grey - 0.9
    return x


def pose(pixels, *, n=2, sigma=0.002, of="faces", dtype=torch.float32, **options):
    """The problem, its images and its kernels; the options are those of BlindBlur."""
    x = Faces("validation", pixels).load(range(n)) if of == "faces" else blocks(pixels, n)
    rng = Rng.of(0, "blind", range(n))
    f = BlindBlur(tuple(x.shape), rng.portable, **({"boundary": "valid"} | options))
    theta = f.draw(rng.child("theta"))
    y = Gaussian(sigma)(f(x.double(), theta), rng.child("noise")).to(dtype)
    return Problem(y, f.sealed(), Gaussian(sigma), tuple(x.shape), None, rng.child("solver")), x.to(dtype), theta


def gain(problem, x, found):
    """How much nearer than y each estimate is to the truth, in dB, both at their best shifts on the field of y."""
    m = problem.f.margin

    def score(v):
        return psnr(inside(align(v, x, ("bounded_shift",), m), m), inside(x, m))

    return score(found) - score(F.pad(problem.y, (m[1], m[1], m[0], m[0])))
