"""The classical methods beside public packages, and beside the formulas of their papers written in numpy."""

from __future__ import annotations

import math

import numpy as np
import torch
from skimage import restoration

from baselines.classical.er import er
from baselines.classical.hio import hio_er
from baselines.classical.pinv import pinv
from baselines.classical.raar import raar
from baselines.classical.richardson_lucy import richardson_lucy
from baselines.classical.tgv import tgv
from baselines.classical.tikhonov import tikhonov
from baselines.classical.tv import tv
from baselines.classical.wavelet import wavelet
from baselines.classical.wirtinger import wirtinger
from tests.baselines import test_hio, test_tgv, test_wirtinger
from tests.baselines.posed import blur, matrix, pose
from tests.parity import Peer


def image_of(solution):
    return getattr(solution, "x", solution)


def rows(images):
    """Grey images of a package as a batch."""
    return torch.stack([torch.from_numpy(np.asarray(image)) for image in images])[:, None]


def pinv_and_public():
    problem = pose(blur("zero"), size=12)
    A = matrix(problem.f, problem.shape).numpy()
    return pinv(problem), (problem.y.flatten(1) @ torch.from_numpy(np.linalg.pinv(A)).T).view(problem.shape)


def tikhonov_and_public():
    """White images: ridge regression in its textbook form."""
    problem = pose(blur("reflect"), size=12, sigma=0.1)
    A = matrix(problem.f, problem.shape).numpy()
    theirs = [np.linalg.solve(A.T @ A + (0.1 / 0.5) ** 2 * np.eye(144), A.T @ y.flatten().numpy()) for y in problem.y]
    return image_of(tikhonov(problem, prior="white", tolerance=1e-12)), rows(x.reshape(12, 12) for x in theirs)


def tv_and_public():
    problem = pose(images=(0,))
    theirs = [restoration.denoise_tv_chambolle(y[0].numpy(), 0.15, eps=0, max_num_iter=4000) for y in problem.y]
    return image_of(tv(problem, lam=0.15, c=None, iterations=20_000, tolerance=1e-10)), rows(theirs)


def tgv_and_public():
    problem = pose(images=(0,), size=8)
    theirs = test_tgv.reference(problem.y.flatten().numpy(), np.eye(64), 0.1, (0.5, 1.0), iterations=3000)
    ours = tgv(problem, lam=0.1, c=None, alpha0=0.5, alpha1=1.0, iterations=5000, tolerance=1e-10)
    return image_of(ours), torch.as_tensor(np.asarray(theirs)).reshape(1, 1, 8, 8)


def wavelet_and_public():
    """Haar's wavelet, whose borders need no convention, at the universal threshold."""
    problem, options = pose(size=32), {"wavelet": "haar", "mode": "soft", "wavelet_levels": 3, "method": "VisuShrink"}
    theirs = [restoration.denoise_wavelet(y[0].numpy(), sigma=0.05, **options) for y in problem.y]
    threshold = 0.05 * math.sqrt(2 * math.log(32 * 32))
    ours = wavelet(problem, lam=threshold, c=None, order=1, levels=3, iterations=1000, tolerance=1e-12)
    return image_of(ours), rows(theirs)


def richardson_lucy_and_public():
    problem = pose(blur("zero"), sigma=0.02)
    kernel, one = problem.f.kernel[0, 0].numpy(), torch.ones(problem.shape, dtype=torch.float64)
    b = (problem.y + problem.f(one)) / 2
    theirs = rows(restoration.richardson_lucy(y[0].numpy(), kernel, num_iter=30) for y in b)
    return (image_of(richardson_lucy(problem, iterations=30, normalise=False)) + 1) / 2, theirs


def er_and_public():
    problem = test_hio.small("exact")
    return er(problem, iterations=9, restarts=1).x, test_hio.reference(problem, 9, 0.0, 0, 0, 1)


def hio_er_and_public():
    problem = test_hio.small("exact", 2.0)
    ours = hio_er(problem, iterations=13, beta=0.8, first=0.15, hio=4, er=3, restarts=1).x
    return ours, test_hio.reference(problem, 13, 0.8, 2, 4, 3)


def public_raar(problem, steps, beta):
    """beta / 2 (R_S R_M + 1) u + (1 - beta) P_M u, with R_S R_M multiplied out in numpy."""
    m, S = np.sqrt(problem.y[:, 0].numpy()), problem.f.support[:, 0].numpy() != 0
    phases = test_hio.start(problem, (1, 1, *m.shape[1:]))[:, 0, 0]
    out = []
    for i in range(len(m)):
        u = np.fft.ifft2(np.fft.ifftshift(m[i]) * phases[i], norm="ortho")
        for _ in range(steps):
            z = np.fft.fftshift(np.fft.fft2(u, norm="ortho"))
            v = np.fft.ifft2(np.fft.ifftshift(m[i] * np.exp(1j * np.angle(z))), norm="ortho")
            reflected = np.where(S[i], 2 * v - u, 0) * 2 - (2 * v - u)
            u = beta / 2 * (reflected + u) + (1 - beta) * v
        out.append(np.stack([(u * S[i]).real, (u * S[i]).imag]))
    return torch.from_numpy(np.stack(out))


def raar_and_public():
    problem = test_hio.small("exact")
    ours = raar(problem, iterations=9, beta=0.85, first=1.0, raar=1, er=1, restarts=1)
    return image_of(ours), public_raar(problem, 9, 0.85)


def wirtinger_and_public():
    problem, _ = test_wirtinger.pose(test_wirtinger.gaussian, 2)
    return wirtinger(problem, iterations=41, power=7).x, test_wirtinger.reference(problem, 40, 7)


PEERS = {
    "pinv": Peer("numpy.linalg.pinv", pinv_and_public, 1e-8),
    "tikhonov": Peer("ridge regression", tikhonov_and_public, 1e-8),
    "tv": Peer("scikit-image", tv_and_public, 1e-4),
    "tgv": Peer("Bredies, Kunisch, Pock, SIAM Journal on Imaging Sciences 2010", tgv_and_public, 1e-6),
    "wavelet": Peer("scikit-image", wavelet_and_public, 1e-8),
    "richardson_lucy": Peer("scikit-image", richardson_lucy_and_public, 1e-8),
    "er": Peer("Fienup, Applied Optics 1982", er_and_public, 1e-8),
    "hio_er": Peer("Fienup, Applied Optics 1982", hio_er_and_public, 1e-8),
    "raar": Peer("Luke, Inverse Problems 2005", raar_and_public, 1e-8),
    "wirtinger": Peer(
        "Candes, Li, Soltanolkotabi, IEEE Transactions on Information Theory 2015", wirtinger_and_public, 1e-8
    ),
}
