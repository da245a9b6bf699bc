"""What a network or an encoder is given of a blur keeps the noise down; what an operator makes by itself stays."""

from functools import partial

import numpy as np
import pytest
import torch

from baselines.common.inverse import first_image
from baselines.datarich.end_to_end import seen
from baselines.datarich.external import _given
from sipbench.operators.blur import Blur
from sipbench.operators.tomography import Tomography
from tests.baselines.reference import dense, gap, pose

KEPT = {"circular": lambda s: np.where(s > 0.03, 1 / s, 0), "reflect": lambda s: s / (s**2 + 0.03**2)}


@pytest.mark.parametrize("boundary", KEPT)
def test_the_noise_of_a_blur_is_not_blown_up(boundary):
    problem = pose(partial(Blur, size=9, sigma=2.0), shape=(1, 12, 12), sigma=0.05, boundary=boundary)
    U, s, Vt = np.linalg.svd(dense(problem.f.select(slice(0, 1)), (1, 12, 12)))
    wanted = torch.from_numpy(Vt.T @ (KEPT[boundary](s) * (U.T @ problem.y[0].flatten().numpy()))).view(1, 12, 12)
    tolerance = 1e-9 if boundary == "circular" else 0.05  # conjugate gradients stop at 1e-4 of their first residual
    assert gap(first_image(problem, 0.03)[0], wanted) < tolerance
    assert (first_image(problem, 0.0) - wanted).norm() > 10 * (first_image(problem, 0.03) - wanted).norm()
    assert torch.equal(seen(problem, "pinv", 0.03), first_image(problem, 0.03))
    assert torch.equal(_given(problem, "pinv", 0.03), first_image(problem, 0.03))


def test_filtered_back_projection_stays():
    problem = pose(Tomography, shape=(1, 12, 12), views=6)
    assert torch.equal(first_image(problem, 0.03), problem.f.pinv(problem.y))
