"""What makes a prior's network faster or smaller changes its answers by rounding alone, and its state not at all."""

import os
import shutil
from functools import partial

import pytest
import torch

from sipbench import device
from sipbench.priors.load import PRECISIONS, diffusers_prior
from sipbench.problem import Rng
from tests.priors import folders

TIMES = [0.05, 0.5, 1.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that predicts the velocity, so that its rounding is not magnified where alpha is small."""
    place = tmp_path_factory.mktemp("options") / "tiny"
    return str(folders.save(place, folders.unet(), prediction_type="v_prediction"))


@pytest.fixture(scope="module")
def load(folder):
    return lambda **options: diffusers_prior(folder, weights="", **options)


def answer(prior, t=0.5, dtype=torch.float32):
    """x_hat, and the gradient of a weighted sum of it with respect to x_t."""
    x_t, w = (Rng.of(0, name, range(2)).normal(*prior.shape, dtype=dtype) for name in ("x_t", "w"))
    x_hat = prior.denoise(x_t.requires_grad_(), torch.tensor(t))
    return x_hat.detach(), torch.autograd.grad((w * x_hat).sum(), x_t)[0]


def distances(prior, plain, t=0.5):
    return [float((a - b).abs().max()) for a, b in zip(answer(prior, t), answer(plain, t), strict=True)]


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("option", ["channels_last", "checkpointing"])
def test_the_answers_and_gradients_stay(load, option, t):
    assert max(distances(load(**{option: True}), load(), t)) < 1e-4


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 2e-2), ("float16", 4e-3)])
def test_a_low_precision_rounds_the_network_alone(load, precision, bound, t):
    prior, plain = load(precision=precision), load()
    assert {p.dtype for p in prior.network.parameters()} == {getattr(torch, precision)}
    for dtype in (torch.float32, torch.float64):
        assert {tensor.dtype for tensor in answer(prior, t, dtype)} == {dtype}
    x_hat, gradient = distances(prior, plain, t)
    assert 0 < x_hat < bound and 0 < gradient < 2 * bound


def test_the_bounds_see_another_network(load, tmp_path):
    other = str(folders.save(tmp_path / "other", folders.unet(seed=1), prediction_type="v_prediction"))
    assert min(distances(diffusers_prior(other, weights=""), load())) > 4e-2


def test_all_options_together(load):
    prior = load(precision="bfloat16", channels_last=True, checkpointing=True)
    assert max(distances(prior, load())) < 4e-2


def test_checkpointing_computes_twice_where_there_is_a_gradient(load):
    for checkpointing, passes in ((False, 1), (True, 2)):
        prior, seen = load(checkpointing=checkpointing), []
        prior.network.conv_in.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        answer(prior)
        assert len(seen) == passes
        with torch.no_grad():
            prior.denoise(torch.zeros(1, *prior.shape), torch.tensor(0.5))
        assert len(seen) == passes + 1


def test_checkpointing_keeps_no_activations(load):
    def kept(prior):
        total = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: total.append(x.numel()) or x, lambda x: x):
            prior.denoise(torch.zeros(1, *prior.shape).requires_grad_(), torch.tensor(0.5))
        return sum(total)

    assert kept(load(checkpointing=True)) < 0.1 * kept(load())


def test_channels_last_lays_the_weights_out(load):
    weight = load(channels_last=True).network.down_blocks[0].resnets[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


COMPILER = pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))),
    reason="torch.compile needs a C++ compiler",
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=[pytest.mark.full, COMPILER])])
def test_compiling_keeps_answers_and_gradients(tmp_path, monkeypatch, backend):
    """The traced graphs, forward and backward, and by make fulltest the C++ of them: eighteen files of seconds each."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    network = folders.unet(
        8, block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
        mid_block_type=None,
    )  # fmt: skip
    folder = str(folders.save(tmp_path / "one", network, prediction_type="v_prediction"))
    prior = diffusers_prior(folder, weights="", compile=True)
    assert max(distances(prior, diffusers_prior(folder, weights=""))) < 1e-4
    assert prior.network._compiled_call_impl is not None and torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.mark.parametrize(("precision", "lacks"), [("bfloat16", True), ("bfloat16", False), ("float32", True)])
def test_a_precision_that_the_processor_lacks_is_said_in_a_line(load, monkeypatch, capsys, precision, lacks):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: not lacks, raising=False)
    device.warn_of_emulation.cache_clear()
    load(precision=precision), load(precision=precision)
    err = capsys.readouterr().err
    assert err.count("no bfloat16 of its own") == (lacks and precision == "bfloat16")


def test_an_unknown_precision_is_said(load):
    with pytest.raises(ValueError, match=", ".join(PRECISIONS)):
        load(precision="float8")


def test_one_time_for_all_is_told_to_the_bit_as_one_an_image(load):
    """It is written where the network is, not copied there: a copy would wait for the device."""
    prior, told = load(), []
    hook = prior.network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    x_t = torch.zeros(2, *prior.shape)
    with torch.no_grad():
        for t in prior.times(7)[:-1]:
            prior.denoise(x_t, t), prior.denoise(x_t, t.expand(2))
    hook.remove()
    assert {clock.dtype for clock in told} == {torch.float32} and {clock.shape for clock in told} == {(2,)}
    assert all(torch.equal(one, each) for one, each in zip(told[::2], told[1::2], strict=True))
