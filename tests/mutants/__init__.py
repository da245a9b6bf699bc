"""Solvers broken on purpose: each test of quality must see them. A mutant is matched on the syntax tree of the module.

`right` and `wrong` are an expression or one or more statements; layout and comments do not matter. ANY, ANY1, ANY2
stand for any expression, the same one wherever they stand in a mutant. A mutant whose `right` is no longer in the
module says so: it is then rewritten beside the new code, never dropped.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path

WILD = ("ANY", "ANY1", "ANY2")


@dataclass(frozen=True)
class Mutant:
    """One broken variant of a solver.

    Attributes:
        name: what is wrong with it.
        solver: the module and the function that the witness tries, such as diffusion.dps.dps.
        right, wrong: what is replaced everywhere in the module, and by what.
        module: the module that is broken, where it is not the solver's own, such as common.stopping.
        through: modules between the two, imported anew so that they see the broken one.
        witness: which witness of the test file, where there is one of the algorithm and one of something else.
    """

    name: str
    solver: str
    right: str
    wrong: str
    module: str = ""
    through: tuple[str, ...] = ()
    witness: str = ""

    def __str__(self) -> str:
        return f"{self.solver.rpartition('.')[2]}: {self.name}" + (f" ({self.witness})" if self.witness else "")

    @property
    def file(self) -> str:
        """The module of the solver below baselines."""
        return f"baselines.{self.solver.rpartition('.')[0]}"

    def solve(self):
        """The broken solver."""
        at = f"baselines.{self.module}" if self.module else self.file
        broken = execute(at, Swap(self.right, self.wrong).source(at))
        chain = [at, *(f"baselines.{m}" for m in self.through), *([self.file] if self.module else [])]
        kept = {name: sys.modules.get(name) for name in chain}
        try:
            sys.modules[at] = broken
            for name in chain[1:]:
                sys.modules[name] = execute(name, ast.parse(source(name)))
            return getattr(sys.modules[self.file] if self.module else broken, self.solver.rpartition(".")[2])
        finally:
            sys.modules.update({name: module for name, module in kept.items() if module is not None})


class Swap(ast.NodeTransformer):
    """Replaces every match of one piece of code by another, and counts."""

    def __init__(self, right: str, wrong: str) -> None:
        self.right, self.wrong, self.count = pieces(right), pieces(wrong), 0

    def source(self, module: str) -> ast.Module:
        tree = self.visit(ast.parse(source(module)))
        wanted = "; ".join(map(ast.unparse, self.right))
        assert self.count, f"a mutant no longer applies: {module} has no {wanted!r}"
        return ast.fix_missing_locations(tree)

    def visit(self, node: ast.AST) -> ast.AST:
        found: dict[str, ast.AST] = {}
        if len(self.right) == 1 and isinstance(node, ast.expr | ast.stmt) and same(self.right[0], node, found):
            self.count += 1
            (new,) = self.wrong
            return Fill(found).visit(ast.parse(ast.unparse(new)).body[0] if isinstance(new, ast.stmt) else copy(new))
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if len(self.right) > 1 or len(self.wrong) != 1:
            for name in ("body", "orelse", "finalbody"):
                block, n = getattr(node, name, None), len(self.right)
                if isinstance(block, list):
                    for i in range(len(block) - n, -1, -1):
                        found: dict[str, ast.AST] = {}
                        if all(same(r, b, found) for r, b in zip(self.right, block[i : i + n], strict=True)):
                            block[i : i + n] = [Fill(found).visit(copy(w)) for w in self.wrong] or [ast.Pass()]
                            self.count += 1
        return super().generic_visit(node)


class Fill(ast.NodeTransformer):
    """Puts in what the wildcards stood for."""

    def __init__(self, found: dict[str, ast.AST]) -> None:
        self.found = found

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy(self.found[node.id]) if node.id in self.found else node


def pieces(code: str) -> list[ast.AST]:
    """An expression as itself, statements as a list; nothing is no statement."""
    body = ast.parse(code).body
    return [body[0].value] if len(body) == 1 and isinstance(body[0], ast.Expr) else list(body)


def copy(node: ast.AST) -> ast.AST:
    return (
        ast.parse(ast.unparse(node), mode="eval").body
        if isinstance(node, ast.expr)
        else ast.parse(ast.unparse(node)).body[0]
    )


def same(pattern: object, node: object, found: dict[str, ast.AST]) -> bool:
    """Whether code matches a pattern; what a wildcard stands for is kept."""
    if isinstance(pattern, ast.Name) and pattern.id in WILD and isinstance(node, ast.expr):
        before = found.setdefault(pattern.id, node)
        return ast.dump(before) == ast.dump(node)
    if isinstance(pattern, ast.AST):
        fields = [f for f in pattern._fields if f not in ("ctx", "type_comment", "kind")]
        return type(pattern) is type(node) and all(same(getattr(pattern, f), getattr(node, f), found) for f in fields)
    if isinstance(pattern, list):
        return (
            isinstance(node, list)
            and len(pattern) == len(node)
            and all(map(lambda p, n: same(p, n, found), pattern, node))
        )
    return pattern == node


def source(module: str) -> str:
    path = importlib.import_module(module).__file__
    assert path is not None
    return Path(path).read_text(encoding="utf-8")


def execute(name: str, tree: ast.Module) -> types.ModuleType:
    """A fresh module of this name made of this code; it is not put into sys.modules for good."""
    module = types.ModuleType(name)
    module.__file__ = importlib.import_module(name).__file__
    kept = sys.modules[name]
    try:
        sys.modules[name] = module  # dataclasses look up their module
        exec(compile(tree, f"<broken {name}>", "exec"), module.__dict__)
    finally:
        sys.modules[name] = kept
    return module
