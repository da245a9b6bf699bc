"""Parts that the first measurement sizes, and what every trained solver owes to its training."""

import pytest
import torch
from torch.nn.parameter import is_lazy

from baselines.datarich.dncnn import DnCNN
from baselines.datarich.end_to_end import end_to_end
from baselines.datarich.fully_learned import FullyLearned, fully_learned
from baselines.datarich.iradonmap import IRadonMap
from baselines.datarich.lista import Lista, lista
from baselines.datarich.lpd import PrimalDual, lpd
from baselines.datarich.modl import Denoiser, modl
from baselines.datarich.nafnet import NAFNet
from baselines.datarich.sizing import Norm, to_multiples
from baselines.datarich.unet import UNet
from baselines.datarich.unrolled_pgd import Unrolled, unrolled_pgd
from sipbench import checkpoints
from sipbench.operators.tomography import Tomography
from tests.baselines.learned import OPERATORS, gap, pose

LEARNED = {
    "unet": (end_to_end, lambda: UNet(1, width=8)),
    "dncnn": (end_to_end, lambda: DnCNN(1, width=8, depth=4)),
    "nafnet": (end_to_end, lambda: NAFNet(1, width=8)),
    "fully_learned": (fully_learned, lambda: FullyLearned(1, rank=16, width=8)),
    "iradonmap": (fully_learned, lambda: IRadonMap(width=8)),
    "unrolled_pgd": (unrolled_pgd, lambda: Unrolled(1, steps=3, width=8)),
    "modl": (modl, lambda: Denoiser(1, width=8)),
    "lpd": (lpd, lambda: PrimalDual(1, steps=3, width=8)),
    "lista": (lista, lambda: Lista(layers=4)),
}
SIZED = ["fully_learned", "iradonmap", "unrolled_pgd", "modl", "lpd", "lista"]


def problem(images=(0, 1), side=8, views=5):
    return pose(lambda s, r: Tomography(s, r, views=views), shape=(1, side, side), images=images)


@pytest.mark.parametrize("n", [1, 4, 8])
def test_images_are_continued_to_multiples(n):
    x = torch.rand(2, 3, 9, 6)
    y = to_multiples(x, n)
    assert all(side % n == 0 for side in y.shape[-2:])
    assert gap(y[..., :9, :6], x) == 0
    assert gap(y[..., 9:, :6], x[..., -1:, :].expand_as(y[..., 9:, :6])) == 0 if n > 1 else y.shape == x.shape


@pytest.mark.parametrize("name", SIZED)
def test_weights_bring_their_sizes(name, tmp_path):
    """Loaded into a network that has seen nothing, from half precision; another measurement changes nothing."""
    solve, make = LEARNED[name]
    trained, fresh = make(), make()
    assert any(is_lazy(part) for part in (*fresh.parameters(), *fresh.buffers()))
    with torch.no_grad():
        solve(problem(), net=trained)
        checkpoints.save_half(trained, tmp_path / "weights.safetensors")
        checkpoints.load_into(fresh, tmp_path / "weights.safetensors")
        assert not any(is_lazy(part) for part in (*fresh.parameters(), *fresh.buffers()))
        hooks = [dict(module.__dict__) for module in fresh.modules()]
        louder = problem(images=(2, 3))
        solve(louder, net=fresh)
        assert hooks == [dict(module.__dict__) for module in fresh.modules()]  # a run alters nothing
        again = checkpoints.load_into(make(), tmp_path / "weights.safetensors")
        assert gap(solve(problem(), net=fresh), solve(problem(), net=again)) == 0
        assert gap(solve(problem(), net=fresh), solve(problem(), net=trained)) < 0.05


@pytest.mark.parametrize("units", [1e-9, 1e6])
@pytest.mark.parametrize("name", ["fully_learned", "unrolled_pgd", "modl", "lpd", "lista"])
def test_the_units_of_a_measurement_are_stored_whatever_they_are(name, units, tmp_path):
    """Half precision ends at 65504, and below 6e-8 it is zero."""

    class InUnits(Tomography):
        def forward(self, x):
            return units * super().forward(x)

        def T(self, y):
            return units * super().T(y)

    solve, make = LEARNED[name]
    posed, trained, loaded = pose(lambda s, r: InUnits(s, r, views=5), shape=(1, 8, 8), sigma=0.0), make(), make()
    with torch.no_grad():
        x = solve(posed, net=trained)
        checkpoints.save_half(trained, tmp_path / "weights.safetensors")
        checkpoints.load_into(loaded, tmp_path / "weights.safetensors")
        assert gap(solve(posed, net=loaded), x) < 0.02 * float(x.abs().max())


@pytest.mark.parametrize("name", SIZED)
def test_sizing_is_the_same_whatever_the_global_seed(name):
    solve, make = LEARNED[name]
    torch.manual_seed(0)
    nets = [make()]
    torch.manual_seed(0)
    nets.append(make())
    with torch.no_grad():
        for seed, net in enumerate(nets):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            solve(problem(), net=net)
            assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in nets), strict=True))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_norm_is_that_of_the_first_image(operator):
    posed, norm = pose(OPERATORS[operator]), Norm()
    assert float(norm(posed)) == pytest.approx(posed.f.select(slice(0, 1)).norm, rel=1e-6)
    assert float(norm(pose(OPERATORS["blur"], sigma=1.0))) == float(norm.value)


@pytest.mark.parametrize("name", LEARNED)
def test_training_through_the_solver_reaches_every_parameter_and_lowers_the_loss(name):
    torch.manual_seed(0)
    solve, make = LEARNED[name]
    posed, net = problem(), make()
    x = posed.f.pinv(posed.y) * 0.5 - 0.2  # any image will do
    with torch.no_grad():
        solve(posed, net=net)
    net = net.double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1 if name == "lista" else 2e-3)  # its matrices are scaled
    losses, reached = [], set()
    for _ in range(25):
        loss = (solve(posed, net=net) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        for key, parameter in net.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            if parameter.grad.any():
                reached.add(key)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert reached == {key for key, _ in net.named_parameters()}
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", LEARNED)
def test_odd_sides_and_single_precision(name):
    solve, make = LEARNED[name]
    posed = pose(lambda s, r: Tomography(s, r, views=5), shape=(1, 9, 9))
    net = make()
    with torch.no_grad():
        x = solve(posed, net=net)
        assert x.shape == posed.shape and x.dtype == posed.y.dtype == torch.float64  # the network is in single
        exact = solve(posed, net=net.double())
    assert gap(x, exact) < 1e-4
