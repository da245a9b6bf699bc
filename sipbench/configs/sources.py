"""How Hydra finds configs: checked, methods made whole, those of other packages, and solvers in a file of one's own.

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

from sipbench.configs.find import find, folders, is_file_target, path_of, root
from sipbench.configs.own_file import describe
from sipbench.configs.read import read
from sipbench.configs.schema import KINDS


class Others(SearchPathPlugin):
    """Puts checked configs first and those of others last, and touches no other Hydra application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        mains = [part.path or "" for part in search_path.get_path() if part.provider == "main"]
        if str(root()) not in [path.removeprefix("file://") for path in mains]:
            return
        search_path.prepend("sipbench", f"{Checked.scheme()}://{Path.cwd()}")
        for folder in list(folders())[1:]:
            search_path.append("sipbench.plugins", f"file://{folder}")


class Checked(ConfigSource):
    """Answers every group that has a schema, with its files checked and its methods made whole.

    It also answers `method=path/to/file.py:function`; its path is the folder that relative paths start from.
    """

    @staticmethod
    def scheme() -> str:
        return "sipbench"

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = _parted(config_path)
        if is_file_target(name):
            node, header = describe(name, Path(self.path)), {}
        else:
            path = find(group, name)
            node, header = read(group, name), self._get_header_dict(path.read_text(encoding="utf-8"))
        header.setdefault("package", None)
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(node), header=header)

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        group, name = _parted(config_path)
        if group == "method" and is_file_target(name):
            return True
        return group in KINDS and path_of(group, name) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


def _parted(config_path: str) -> tuple[str, str]:
    """The group and the choice: of `method/path/to/file.py:function`, too."""
    group, _, name = config_path.partition("/")
    return group, name.removesuffix(".yaml")


def register() -> None:
    """Tell Hydra; as often as you like."""
    for plugin in (Others, Checked):
        Plugins.instance().register(plugin)
