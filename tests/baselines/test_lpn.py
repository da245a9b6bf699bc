"""The learned proximal network: a convex function and its gradient, for any image size and any weights."""

import torch

from baselines.datarich.lpn import LPN
from tests.baselines.posed import far
from tests.baselines.test_dncnn import SIGMA, noisy


def drawn(channels=1, halvings=2, seed=0, architecture=LPN):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return architecture(channels, 4, halvings).double().requires_grad_(False)


def intensities(x):
    return (x + 1) / 2


def jacobian(net, x):
    """Of the map of one image, on intensities."""
    n = x.numel()
    psi = torch.autograd.functional.hessian(lambda v: net.psi(v, SIGMA[:1] / 2).sum(), intensities(x))
    return psi.view(n, n)  # pyright: ignore


def witness(architecture):
    """Its Jacobian is symmetric and not negative, whatever its weights: it is the proximal step of some function."""
    for seed in range(3):
        net, x = drawn(seed=seed, architecture=architecture), noisy(1, 6)[:1]
        for p in net.parameters():
            p *= 3
        for weight in list(net.sum)[:-1]:  # the last layer alone, which has the others in it
            weight -= 20
        J = jacobian(net, x)
        assert far(J, J.mT) < 1e-10
        assert torch.linalg.eigvalsh(J).min() > 0


def witness_gradient(architecture):
    """It is the gradient, by finite differences along a direction; x on [-1, 1] counts in intensities."""
    net, h = drawn(architecture=architecture), 1e-5
    for x in (noisy(1, 8), noisy(1, 10)[..., :7, :]):
        along, level = x.flip(0), SIGMA / 2
        slope = (net.psi(intensities(x + h * along), level) - net.psi(intensities(x - h * along), level)) / (2 * h)
        assert far((intensities(net(x, SIGMA).detach()) * along / 2).flatten(1).sum(1), slope) < 1e-7


def test_it_is_a_proximal_step():
    witness(LPN)


def test_it_is_the_gradient():
    witness_gradient(LPN)


def test_it_learns_through_its_gradient():
    net, x = LPN(3, 4, 1), noisy(3, 8).float()
    net(x, SIGMA).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert not x.requires_grad
    with torch.no_grad():
        assert not net(x, SIGMA).requires_grad


@torch.no_grad()
def test_it_is_told_the_noise_of_each_image():
    net, x = drawn(3), noisy(3, 8)
    both = net(x, SIGMA)
    alone = [net(x[i : i + 1], SIGMA[i : i + 1]) for i in range(2)]
    assert far(both, torch.cat(alone)) < 1e-12
    assert far(both, net(x, SIGMA.flip(0))) > 1e-4
