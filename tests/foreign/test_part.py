"""Solvers of other libraries described by a node: words in it, mistakes in it, and what names their cells."""

import pytest
import torch

import sipbench
from sipbench.bench.identity import identity
from sipbench.errors import UserError
from sipbench.foreign.part import Part


def made(**parts):
    return parts


def test_words_stand_for_what_they_mean_at_any_depth():
    node = {
        "_target_": f"{__name__}.made",
        "a": "prior",
        "b": [{"_target_": f"{__name__}.made", "c": "sigma"}],
        "d": "text",
    }
    part = Part(node)
    assert part({"prior": 1, "sigma": 2}, e=3) == {"a": 1, "b": [{"c": 2}], "d": "text", "e": 3}
    assert part()["a"] == "prior" and node["a"] == "prior"


@pytest.mark.parametrize(
    "of, says",
    [
        ({}, "of names a class"),
        ({"_target_": "deepinv.optim.Nothing"}, "has no 'Nothing'"),
        ({"_target_": "not_there.Algo"}, "Is its package installed?"),
        ({"_target_": "deepinv.optim.DPIR", "sigmas": 1}, "unknown option 'sigmas'"),
        ({"_target_": "deepinv.sampling.DDRM"}, "missing a required argument"),
    ],
)
def test_a_mistake_is_one_plain_line(of, says):
    with pytest.raises((UserError, ValueError), match=says) as caught:
        Part(of)()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_code_of_the_other_library_is_part_of_the_cell_s_name(cell):
    named = [identity(cell(*words))["code"] for words in (["method=deepinv"], ["method=pinv", "degradation=deepinv"])]
    assert "deepinv.optim.FISTA" in named[0] and "deepinv.physics.Demosaicing" in named[1]
    assert "unknown" not in [value for codes in named for value in codes.values()]


@pytest.mark.slow
def test_a_sampler_of_deepinv_draws_from_the_image_s_own_stream():
    """Its DDRM, whatever the batch, and without a trace in the global state."""
    words = {"degradation": "inpaint70", "size": 64}
    model = {"_target_": "sipbench.foreign.part.Part", "of": {"_target_": "deepinv.sampling.DDRM", "denoiser": "prior"}}
    model["of"]["sigmas"] = [1.0, 0.3, 0.1]
    before = torch.random.get_rng_state()
    both, one = (
        sipbench.solve(sipbench.pose(images=images, **words)[0], method="deepinv_prior", model=model).x
        for images in ([0, 1], [1])
    )
    torch.testing.assert_close(both[1:], one, rtol=0, atol=1e-5)
    assert torch.random.get_rng_state().equal(before)
