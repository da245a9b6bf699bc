"""Configuration: from words and YAML to objects.

find       where the configs lie        read       one file as plain data     methods    a method made whole
overrides  the words of a command line  compose    one config, plain errors   by_hydra   Hydra itself
base       what choices compose to      composer   many configs at once       sources    where Hydra looks
build      what a `_target_` names      code_hash  the code behind it         signature  its options, from its text

Nothing here imports torch, so that listing and help answer at once.
"""

from sipbench.configs.base import Base, Filled, plain
from sipbench.configs.build import META, assembled, build, built, locate, typed
from sipbench.configs.by_hydra import hydra_ready, resolvers
from sipbench.configs.code_hash import code_hash, edited, mentions, without_place
from sipbench.configs.compose import compose
from sipbench.configs.composer import Composer
from sipbench.configs.find import absent, find, folders, is_file_target, names, path_of, plug_in, plugin_folders, root
from sipbench.configs.overrides import Overrides
from sipbench.configs.own_module import in_a_line
from sipbench.configs.read import read

__all__ = [
    "META",
    "Base",
    "Composer",
    "Filled",
    "Overrides",
    "absent",
    "assembled",
    "build",
    "built",
    "code_hash",
    "edited",
    "compose",
    "find",
    "folders",
    "hydra_ready",
    "in_a_line",
    "is_file_target",
    "locate",
    "mentions",
    "names",
    "path_of",
    "plain",
    "plug_in",
    "plugin_folders",
    "read",
    "resolvers",
    "root",
    "typed",
    "without_place",
]
