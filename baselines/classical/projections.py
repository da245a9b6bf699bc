"""Projections between what a far field says of an object and what is known of it beforehand.

J. R. Fienup: Phase retrieval algorithms: a comparison, Applied Optics 1982.
S. Marchesini et al.: X-ray image reconstruction from a diffraction pattern alone, Phys. Rev. B 2003,
https://arxiv.org/abs/physics/0306174 (shrinkwrap)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from baselines.common.phase import agree, far_field, magnitudes, overall, parts, residual
from sipbench.problem import Problem


def measured(problem: Problem) -> Problem:
    """The problem with zeros where nothing is measured: behind a beamstop a detector may hold anything."""
    valid = problem.f.valid
    return problem if valid is None else replace(problem, y=torch.where(valid != 0, problem.y, 0))


class Frame:
    """The frame of a far-field problem, R random starts of each channel side by side: iterates are (B, R, C, h, w).

    They are complex for a complex object and real for a real image, whose spectrum is kept by its half. Magnitudes at
    k and -k are two measurements of one number then, and count by their mean.

    Attributes:
        told: whether the support is known; otherwise it starts as a loose box.
        S: where the object may lie, (B, R or 1, 1, h, w) boolean.
    """

    def __init__(self, problem: Problem, restarts: int, box: float) -> None:
        if restarts < 1 or not 0 < box <= 1:
            raise ValueError(f"needs restarts >= 1 and a box in (0, 1], not restarts={restarts}, box={box}")
        self.problem, self.f = measured(problem), far_field(problem)
        self.measured = magnitudes(self.problem)
        self.real, self.positive = "phase" not in self.f.symmetries, bool(getattr(self.f, "unit", False))
        self.channels, self.restarts = parts(problem), restarts
        m = torch.fft.ifftshift(self.measured, dim=(-2, -1))
        m = (m + m.flip(-2, -1).roll((1, 1), (-2, -1))) / 2 if self.real else m
        beside = self.f.valid
        self.seen = None if beside is None else self._half(torch.fft.ifftshift(beside != 0, dim=(-2, -1)))[:, None]
        self.m = self._half(m)[:, None]
        self.told = self.f.support is not None
        self.S = (self._box(box) if self.f.support is None else self.f.support != 0)[:, None]

    def start(self) -> Tensor:
        """F^-1 of the measured magnitudes with phases drawn for each start."""
        rng = self.problem.rng.child("phases").portable
        angle = 2 * torch.pi * rng.uniform(self.restarts, *self.m.shape[2:], dtype=self.m.dtype)
        return self._back(torch.polar(self.m.expand_as(angle), angle))

    def modulus(self, u: Tensor) -> Tensor:
        """P_M u = F^-1 (m F u / |F u|): the nearest object with the measured magnitudes; a phase of 0 where F u = 0."""
        z = torch.fft.rfft2(u, norm="ortho") if self.real else torch.fft.fft2(u, norm="ortho")
        fitted = (z + torch.finfo(self.m.dtype).tiny).sgn() * self.m
        return self._back(fitted if self.seen is None else torch.where(self.seen, fitted, z))

    def good(self, v: Tensor) -> Tensor:
        """Where v keeps to what is known: in the support, and not negative where intensities are."""
        return self.S & (v >= 0) if self.positive else self.S

    def confine(self, v: Tensor) -> Tensor:
        """P_S v: zero outside of the good set."""
        return torch.where(self.good(v), v, 0)

    def shrinkwrap(self, u: Tensor, sigma: float, threshold: float) -> None:
        """S = {G_sigma * |u| >= threshold max}, G a Gaussian of sigma pixels; a support that is told stays."""
        if self.told:
            return
        ky, kx = (torch.fft.fftfreq(n, dtype=self.m.dtype, device=u.device) for n in u.shape[-2:])
        blur = torch.exp(-2 * (math.pi * sigma) ** 2 * (ky[:, None] ** 2 + kx[: u.shape[-1] // 2 + 1] ** 2))
        smooth = torch.fft.irfft2(torch.fft.rfft2(u.abs()) * blur, s=u.shape[-2:])
        self.S = smooth >= threshold * smooth.amax((-2, -1), keepdim=True)

    def quadrant(self, u: Tensor) -> Tensor:
        """One quadrant of the frame, the rest zero: an object and its turned twin no longer lie alike."""
        h, w = self.f.frame
        v = torch.zeros_like(u)
        v[..., : h // 2, : w // 2] = u[..., : h // 2, : w // 2]
        return v

    def still(self, u: Tensor, tolerance: float) -> Tensor:
        """Of which images error reduction moves the best start by less than this part of it, in every channel, (B,)."""
        v = self.confine(u)
        moved = (self.confine(self.modulus(v)) - v).flatten(3).norm(dim=3)
        rests = moved <= tolerance * v.flatten(3).norm(dim=3)
        return rests.gather(1, self._residuals(self._tries(u)).argmin(1, keepdim=True)).flatten(1).all(1)

    def best(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Of the starts that with the smallest residual of the data, channel by channel: x, and its residual (B,)."""
        tries = self._tries(u)
        residuals = self._residuals(tries)
        first = residuals.argmin(1, keepdim=True)
        x = torch.stack(tries, 1)
        pick = first.repeat_interleave(x.shape[2] // self.channels, 2)[..., None, None]
        x = x.gather(1, pick.expand(-1, -1, -1, *x.shape[-2:]))[:, 0]
        return agree(x, self.f.symmetries).to(self.problem.y), overall(residuals.gather(1, first)[:, 0])

    def _tries(self, u: Tensor) -> list[Tensor]:
        return [self.f.crop(v) for v in self.confine(u).unbind(1)]

    def _residuals(self, tries: list[Tensor]) -> Tensor:
        """(B, R, channels)."""
        return torch.stack([residual(self.f, x, self.measured, self.channels) for x in tries], 1)

    def _box(self, share: float) -> Tensor:
        """A box in the middle that takes this share of the frame in each direction."""
        (h, w), inside = self.f.frame, []
        for n in (h, w):
            at = torch.arange(n, dtype=torch.float64, device=self.measured.device)
            inside.append((at + 0.5 - n / 2).abs() <= max(share * n, 1) / 2)
        return (inside[0][:, None] & inside[1]).expand(len(self.measured), 1, h, w)

    def _half(self, z: Tensor) -> Tensor:
        return z[..., : z.shape[-1] // 2 + 1] if self.real else z

    def _back(self, z: Tensor) -> Tensor:
        if self.real:
            return torch.fft.irfft2(z, s=self.f.frame, norm="ortho")
        return torch.fft.ifft2(z, norm="ortho")


@dataclass(frozen=True)
class Shrinkwrap:
    """How the support follows the object where it is not told.

    Attributes:
        every: steps between updates.
        sigma: width of the blur in pixels at first.
        decay: what the width is multiplied with at each update.
        sigma_min: its last value.
        threshold: the share of the maximum that is kept.
    """

    every: int = 20
    sigma: float = 3.0
    decay: float = 0.99
    sigma_min: float = 1.5
    threshold: float = 0.2

    def __call__(self, frame: Frame, u: Tensor, k: int) -> None:
        """Update the support after step k, if it is time."""
        if (k + 1) % self.every == 0:
            frame.shrinkwrap(u, max(self.sigma * self.decay ** (k // self.every), self.sigma_min), self.threshold)
