"""Deep Random Projector: a shallow network whose convolutions stay as they were drawn.

T. Li, H. Wang, Z. Zhuang, J. Sun: Deep Random Projector: Accelerated Deep Image Prior, CVPR 2023,
https://openaccess.thecvf.com/content/CVPR2023/html/Li_Deep_Random_Projector_Accelerated_Deep_Image_Prior_CVPR_2023_paper.html
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop
from baselines.single.fit import fit, objective
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import Input, fixed_input
from baselines.single.layers import Conv, Norm
from sipbench.problem import Estimate, Problem, Rng


class RandomProjector(nn.Module):
    """G(z): a norm of z, then an hourglass. Its parameters are z and the weights and biases of the norms.

    The convolutions are frozen; `walk` adds normal noise of standard deviation sigma_w to them.
    """

    def __init__(self, rng: Rng, z: Tensor, network: Hourglass) -> None:
        super().__init__()
        self.z = nn.Parameter(z.clone())
        self.norm = Norm(rng, z.shape[1], dtype=z.dtype)
        self.network = network
        convolutions = [module for module in network.modules() if isinstance(module, Conv)]
        self.frozen = [parameter for conv in convolutions for parameter in conv.parameters()]
        for parameter in self.frozen:
            parameter.requires_grad_(False)

    def trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def forward(self) -> Tensor:
        return self.network(self.norm(self.z))

    def walk(self, rng: Rng, sigma_w: float) -> None:
        for parameter in self.frozen:
            parameter.add_(sigma_w * rng.normal_like(parameter))


def drp(
    problem: Problem,
    *,
    iterations: int = 5001,
    lr: float = 0.1,
    loss: DataLoss = "rmse",
    regulariser: Penalty = "tv",
    lam: float = 0.45,
    input: Input = "normal",
    input_channels: int = 3,
    channels: Sequence[int] = (64,),
    skip: Sequence[int] = (4,),
    upsample: str | Sequence[str] = "bilinear",
    sigma_w: float = 0.0,
    masked: bool = True,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """min over z and the affine parameters of the norms of sqrt(mean |y - f(G(z))|^2) + lam TV(G(z)), by Adam.

    TV is the mean of |differences|; both terms double from [0, 1] to [-1, 1], so that the published lam holds. With
    `sigma_w`, published for inpainting, the frozen convolutions drift by N(0, sigma_w^2) at each iteration. Without
    `masked` the noise on what is not measured stays under the root, where it makes TV weigh more the better the fit. An
    iteration costs a deep image prior's of one scale; no gradient is taken for the convolutions.
    """
    rng, c, dtype = problem.rng, problem.shape[1], problem.y.dtype
    theta, drift = rng.child("theta").portable, rng.child("drift")
    z = fixed_input(input, rng, input_channels, problem.shape[2:], dtype)
    network = Hourglass(theta, input_channels, c, channels=channels, skip=skip, upsample=upsample, dtype=dtype)
    G = RandomProjector(theta, z, network)

    def generate(k: int) -> Tensor:
        if sigma_w:
            G.walk(drift, sigma_w)
        return 2 * G() - 1

    return fit(
        problem,
        generate,
        torch.optim.Adam(G.trained(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam, masked=masked),
        stop=stop,
    )
