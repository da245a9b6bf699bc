"""Mistakes in words: one clear line with the nearest known name."""

import pytest

from sipbench import configs
from sipbench.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=dmplg"], "unknown method 'dmplg'. Did you mean dmplug\\? Known: blinddps, bm3d"),
        (["dataset=face"], "unknown dataset 'face'. Did you mean faces\\?"),
        (["degradation=inpaint71"], "unknown degradation 'inpaint71'. Did you mean inpaint70\\?"),
        (["profile=papr"], "unknown profile 'papr'. Did you mean paper\\?"),
        (["prior=nothing"], "unknown prior 'nothing'"),
        (["sizee=64"], "unknown option 'sizee'. Did you mean size\\?"),
        (["method=dps", "method.solver.stepz=3"], "Did you mean method.solver.steps\\?"),
        (["mthod.solver.steps=3"], "unknown option 'mthod'. Did you mean method\\?"),
        (["size"], "size"),
    ],
)
def test_a_mistake_is_named_and_mended(words, said):
    with pytest.raises(UserError, match=said) as error:
        configs.compose(words)
    assert "\n" not in str(error.value)


def test_a_negative_sigma(cell):
    from sipbench.bench.run import Bench

    with pytest.raises(UserError, match="sigma must be zero or positive, not -1"):
        Bench.of(cell("degradation.noise.sigma=-1"))


def test_code_hash_is_blind_to_comments_and_sees_code(tmp_path):
    path = tmp_path / "mine.py"
    hashes = []
    for text in ("def f():\n    return 1\n", "# a comment\ndef f():\n    return (1)\n", "def f():\n    return 2\n"):
        path.write_text(text)
        configs._code.cache_clear()
        hashes.append(configs.code_hash(f"{path}:f"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_code_hash_follows_imports_of_the_own_package(monkeypatch):
    before, other = (configs.code_hash(t) for t in ("baselines.single.dip.dip", "baselines.classical.pinv.pinv"))
    real = configs._code
    monkeypatch.setattr(configs, "_code", lambda path: real(path) + ("#" if path.name == "stopping.py" else ""))
    assert configs.code_hash("baselines.single.dip.dip") != before
    assert configs.code_hash("baselines.classical.pinv.pinv") == other
