"""Hydra's own command line and grammar, called from here with plain errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.cli import cell as job
from sipbench.configs import sources as hydra_plugin
from sipbench.configs.quoting import quoted, unreadable
from sipbench.configs.word import Word
from sipbench.errors import UserError
from sipbench.safety import sizes


def expand(words: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.errors import HydraException

    try:
        jobs = BasicSweeper.split_arguments(_parsed(words), None)[0]
    except HydraException as error:
        raise UserError(f"these words name no cells one by one: {sizes.reason(error)}") from error
    if not jobs:
        raise UserError("these words make no cell: one of them sweeps over nothing, as range(0,0) does")
    return jobs


def as_sweep(words: list[str]) -> list[str]:
    """The words, with the options of every part that varies as sweeps of one value.

    Hydra first composes a sweep without what varies in it, and the part that then stands there may lack the option.
    """
    overrides = _parsed(words)
    varying = {o.key_or_group for o in overrides if o.is_sweep_override()}
    return [_of_one_value(o) if o.key_or_group.split(".")[0] in varying else o.input_line for o in overrides]


def _of_one_value(override: Any) -> str:
    line, (key, _, value) = override.input_line, override.input_line.partition("=")
    alone = override.is_sweep_override() or override.is_delete() or value in ("", "null") or value[0] == "'"
    return line if alone or "." not in key else f"{key}=choice({value})"


def _parsed(words: list[str]) -> list[Any]:
    """The words as Hydra reads them."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with configs.hydra_ready() as loader:
        parser, found = OverridesParser.create(config_loader=loader), []
        for word in words:
            Word.of(word).check()
            try:
                found += parser.parse_overrides([quoted(word)])
            except HydraException as error:
                raise unreadable(word, error) from error
        return found


def command(argv: list[str], folder: Path | None = None) -> None:
    """Hydra's own command line, whose errors come back as they are. It writes into the folder."""
    import hydra
    from hydra.errors import HydraException

    hydra_plugin.register()
    with _swapped([quoted(word) for word in argv]), _composed_already():
        try:
            hydra.main(version_base="1.3", config_path=str(configs.root()), config_name="config")(job.run_cell)()
        except HydraException as error:
            raise UserError(" ".join(str(error).split())) from error
        except OSError as error:
            where = error.filename or folder or "results"
            raise UserError(f"{where}: {error.strerror or error}. Choose another folder with results=...") from error


def show(argv: list[str]) -> None:
    """What Hydra shows of itself or of a config; what it cannot show is one line."""
    try:
        command(argv)
    except ValueError as error:
        raise UserError(f"Hydra: {sizes.reason(error)}") from error


@contextmanager
def _composed_already() -> Iterator[None]:
    """Before its first job Hydra composes every job to find mistakes; of ten thousand, that takes a quarter of an hour.

    Here each was composed before, faster and by the same rules.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    checks = BasicSweeper.validate_batch_is_legal
    BasicSweeper.validate_batch_is_legal = lambda self, batch: None
    try:
        yield
    finally:
        BasicSweeper.validate_batch_is_legal = checks


@contextmanager
def _swapped(argv: list[str]) -> Iterator[None]:
    """Hydra reads its words from sys.argv, and prints its errors itself unless told not to."""
    words, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["sipbench", *argv], "1"
    try:
        yield
    finally:
        sys.argv = words
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
