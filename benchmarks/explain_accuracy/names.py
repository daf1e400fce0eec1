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


def tokens(module: Module, name: str) -> list[tuple[int, int]] | None:
    """Where a name stands in a file; None where it also stands in a text or a comment of code."""
    found = []
    reader = io.StringIO(module.text).readline
    for token in tokenize.generate_tokens(reader):
        if token.type == tokenize.NAME and token.string == name:
            start = module.starts[token.start[0] - 1] + token.start[1]
            found.append((start, start + len(name)))
        if token.type == tokenize.STRING and name in token.string and _counts(token):
            return None
    return found


def _counts(token: tokenize.TokenInfo) -> bool:
    """Whether a text may be more than a docstring."""
    return not token.string.startswith('"""')
