"""Which names a piece of code binds and mentions."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize

from benchmarks.explain_accuracy.sources import Module


def bound_in(function: ast.FunctionDef) -> set[str]:
    """The names that a function binds by assignment, in its own body."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
    return found


def named_in(node: ast.AST) -> set[str]:
    """The names that are mentioned."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def texts_of(function: ast.FunctionDef) -> set[str]:
    """The names in texts with values in them, whose places are not known before Python 3.12."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr):
            found |= named_in(node)
    return found


def free_in(function: ast.FunctionDef) -> set[str]:
    """The names that a function takes from its module, builtins left out."""
    arguments = {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
    inner = {one.name for one in ast.walk(function) if isinstance(one, ast.FunctionDef)}
    own = bound_in(function) | arguments | inner
    return named_in(function) - own - set(dir(builtins))


class Mentions:
    """Where each name stands in a file, and the texts in it that are no docstrings."""

    def __init__(self, module: Module) -> None:
        self.places: dict[str, list[tuple[int, int]]] = {}
        self.texts: list[str] = []
        reader = io.StringIO(module.text).readline
        for token in tokenize.generate_tokens(reader):
            if token.type == tokenize.NAME:
                start = module.starts[token.start[0] - 1] + token.start[1]
                place = (start, start + len(token.string))
                self.places.setdefault(token.string, []).append(place)
            if token.type == tokenize.STRING and not token.string.startswith('"""'):
                self.texts.append(token.string)

    def of(self, name: str) -> list[tuple[int, int]] | None:
        """The places of a name; None where it may also stand in a text."""
        if any(name in text for text in self.texts):
            return None
        return self.places.get(name, [])
