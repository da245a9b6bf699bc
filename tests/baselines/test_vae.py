"""The generator: sizes, stages, and that no image feels another."""

import pytest
import torch

from baselines.datarich.vae import VAE


@pytest.mark.parametrize(("size", "channels"), [(32, 3), (64, 3), (64, 1), (48, 2), (21, 1)])
def test_it_draws_and_encodes_images_of_any_side(size, channels):
    G = VAE(size=size, channels=channels, code=16)
    assert G(torch.zeros(2, *G.latent)).shape == (2, channels, size, size)
    mean, logvar = G.encode(torch.zeros(2, channels, size, size))
    assert mean.shape == logvar.shape == (2, *G.latent)


def test_it_is_small():
    for size in (32, 64):
        assert sum(p.numel() for p in VAE(size=size).parameters()) <= 2.5e6


def test_the_stages_are_the_whole():
    G = VAE(size=16, channels=1, code=8, width=8).double().requires_grad_(False)
    h = z = torch.rand(2, 8, dtype=torch.float64)
    for i in range(G.depth):
        h = G(h, i, i + 1)
        assert (G(z, 0, i + 1) - h).abs().max() < 1e-12
        assert (G(h, i + 1) - G(z)).abs().max() < 1e-12
    assert G.depth == 4


def test_no_image_feels_another():
    G = VAE(size=16, channels=1, code=8, width=8).double().requires_grad_(False)
    z = torch.rand(3, 8, dtype=torch.float64)
    assert (G(z)[1:2] - G(z[1:2])).abs().max() < 1e-12
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    assert (G.encode(x)[0][1:2] - G.encode(x[1:2])[0]).abs().max() < 1e-12
