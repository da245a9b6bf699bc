"""Options of the forward maps, noises, datasets, priors and solvers that take one of a few words refuse any other."""

from dataclasses import replace
from typing import Literal, get_args, get_origin

import pytest

from sipbench import configs
from sipbench.configs import signature
from sipbench.errors import UserError
from sipbench.testing.stand_ins import small_cell
from tests import listed


def targets():
    """What the configs build, once each, with how much else it is called with."""
    nodes = [(configs.read("degradation", name)[part], taken) for name in listed.DEGRADATIONS
             for part, taken in (("operator", 2), ("noise", 0))]  # fmt: skip
    nodes += [(configs.read(group, name), 0) for group in ("noise", "dataset") for name in configs.names(group)]
    return {node["_target_"]: (node, taken) for node, taken in nodes}


def few(target):
    """Each option of a target that is one of a few words, and these."""
    known = signature.options(target)
    for option, allowed in known.annotations.items() if known else ():
        parts = get_args(allowed) if get_origin(allowed) is not Literal else (allowed,)
        if words := [word for part in parts if get_origin(part) is Literal for word in get_args(part)]:
            yield option, words


def worded():
    for target, (node, taken) in targets().items():
        for option, words in few(target):
            yield pytest.param(node, option, words, taken, id=f"{target.rpartition('.')[2]}.{option}")


def spoken():
    """The same of solvers, each once."""
    methods = {configs.read("method", name)["solver"]["_target_"]: name for name in reversed(listed.METHODS)}
    found = [(name, option, words) for target, name in methods.items() for option, words in few(target)]
    return [*found, *(("dip", f"stop.{option}", words) for option, words in few("baselines.common.stopping.Stop"))]


WORDED = list(worded())
SPOKEN = spoken()


@pytest.mark.parametrize(("node", "option", "words", "taken"), WORDED)
def test_another_word_is_refused_with_the_nearest(node, option, words, taken):
    wrong = f"{words[0]}x"
    with pytest.raises(UserError, match=f"unknown {option} '{wrong}'. Did you mean {words[0]}\\? Known: ") as error:
        configs.build(node | {option: wrong}, *[None] * taken)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(("method", "option", "words"), SPOKEN, ids=[f"{m}.{o}" for m, o, _ in SPOKEN])
def test_a_solver_is_not_handed_another_word(method, option, words):
    *node, name = option.split(".")
    typed = {node[0]: {name: f"{words[0]}x"}} if node else {name: f"{words[0]}x"}
    cell = replace(small_cell(configs.read("method", method), configs.read("degradation", "sr4"), 32), typed=typed)
    with pytest.raises(UserError, match=f"unknown {name} '{words[0]}x'. Did you mean {words[0]}\\? Known: ") as error:
        _ = cell.solver
    assert all(str(word) in str(error.value) for word in words)


def test_solvers_have_such_options():
    assert {(method, option) for method, option, _ in SPOKEN} >= {
        ("dmplug", "optimizer"), ("diffpir", "skip"), ("diffpir", "init"), ("dip", "loss"), ("dip", "stop.rule"),
        ("daps", "mc_algo"), ("reddiff", "weighting"), ("bm3d", "profile"), ("pigdm", "guidance"),
    }  # fmt: skip


def test_there_are_such_options():
    """Each of these is one of a few words; a change of an annotation to plain text would take the check away."""
    named = {(case.values[0]["_target_"].rpartition(".")[2], case.values[1]) for case in WORDED}
    assert named >= {
        ("Blur", "kernel"), ("Blur", "boundary"), ("GaussianBlur", "boundary"), ("BlurDownsampling", "boundary"),
        ("BlindBlur", "kernel"), ("BlindBlur", "boundary"), ("BlurResponse", "kernel"), ("BlurResponse", "boundary"),
        ("Colorize", "weights"), ("Demosaic", "pattern"), ("HalfInpainting", "side"), ("MRI", "mask"),
        ("MultiCoilMRI", "mask"), ("Tomography", "window"), ("FourierMagnitude", "domain"), ("Jpeg", "subsampling"),
        ("FourierMagnitude", "measure"), ("GaussianMagnitude", "matrix"), ("GaussianMagnitude", "measure"),
        ("CodedDiffraction", "code"), ("CodedDiffraction", "measure"), ("DiffractionPattern", "measure"),
        ("Faces", "split"), ("Crystals", "split"), ("Kernels", "split"), ("Folder", "split"), ("CelebA", "split"),
        ("Gaussian", "level"), ("Shot", "level"), ("Impulse", "level"), ("Speckle", "level"),
    }  # fmt: skip
