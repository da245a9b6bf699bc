"""Many configs at once are those of each alone."""

import json
import random

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.configs.base import Base, parted
from sipbench.configs.by_hydra import by_hydra
from sipbench.configs.quoting import quoted
from sipbench.errors import UserError

CHOICES = {
    "method": ["pinv", "tv", "unet", "modl", "nearest_neighbour", "csgm", "dpir_official", "dmplug_lbfgs", "psld"],
    "degradation": ["sr4", "inpaint70", "deblur_nonlinear", "phase_fourier", "mri"],
    "dataset": ["faces", "crystals", "photos", "celeba"],
    "profile": ["demo", "paper"],
    "prior": ["learned", "gaussian", "none"],
    "noise": ["shot", "speckle"],
    "probe": ["clock", "residual"],
    "recipe": ["tradeoff"],
}
VALUES = {
    "seed": ["0", "7"],
    "size": ["32", "64"],
    "images": ["2", "[0,3]", "all"],
    "trained_on": ["faces", "'${dataset.name}'"],
    "batch_size": ["3", "${size}"],
    "draws": ["2"],
    "path": ["some/file.pth"],
    "trusted": ["true"],
    "weights": ["'elsewhere é'"],
    "method.name": ["mine-${seed}"],
    "+method.needs": ["[linear]"],
    "++method.solver.steps": ["5", "${seed}"],
    "~method.citation": [None],
    "+degradation.unknown": ["grey", "image"],
    "++degradation.noise.sigma": ["0.3"],
    "+prior.noisiest": ["20"],
    "degradation.name": ["another", "d${seed}"],
    "degradation.noise.sigma": ["0.1", "1e-3"],
    "degradation.operator": ["{_target_: sipbench.operators.sampling.Mean}"],
    "noise.sigma": ["0.2"],
    "recipe.subset": ["4", "null"],
    "prior.path": ["there"],
    "wandb.mode": ["offline"],
    "unknown.option": ["1"],
}


def words_of(chance):
    """A random command line: choices, values, what is added or taken away, in any order."""
    picked = [f"{key}={chance.choice(CHOICES[key])}" for key in chance.sample(list(CHOICES), 3)]
    for key in chance.sample(list(VALUES), 4):
        value = chance.choice(VALUES[key])
        picked.append(key if value is None else f"{key}={value}")
    chance.shuffle(picked)
    return picked


def outcome(make, words):
    try:
        return make(words)
    except UserError as error:
        return str(error)


def alone(words):
    """As Hydra composes them, with nothing kept."""
    return configs.plain(hydra(words))


def hydra(words):
    try:
        return by_hydra([quoted(word) for word in words])
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise UserError("no config") from error


def known(error):
    """Mistakes are said by `compose`, whose words are its own."""
    return "no config" if isinstance(error, str) else error


def layout(cfg):
    """All that is in a config, in its order, with the references open."""
    return json.dumps(OmegaConf.to_container(cfg, resolve=False)), OmegaConf.is_struct(cfg), OmegaConf.is_readonly(cfg)


WELL = [
    [],
    ["seed=3", "size=32"],
    ["method=dps", "degradation=mri", "dataset=photos", "results='a b'"],
    ["method=tv", "degradation=phase_fourier", "dataset=crystals", "degradation.noise.sigma=0.1", "noise=shot"],
    ["method=dmplug_lbfgs", "method.solver.steps=5", "method.name=mine-${seed}", "images=[0,3]"],
    ["recipe=tradeoff", "method=unet", "prior=none", "probe=clock", "recipe.subset=4", "trained_on='${dataset.name}'"],
    ["method=pinv", "++method.solver.steps=5", "~method.citation", "seed=1"],
    ["degradation=inpaint70", "+degradation.unknown=grey", "method=unet", "prior=learned", "recipe=tradeoff"],
    ["+degradation.note=x", "++degradation.noise.sigma=0.2", "degradation=mri", "method=dip"],
    ["++degradation.noise.sigma=${size}", "~degradation.published", "degradation=sr4"],
]


@pytest.mark.parametrize("words", WELL)
def test_a_config_is_as_hydra_composes_it(words):
    """Again, and after others were composed, too; what one was changed to is not in the next."""
    expected = layout(by_hydra([quoted(word) for word in words]))
    for more in ([], ["seed=9"], []):
        cfg = configs.compose([*words, *more])
        if not more:
            assert layout(cfg) == expected
        cfg.method.name, cfg.seed = "changed", 99


def test_each_config_is_that_of_its_words_alone():
    """Seeds, and what refers to them, vary over one composed problem, after others were composed."""
    chance, composer, good = random.Random(16), configs.Composer(), 0
    for _ in range(6):
        words = words_of(chance)
        for more in ([], [f"seed={chance.randrange(99)}", "size=48"]):
            expected = outcome(alone, [*words, *more])
            composed = outcome(lambda each: configs.plain(configs.compose(each)), [*words, *more])
            assert outcome(composer.plain, [*words, *more]) == composed, [*words, *more]
            assert known(composed) == expected, [*words, *more]
            good += isinstance(expected, dict)
    assert good > 5


def test_a_reference_to_what_varies_is_followed():
    composer = configs.Composer()
    jobs = [["method=unet", "recipe=tradeoff", f"size={size}", f"seed={seed}"] for size in (32, 64) for seed in (0, 1)]
    found = [composer.plain(job) for job in jobs]
    assert [one["recipe"]["subset"] for one in found] == [0, 1, 0, 1]
    assert [one["method"]["networks"]["net"]["weights"].split("-")[2] for one in found] == ["32", "32", "64", "64"]


def test_what_a_reference_reaches_by_another_is_not_taken_for_free():
    plain = Base(OmegaConf.create({"a": 1, "b": "${c.d}", "c": {"d": 2}, "e": 3}))
    assert [plain.reaches(f"{key}=9") for key in ("a", "b", "c.d", "e")] == [False, True, True, False]
    assert Base(OmegaConf.create({"a": 1, "n": "a", "b": "${${n}}"})).reaches("a=9")
    assert Base(OmegaConf.create({"a": 1, "b": "${unheard:x}"})).reaches("a=9")
    assert Base(OmegaConf.create({"a": "???"})).reaches("a=9")
    assert parted(["method=dip", "method={needs: [x]}", "method.name=y", "seed=1"])[1] == ["seed=1"]


def test_many_compose_few(monkeypatch):
    """Methods and degradations are put into what is alike, and seeds into both: Hydra is asked once."""
    from sipbench.configs import composer

    asked = []
    monkeypatch.setattr(
        composer, "compose", lambda words, compose=composer.compose: asked.append(words) or compose(words)
    )
    jobs = [
        [f"degradation={d}", f"method={m}", f"seed={s}", f"method.solver.precision={p}", "+degradation.note=x"]
        for d in ("sr4", "mri") for m in ("tv", "dip") for s in range(9) for p in ("float32", "float64")
    ]  # fmt: skip
    assert len({cell.hash for cell in Cells().all(jobs)}) == len(jobs)
    assert len(asked) == 1


@pytest.mark.parametrize("method", ["tv", "pinv"])
def test_a_cell_of_many_is_the_cell_alone(method):
    """Its name, where its options come from, and all that it is."""
    cells = Cells()
    for words in (["seed=3"], ["seed=4", "batch_size=2", "size=32"], ["noise=shot", "probe=clock", "size=32"]):
        words = [f"method={method}", *words]
        many, one = cells.of(words), Cell.of(configs.compose(words), words)
        assert many == one and many.origins == one.origins and many.options == one.options
        assert many.identity == one.identity and many.hash == one.hash
    assert cells.of(["seed=5", "size=32"]).dataset is cells.of(["seed=6", "size=32"]).dataset
