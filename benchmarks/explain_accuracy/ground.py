"""What plantings grow on: the parsed sources of a calculator and the lines that a job ran."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.explain_accuracy.sources import (
    Edit,
    Module,
    Planting,
    Sources,
    functions,
    parsed,
    unit_of,
    up,
)


@dataclass(frozen=True, slots=True)
class Ground:
    """The sources, parsed, and what ran of them."""

    sources: Sources
    modules: tuple[Module, ...]
    executed: Mapping[str, frozenset[int]]

    @classmethod
    def of(cls, sources: Sources, executed: Mapping[str, frozenset[int]]) -> Ground:
        """Parse the sources."""
        return cls(sources, tuple(parsed(sources)), executed)

    def ran(self, module: Module, node: ast.AST) -> bool:
        """Whether the first line of a node ran; of a multi-line expression, of its statement."""
        lines = self.executed.get(module.path, frozenset())
        statement = next((one for one in up(node) if isinstance(one, ast.stmt)), None)
        first = getattr(node, "lineno", 0)
        return first in lines or (statement is not None and statement.lineno in lines)

    def functions(self) -> Iterator[tuple[Module, str, ast.FunctionDef]]:
        """The functions whose body ran."""
        for module in self.modules:
            for name, node in functions(module):
                if any(self.ran(module, one) for one in body_of(node)):
                    yield module, name, node

    def inside(self, *kinds: type[ast.AST]) -> Iterator[tuple[Module, ast.AST]]:
        """The nodes of some kinds in bodies of functions that ran, on lines that ran."""
        for module, _, function in self.functions():
            for statement in function.body:
                for node in ast.walk(statement):
                    if isinstance(node, kinds) and self.ran(module, node) and not _told(node):
                        yield module, node

    def planted(
        self, kind: str, module: Module, node: ast.AST, *edits: Edit, what: str = ""
    ) -> Planting | None:
        """A guilty planting in the unit of a node; None where that has no name."""
        unit = unit_of(module, node)
        if unit is None:
            return None
        told = what or f"{module.segment(node)!r:.60} becomes {edits[0].text!r:.60}"
        return Planting(kind=kind, guilty=True, what=told, edits=edits, units=frozenset({unit}))


def body_of(function: ast.FunctionDef) -> list[ast.stmt]:
    """The statements of a function, less its docstring."""
    body = function.body
    return body[1:] if ast.get_docstring(function) is not None else body


def nested(node: ast.AST) -> bool:
    """Whether a node lies in a function within a function."""
    kinds = ast.FunctionDef | ast.Lambda
    return sum(isinstance(one, kinds) for one in up(node)) > 1


def _told(node: ast.AST) -> bool:
    """Whether a node is part of a text: its place is not known before Python 3.12, or a note."""
    for one in up(node):
        if isinstance(one, ast.JoinedStr):
            return True
        match one:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="td"))):
                return True
        if isinstance(one, ast.stmt):
            return False
    return False
