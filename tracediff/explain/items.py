"""A module's source as items: the statements that can be taken from the old or the new side.

An item binds a name or runs a statement: a function, a class, an assignment, one name of an import.
Its *form* is its normalised source, so comments, layout, docstrings and annotations that nothing
reads count for nothing. Pure: bytes in, items out.
"""

from __future__ import annotations
import __future__ as futures

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracediff.explain.operators import place_operators
from tracediff.explained import Span, UnitKind

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)

_PLAIN = frozenset(
    {"staticmethod", "classmethod", "property", "setter", "getter", "deleter", "abstractmethod",
     "overload", "override", "final", "lru_cache", "cache", "cached_property", "wraps",
     "contextmanager", "asynccontextmanager", "total_ordering", "dataclass", "step", "input",
     "output", "job"}
)  # fmt: skip
"""Decorators that note the function nowhere and do not read its annotations (dataclass aside)."""


@dataclass(eq=False, slots=True)
class Item:
    """One statement of a module or class body.

    ``key`` pairs it with its counterpart on the other side; ``names`` are what it binds; ``flags``
    the ``__future__`` features its module was written with; ``words`` every identifier in it, of a
    class those of its bases and decorators.
    ``form`` leaves out a function's decorators, and of a class all but its name; ``decorators`` and
    ``bases`` are the forms of those; ``body`` a class's items.
    """

    key: str
    kind: UnitKind
    names: tuple[str, ...]
    node: ast.stmt
    flags: int
    file: str
    form: str
    words: frozenset[str]
    decorators: str = ""
    bases: str = ""
    body: list[Item] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return ", ".join(self.names) or self.key

    @property
    def span(self) -> Span:
        """Its lines, decorators included."""
        decorators = getattr(self.node, "decorator_list", [])
        first = min([self.node.lineno, *(one.lineno for one in decorators)])
        return Span(file=self.file, first=first, last=self.node.end_lineno or self.node.lineno)

    @property
    def all_words(self) -> frozenset[str]:
        """Every identifier in it, those of a class's members too."""
        return self.words.union(*(one.all_words for one in self.body))

    @property
    def is_import(self) -> bool:
        """Whether it binds what another module defines."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def defines(self) -> bool:
        """Whether it binds a name to something of its own and does nothing else."""
        if isinstance(self.node, ast.Assign | ast.AnnAssign):
            return bool(self.names)
        return isinstance(self.node, DEFINITIONS)

    @property
    def runs_late(self) -> bool:
        """Whether nothing of it runs where it stands, so that it may stand earlier."""
        if self.is_import:
            return bool(self.names)
        if not isinstance(self.node, FUNCTIONS) or not self.decorated_plainly:
            return False
        given = [*self.node.args.defaults, *self.node.args.kw_defaults]
        return all(one is None or isinstance(one, ast.Constant) for one in given)

    @property
    def decorated_plainly(self) -> bool:
        """Whether no decorator can have noted it somewhere."""
        decorators = getattr(self.node, "decorator_list", [])
        return all(_decorator(one) in _PLAIN for one in decorators)


@dataclass(frozen=True, slots=True)
class Module:
    """One side of a module: its file, its items, its docstring and its future features."""

    file: str
    items: list[Item]
    flags: int
    doc: str | None


def read_module(file: str, data: bytes) -> Module:
    """The items of a source file.

    Args:
        file: Its path, relative to the project.
        data: What is in it.

    Raises:
        SyntaxError: It cannot be compiled.
        ValueError: The same, for null bytes.
    """
    tree = ast.parse(data, file)
    place_operators(tree, data)
    flags = 0
    for node in tree.body:
        if _is_future(node):
            for alias in node.names:  # type: ignore[attr-defined]  # it is an import
                flags |= getattr(futures, alias.name).compiler_flag
    return Module(file, _items(tree.body, file, flags, None), flags, ast.get_docstring(tree))


def form_of(nodes: ast.AST | Sequence[ast.AST]) -> str:
    """The normalised source of nodes: no positions, no docstrings."""
    several = nodes if isinstance(nodes, Sequence) else [nodes]
    return "\n".join(ast.dump(plain(one)) for one in several)


def words_of(node: ast.AST) -> frozenset[str]:
    """Every identifier in a node; the words of short texts too, which may be looked up by name."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute):
            found.add(one.attr)
        elif isinstance(one, ast.alias):
            found.update(one.name.split("."))
        elif isinstance(one, ast.keyword) and one.arg:
            found.add(one.arg)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and len(one.value) < 200:
            found.update(one.value.replace(".", " ").replace(":", " ").split())
    return frozenset(found)


def _decorator(node: ast.expr) -> str:
    """The last name of a decorator: ``step`` of ``@td.step("VAT")``."""
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def plain(node: ast.AST) -> ast.AST:
    """A copy of a node without docstrings and without the annotations of plain functions."""
    made: ast.AST = _Plain().visit(_copied(node))
    return made


def _copied(node: Any) -> Any:
    """A copy of a tree's nodes; its leaves are shared."""
    if isinstance(node, ast.AST):
        made = type(node)()
        for name, value in ast.iter_fields(node):
            setattr(made, name, _copied(value))
        for name in (*node._attributes, "operator_line"):  # noqa: SLF001 - ast documents it
            if hasattr(node, name):
                setattr(made, name, getattr(node, name))
        return made
    return [_copied(one) for one in node] if isinstance(node, list) else node


class _Plain(ast.NodeTransformer):
    """Normalises a copied tree."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = _undocumented(node.body)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Function) -> ast.AST:
        node.body = _undocumented(node.body)
        if all(_decorator(one) in _PLAIN for one in node.decorator_list):
            node.returns = None
            for one in ast.walk(node.args):
                if isinstance(one, ast.arg):
                    one.annotation = None
        node.body = [_unannotated(one) for one in node.body]
        self.generic_visit(node)
        return node


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return body[1:] or [ast.Pass()]
    return body


def _unannotated(node: ast.stmt) -> ast.stmt:
    """An assignment to a plain name without its annotation."""
    if isinstance(node, ast.AnnAssign) and node.simple and node.value is not None:
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
    return node


def _items(body: list[ast.stmt], file: str, flags: int, member: UnitKind | None) -> list[Item]:
    found = []
    seen: Counter[str] = Counter()
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring, or an ellipsis
        if isinstance(node, ast.Pass) or _is_future(node) or _never_runs(node):
            continue
        for one in _split(node):
            item = _item(one, file, flags, member)
            nth = seen[item.key]
            seen[item.key] += 1
            item.key += f"#{nth}" if nth else ""
            found.append(item)
    return found


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _never_runs(node: ast.stmt) -> bool:
    """``if TYPE_CHECKING:`` and ``if __name__ == "__main__":``, without an else."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    said = ast.unparse(node.test)
    return said.rpartition(".")[2] == "TYPE_CHECKING" or said == "__name__ == '__main__'"


def _split(node: ast.stmt) -> Iterator[ast.stmt]:
    """An import of several names as one statement for each."""
    if not isinstance(node, ast.Import | ast.ImportFrom) or len(node.names) == 1:
        yield node
        return
    for alias in node.names:
        one: ast.stmt
        if isinstance(node, ast.Import):
            one = ast.Import(names=[alias])
        else:
            one = ast.ImportFrom(module=node.module, names=[alias], level=node.level)
        yield ast.copy_location(one, alias)


def _item(node: ast.stmt, file: str, flags: int, member: UnitKind | None) -> Item:
    key, kind, names = _described(node, member)
    if isinstance(node, ast.ClassDef):
        head = [*node.bases, *node.keywords, *node.decorator_list]
        return Item(
            key, kind, names, node, flags, file,
            form=node.name,
            words=frozenset().union(*map(words_of, head)),
            decorators=form_of(node.decorator_list),
            bases=form_of([*node.bases, *node.keywords]),
            body=_items(node.body, file, flags, _member_kind(node)),
        )  # fmt: skip
    words = words_of(node)
    if isinstance(node, FUNCTIONS):
        bare = plain(node)
        bare.decorator_list = []  # type: ignore[attr-defined]  # it is a function
        decorators = form_of(node.decorator_list)
        return Item(key, kind, names, node, flags, file, ast.dump(bare), words, decorators)
    form = form_of(node if member else _unannotated(node))
    return Item(key, kind, names, node, flags, file, form, words)


def _member_kind(node: ast.ClassDef) -> UnitKind:
    """What the attributes of a class are called."""
    said = " ".join(ast.unparse(one) for one in [*node.bases, *node.decorator_list])
    words = said.replace(".", " ").replace("(", " ").split()
    if any(word.endswith(("Enum", "Flag")) for word in words):
        return "enum member"
    if "NamedTuple" in words:
        return "namedtuple field"
    if any(word in ("dataclass", "define", "frozen", "attrs", "BaseModel") for word in words):
        return "dataclass field"
    return "class attribute"


def _described(node: ast.stmt, member: UnitKind | None) -> tuple[str, UnitKind, tuple[str, ...]]:
    """Key, kind and bound names of a statement; ``member`` is what an attribute is called here."""
    if isinstance(node, ast.ClassDef):
        return node.name, "class", (node.name,)
    if isinstance(node, FUNCTIONS):
        role = _role(node)
        return f"{node.name}{role}", _function_kind(node, member), (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _import(node)
    if isinstance(node, _ASSIGNMENTS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = tuple(name for target in targets for name in _bound(target))
        key = ", ".join(map(ast.unparse, targets))
        if isinstance(node, ast.AugAssign):
            return f"{key} {type(node.op).__name__}=", "statement", names
        return key, member or ("constant" if names else "statement"), names
    names = tuple(dict.fromkeys(_binds(node)))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return f"{ast.unparse(node.value.func)}(…)", "statement", names
    said = type(node).__name__.lower()
    return f"{said} {', '.join(names)}".strip(), "statement", names


def _role(node: Function) -> str:
    """What tells a property's setter from its getter."""
    for one in node.decorator_list:
        if isinstance(one, ast.Attribute) and one.attr in ("setter", "deleter"):
            return f".{one.attr}"
    return ""


def _function_kind(node: Function, member: UnitKind | None) -> UnitKind:
    names = {_decorator(one) for one in node.decorator_list}
    if names & {"property", "setter", "getter", "deleter", "cached_property"}:
        return "property"
    return "method" if member else "function"


def _import(node: ast.Import | ast.ImportFrom) -> tuple[str, UnitKind, tuple[str, ...]]:
    alias = node.names[0]
    if alias.name == "*":
        source = node.module if isinstance(node, ast.ImportFrom) else ""
        return f"import * from {source}", "import", ()
    bound = alias.asname or alias.name
    if isinstance(node, ast.Import) and alias.asname is None:
        return f"import {bound}", "import", (bound.partition(".")[0],)
    return bound, "import", (bound,)


def _bound(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            yield from _bound(one)
    elif isinstance(target, ast.Starred):
        yield from _bound(target.value)


def _binds(node: ast.AST) -> Iterator[str]:
    """The names that a compound statement binds in its own scope."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, DEFINITIONS):
            yield child.name
        elif isinstance(child, ast.Import | ast.ImportFrom):
            for alias in child.names:
                yield (alias.asname or alias.name).partition(".")[0]
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, ast.Lambda):
            yield from _binds(child)
