"""How Hydra finds the configs of others: those of installed packages, and solvers in a file of one's own.

A job on a cluster needs no set-up for it: the config sources travel with the job and bring this module along.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from sipbench import configs
from sipbench.configs.own_file import describe

GROUP = "method/"


class Others(SearchPathPlugin):
    """Puts the configs of others behind the project's own, and touches no other Hydra application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        mains = [part.path or "" for part in search_path.get_path() if part.provider == "main"]
        if str(configs.root()) not in [path.removeprefix("file://") for path in mains]:
            return
        for folder in configs.plugin_folders():
            search_path.append("sipbench.plugins", f"file://{folder}")
        search_path.append("sipbench", f"{FileMethods.scheme()}://{Path.cwd()}")


class FileMethods(ConfigSource):
    """Answers `method=path/to/file.py:function`. Its path is the folder that relative paths start from."""

    @staticmethod
    def scheme() -> str:
        return "sipbench"

    def load_config(self, config_path: str) -> ConfigResult:
        config = OmegaConf.create(describe(config_path.removeprefix(GROUP), Path(self.path)))
        return ConfigResult(self.provider, self.full_path(), config, header={"package": None})

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        return config_path.startswith(GROUP) and configs.is_file_target(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


def register() -> None:
    """Tell Hydra; as often as you like."""
    for plugin in (Others, FileMethods):
        Plugins.instance().register(plugin)
