"""A solver that hears of a forward map or a noise that is not the true one; the score keeps to the truth."""

import numpy as np
import pytest
import torch

from sipbench import configs
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.run import Bench
from sipbench.errors import UserError

SMALL = ["dataset=faces", "size=32", "images=2", "degradation=inpaint70", "method=pinv"]


def bench_of(*words):
    words = [*SMALL, *words]
    return Bench.of(Cell.of(configs.compose(words), words))


def test_the_measurement_is_the_same_and_what_the_solver_hears_is_not():
    right = bench_of()
    wrong = bench_of("+degradation.told.operator.shift=1", "+degradation.told.noise.sigma=0.3")
    true, told = wrong.pose([0, 1]), wrong.told([0, 1])
    assert torch.equal(true.y, right.pose([0, 1]).y) and torch.equal(true.y, told.y)
    assert (true.sigma, told.sigma) == (0.01, 0.3) and right.told([0, 1]).sigma == 0.01
    mask, heard = (p.linear.measure(torch.ones(p.shape)) for p in (true, told))
    assert torch.equal(heard, mask.roll(1, -1)) and not torch.equal(heard, mask)
    assert wrong.cell.hash != right.cell.hash


def test_the_score_is_of_the_true_map():
    """A^+ y with a mask moved by a pixel explains what it was told, not what was measured."""
    [right, *_], [wrong, *_] = (
        bench_of(*words).rows([0], None) for words in ([], ["+degradation.told.operator.shift=1"])
    )
    assert right["residual"] < 1e-5 < wrong["residual"] and wrong["psnr"] < right["psnr"] - 1
    assert right["y_sha256"] == wrong["y_sha256"]


def test_another_map_or_noise_may_be_told():
    told = bench_of(
        "degradation=deblur_gaussian", "degradation.operator.size=9", "degradation.operator.sigma=1.0",
        "+degradation.told.operator={_target_: sipbench.operators.colour.Denoise}",
        "+degradation.told.noise={_target_: sipbench.noise.Shot, rate: 20.0}",
    ).told([0])  # fmt: skip
    x = torch.rand(told.shape)
    assert torch.equal(told.f(x), x) and type(told.noise).__name__ == "Shot"


def test_what_cannot_be_told_is_said():
    with pytest.raises(NotApplicable, match="degradation.told: such an f gives measurements of"):
        bench_of("+degradation.told.operator={_target_: sipbench.operators.sampling.AveragePooling, factor: 2}")
    with pytest.raises(UserError, match="unknown part under degradation.told 'noize'"):
        bench_of("+degradation.told={noize: {sigma: 1.0}}")
    with pytest.raises(NotApplicable, match="noise"):
        bench_of("method=constrained_augmented", "degradation.reveal_noise=false")


@pytest.mark.parametrize("told", ["3", "[]", "noise", "{operator: 3}", "{noise: null}"])
def test_what_is_no_part_is_one_plain_line(told):
    with pytest.raises(UserError, match=r"degradation\.told.* names options of its operator or its noise"):
        bench_of(f"+degradation.told={told}")


def test_a_file_that_is_told_counts_by_its_content_not_by_its_place(tmp_path):
    """Another kernel under the same name is another cell; the same one elsewhere is not."""
    hashes = []
    for folder, content in (("a", 1.0), ("b", 1.0), ("c", 0.5)):
        file = tmp_path / folder / "kernel.npy"
        file.parent.mkdir(exist_ok=True)
        np.save(file, np.pad(np.array([[content]]), 2) + 0.1)
        words = [*SMALL, "degradation=deblur_file", f"+degradation.told.operator.path={file}"]
        hashes.append(Cell.of(configs.compose(words), words).hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_nothing_told_is_no_other_cell():
    assert bench_of("+degradation.told={}").cell.hash == bench_of().cell.hash
