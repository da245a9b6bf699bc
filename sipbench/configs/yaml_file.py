"""A YAML file as plain data, read as Hydra reads it, with mistakes said in one line that names the file."""

from __future__ import annotations

import copy
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sipbench.errors import UserError

NUMBER = re.compile(  # YAML 1.2: 1e-4 is a number, as OmegaConf has it; YAML 1.1 wants 1.0e-4
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)


def load(path: Path) -> dict[str, Any]:
    """The content of a file that holds keys and values."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return copy.deepcopy(_parsed(path, text))


@lru_cache(1024)
def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    import yaml

    try:
        node = yaml.load(text.decode("utf-8"), _loader())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: {error}") from error
    if not isinstance(node, dict):
        raise UserError(f"{path} holds {'nothing' if node is None else 'no keys with values'}")
    return node


def value(text: str) -> Any:
    """What a text says, by the rules of a file; a YAMLError where it cannot be read."""
    import yaml

    return yaml.load(text, _loader())


@cache
def _loader() -> Any:
    """YAML's safe loader, in C where there is one; dates stay text, and no key stands twice."""
    import yaml

    Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(Safe):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            said = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in said and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
                said.add(key.value)
            return super().construct_mapping(node, deep)

    left_out = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    resolvers = Loader.yaml_implicit_resolvers.items()
    Loader.yaml_implicit_resolvers = {k: [(t, r) for t, r in v if t not in left_out] for k, v in resolvers}
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(f"^(?:{NUMBER.pattern})$"), list("-+0123456789.")
    )
    return Loader
