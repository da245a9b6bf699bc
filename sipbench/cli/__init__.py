"""The command line. Nothing heavy is imported before it is needed: help and lists answer at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from sipbench import configs
from sipbench.errors import UserError, unknown

HELP = """\
sipbench: an honest benchmark of deep learning for inverse problems

  sipbench dataset=faces degradation=sr4 method=dps       run one cell (what is done is not done again)
  sipbench -m degradation=sr4,inpaint70 method=dip,dps    run many; +launcher=local or +launcher=slurm for a cluster
  sipbench method=mine.py:solve                           run a solver of your own

  sipbench table table1 [profile=paper]     compute what a table lacks, print and write it
  sipbench table posterior                  how near each diffusion solver's draws are to posteriors known exactly
  sipbench show degradation=deblur_motion   write a picture: truth, measurement, A⁺y
  sipbench measure degradation=mri out=DIR  save measurements; solve them later with dataset=measured dataset.root=DIR
  sipbench list WHAT [--json]               methods, degradations, noises, datasets, priors, profiles, launchers, tables
  sipbench check mine.py:solve              the contract tests, on a solver of yours or on a method's name
  sipbench doctor                           what is installed, present and missing here, and what to do about it
  sipbench tune method=dps degradation=sr4  choose a solver's options on validation images
  sipbench train prior dataset=faces        train a diffusion prior; objective=flow or edm, codec=NAME for latents
  sipbench train autoencoder dataset=faces  train an autoencoder, for a prior of its codes
  sipbench train net degradation=sr4        train an end-to-end network on pairs
  sipbench import-prior FILE [name=NAME]    make a prior of a guided-diffusion checkpoint such as ffhq_10m.pt

Common options, for any of them (key=value, no dashes):
  size=64 images=8 images=[0,5,9] seed=0 batch_size=8 device=auto profile=demo tuned=true results=results
  method.solver.NAME=VALUE      an option of the solver, under the paper's name
  wandb.mode=offline            disabled, offline or online
  --cfg job                     show the composed config and stop
"""

GROUPS = {
    "methods": "method",
    "degradations": "degradation",
    "noises": "noise",
    "datasets": "dataset",
    "priors": "prior",
    "profiles": "profile",
    "launchers": "launcher",
    "tables": "table",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's is one line and exit code 2."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(words)
    except UserError as error:
        print(f"sipbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"sipbench {version('sipbench')}")
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {
        "list": _list,
        "table": _table,
        "train": _train,
        "check": _check,
        "doctor": _doctor,
        "show": _show,
        "measure": _measure,
        "tune": _tune,
        "import-prior": _import_prior,
    }
    if words[0] in commands:
        return commands[words[0]](words[1:])
    if "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        raise unknown("command", words[0], commands)
    from sipbench.cli.sweep import main as sweep

    return sweep(words)


def _list(words: list[str]) -> int:
    names = [w for w in words if not w.startswith("-")]
    if len(names) != 1:
        raise UserError(f"list what? sipbench list {'|'.join(GROUPS)} [--json]")
    group = GROUPS.get(names[0])
    if group is None:
        raise unknown("list", names[0], GROUPS)
    if "--json" in words:
        print(json.dumps([_facts(group, name) for name in configs.names(group)], indent=2, ensure_ascii=False))
        return 0
    entries = [(name, configs.read(group, name)) for name in configs.names(group)]
    width = max(len(name) for name, _ in entries)
    for name, node in entries:
        about = [node.get(k) for k in ("title", "family", "citation", "protocol") if node.get(k)]
        print(f"{name:<{width}}  {'; '.join(map(str, about))}".rstrip())
    return 0


def _facts(group: str, name: str) -> dict[str, Any]:
    """One entry of a list as data; for a degradation what its operator says of itself."""
    node = configs.read(group, name)
    if group == "degradation":
        from sipbench.degradation import facts

        return facts(name)
    keys = ("title", "family", "citation", "needs", "data", "knowledge", "published")
    return {"name": name, **{k: node[k] for k in keys if k in node}}


def _table(words: list[str]) -> int:
    if not words or "=" in words[0]:
        raise UserError(f"which table? sipbench table {'|'.join(configs.names('table'))} [profile=demo]")
    configs.find("table", words[0])
    from sipbench.tables.run import run_table

    return run_table(words[0], words[1:])


def _out(words: list[str], default: str) -> tuple[list[str], str]:
    """The words without `out=...`, and what it says."""
    given = [w.partition("=")[2] for w in words if w.startswith("out=")]
    return [w for w in words if not w.startswith("out=")], given[-1] if given else default


def _posed(words: list[str]) -> Any:
    """The cell of a problem that nobody is asked to solve."""
    from sipbench.bench.cell import Cell

    for word in words:
        if "=" not in word:
            raise UserError(f"unknown word {word!r}: options are key=value, such as degradation=sr4")
    words = [*words, *([] if any(w.startswith("method=") for w in words) else ["method=pinv"])]
    words += [] if any(w.startswith("prior=") for w in words) else ["prior=none"]
    return Cell.of(configs.compose(words), words)


def _show(words: list[str]) -> int:
    from pathlib import Path

    words, out = _out(words, "")
    cell = _posed(words if any(w.startswith("images=") for w in words) else [*words, "images=2"])
    from sipbench.report.show import show

    name = f"show-{cell.cfg['dataset']['name']}-{cell.degradation['name']}.png"
    print(f"written: {show(cell, Path(out or Path(cell.cfg['results'], name)))}")
    return 0


def _measure(words: list[str]) -> int:
    words, out = _out(words, "")
    if not out:
        raise UserError("measure where to? sipbench measure degradation=sr4 images=4 out=FOLDER")
    from sipbench.cli.measure import measure

    for path in measure(_posed(words), out):
        print(f"written: {path}")
    return 0


def _tune(words: list[str]) -> int:
    from sipbench.cli.tune import tune

    return tune(words)


def _train(words: list[str]) -> int:
    kinds = ("prior", "autoencoder", "net")
    if not words or words[0] not in kinds:
        raise UserError(f"train what? sipbench train {'|'.join(kinds)} [key=value ...]")
    from omegaconf import OmegaConf

    cfg = OmegaConf.to_container(configs.compose(words[1:], f"train_{words[0]}"), resolve=True)
    assert isinstance(cfg, dict)
    from sipbench.training import recipes as trainees

    trainees.TRAINEES[words[0]](cfg)  # pyright: ignore
    return 0


def _import_prior(words: list[str]) -> int:
    usage = "sipbench import-prior FILE [name=NAME out=FOLDER image_size=N keep_sigma=false force=true ...]"
    if not words or "=" in words[0]:
        raise UserError(f"import which file? {usage}")
    for word in words[1:]:
        if "=" not in word:
            raise UserError(f"unknown word {word!r}: {usage}")
    options = {"file": words[0], "weights": str(configs.compose([])["weights"])}
    options |= {k: _value(v) for k, v in (word.split("=", 1) for word in words[1:])}
    from sipbench.priors.adm import import_prior

    try:
        options = configs.typed(import_prior, options)
    except ValueError as error:
        raise UserError(f"import-prior: {error}") from error
    folder = import_prior(**options)
    print(f"written: {folder}\nto use it: sipbench prior=diffusers prior.path={folder}")
    return 0


def _check(words: list[str]) -> int:
    if not words:
        raise UserError("check what? sipbench check mine.py:solve, or the name of a method")
    from sipbench import testing

    options = {k: _value(v) for k, v in (word.split("=", 1) for word in words[1:] if "=" in word)}
    setting = {k: options.pop(k) for k in ("degradation", "size") if k in options}
    findings = testing.check(words[0], **setting, options=options)
    print(testing.render(findings))
    return 0 if all(f.passed for f in findings) else 1


def _value(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _doctor(words: list[str]) -> int:
    from sipbench.cli.doctor import examine

    return examine(words)


if __name__ == "__main__":
    sys.exit(main())
