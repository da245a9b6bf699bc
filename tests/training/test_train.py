"""Training: resumable, the same whether or not it was interrupted, and laid down so that it loads."""

import pytest
import torch
from omegaconf import OmegaConf

from sipbench import checkpoints, configs
from sipbench.errors import UserError
from sipbench.priors.load import diffusers_prior
from sipbench.training import recipes as trainees

SMALL = ["schedule.batch_size=2", "schedule.save_every=2", "size=32", "schedule.warmup=1"]
TINY = ["network.block_out_channels=[8,8,8,8]", "network.norm_num_groups=4"]


def train(kind, folder, steps, *words):
    overrides = [*SMALL, f"schedule.steps={steps}", f"results={folder}/r", f"weights={folder}/w", *words]
    cfg = OmegaConf.to_container(configs.compose(overrides, f"train_{kind}"), resolve=True)
    return trainees.TRAINEES[kind](cfg, report=lambda _: None)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(trainees, "ddim", lambda prior, z, steps, clip: z)


def test_a_prior_is_trained_resumed_and_loaded(tmp_path, quick):
    whole = train("prior", tmp_path / "a", 4, "schedule.decay=0.0001", *TINY)
    train("prior", tmp_path / "b", 2, "schedule.decay=0.0001", *TINY)
    resumed = train("prior", tmp_path / "b", 4, "schedule.decay=0.0001", *TINY)
    one, other = (checkpoints.load_state(checkpoints.weight_file(p)) for p in (whole, resumed))
    assert all(torch.equal(one[k], other[k]) for k in one)
    prior = diffusers_prior(str(whole), weights=tmp_path)
    assert prior.shape == (3, 32, 32) and (whole / "sheet.png").is_file()
    assert "4 of batch 2" in (whole / "README.md").read_text()


def test_a_prior_that_goes_astray_is_not_laid_down(tmp_path, quick):
    """It is not looked at on validation images, where a loss that is no number would be seen."""
    with pytest.raises(UserError, match=r"no numbers at step 6; try a smaller schedule\.lr"):
        train("prior", tmp_path, 6, "schedule.lr=1e30", "schedule.save_every=6", *TINY)
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("state.pt"))


@pytest.mark.parametrize("error", ["l1", "rms"])
def test_a_network_learns_on_pairs(tmp_path, error):
    small = ["degradation=inpaint70", "method.networks.net.width=8", "method.networks.net.levels=2"]
    folder = train("net", tmp_path, 4, *small, f"error={error}")
    again = train("net", tmp_path / "more", 2, *small, f"init={folder}")
    assert checkpoints.weight_file(again).is_file()


@pytest.mark.parametrize("objective", ["epsilon", "v_prediction", "flow", "edm"])
def test_a_network_that_knows_the_image_has_no_loss(objective):
    """The target of the training is what the prior takes the network's output for."""
    from sipbench.priors.network import NetworkPrior
    from sipbench.priors.schedules import LINEAR, schedule_of
    from sipbench.problem import Rng
    from sipbench.training.losses import denoising_loss

    scheduler = {
        "flow": {"_class_name": "FlowMatchEulerDiscreteScheduler"},
        "edm": {"_class_name": "EDMEulerScheduler", "sigma_data": 0.4},
    }.get(objective, LINEAR | {"prediction_type": objective})
    schedule, x = schedule_of(scheduler), torch.linspace(-1, 1, 4 * 3 * 8 * 8).view(4, 3, 8, 8)

    class Knows(torch.nn.Module):
        config = type("Config", (), {"in_channels": 3, "sample_size": 8})

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, fed, clock):
            kind = type(schedule).__name__
            t = {"VariancePreserving": (clock + 1) / 1000, "Flow": clock / 1000}.get(kind)
            t = schedule.time_at((4 * clock.double()).exp()) if t is None else t
            alpha, sigma = (s.view(-1, 1, 1, 1) for s in schedule.scales(t))
            n = (sigma**2 + 0.4**2).sqrt()
            x_t = fed * n if objective == "edm" else fed
            z = (x_t - alpha * x) / sigma
            out = {
                "epsilon": z,
                "v_prediction": alpha * z - sigma * x,
                "flow": z - x,
                "edm": (x - (0.4 / n) ** 2 * x_t) * n / (0.4 * sigma),
            }[objective]
            return type("Output", (), {"sample": out})

    x = x.double()
    assert denoising_loss(scheduler)(Knows(), x, Rng.of(0, "t", range(4))) < 1e-6
    prior = NetworkPrior(Knows(), scheduler)
    t = prior.time_at(torch.tensor(0.3))
    alpha, sigma = prior.scales(t)
    x_hat = prior.denoise(alpha * x + sigma * Rng.of(1, "t", range(4)).normal_like(x), t)
    assert torch.allclose(x_hat, x, atol=1e-4)


def test_an_autoencoder_and_a_prior_of_its_codes_load_as_one(tmp_path, quick):
    small = ["network.block_out_channels=[8,8,8]", "network.norm_num_groups=4"]
    codec = train("autoencoder", tmp_path, 2, *small)
    config = checkpoints.read_json(codec / "config.json")
    assert config["scaling_factor"] > 0 and "PSNR on 128 validation images" in (codec / "README.md").read_text()
    folder = train("prior", tmp_path, 2, "network=diffusion_latent", f"codec={codec}", "name=latent", *small)
    prior = diffusers_prior(str(folder), weights=tmp_path)
    assert (prior.kind, prior.shape, prior.image_shape) == ("latent", (4, 8, 8), (3, 32, 32))
    x = torch.zeros(2, 3, 32, 32)
    z = prior.encode(x)
    assert z.shape == (2, 4, 8, 8) and prior.decode(z).shape == x.shape
    assert prior.denoise(z, prior.times(3)[1]).shape == z.shape


@pytest.mark.parametrize("objective", ["flow", "edm"])
def test_every_objective_gives_a_prior_that_loads(tmp_path, quick, objective):
    folder = train("prior", tmp_path, 2, f"objective={objective}", *TINY)
    assert folder.name == f"faces-32-{objective}"
    prior = diffusers_prior(str(folder), weights=tmp_path)
    assert prior.denoise(torch.zeros(1, 3, 32, 32), prior.times(3)[1]).shape == (1, 3, 32, 32)


def test_what_a_network_draws_by_itself_is_the_same_after_a_break(tmp_path):
    """Dropout draws from torch's own generator, which no state of a training keeps."""
    from sipbench.training.loop import Schedule, fit

    def weights(folder, steps):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 4))
        torch.manual_seed(steps)
        schedule = Schedule(steps=steps, batch_size=2, decay=0.0001, warmup=0)
        parts = network, lambda net, x, rng: (net(x) - x).square().mean(), lambda numbers: torch.ones(len(numbers), 4)
        average, _ = fit(*parts, schedule, folder, device=torch.device("cpu"), report=lambda _: None)
        assert torch.initial_seed() == steps  # and leaves that as it was
        return torch.nn.utils.parameters_to_vector(average.parameters())

    whole, _ = weights(tmp_path / "a", 4), weights(tmp_path / "b", 2)
    assert torch.equal(whole, weights(tmp_path / "b", 4))
