"""The loss of a generator: its two parts by hand, and what one learns by it."""

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from baselines.datarich.vae import VAE
from sipbench.problem import Rng
from sipbench.training.losses import autoencoder_loss, divergence, generator_loss


class Given(nn.Module):
    """A code of which mean and variance are given, that is an image itself."""

    def __init__(self, mean, logvar):
        super().__init__()
        self.mean, self.logvar = mean, logvar

    def encode(self, x):
        return self.mean, self.logvar

    def forward(self, z):
        return z.view(len(z), 1, 2, 2)


def parts():
    draw = torch.Generator().manual_seed(0)
    mean, logvar, x = (torch.randn(3, 4, generator=draw) for _ in range(3))
    return mean, logvar, x.view(3, 1, 2, 2), Rng.of(0, "train", range(3))


def test_the_divergence_is_that_of_torch():
    mean, logvar, *_ = parts()
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0))
    assert (divergence(mean, logvar) - expected).abs().max() < 1e-6


def test_it_is_error_and_divergence_over_the_entries_of_an_image():
    mean, logvar, x, rng = parts()
    z = mean + (logvar / 2).exp() * Rng.of(0, "train", range(3)).normal(4)
    expected = [
        ((z[i] - x[i].flatten()).square().sum() + 0.3 * divergence(mean[i], logvar[i]).sum()) / 4 for i in range(3)
    ]
    assert abs(generator_loss(0.3)(Given(mean, logvar), x, rng) - sum(expected) / 3) < 1e-6


def test_noise_is_each_image_s_own():
    """The mean of the losses of images alone is their loss together."""
    network = VAE(size=8, channels=1, code=4, width=4, widest=8)
    x, loss = torch.rand(2, 1, 8, 8), generator_loss()
    alone = [loss(network, x[i : i + 1], Rng.of(0, "train", [i])) for i in range(2)]
    assert abs(loss(network, x, Rng.of(0, "train", range(2))) - sum(alone) / 2) < 1e-6


def learnt(beta, steps=50):
    """What a generator of images of one number makes of some of them, and how far their codes are from the normal."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, loss = VAE(size=4, channels=1, code=2, width=8, widest=8), generator_loss(beta)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for k in range(steps):
        numbers = range(8 * k, 8 * k + 8)
        x = Rng.of(0, "numbers", numbers).uniform(1, 1, 1).mul(2).sub(1).expand(-1, 1, 4, 4)
        optimiser.zero_grad()
        loss(network, x, Rng.of(0, "train", numbers)).backward()
        optimiser.step()
    x = torch.linspace(-0.9, 0.9, 50).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    with torch.no_grad():
        mean, logvar = network.encode(x)
        return float((network(mean) - x).square().mean().sqrt()), float(divergence(mean, logvar).sum(1).mean())


def test_a_generator_learns():
    """With a small weight the images, with a large one codes as they are drawn."""
    (error, far), (blind, near) = learnt(0.01), learnt(30.0)
    assert error < 0.15
    assert blind > 0.4
    assert near < 0.1 < far


def test_the_loss_of_an_autoencoder_is_what_it_was():
    class Code(Given):
        def encode(self, x):
            of = type("", (), {"mean": self.mean.view(3, 1, 2, 2), "logvar": self.logvar.view(3, 1, 2, 2)})
            return type("", (), {"latent_dist": of})

        def decode(self, z):
            return type("", (), {"sample": z})

    mean, logvar, x, rng = parts()
    z = mean.view_as(x) + (logvar.view_as(x) / 2).exp() * Rng.of(0, "train", range(3)).normal(1, 2, 2)
    d = z - x
    expected = d.abs().mean() + 0.5 * (d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean())
    expected = expected + 0.1 * 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    assert abs(autoencoder_loss(0.1, 0.5)(Code(mean, logvar), x, rng) - expected) < 1e-6
