"""A source file as its definitions: what each is, what it refers to, and where it stands.

A definition is a function, a method, a class without its methods, or a name that a module assigns.
Its digest is that of its syntax tree without docstring, so that comments and layout don't count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One definition. ``lines`` are its source lines, ``line`` the number of the first (from 1).

    ``names`` are the bare names it mentions, ``attributes`` what it looks up on something else.
    """

    name: str
    digest: str
    line: int
    lines: tuple[str, ...]
    names: frozenset[str]
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A name a module takes from another; ``name`` is None where the module itself is meant."""

    module: str
    name: str | None = None


@dataclass(slots=True, kw_only=True)
class Module:
    """What a source file defines and imports, by name; methods as ``Class.method``."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)


def read_module(source: str, module: str) -> Module | None:
    """The definitions of a source file, None when it cannot be parsed.

    Args:
        source: Its text.
        module: Its dotted name, which relative imports start from; a package ends in ``__init__``.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = Module()
    _read(tree.body, "", found, source.splitlines(), module)
    return found


def _read(
    body: Iterable[ast.stmt], prefix: str, found: Module, lines: list[str], module: str
) -> None:
    for node in body:
        if isinstance(node, Function):
            _add(found, f"{prefix}{node.name}", [node], lines, module)
        elif isinstance(node, ast.ClassDef):
            own = [one for one in node.body if not isinstance(one, Function | ast.ClassDef)]
            shell: list[ast.AST] = [*node.decorator_list, *node.bases, *node.keywords, *own]
            _add(found, f"{prefix}{node.name}", shell, lines, module, node)
            inner = [one for one in node.body if isinstance(one, Function | ast.ClassDef)]
            _read(inner, f"{prefix}{node.name}.", found, lines, module)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.update(_imported(node, module))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for name in _targets(node):
                _add(found, f"{prefix}{name}", [node], lines, module)
        else:  # an if, a try or a with around definitions
            _read(_blocks(node), prefix, found, lines, module)


def _blocks(node: ast.stmt) -> Iterator[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, ())
    for handler in getattr(node, "handlers", ()):
        yield from handler.body


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        for one in ast.walk(target):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                yield one.id


def _imported(node: ast.Import | ast.ImportFrom, module: str) -> Iterator[tuple[str, Import]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield alias.asname or top, Import(module=alias.name if alias.asname else top)
        return
    above = module.split(".")[: -node.level] if node.level else []
    origin = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, Import(module=origin, name=alias.name)


def _add(
    found: Module,
    name: str,
    nodes: list[ast.AST],
    lines: list[str],
    module: str,
    place: ast.stmt | None = None,
) -> None:
    """Enter a definition; one that is assigned twice is both statements together."""
    names: set[str] = set()
    attributes: set[str] = set()
    for node in nodes:
        for one in ast.walk(node):
            if isinstance(one, ast.Name):
                names.add(one.id)
            elif isinstance(one, ast.Attribute):
                attributes.add(one.attr)
            elif isinstance(one, ast.Import | ast.ImportFrom):
                found.imports.update(_imported(one, module))
    digest = "\n".join(_dump(node) for node in nodes)
    spots = [one for one in (place, *nodes) if isinstance(one, ast.stmt)]
    start = min((_first_line(one) for one in spots), default=1)
    end = max((one.end_lineno or one.lineno for one in nodes if isinstance(one, ast.stmt)),
              default=start)  # fmt: skip
    before = found.definitions.get(name)
    if before is not None:
        digest = f"{before.digest}\n{digest}"
        names |= before.names
        attributes |= before.attributes
    found.definitions[name] = Definition(
        name=name,
        digest=digest,
        line=start,
        lines=(*(before.lines if before else ()), *lines[start - 1 : end]),
        names=frozenset(names),
        attributes=frozenset(attributes),
    )


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _dump(node: ast.AST) -> str:
    """The tree of a node as text; a function goes without its name and docstring."""
    if not isinstance(node, Function):
        return ast.dump(node)
    body = node.body
    first = body[0].value if isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        body = body[1:]
    parts: list[ast.AST] = [node.args, *node.decorator_list, *body]
    if node.returns is not None:
        parts.append(node.returns)
    return "\n".join([type(node).__name__, *map(ast.dump, parts)])
