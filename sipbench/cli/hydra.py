"""Hydra's own command line and grammar, called from here with plain errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sipbench import configs
from sipbench.cli import cell as job
from sipbench.configs import sources as hydra_plugin
from sipbench.errors import UserError


def expand(words: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        with configs.hydra_ready() as loader:
            overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
            return BasicSweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise UserError(" ".join(str(error).split()).split(" See https:")[0]) from error


def command(argv: list[str]) -> None:
    """Hydra's own command line, whose errors come back as they are."""
    import hydra
    from hydra.errors import HydraException

    hydra_plugin.register()
    with _swapped(argv):
        try:
            hydra.main(version_base="1.3", config_path=str(configs.root()), config_name="config")(job.run_cell)()
        except HydraException as error:
            raise UserError(" ".join(str(error).split())) from error
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}. Choose another folder with results=...") from error


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
