"""What a diffusers folder must be to be a prior, and what is said where it is something else."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel

from sipbench.errors import UserError
from sipbench.priors.load import diffusers_prior
from tests.priors import folders

CODEC = {
    "sample_size": 16, "layers_per_block": 1, "block_out_channels": (8, 16), "norm_num_groups": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
}  # fmt: skip


def told_by_words(**config):
    """A network that is told a text too, as those of Stable Diffusion are."""
    blocks = {
        "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }  # fmt: skip
    return folders.seeded(UNet2DConditionModel, sample_size=8, **blocks, **config)


def refused(folder):
    with pytest.raises(UserError) as error:
        diffusers_prior(str(folder), weights="")
    text = str(error.value)
    assert "\n" not in text and str(folder) in text
    return text


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda: folders.unet(num_class_embeds=10), "class-conditional"),
        (lambda: folders.unet(class_embed_type="timestep"), "class-conditional"),
        (lambda: folders.unet(in_channels=6), "maps 6 channels to 3"),
        (lambda: folders.unet(sample_size=None), "has no sample_size"),
        (lambda: told_by_words(in_channels=3, out_channels=3), "is a UNet2DConditionModel"),
    ],
)
def test_a_network_that_is_no_model_of_images_alone_is_refused_as_it_is_loaded(tmp_path, network, said):
    assert said in refused(folders.save(tmp_path / "other", network()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "model.safetensors",
            "has no diffusion_pytorch_model.safetensors, which diffusers reads: rename its model.safetensors",
        ),
        (
            "diffusion_pytorch_model.fp16.safetensors",
            "fp16.safetensors is not read: weights are diffusion_pytorch_model",
        ),
        ("diffusion_pytorch_model.bin", "model.bin is not read: weights are diffusion_pytorch_model.safetensors"),
    ],
)
def test_weights_under_another_name_are_named(tmp_path, capfd, name, said):
    folder = folders.save(tmp_path / "other", folders.unet())
    (folder / "diffusion_pytorch_model.safetensors").rename(folder / name)
    assert said in refused(folder) and not capfd.readouterr().err


def test_codes_that_are_not_those_of_the_autoencoder_are_refused(tmp_path):
    codec = folders.seeded(AutoencoderKL, latent_channels=4, **CODEC)
    folder = folders.save_pipeline(tmp_path / "pipe", folders.unet(8), codec, "vae")
    assert "codes of 4 channels, and the model beside it is of 3" in refused(folder)


def test_a_quantised_autoencoder_has_the_codes_that_it_quantises(tmp_path):
    codec = folders.seeded(VQModel, latent_channels=4, vq_embed_dim=3, num_vq_embeddings=16, **CODEC)
    prior = diffusers_prior(str(folders.save_pipeline(tmp_path / "pipe", folders.unet(8), codec, "vqvae")), weights="")
    assert prior.encode(torch.zeros(1, 3, 16, 16)).shape == (1, *prior.shape) == (1, 3, 8, 8)


MEAN, STD = [0.3, -0.2, 0.1], [0.5, 2.0, 1.5]


def of_codes(folder, **config):
    codec = folders.seeded(AutoencoderKL, latent_channels=3, scaling_factor=0.7, **CODEC, **config)
    return folders.save_pipeline(folder, folders.unet(8), codec, "vae"), codec.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_have_the_mean_and_the_spread_that_are_said_of_each_channel(tmp_path, dtype):
    """As the pipeline of Stable Diffusion XL encodes and decodes; of one of the two alone it makes nothing."""
    folder, codec = of_codes(tmp_path / "pipe", latents_mean=MEAN, latents_std=STD)
    prior, x = diffusers_prior(str(folder), weights=""), torch.linspace(-1, 1, 768, dtype=dtype).view(1, 3, 16, 16)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (MEAN, STD))
    with torch.no_grad():
        code = codec.encode(x.float()).latent_dist.mode()
        z = (code - mean) * 0.7 / std
        wanted = codec.decode(z * std / 0.7 + mean).sample
    assert prior.encode(x).dtype == dtype and torch.allclose(prior.encode(x).float(), z, atol=1e-5)
    assert prior.decode(z.to(dtype)).dtype == dtype
    assert torch.allclose(prior.decode(z.to(dtype)).float(), wanted, atol=1e-5)
    alone = diffusers_prior(str(of_codes(tmp_path / "alone", latents_mean=MEAN)[0]), weights="")
    assert torch.allclose(alone.encode(x).float(), 0.7 * code, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"latents_mean": MEAN, "latents_std": STD[:2]}, "latents_mean and latents_std are 3 numbers each"),
        ({"latents_mean": MEAN, "latents_std": [1.0, 0.0, 1.0]}, "the latter above 0"),
        ({"latents_mean": "none", "latents_std": STD}, "3 numbers each"),
        ({"latents_mean": MEAN, "latents_std": STD, "shift_factor": 0.1}, "a shift_factor and a latents_mean"),
    ],
)
def test_units_of_codes_that_make_no_sense_are_refused(tmp_path, config, said):
    assert said in refused(of_codes(tmp_path / "pipe", **config)[0])


def test_a_model_of_oblong_images_is_of_these(tmp_path):
    prior = diffusers_prior(str(folders.save(tmp_path / "oblong", folders.unet(sample_size=(16, 8)))), weights="")
    assert prior.shape == prior.image_shape == (3, 16, 8)
    assert prior.denoise(torch.zeros(2, 3, 16, 8), torch.tensor(0.5)).shape == (2, 3, 16, 8)


def test_codes_of_oblong_images_are_oblong(tmp_path):
    codec = folders.seeded(AutoencoderKL, latent_channels=3, **CODEC)
    folder = folders.save_pipeline(tmp_path / "pipe", folders.unet(sample_size=(8, 4)), codec, "vae")
    prior = diffusers_prior(str(folder), weights="")
    assert prior.shape == (3, 8, 4) and prior.image_shape == (3, 16, 8)
    assert prior.decode(torch.zeros(1, 3, 8, 4)).shape == (1, 3, 16, 8)


def test_weights_in_half_precision_are_computed_with_in_single(tmp_path):
    network = folders.unet()
    prior = diffusers_prior(str(folders.save(tmp_path / "half", network.half())), weights="")
    assert {p.dtype for p in prior.network.parameters()} == {torch.float32}
    assert all(torch.equal(a, b.float()) for a, b in zip(prior.network.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize("betas", [[0.0] * 5, [-0.1, 0.2], [0.1, 2.0]])
def test_a_schedule_of_impossible_noise_is_refused(tmp_path, betas):
    folder = folders.save(tmp_path / "strange", folders.unet(), trained_betas=betas)
    with pytest.raises(ValueError, match="above 0, up to 1"):
        diffusers_prior(str(folder), weights="")
    (folder / "scheduler_config.json").write_text(json.dumps(folders.LINEAR))
    assert diffusers_prior(str(folder), weights="").kind == "pixel"


@pytest.mark.parametrize("path", [None, 7, "", ["a"]])
def test_a_path_that_is_no_name_is_refused(path):
    with pytest.raises(UserError, match="path names a checkpoint"):
        diffusers_prior(path, weights="")
