"""From words and nodes to objects: what a `_target_` names, called with the node's other keys."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, get_origin

from sipbench.checkpoints import at_home
from sipbench.configs.annotation import PLAIN, hint, refusal
from sipbench.configs.find import is_file_target
from sipbench.configs.own_module import module_from_file, where
from sipbench.errors import UserError

META = ("name", "title", "published", "get", "fetch", "citation", "trained", "images")  # what only describes a node


def locate(target: str) -> Any:
    """The object that `package.module.name` or `path/to/file.py:name` names."""
    if is_file_target(target):
        path, _, name = target.rpartition(":")
        module = module_from_file(at_home(path).resolve())
    else:
        path, _, name = target.rpartition(".")
        try:
            if not path:
                raise UserError(f"{target!r} names no object: say package.module.name, or path/to/file.py:name")
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            raise UserError(f"{target!r} cannot be imported: {error}. Is its package installed?") from error
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{path} cannot be imported: {where(error)}") from error
    if not hasattr(module, name):
        raise UserError(f"{path} has no {name!r}; it has {', '.join(n for n in vars(module) if n[0] != '_')}.")
    found = getattr(module, name)
    if not callable(found):
        raise UserError(f"{target} is {type(found).__name__}, and neither a function nor a class")
    return found


def build(node: dict[str, Any], *args: Any, **extra: Any) -> Any:
    """Call a node's `_target_` with the node's other keys; what only describes it is left out."""
    if "_target_" not in node:
        raise UserError(f"{node} names no _target_")
    kwargs = {k: v for k, v in node.items() if k not in META and not k.startswith("_")}
    target = locate(node["_target_"])
    try:
        options = typed(target, kwargs, *args) | extra
        _takes(target, args, options)
        return target(*args, **options)
    except ValueError as error:
        raise UserError(f"{node.get('name', node['_target_'])}: {error}") from error


def _takes(target: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """Refuse what the target cannot be called with: an argument that is missing, or one too many."""
    try:
        inspect.signature(target).bind(*args, **options)
    except TypeError as error:
        raise ValueError(f"it cannot be called so: {error}") from error


def built(options: dict[str, Any]) -> dict[str, Any]:
    """The options with each that is a node, a mapping with a `_target_`, built."""
    return {k: build(v) if isinstance(v, dict) and "_target_" in v else v for k, v in options.items()}


def assembled(node: Any, words: Mapping[str, Any] | None = None, **extra: Any) -> Any:
    """A node with the nodes within it built first; a text that is one of the words stands for what that means."""
    words = words or {}
    if isinstance(node, str):
        return words.get(node, node)
    if isinstance(node, list | tuple):
        return [assembled(part, words) for part in node]
    if not isinstance(node, Mapping):
        return node
    own = {k: v if k == "_target_" else assembled(v, words) for k, v in node.items()}
    return build(own, **extra) if "_target_" in own else own


def typed(target: Any, options: dict[str, Any], *args: Any) -> dict[str, Any]:
    """The options, refused where the target does not know them, or where its annotations allow no such value.

    null stands for the default of a parameter that does not take None itself.
    """
    kept, known = dict(options), inspect.signature(target).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in kept:
            if name not in known:
                own = ", ".join(list(known)[len(args) :]) or "none"
                raise ValueError(f"unknown option {name!r}: it knows {own} (take one out with ~, as in ~noise.{name})")
    for name, parameter in known.items():
        said = refusal(name, kept[name], _allowed(target, parameter.annotation)) if name in kept else None
        if said is None:
            continue
        if kept[name] is not None:
            raise ValueError(said)
        del kept[name]
    return kept


def _allowed(target: Any, annotation: Any) -> Any:
    """What an annotation allows; one that is text is read with the names of the module that it stands in."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation if annotation in PLAIN.values() or get_origin(annotation) else Any
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    names = getattr(function, "__globals__", {})
    return hint(annotation, lambda name: names.get(name) if get_origin(names.get(name)) else Any)
