"""Mistakes in words: one clear line with the nearest known name."""

import pytest

from sipbench import configs
from sipbench.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=dmplg"], "unknown method 'dmplg'. Did you mean dmplug\\? Known: admm_bm3d, admm_dncnn, admm_drunet"),
        (["method=dsp"], "Did you mean dps\\?"),
        (["method=ddmr"], "Did you mean ddrm\\?"),
        (["degradation=rs4"], "Did you mean sr4\\?"),
        (["dataset=face"], "unknown dataset 'face'. Did you mean faces\\?"),
        (["degradation=inpaint71"], "unknown degradation 'inpaint71'. Did you mean inpaint70\\?"),
        (["profile=papr"], "unknown profile 'papr'. Did you mean paper\\?"),
        (["prior=nothing"], "unknown prior 'nothing'"),
        (["sizee=64"], "unknown option 'sizee'. Did you mean size\\?"),
        (["method=dps", "method.solver.stepz=3"], "Did you mean method.solver.steps\\?"),
        (["memory_limit.x.y=4"], "memory_limit is a value, and holds no others"),
        (["mthod.solver.steps=3"], "unknown option 'mthod'. Did you mean method\\?"),
        (["size"], "size"),
        (["method=DPS"], "unknown method 'DPS'. Did you mean dps\\?"),
        (["method=unet", "method.solver.steps=3"], "unknown option 'method.solver.steps'. Known"),
        (["method=dps", "steps=3"], "unknown option 'steps'. Did you mean method.solver.steps\\?"),
        (["method=dps", "solver.steps=3"], "unknown option 'solver.steps'. Did you mean method.solver.steps\\?"),
        (["dataset=folder", "root=mine"], "unknown option 'root'. Did you mean dataset.root\\?"),
        (["sigma=0.1"], "unknown option 'sigma'. Did you mean degradation.noise.sigma\\?"),
        (
            ["degradation=inpaint70", "degradation.operator.shift=1"],
            "shift is at its default, which its file leaves out: \\+degradation.operator.shift=1 sets it",
        ),
        (["dataset=photos", "dataset.crop=1"], "its file leaves out: \\+dataset.crop=1 sets it"),
        (["degradation=inpaint70", "degradation.operator.shfit=1"], "Did you mean degradation.operator.shift\\?"),
        (["degradation=inpaint70", "degradation.operator.rng=1"], "unknown option 'degradation.operator.rng'"),
        (["prior=field_white", "prior.slope=1"], "unknown option 'prior.slope'"),
        (["+sedd=3"], "unknown option 'sedd'. Did you mean seed\\?"),
        (["+probe=clock"], "^probe is chosen already: probe=clock, without the \\+$"),
        (["+recipe=tradeoff", "method=unet"], "^recipe is chosen already: recipe=tradeoff, without the \\+$"),
        (["++sedd.x=3"], "unknown option 'sedd'. Did you mean seed\\?"),
    ],
)
def test_a_mistake_is_named_and_mended(words, said):
    with pytest.raises(UserError, match=said) as error:
        configs.compose(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("word", ["method=pinv,", "method=,", "seed=1,,2"])
def test_a_sweep_that_lacks_a_value_is_told_about_its_comma(word):
    from sipbench.cli.hydra import expand

    with pytest.raises(UserError, match=f"{word} cannot be read: a value is missing beside a comma$"):
        expand([word])


def test_a_negative_sigma(cell):
    from sipbench.bench.run import Bench

    with pytest.raises(UserError, match="sigma must be zero or positive, not -1"):
        Bench.of(cell("degradation.noise.sigma=-1"))


@pytest.mark.parametrize("name", configs.names("table"))
def test_the_solver_of_every_row_of_a_table_is_there(name):
    rows = [row for of_family in configs.read("table", name)["rows"].values() for row in (of_family or {}).items()]
    wanted = {(said.get("method") if isinstance(said, dict) else None) or row for row, said in rows}
    assert wanted <= set(configs.names("method"))


def test_an_option_of_what_was_not_chosen_says_what_to_choose():
    with pytest.raises(UserError, match="recipe.images: no recipe is chosen; name one too, as in recipe=tradeoff"):
        configs.compose(["recipe.images=4"])
    with pytest.raises(UserError, match="unknown option 'recip'"):
        configs.compose(["recip.images=4"])
