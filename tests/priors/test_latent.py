"""Latent priors from the folder of a diffusers pipeline: unet/, scheduler/, and vae/ or vqvae/."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel, VQModel

from sipbench.errors import UserError
from sipbench.priors.load import diffusers_prior
from sipbench.problem import Rng
from tests.priors import folders

SCALE, SHIFT = 0.7, 0.2
LAYERS = {
    "sample_size": 32, "layers_per_block": 1, "block_out_channels": (8, 8, 16), "norm_num_groups": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3,
}  # fmt: skip
CODECS = {
    "vae": (AutoencoderKL, {"latent_channels": 4, "scaling_factor": SCALE, "shift_factor": SHIFT}),
    "vqvae": (VQModel, {"latent_channels": 4, "num_vq_embeddings": 32, "scaling_factor": SCALE}),
}


@pytest.fixture(scope="module", params=CODECS)
def place(request):
    return request.param


@pytest.fixture(scope="module")
def codec(place):
    kind, options = CODECS[place]
    codec = folders.seeded(kind, **LAYERS, **options).eval().requires_grad_(False)
    if place == "vqvae":  # codes to quantise to that are as far apart as the codes themselves
        codec.quantize.embedding.weight.mul_(32)
    return codec


@pytest.fixture(scope="module")
def folder(place, codec, tmp_path_factory):
    network = folders.unet(4, in_channels=4, out_channels=4)
    return folders.save_pipeline(tmp_path_factory.mktemp("latent") / "pipe", network, codec, place)


@pytest.fixture(scope="module")
def prior(folder):
    return diffusers_prior(str(folder), weights="")


def respecified(new, folder, place, codec, **change):
    """The pipeline again, with other words in the autoencoder's config; None takes one out."""
    codec.save_pretrained(new / place)
    for part in ("unet", "scheduler"):
        (new / part).symlink_to(folder / part)
    file = new / place / "config.json"
    content = json.loads(file.read_text()) | change
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def shift(place):
    return SHIFT if place == "vae" else 0.0


def draw(*shape, dtype=torch.float32):
    return Rng.of(0, "latent", range(2)).normal(*shape, dtype=dtype)


def test_its_shapes_are_those_of_the_code_and_of_the_image(prior):
    """The size of images follows from that of the codes the network knows, whatever the autoencoder was trained on."""
    assert prior.kind == "latent" and prior.shape == (4, 4, 4) and prior.image_shape == (3, 16, 16)
    z = draw(*prior.shape)
    assert prior.decode(z).shape == (2, *prior.image_shape)
    assert prior.encode(prior.decode(z)).shape == z.shape


def test_a_code_is_scaled_and_shifted(prior, codec, place):
    x = draw(*prior.image_shape)
    out = codec.encode(x)
    raw = out.latent_dist.mean if place == "vae" else out.latents
    assert torch.allclose(prior.encode(x), SCALE * (raw - shift(place)), atol=1e-5)
    assert not torch.allclose(prior.encode(x), raw, atol=1e-2)


def test_an_image_is_decoded_from_the_code_taken_back(prior, codec, place):
    z = draw(*prior.shape)
    wanted = codec.decode(z / SCALE + shift(place)).sample
    assert torch.allclose(prior.decode(z), wanted, atol=1e-5)
    assert not torch.allclose(prior.decode(z), codec.decode(z).sample, atol=1e-2)


def test_decoding_is_differentiable_and_keeps_images_apart(prior):
    z = draw(*prior.shape).requires_grad_()
    x = prior.decode(z)
    (gradient,) = torch.autograd.grad(x[0].square().sum(), z)
    assert gradient[0].abs().max() > 0 and not gradient[1].any()
    assert torch.allclose(prior.decode(z[1:]), x[1:], atol=1e-5)
    assert all(not p.requires_grad for p in prior.codec.network.parameters())


def test_it_denoises_codes_as_its_network_alone_does(prior, folder):
    """The network predicts the noise in x_t = alpha z + sigma noise."""
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    x_t, t = draw(*prior.shape), torch.tensor(0.3)
    alpha, sigma = prior.scales(t)
    with torch.no_grad():
        wanted = (x_t - sigma * network(x_t, 299).sample) / alpha
        assert torch.allclose(prior.denoise(x_t, t), wanted, atol=1e-5)
        assert not torch.allclose(prior.denoise(x_t, t), (x_t - sigma * network(x_t, 300).sample) / alpha, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_low_precision_the_state_stays(folder, prior, dtype):
    half = diffusers_prior(str(folder), weights="", precision="bfloat16", channels_last=True)
    z, t = draw(*prior.shape, dtype=dtype), torch.tensor(0.3)
    x = half.decode(z)
    assert x.dtype == half.encode(x).dtype == half.denoise(z, t).dtype == dtype
    assert torch.allclose(half.denoise(z, t), prior.denoise(z, t), atol=2e-2)
    assert {p.dtype for p in half.codec.network.parameters()} == {torch.bfloat16}


def test_a_config_without_a_factor_has_the_usual_one(folder, codec, place, tmp_path):
    """That of Stable Diffusion, or none for the codes of the first quantised autoencoders."""
    respecified(tmp_path, folder, place, codec, scaling_factor=None, shift_factor=None)
    prior, z = diffusers_prior(str(tmp_path), weights=""), draw(4, 4, 4)
    usual = 0.18215 if place == "vae" else 1.0
    assert torch.allclose(prior.decode(z), codec.decode(z / usual).sample, atol=1e-5)


def test_an_autoencoder_of_another_kind_is_said(folder, codec, place, tmp_path):
    respecified(tmp_path, folder, place, codec, _class_name="AutoencoderOobleck")
    with pytest.raises(UserError, match="AutoencoderOobleck is not known here: it can be .*AutoencoderKL, VQModel"):
        diffusers_prior(str(tmp_path), weights="")


def test_weights_that_do_not_fit_are_said(folder, codec, place, tmp_path):
    respecified(tmp_path, folder, place, codec, latent_channels=3)
    with pytest.raises(UserError, match=r"does not fit its network|corrupt checkpoint"):
        diffusers_prior(str(tmp_path), weights="")
