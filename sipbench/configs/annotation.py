"""What an annotation allows: plain kinds and words, checked with a message that says what is allowed.

    refusal("rule", "wvm", hint('Literal["fixed", "wmv"]')) == "unknown rule 'wvm'. Did you mean wmv? Known: ..."

Annotations are texts here (of a function with `from __future__ import annotations`, or of one that is only read).
"""

from __future__ import annotations

import ast
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from sipbench.errors import unknown


class Other:
    """Stands for a class beside words, as in `Literal["mean"] | Tensor`: whatever is no text."""


PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "None": None, "Any": Any}
SAID = {int: "a whole number", float: "a number", str: "a word", bool: "true or false", type(None): "null"}
SAID |= {Any: "a number", Other: "a number"}  # of these nothing is refused but what is not a number
SEQUENCES = ("list", "tuple", "Sequence", "Iterable")
MAPPINGS = ("dict", "Mapping")


def hint(text: str, look_up: Callable[[str], Any] = lambda name: Any) -> Any:
    """The annotation of a text as Python's typing has it; Any for what is no plain kind, word, list or mapping.

    `look_up` gives the meaning of a name of its module, such as `Boundary = Literal["circular", "zero"]`.
    """
    try:
        return meaning(ast.parse(text, mode="eval").body, look_up)
    except (SyntaxError, ValueError):
        return Any


def meaning(node: ast.expr, look_up: Callable[[str], Any]) -> Any:
    """The same of a syntax tree."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return hint(text, look_up)
        case ast.Name(id=name):
            return PLAIN[name] if name in PLAIN else _container(name, ()) or look_up(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([meaning(left, look_up), meaning(right, look_up)])
        case ast.Subscript(value=value, slice=inner):
            name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
            if name == "Literal":
                words = ast.literal_eval(inner)
                return Literal[words]
            if name in ("InitVar", "Final"):
                return meaning(inner, look_up)
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _container(name, [Any if _is_dots(p) else meaning(p, look_up) for p in parts]) or Any
    return Any


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def as_annotated(value: Any, annotation: Any) -> Any:
    """A whole number as the number with a point that the annotation asks for: 1 and 1.0 are one setting."""
    kinds = set(_parts(annotation))
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and float in kinds and int not in kinds else value


def _union(parts: list[Any]) -> Any:
    words = any(get_origin(inner) is Literal for part in parts for inner in _parts(part))
    if any(part is Any for part in parts) and not words:
        return Any
    return Union[tuple(Other if part is Any else part for part in parts)]  # noqa: UP007


def _container(name: str, inner: Sequence[Any]) -> Any:
    if name in SEQUENCES:
        every = {*map(repr, inner[:-1] if inner and inner[-1] is Any and len(inner) == 2 else inner)}
        return list[inner[0]] if len(every) == 1 else list[Any]
    if name in MAPPINGS:
        return dict[str, inner[1]] if len(inner) == 2 else dict[str, Any]
    return None


def refusal(name: str, value: Any, allowed: Any) -> str | None:
    """Why a value is none of what is allowed; None where it is."""
    parts = _parts(allowed)
    if any(_fits(value, part) for part in parts):
        return None
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    if words and isinstance(value, str):
        return str(unknown(name, value, map(str, words)))
    for part in parts:
        said = _inside(name, value, part)
        if said:
            return said
    return f"{name} is {' or '.join(dict.fromkeys(map(_said, parts)))}, not {value!r}"


def _parts(allowed: Any) -> tuple[Any, ...]:
    return get_args(allowed) if get_origin(allowed) in (Union, types.UnionType) else (allowed,)


def _fits(value: Any, part: Any) -> bool:
    origin = get_origin(part)
    if isinstance(value, float) and math.isnan(value):
        return False
    if part is None or part is type(None):
        return value is None
    if origin is Literal:
        return any(value == word and type(value) is type(word) for word in get_args(part))
    if origin is list:
        return isinstance(value, list | tuple) and all(_any(v, get_args(part)[0]) for v in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(_any(v, get_args(part)[1]) for v in value.values())
    if part in (int, float):
        return isinstance(value, int | part) and not isinstance(value, bool)
    if part is Other:
        return not isinstance(value, str)
    return isinstance(value, part) if part in (str, bool) else True


def _any(value: Any, allowed: Any) -> bool:
    return any(_fits(value, part) for part in _parts(allowed))


def _inside(name: str, value: Any, part: Any) -> str | None:
    """The first entry of a list or mapping that is refused."""
    if get_origin(part) is list and isinstance(value, list | tuple):
        return next(filter(None, (refusal(f"{name}[{i}]", v, get_args(part)[0]) for i, v in enumerate(value))), None)
    if get_origin(part) is dict and isinstance(value, Mapping):
        return next(filter(None, (refusal(f"{name}.{k}", v, get_args(part)[1]) for k, v in value.items())), None)
    return None


def _said(part: Any) -> str:
    if get_origin(part) is Literal:
        return " or ".join(map(str, get_args(part)))
    return {list: "a list", dict: "a mapping"}.get(get_origin(part) or part) or SAID.get(part) or str(part)
