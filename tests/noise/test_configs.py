"""The noises that conf/noise lists, each in place of a degradation's own."""

import pytest
import torch

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.errors import UserError

NEEDS = {"gaussian": "sigma=0.1", "shot": "rate=30", "impulse": "p=0.2", "speckle": "c=0.3"}


def pose(*words):
    words = ["degradation=denoise", "size=32", "prior=none", *words]
    return Bench.of(Cell.of(configs.compose(words), words)).pose([0, 1])


@pytest.mark.parametrize("name", configs.names("noise"))
def test_each_replaces_the_degradations_own(name):
    number = [f"noise.{NEEDS[name]}"] if name in NEEDS else []
    noisy = pose(f"noise={name}", *number)
    assert not torch.equal(noisy.y, pose().y)
    assert not torch.equal(noisy.y[0], noisy.y[1])


@pytest.mark.parametrize("name", sorted(NEEDS))
@pytest.mark.parametrize("level", ["low", "high"])
def test_a_level_is_clipped_and_rounded(name, level):
    y = pose(f"noise={name}", f"noise.level={level}").y
    assert y.min() >= -1 and y.max() <= 1
    steps = (y.double() + 1) * 127.5
    assert (steps - steps.round()).abs().max() < 1e-4


def test_another_noise_is_another_cell():
    def cell(*words):
        words = ["degradation=denoise", "prior=none", *words]
        return Cell.of(configs.compose(words), words).hash

    assert len({cell(), cell("noise=shot", "noise.level=low"), cell("noise=shot", "noise.level=high")}) == 3


def test_a_hidden_noise_is_not_told():
    assert pose("degradation.reveal_noise=false").noise is None
    assert pose().noise is not None


BRAGG = ("degradation=phase_bragg", "dataset=crystals", "method=hio_er")
PHOTONS = "{_target_: sipbench.noise.Photons, photons: 1000}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["degradation=phase_bragg", "dataset=crystals", "degradation.operator.measure=magnitude"],
            "measure=intensity",
        ),
        (["noise=mixture", f"noise.noises=[{PHOTONS}]", "noise.weights=[1]"], "negative values: noise=gaussian"),
    ],
)
def test_photons_are_counted_of_intensities_alone(words, said):
    with pytest.raises(UserError, match="photons are counted of intensities") as error:
        pose(*words)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_photons_of_an_intensity_are_counted():
    assert pose(*BRAGG).y.min() >= 0
