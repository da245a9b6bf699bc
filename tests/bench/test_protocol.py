"""protocol.lock: code that numbers rest on does not change without a word."""

import json

import pytest

from sipbench.bench import protocol


def test_the_lock_is_of_this_code():
    changed = protocol.changed()
    assert not changed, (
        f"the code of {', '.join(changed)} changed. If numbers change: python -m sipbench.bench.protocol raise PART "
        "'why'; if not: python -m sipbench.bench.protocol unchanged 'why'"
    )


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A lock and one part of code of the test's own."""
    (tmp_path / "part.py").write_text("a = 1\n")
    monkeypatch.setattr(protocol, "ROOT", tmp_path)
    monkeypatch.setattr(protocol, "LOCK", tmp_path / "protocol.lock")
    monkeypatch.setattr(protocol, "PARTS", {"metrics": ("part.py",), "noise": ("part.py",)})
    protocol.lock.cache_clear()
    protocol.write("the first lock")
    yield tmp_path
    protocol.lock.cache_clear()


def test_comments_do_not_count_and_code_does(elsewhere):
    (elsewhere / "part.py").write_text("a = 1  # a word\n")
    assert protocol.changed() == []
    (elsewhere / "part.py").write_text("a = 2\n")
    assert protocol.changed() == ["metrics", "noise"]


def test_a_change_is_either_raised_or_said_to_change_nothing(elsewhere):
    (elsewhere / "part.py").write_text("a = 2\n")
    assert protocol.main(["unchanged", "a new name"]) == 0 and protocol.solving() == 1
    assert protocol.main(["raise", "metrics", "another window"]) == 0
    assert protocol.versions() == {"metrics": 2, "noise": 1} and protocol.solving() == 1
    assert protocol.main(["raise", "noise", "a defect"]) == 0 and protocol.solving() == {"raised": {"noise": 2}}
    history = json.loads((elsewhere / "protocol.lock").read_text())["history"]
    assert history[1:] == ["numbers unchanged: a new name", "metrics raised to 2: another window",
                           "noise raised to 2: a defect"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rais", "x"], "unknown word 'rais'"),
        (["raise", "nothing", "why"], "unknown part 'nothing'"),
        (["raise", "noise"], "raise takes a part and why, in quotes"),
        (["unchanged"], "unchanged takes why, in quotes"),
    ],
)
def test_other_words_are_refused_in_a_line_with_those_that_are_known(elsewhere, capsys, words, says):
    before = (elsewhere / "protocol.lock").read_text()
    assert protocol.main(words) == 2
    out, err = capsys.readouterr()
    assert says in err and "metrics, noise" in err and 'unchanged "why"' in err and err.count("\n") == 1 and not out
    assert (elsewhere / "protocol.lock").read_text() == before
