"""Options of the forward maps, noises, datasets and priors that take one of a few words refuse any other."""

from typing import Literal, get_args, get_origin

import pytest

from sipbench import configs
from sipbench.configs import signature
from sipbench.errors import UserError
from tests import listed


def targets():
    """What the configs build, once each, with how much else it is called with."""
    nodes = [(configs.read("degradation", name)[part], taken) for name in listed.DEGRADATIONS
             for part, taken in (("operator", 2), ("noise", 0))]  # fmt: skip
    nodes += [(configs.read(group, name), 0) for group in ("noise", "dataset") for name in configs.names(group)]
    return {node["_target_"]: (node, taken) for node, taken in nodes}


def worded():
    """Each option of one of a few words, and these."""
    for target, (node, taken) in targets().items():
        known = signature.options(target)
        for option, allowed in known.annotations.items() if known else ():
            parts = get_args(allowed) if get_origin(allowed) is not Literal else (allowed,)
            words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
            if words:
                yield pytest.param(node, option, words, taken, id=f"{target.rpartition('.')[2]}.{option}")


WORDED = list(worded())


@pytest.mark.parametrize(("node", "option", "words", "taken"), WORDED)
def test_another_word_is_refused_with_the_nearest(node, option, words, taken):
    wrong = f"{words[0]}x"
    with pytest.raises(UserError, match=f"unknown {option} '{wrong}'. Did you mean {words[0]}\\? Known: ") as error:
        configs.build(node | {option: wrong}, *[None] * taken)
    assert all(word in str(error.value) for word in words)


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
