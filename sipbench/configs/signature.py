"""The options of a solver, read from its signature: their names and defaults, without importing it.

    options("baselines.diffusion.dps.dps").defaults == {"steps": 1000, "zeta": 1.0, "clip": True}

A default that calls a class, such as `stop: Stop = Stop("wmv")`, becomes a node with a `_target_`, filled from that
class's own fields.
"""

from __future__ import annotations

import ast
import copy
import math
import operator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sipbench.configs.annotation import meaning
from sipbench.configs.source_text import Definition, Module

BINARY: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Any] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}


class Unreadable(Exception):
    """A default that only running the file could tell."""


@dataclass(frozen=True)
class Signature:
    """What a function or a class takes. A prior is handed over by the harness: it is no option.

    Attributes:
        names: every parameter, in the order of the text.
        defaults: of the options, by name, what stands for one that is not set.
        unreadable: options whose default is an expression that only running the file could tell, and its text.
        required: options without a default.
        positional: parameters of a function that are not keyword-only, but for the first; they are no options.
        annotations: by name, what may be set (see annotation.py).
        open: whether it takes any keyword (`**options`).
    """

    names: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    annotations: dict[str, Any] = field(default_factory=dict)
    open: bool = False

    @property
    def options(self) -> list[str]:
        return [*self.defaults, *self.unreadable, *self.required]


def options(target: str) -> Signature | None:
    """The signature of what a target names; None where its text does not tell (an assignment, a compiled module)."""
    module = Module.of(target)
    return _options(target, module, module.text) if module else None


@lru_cache(1024)
def _options(target: str, module: Module, text: bytes) -> Signature | None:
    found = module.find(target.replace(":", ".").rpartition(".")[2])
    return _signature(*found) if found else None


def _signature(module: Module, definition: Definition) -> Signature | None:
    if isinstance(definition, ast.FunctionDef):
        return _of_function(module, definition)
    return _of_class(module, definition) if isinstance(definition, ast.ClassDef) else None


def _of_function(module: Module, definition: ast.FunctionDef) -> Signature:
    """Its keyword-only parameters are its options."""
    taken = _arguments(definition.args)
    before = len(taken) - len(definition.args.kwonlyargs)
    return _read(module, taken, taken[:before], tuple(name for name, *_ in taken[1:before]), definition.args.kwarg)


def _of_class(module: Module, definition: ast.ClassDef) -> Signature | None:
    """What its `__init__` takes, or a dataclass's fields, or what its first base takes."""
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _read(module, _arguments(node.args)[1:], [], (), node.args.kwarg)
    if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        return _read(module, _fields(module, definition), [], (), None)
    if not definition.bases:
        return Signature()
    base = definition.bases[0]
    found = module.find(base.id) if isinstance(base, ast.Name) else None
    return _signature(*found) if found else None


Parameter = tuple[str, ast.expr | None, ast.expr | None]


def _arguments(arguments: ast.arguments) -> list[Parameter]:
    """Each parameter's name, annotation and default."""
    before = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(before) - len(arguments.defaults)) + list(arguments.defaults)
    every = [*zip(before, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return [(argument.arg, argument.annotation, default) for argument, default in every]


def _fields(module: Module, definition: ast.ClassDef) -> list[Parameter]:
    """The annotated fields of a dataclass, those of its bases first."""
    fields: dict[str, Parameter] = {}
    for base in definition.bases:
        found = module.find(base.id) if isinstance(base, ast.Name) else None
        if found and isinstance(found[1], ast.ClassDef):
            fields |= {name: (name, *rest) for name, *rest in _fields(found[0], found[1])}  # pyright: ignore
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not ast.unparse(node.annotation).startswith("ClassVar"):
                fields[node.target.id] = (node.target.id, node.annotation, node.value)
    return list(fields.values())


def _read(
    module: Module,
    taken: list[Parameter],
    no_options: list[Parameter],
    positional: tuple[str, ...],
    rest: ast.arg | None,
) -> Signature:
    defaults, unreadable, required = {}, {}, []
    for name, annotation, default in taken[len(no_options) :]:
        if annotation is not None and "Prior" in ast.unparse(annotation):
            continue
        if default is None:
            required.append(name)
            continue
        try:
            defaults[name] = _plain(evaluate(default, module))
        except Unreadable:
            unreadable[name] = ast.unparse(default)
    hints = {name: _hint(module, annotation) for name, annotation, _ in taken if annotation is not None}
    names = tuple(name for name, *_ in taken)
    return Signature(names, defaults, unreadable, tuple(required), positional, hints, rest is not None)


def _hint(module: Module, annotation: ast.expr) -> Any:
    def look_up(name: str) -> Any:
        found = module.find(name)
        return _hint(*found) if found and isinstance(found[1], ast.expr) else Any  # pyright: ignore

    return meaning(annotation, look_up)


def _plain(value: Any) -> Any:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def evaluate(node: ast.expr, module: Module) -> Any:
    """The value of a default: literals, arithmetic of them, constants of the module, and calls of a class."""
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return value
        case ast.Tuple(elts=elements):
            return tuple(evaluate(e, module) for e in elements)
        case ast.List(elts=elements):
            return [evaluate(e, module) for e in elements]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {evaluate(k, module): evaluate(v, module) for k, v in zip(keys, values, strict=True)}  # pyright: ignore
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return _computed(UNARY[type(op)], evaluate(operand, module))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _computed(BINARY[type(op)], evaluate(left, module), evaluate(right, module))
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if isinstance(getattr(math, name, None), float):
            return getattr(math, name)
        case ast.Name(id=name):
            found = module.find(name)
            if found and isinstance(found[1], ast.expr):
                return evaluate(found[1], found[0])
        case ast.Call():
            return _node(node, module)
    raise Unreadable(ast.unparse(node))


def _computed(function: Any, *values: Any) -> Any:
    try:
        return function(*values)
    except (TypeError, ArithmeticError) as error:
        raise Unreadable(str(error)) from error


def _node(call: ast.Call, module: Module) -> dict[str, Any]:
    """`Stop("wmv")` as a node: the class as `_target_`, its fields, and what the call sets."""
    found = module.find(call.func.id) if isinstance(call.func, ast.Name) else None
    if found is None or not isinstance(found[1], ast.ClassDef):
        raise Unreadable(ast.unparse(call))
    home, definition = found[0], found[1]
    signature = _signature(home, definition)
    if signature is None:
        raise Unreadable(ast.unparse(call))
    given = dict(zip(signature.names, (evaluate(a, module) for a in call.args), strict=False))
    given |= {k.arg: evaluate(k.value, module) for k in call.keywords if k.arg is not None}
    values = copy.deepcopy(signature.defaults) | given
    if len(call.args) > len(signature.names) or set(values) != set(signature.names):
        raise Unreadable(ast.unparse(call))
    return {"_target_": home.target(definition.name), **values}
