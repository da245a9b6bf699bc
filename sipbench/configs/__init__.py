"""Configuration: composing it, naming what exists, and building what a `_target_` names.

Nothing here imports torch, so that listing and help answer at once.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from sipbench.configs.quoting import quoted
from sipbench.errors import UserError, unknown

PACKAGE = Path(__file__).resolve().parents[1]
META = ("name", "title", "published", "get", "paper")


@cache
def root() -> Path:
    """The folder of configs: inside the installed package, or at the top of a checkout."""
    for folder in (PACKAGE / "conf", PACKAGE.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise UserError("the configs are missing: reinstall sipbench")


@cache
def plugin_folders() -> tuple[Path, ...]:
    """The config folders of installed packages with an entry point in the group `sipbench.plugins`.

    The entry point names the package (or module) whose `conf` folder holds them; it is found without importing it.
    """
    folders = []
    for point in entry_points(group="sipbench.plugins"):
        spec = importlib.util.find_spec(point.value.split(":")[0].split(".")[0])
        places = list(spec.submodule_search_locations or []) if spec else []
        below = point.value.split(":")[0].split(".")[1:]
        folders += [Path(place, *below, "conf") for place in places]
    return tuple(folder for folder in folders if folder.is_dir())


def folders() -> Iterator[Path]:
    yield root()
    yield from plugin_folders()


def names(group: str) -> list[str]:
    """Every choice of a config group."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})


def find(group: str, name: str) -> Path:
    """The file of a choice, or an error that suggests the nearest."""
    for folder in folders():
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            return path
    raise unknown(group, name, names(group))


def read(group: str, name: str) -> dict[str, Any]:
    """One file as plain data, without composing: for listing."""
    import yaml

    return yaml.safe_load(find(group, name).read_text(encoding="utf-8")) or {}


def is_file_target(text: str) -> bool:
    """Whether a method is named as `path/to/file.py:function`."""
    return ".py:" in text


def locate(target: str) -> Any:
    """The object that `package.module.name` or `path/to/file.py:name` names."""
    if is_file_target(target):
        path, _, name = target.rpartition(":")
        module = _module_from_file(Path(path).expanduser().resolve())
    else:
        path, _, name = target.rpartition(".")
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            raise UserError(f"{target!r} cannot be imported: {error}. Is its package installed?") from error
    if not hasattr(module, name):
        raise UserError(f"{path} has no {name!r}; it has {', '.join(n for n in vars(module) if n[0] != '_')}.")
    return getattr(module, name)


@cache
def _module_from_file(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"no file {path}: a method of your own is named as path/to/file.py:function")
    name = f"sipbench_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def build(node: dict[str, Any], *args: Any, **extra: Any) -> Any:
    """Call a node's `_target_` with the node's other keys; what only describes it is left out."""
    if "_target_" not in node:
        raise UserError(f"{node} names no _target_")
    kwargs = {k: v for k, v in node.items() if k not in META and not k.startswith("_")}
    target = locate(node["_target_"])
    try:
        return target(*args, **typed(target, kwargs, *args), **extra)
    except ValueError as error:
        raise UserError(f"{node.get('name', node['_target_'])}: {error}") from error


KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a word"),
    "bool": ((bool,), "true or false"),
}


def typed(target: Any, options: dict[str, Any], *args: Any) -> dict[str, Any]:
    """The options, refused where the target does not know them, or where a plain annotation names another kind.

    null stands for the default of a parameter that does not take None itself.
    """
    kept, known = dict(options), inspect.signature(target).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in kept:
            if name not in known:
                own = ", ".join(list(known)[len(args) :]) or "none"
                raise ValueError(f"unknown option {name!r}: it knows {own} (take one out with ~, as in ~noise.{name})")
    for name, parameter in known.items():
        kind = str(getattr(parameter.annotation, "__name__", parameter.annotation))
        kind = kind.removeprefix("InitVar[").removesuffix("]") if kind.startswith("InitVar[") else kind
        if name not in kept or kind.removesuffix(" | None") not in KINDS:
            continue
        value, (types, called) = kept[name], KINDS[kind.removesuffix(" | None")]
        if value is None:
            if not kind.endswith("| None"):
                del kept[name]
        elif not isinstance(value, types) or (isinstance(value, bool) and kind[:4] != "bool"):
            raise ValueError(f"{name} is {called}, not {value!r}")
    return kept


def code_hash(target: str) -> str:
    """A hash of the code behind a target, blind to comments and layout.

    It covers the file that holds the target and what that imports from its own package.
    """
    if is_file_target(target):
        path = Path(target.rpartition(":")[0])
        texts = {str(path): _code(path)} if path.is_file() else {}
    else:
        texts = _imported(target.rpartition(".")[0], {})
    if not texts:
        return "unknown"
    return hashlib.sha256("\n".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]


@cache
def _code(path: Path) -> str:
    return ast.unparse(ast.parse(path.read_text(encoding="utf-8")))


def _imported(module: str, texts: dict[str, str]) -> dict[str, str]:
    """The code of a module and, following its imports, of the modules of its own package."""
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin) if spec and spec.origin else None
    if module in texts or path is None or path.suffix != ".py":
        return texts
    texts[module] = _code(path)
    for node in ast.walk(ast.parse(texts[module])):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == module.split(".")[0]:
            _imported(node.module, texts)
    return texts


def compose(overrides: list[str], config: str = "config") -> Any:
    """The composed config (an OmegaConf DictConfig) for these overrides, with plain errors."""
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    overrides = [quoted(word) for word in overrides]
    _check_choices(overrides)
    try:
        with hydra_ready():
            return hydra_compose(config, overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides, config) from error


def resolvers() -> None:
    """What configs may ask for.

    `${channels:KIND}`: the channels of an unknown of that kind (see unknowns.py); `${divide:N,BY}`: a whole number.
    """
    from omegaconf import OmegaConf

    channels = {"image": 3, "grey": 1, "complex": 2, "object": 2}
    OmegaConf.register_new_resolver("channels", channels.__getitem__, replace=True)
    OmegaConf.register_new_resolver("divide", lambda n, by: int(n) // int(by), replace=True)


@contextmanager
def hydra_ready() -> Iterator[Any]:
    """Hydra's config loader over the project's configs and those of others.

    Hydra keeps one global state; a run that is under way gets its own back.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from sipbench.configs import sources as hydra_plugin

    hydra_plugin.register()
    resolvers()
    state = GlobalHydra.instance()
    kept, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(str(root()), version_base="1.3"):
            yield state.config_loader()
    finally:
        state.hydra = kept


def _check_choices(overrides: list[str]) -> None:
    """A choice that does not exist; Hydra itself is silent about optional groups."""
    for override in overrides:
        group, equals, value = override.lstrip("+").partition("=")
        value = value.strip("'\"").replace("\\", "")
        if equals and (root() / group).is_dir() and not is_file_target(value) and value not in names(group):
            raise unknown(group, value, names(group))


def _explain(error: Exception, overrides: list[str], config: str) -> UserError:
    """Hydra's words made plain: a misspelt option with the nearest known one, or what it could not read."""
    text = " ".join(str(error).split())
    found = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if found is None:
        return UserError(text.split(" Set the environment variable")[0])
    key = found.group(1)
    others = [o for o in overrides if o.lstrip("+~").partition("=")[0] != key]
    if len(others) == len(overrides):
        return UserError(f"unknown option {key!r}: {text}")
    node, parents = compose(others, config), key.split(".")[:-1]
    for depth, name in enumerate(parents):
        if not hasattr(node, "keys") or name not in node:
            return unknown("option", ".".join(parents[: depth + 1]), [str(k) for k in node])
        node = node[name]
    prefix = "".join(f"{p}." for p in parents)
    known = [f"{prefix}{k}" for k in node if k not in ("hydra", "_target_")]
    if key in known:
        return UserError(f"{key} cannot be replaced as a whole: set its parts, such as {key}.NAME=VALUE")
    return unknown("option", key, known)
