"""What a file in conf/ may say: what is not known is refused when it is read, with the nearest that is known."""

import json

import pytest
import yaml

from sipbench import cli, configs
from sipbench.bench.needs import NEEDS
from sipbench.configs import describe, find, methods
from sipbench.configs.main_schema import MAIN, check_main
from sipbench.configs.schema import KINDS
from sipbench.configs.source_text import words_of
from sipbench.degradation import Degradation
from sipbench.errors import UserError
from sipbench.operators.unknowns import UNKNOWNS


@pytest.mark.parametrize("group", KINDS)
def test_every_file_of_the_project_is_sound(group):
    for name in configs.names(group):
        configs.read(group, name)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a file into the conf folder of a plugin: a file of the project with what is changed of it."""
    compose = __import__("sys").modules["sipbench.configs.find"]
    monkeypatch.setattr(compose, "plugin_folders", lambda: (tmp_path,))

    def write(group, model, /, **changes):
        node = yaml.safe_load(find(group, model).read_text())
        node |= ({"name": "theirs"} if "name" in node else {}) | changes
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / "theirs.yaml").write_text(yaml.safe_dump(node))
        return tmp_path / group / "theirs.yaml"

    return write


RULE = "baselines.common.stopping.make_stopper"
BAD = [
    ("method", "dps", {"profles": {}}, "unknown key 'profles'"),
    ("method", "dps", {"tuned": {}}, "unknown key 'tuned'"),
    ("method", "dps", {"needs": ["lineer"]}, "unknown need 'lineer'. Did you mean linear"),
    ("method", "dps", {"like": "dpss"}, "like: unknown method 'dpss'. Did you mean dps"),
    ("method", "dps", {"paper": {"inpaint7": {}}}, "paper: unknown degradation 'inpaint7'. Did you mean inpaint70"),
    ("method", "dps", {"demo": {"al": {}}}, "demo: unknown degradation 'al'"),
    ("method", "dps", {"search": {"sr44": {"zeta": [1.0]}}}, "search: unknown degradation 'sr44'. Did you mean sr4"),
    ("method", "dps", {"search": {"zetta": [1.0]}}, "search: unknown option 'zetta'. Did you mean zeta"),
    ("method", "dps", {"paper": {"sr4": {"zetta": 1.0}}}, "paper.sr4: unknown option 'zetta'. Did you mean zeta"),
    ("method", "dps", {"demo": {"all": {"steps": "many"}}}, "demo.all: steps is a whole number, not 'many'"),
    ("method", "dps", {"demo": {"all": {"precision": "half"}}}, "demo.all: unknown precision 'half'"),
    ("method", "dps", {"limits": {"zetta": [0, 1]}}, "limits: unknown option 'zetta'. Did you mean zeta"),
    ("method", "dps", {"limits": {"zeta": [1, 0]}}, "limits.zeta is the least and the most, as \\[0, 1\\], not"),
    ("method", "dps", {"limits": {"zeta": 1}}, "limits.zeta is a list, not 1"),
    ("method", "dps", {"check": {"stepz": 1}}, "check: unknown option 'stepz'. Did you mean steps"),
    ("method", "dps", {"solver": {"_target_": "baselines.diffusion.dps.dps", "zett": 1}}, "unknown option 'zett'"),
    ("method", "dps", {"solver": {"zeta": 1.0}}, "solver._target_ is missing"),
    ("method", "dps", {"solver": None, "name": None}, "solver._target_ is missing"),
    ("method", "dps", {"chosen": [{"command": "", "tasks": ["sr5"], "options": []}]}, "unknown degradation 'sr5'"),
    ("method", "dps", {"chosen": [{"comand": "x"}]}, "unknown key chosen\\[0\\] 'comand'. Did you mean command"),
    ("method", "dps", {"data": "unpaired images"}, "data is a mapping, not 'unpaired images'"),
    ("method", "dps", {"data": {"from": "priors"}}, "unknown data.from 'priors'. Did you mean prior"),
    ("method", "dps", {"knowledge": {"told": ["g"]}}, "unknown knowledge.told\\[0\\] 'g'"),
    ("method", "dps", {"parity": {"verdict": "same"}}, "unknown parity.verdict 'same'"),
    ("method", "dps", {"parity": {"verdict": "equal", "within": 1e-6}}, "parity.code is missing"),
    ("method", "dps", {"parity": {"verdict": "equal", "code": "o/r"}}, "parity.within is for the verdict equal"),
    ("method", "dps", {"parity": {"verdict": "none", "within": 1e-6}}, "parity.within is for the verdict equal"),
    ("method", "dps", {"parity": {"verdict": "departs", "code": "o/r"}}, "parity.note is missing"),
    ("method", "dps", {"title": ["DPS"]}, "title is a word, not \\['DPS'\\]"),
    ("method", "dps", {"family": "difusion"}, "unknown family 'difusion'. Did you mean diffusion"),
    ("method", "dps", {"name": "dpss"}, "its name is 'dpss', and its file is theirs.yaml"),
    ("degradation", "sr4", {"name": None, "defaults": ["sr4"]}, "it says no name"),
    ("degradation", "sr4", {"name": "sr4"}, "its name is 'sr4', and its file is theirs.yaml"),
    ("dataset", "faces", {"name": "faces"}, "its name is 'faces', and its file is theirs.yaml"),
    ("prior", "faces", {"name": "faces"}, "its name is 'faces', and its file is theirs.yaml"),
    ("degradation", "sr4", {"protcol": ""}, "unknown key 'protcol'. Did you mean protocol"),
    ("degradation", "sr4", {"unknown": "gray"}, "unknown word under unknown 'gray'. Did you mean grey"),
    ("degradation", "sr4", {"check": {"factr": 2}}, "check: unknown option 'factr'. Did you mean factor"),
    ("degradation", "sr4", {"operator": {"factor": 4}}, "operator._target_ is missing"),
    ("degradation", "sr4", {"operator": {"_target_": "sipbench.operators.BicubicDownsampling", "facto": 4}}, "'facto'"),
    ("degradation", "sr4", {"reveal_noise": "yes"}, "reveal_noise is true or false, not 'yes'"),
    ("noise", "gaussian", {"sigmaa": 1.0}, "unknown option 'sigmaa'. Did you mean sigma"),
    ("dataset", "faces", {"splitt": "test"}, "unknown option 'splitt'. Did you mean split"),
    ("prior", "faces", {"variants": {"flow": "faces_flo"}}, "unknown prior 'faces_flo'. Did you mean faces_flow"),
    ("prior", "faces", {"trained": {"images": 3}}, "trained.dataset is missing"),
    ("prior", "faces", {"fetch": {"url": "a", "hub": "b/c"}}, "fetch says hub or url, one of the two"),
    ("prior", "faces", {"fetch": {}}, "fetch says hub or url, one of the two"),
    ("prior", "faces", {"fetch": {"hub": "b/c", "sha256": "0"}}, "fetch.sha256 is that of the file at fetch.url"),
    ("profile", "demo", {"sizes": 3}, "unknown key 'sizes'. Did you mean size"),
    ("objective", "flow", {"schedule": {}}, "unknown key 'schedule'. Did you mean scheduler"),
    ("table", "table1", {"degradations": ["sr5"]}, "unknown degradation 'sr5'. Did you mean sr"),
    ("table", "table1", {"titel": ""}, "unknown key 'titel'. Did you mean title"),
    ("table", "elto", {"like": "early_stoping"}, "unknown table 'early_stoping'. Did you mean early_stopping"),
    ("probe", "early_stopping", {"evry": 2}, "unknown option 'evry'. Did you mean every"),
    ("probe", "early_stopping", {"rules": {"wmv": {"rule": "wmv"}}}, "rules.wmv._target_ is missing"),
    ("probe", "early_stopping", {"rules": {"a": {"_target_": RULE, "windw": 3}}}, "rules.a: unknown option 'windw'"),
    ("table", "posterior", {"problems": {"blur": {"title": ""}}}, "problems.blur.words is missing"),
    ("method", "enkg", {"ensemble": "num_sample"}, "unknown option 'num_sample'. Did you mean num_samples"),
]  # fmt: skip


@pytest.mark.parametrize(("group", "like", "changes", "says"), BAD)
def test_what_is_not_known_is_refused(plugin, group, like, changes, says):
    path = plugin(group, like, **changes)
    with pytest.raises(UserError, match=says) as error:
        configs.read(group, "theirs")
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("group", ["method", "degradation", "noise", "dataset", "prior", "probe", "profile"])
def test_it_is_refused_in_a_composed_config_too(plugin, group):
    first = next(b for b in BAD if b[0] == group)
    plugin(group, first[1], **first[2])
    with pytest.raises(UserError, match=first[3]):
        configs.compose([f"{group}=theirs"])


@pytest.mark.parametrize("group", ["method", "degradation", "dataset", "prior"])
def test_a_name_that_is_not_that_of_the_file_is_refused_in_a_composed_config_too(plugin, group):
    """Its results would lie where those of another do."""
    model = next(b for b in BAD if b[0] == group)[1]
    plugin(group, model, name=model)
    with pytest.raises(UserError, match=f"its name is '{model}', and its file is theirs.yaml"):
        configs.compose([f"{group}=theirs"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds nothing"),
        ("- a\n", "holds no keys with values"),
        ("name: [a\n", "is not valid YAML"),
        ("name: \xff", "is not text in UTF-8"),
        ("name: theirs\ndemo: {sr4: {zeta: 1.0}, sr4: {zeta: 2.0}}\n", "sr4 stands twice"),
        ("name: theirs\nname: others\n", "name stands twice"),
    ],
)
@pytest.mark.parametrize("words", [["list", "methods"], ["list", "methods", "--json"]])
def test_one_bad_file_does_not_end_a_list(plugin, capsys, text, says, words):
    path = plugin("method", "dps")
    path.write_bytes(text.encode("latin-1"))
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert "dmplug" in out and "theirs" not in out
    assert str(path) in err and says in err and err.count("\n") == 1
    with pytest.raises(UserError, match=says):
        configs.compose(["method=theirs"])


@pytest.mark.parametrize("name", [".#theirs.yaml", "._theirs.yaml", "lost.yaml"])
def test_what_an_editor_hides_beside_a_file_is_no_config(plugin, capsys, name):
    """Emacs puts a link that leads nowhere beside a file that is edited."""
    path = plugin("method", "dps", title="Theirs")
    beside = path.with_name(name)
    beside.write_bytes(b"\0") if name.startswith("._") else beside.symlink_to("me@here.1")
    assert "theirs" in configs.names("method") and beside.stem not in configs.names("method")
    assert configs.compose(["method=theirs"]).method.title == "Theirs"
    assert cli.main(["list", "methods"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("target, says", [("math.sqrt", "math.sqrt is no operator"), ("math.pi", "math.pi is float")])
def test_an_operator_that_is_none_does_not_end_a_list(plugin, capsys, target, says):
    plugin("degradation", "sr4", operator={"_target_": target})
    assert cli.main(["list", "degradations", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "theirs" not in out and '"sr4"' in out and says in err and err.count("\n") == 1
    with pytest.raises(UserError, match=says):
        Degradation.of(configs.read("degradation", "theirs"))


def test_options_within_a_node_are_checked_too(plugin, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom typing import Literal\n\n@dataclass\nclass Stop:\n"
        "    rule: Literal['fixed', 'wmv'] = 'fixed'\n\ndef solve(problem, *, stop: Stop = Stop('wmv')):\n    pass\n"
    )
    solver = {"_target_": f"{tmp_path}/mine.py:solve"}
    plugin(
        "method",
        "dps",
        solver=solver,
        paper={"sr4": {"stop": {"rule": "wvm"}}},
        search={},
        demo={},
        chosen=[],
        check={},
    )
    with pytest.raises(UserError, match="paper.sr4: stop: unknown rule 'wvm'. Did you mean wmv"):
        configs.read("method", "theirs")
    plugin(
        "method", "dps", solver=solver, paper={"sr4": {"stop": {"ruel": 1}}}, search={}, demo={}, chosen=[], check={}
    )
    with pytest.raises(UserError, match="paper.sr4: stop: unknown option 'ruel'. Did you mean rule"):
        configs.read("method", "theirs")


def test_a_number_with_an_exponent_is_one_in_a_listing_too(plugin):
    path = plugin("method", "dps")
    path.write_text("name: theirs\nsolver: {_target_: baselines.diffusion.dps.dps, zeta: 1e-4}\n")
    assert configs.read("method", "theirs")["solver"]["zeta"] == 1e-4
    assert configs.compose(["method=theirs"]).method.solver.zeta == 1e-4


def test_words_are_those_of_the_code():
    """They are read from its text, so that nothing heavy is imported."""
    assert words_of("sipbench.bench.needs", "NEEDS") == list(NEEDS)
    assert words_of("sipbench.operators.unknowns", "UNKNOWNS") == list(UNKNOWNS)


def test_every_method_says_what_it_was_trained_on_and_what_it_is_told(capsys):
    assert cli.main(["list", "methods", "--json"]) == 0
    for entry in json.loads(capsys.readouterr().out):
        assert entry["data"]["from"] in ("none", "prior", "network"), entry["name"]
        assert entry["knowledge"]["told"] or entry["data"]["from"] == "network", entry["name"]
        needs_prior = any(need.startswith("prior") for need in entry["needs"])
        assert (entry["data"]["from"] == "prior") == needs_prior, entry["name"]
        assert entry["data"].get("pairs", False) == ("training_pairs" in entry["needs"])
        assert ("sigma" in entry["knowledge"]["told"]) == ("noise.sigma" in entry["needs"]), entry["name"]


def test_a_listing_says_how_a_method_stands_to_its_public_code(plugin, capsys):
    said = {
        "equals owner/code to 1e-06": {"verdict": "equal", "code": "owner/code", "within": 1e-6},
        "departs from owner/code: by a filter": {"verdict": "departs", "code": "owner/code", "note": "by a filter"},
        "no public code": {"verdict": "none"},
    }
    for words, parity in said.items():
        plugin("method", "dps", name="theirs", parity=parity)
        assert cli.main(["list", "methods"]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("theirs "))
        assert line.endswith(words)
        assert cli.main(["list", "methods", "--json"]) == 0
        (entry,) = (e for e in json.loads(capsys.readouterr().out) if e["name"] == "theirs")
        assert entry["parity"] == parity


def test_a_variant_says_its_own_parity(plugin):
    plugin("method", "dps", parity={"verdict": "none"})
    assert methods.varied({"name": "v", "like": "theirs"}).get("parity") is None


def test_priors_say_what_the_cards_of_their_weights_say():
    for name, card in (("faces", "faces-64-prior"), ("faces_flow", "faces-64-flow"), ("kernels", "kernels-16-prior")):
        trained = configs.read("prior", name)["trained"]
        text = (configs.root().parent / "sipbench" / "weights" / card / "README.md").read_text()
        assert f"- data: {trained['dataset']}" in text and f"{trained['images']:,} images" in text


@pytest.mark.parametrize("name", MAIN)
def test_a_misspelt_key_at_the_top_is_refused(name, tmp_path, monkeypatch):
    text = (configs.root() / f"{name}.yaml").read_text(encoding="utf-8")
    (tmp_path / f"{name}.yaml").write_text(f"{text}\nweihgts: here\n", encoding="utf-8")
    check_main(name)
    monkeypatch.setattr("sipbench.configs.main_schema.root", lambda: tmp_path)
    with pytest.raises(UserError, match="unknown key 'weihgts'. Did you mean weights"):
        check_main(name)


def test_the_page_of_the_docs_is_current():
    """To write it anew: python -m sipbench.configs.describe"""
    assert (configs.root().parent / "docs" / "configs.md").read_text(encoding="utf-8") == describe.page()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_described(kind):
    assert "required; " in describe.describe(kind)
    with pytest.raises(UserError, match="unknown schema 'methd'. Did you mean method"):
        describe.describe("methd")
