"""Configuration: from words and YAML to objects.

find       where the configs lie        read       one file as plain data     methods    a method made whole
compose    Hydra, with plain errors     build      what a `_target_` names    code_hash  the code behind it

Nothing here imports torch, so that listing and help answer at once.
"""

from sipbench.configs.build import META, build, built, locate, typed
from sipbench.configs.code_hash import code_hash
from sipbench.configs.compose import compose, hydra_ready, resolvers
from sipbench.configs.find import find, folders, is_file_target, names, plugin_folders, root
from sipbench.configs.read import read

__all__ = [
    "META",
    "build",
    "built",
    "code_hash",
    "compose",
    "find",
    "folders",
    "hydra_ready",
    "is_file_target",
    "locate",
    "names",
    "plugin_folders",
    "read",
    "resolvers",
    "root",
    "typed",
]
