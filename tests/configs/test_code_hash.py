"""The hash of a solver's code: blind to comments and layout, and sees all that the code is made of."""

import sys

from sipbench import configs


def test_it_is_blind_to_comments_and_sees_code(tmp_path):
    path = tmp_path / "mine.py"
    hashes = []
    for text in ("def f():\n    return 1\n", "# a comment\ndef f():\n    return (1)\n", "def f():\n    return 2\n"):
        path.write_text(text)
        hashes.append(configs.code_hash(f"{path}:f"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_it_follows_imports_of_the_own_package(monkeypatch):
    before, other = (configs.code_hash(t) for t in ("baselines.single.dip.dip", "baselines.classical.pinv.pinv"))
    module = sys.modules["sipbench.configs.code_hash"]
    real = module._code
    monkeypatch.setattr(module, "_code", lambda path: real(path) + ("#" if path.name == "stopping.py" else ""))
    assert configs.code_hash("baselines.single.dip.dip") != before
    assert configs.code_hash("baselines.classical.pinv.pinv") == other
