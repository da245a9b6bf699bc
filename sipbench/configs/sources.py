"""How Hydra finds methods made whole, the configs of other packages, and solvers in a file of one's own.

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

from sipbench.configs.find import find, is_file_target, path_of, plugin_folders, root
from sipbench.configs.methods import complete
from sipbench.configs.own_file import describe

GROUP = "method/"


class Others(SearchPathPlugin):
    """Puts whole methods first and the configs of others last, and touches no other Hydra application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        mains = [part.path or "" for part in search_path.get_path() if part.provider == "main"]
        if str(root()) not in [path.removeprefix("file://") for path in mains]:
            return
        search_path.prepend("sipbench", f"{Methods.scheme()}://{Path.cwd()}")
        for folder in plugin_folders():
            search_path.append("sipbench.plugins", f"file://{folder}")


class Methods(ConfigSource):
    """Answers `method=NAME`, made whole from its YAML and its signature, and `method=path/to/file.py:function`.

    Its path is the folder that relative paths start from.
    """

    @staticmethod
    def scheme() -> str:
        return "sipbench"

    def load_config(self, config_path: str) -> ConfigResult:
        name, header = config_path.removeprefix(GROUP), {}
        if is_file_target(name):
            node = describe(name, Path(self.path))
        else:
            path = find("method", name)
            header = self._get_header_dict(path.read_text(encoding="utf-8"))
            node = complete(OmegaConf.to_container(OmegaConf.load(path)))  # pyright: ignore
        header.setdefault("package", None)
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(node), header=header)

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        name = config_path.removeprefix(GROUP)
        if name == config_path:
            return False
        return is_file_target(name) or path_of("method", name) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


def register() -> None:
    """Tell Hydra; as often as you like."""
    for plugin in (Others, Methods):
        Plugins.instance().register(plugin)
