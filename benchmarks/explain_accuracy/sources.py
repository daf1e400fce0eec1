"""Changes as replacements in the old text, so that any choice of them can be laid over it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

Sources = Mapping[str, str]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Some characters of a file and what takes their place. ``shown``: its lines are the change.

    ``start`` and ``end`` are offsets in the old text.
    """

    path: str
    start: int
    end: int
    text: str
    shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """One planted change: its edits, and the units they touch.

    Units are written "module:qualname", data files by their path. ``files`` are whole files that
    come (a text) or go (None). ``names`` are other names under which the change may be reported.
    """

    kind: str
    guilty: bool
    what: str
    edits: tuple[Edit, ...] = ()
    units: frozenset[str] = frozenset()
    files: tuple[tuple[str, str | None], ...] = ()
    names: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()

    def crosses(self, other: Planting) -> bool:
        """Whether the two cannot be told apart, or not be made together."""
        if self.units & other.units or self.reads & other.units or self.units & other.reads:
            return True
        if dict(self.files).keys() & dict(other.files).keys():
            return True
        return any(
            one.path == two.path and one.start < two.end and two.start < one.end
            for one in self.edits
            for two in other.edits
        )


@dataclass(frozen=True, kw_only=True)
class Lines:
    """New lines of a planting in one file, from 1; a deletion has the lines around it."""

    path: str
    first: int
    last: int


def applied(sources: Sources, plantings: Iterable[Planting]) -> dict[str, str | None]:
    """The text of each file that the plantings change; None for one that goes."""
    changed: dict[str, str | None] = {}
    by_path: dict[str, list[Edit]] = {}
    for planting in plantings:
        changed.update(planting.files)
        for edit in planting.edits:
            by_path.setdefault(edit.path, []).append(edit)
    for path, edits in by_path.items():
        changed[path] = _spliced(sources[path], edits)
    return changed


def _spliced(text: str, edits: list[Edit]) -> str:
    parts, at = [], 0
    for edit in sorted(edits):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def new_lines(sources: Sources, plantings: Iterable[Planting], one: Planting) -> list[Lines]:
    """Where a planting's shown edits lie in the files as they are with all plantings."""
    found = []
    everything = sorted(edit for planting in plantings for edit in planting.edits)
    for edit in one.edits:
        if not edit.shown:
            continue
        text = sources[edit.path]
        before = [e for e in everything if e.path == edit.path and e < edit]
        shift = sum(e.text.count("\n") - text[e.start : e.end].count("\n") for e in before)
        old = text[edit.start : edit.end]
        same = _common_start(old, edit.text)
        first = text[: edit.start + same].count("\n") + 1 + shift
        tail = edit.text[same:].rstrip("\n")
        gone = int(edit.text.count("\n") < old.count("\n"))
        last = first + tail.count("\n") + gone
        found.append(Lines(path=edit.path, first=first - gone, last=last))
    return found


def _common_start(one: str, other: str) -> int:
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same


@dataclass(slots=True)
class Module:
    """A source file, parsed; ``name`` is what it is imported as."""

    path: str
    name: str
    text: str
    tree: ast.Module
    starts: list[int] = field(default_factory=list)

    def offset(self, line: int, column: int) -> int:
        """An offset in characters; ``column`` is in bytes of UTF-8, as ``ast`` counts."""
        start = self.starts[line - 1]
        end = self.text.find("\n", start)
        row = self.text[start : end if end >= 0 else len(self.text)]
        return start + len(row.encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends."""
        begin = self.offset(node.lineno, node.col_offset)
        return begin, self.offset(node.end_lineno, node.end_col_offset)

    def segment(self, node: ast.AST) -> str:
        """A node's text."""
        begin, end = self.span(node)
        return self.text[begin:end]

    def lines_of(self, node: ast.stmt) -> tuple[int, int]:
        """The offsets of a statement's whole lines, with decorators and the final newline."""
        first = node.lineno
        for decorator in getattr(node, "decorator_list", ()):
            first = min(first, decorator.lineno)
        end = self.starts[node.end_lineno] if node.end_lineno < len(self.starts) else len(self.text)
        return self.starts[first - 1], end

    def indent(self, node: ast.stmt) -> str:
        """The white space before a statement."""
        start = self.starts[node.lineno - 1]
        return self.text[start : self.offset(node.lineno, node.col_offset)]

    def edit(self, node: ast.AST, text: str, *, shown: bool = True) -> Edit:
        """Put a text in a node's place."""
        begin, end = self.span(node)
        return Edit(self.path, begin, end, text, shown)


def parsed(sources: Sources) -> list[Module]:
    """The Python files among the sources."""
    return [parse(path, text) for path, text in sources.items() if path.endswith(".py")]


def parse(path: str, text: str) -> Module:
    """One file."""
    name = path.removeprefix("vendor/").removesuffix(".py").removesuffix("/__init__")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            child.parent = parent  # type: ignore[attr-defined]  # a note of our own
    return Module(path, name.replace("/", "."), text, tree, starts)


def up(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what it lies in, outwards."""
    at: ast.AST | None = node
    while at is not None:
        yield at
        at = getattr(at, "parent", None)


def functions(module: Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods that are units of their own, with their qualified names."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member


def unit_of(module: Module, node: ast.AST) -> str | None:
    """The unit that a node belongs to; None for what has no name of its own."""
    chain = [one for one in up(node) if not isinstance(one, ast.Module)]
    if not chain:
        return None
    top = chain[-1]
    if isinstance(top, ast.ClassDef) and len(chain) > 1:
        member = next(one for one in reversed(chain[:-1]) if isinstance(one, ast.stmt | ast.expr))
        name = _named(member)
        return f"{module.name}:{top.name}.{name}" if name else None
    name = _named(top)
    return f"{module.name}:{name}" if name else None


def _named(node: ast.AST) -> str | None:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def line_of(module: Module, offset: int) -> int:
    """The line that an offset lies in, from 1."""
    return module.text.count("\n", 0, offset) + 1


def with_kind(planting: Planting, kind: str) -> Planting:
    """The same planting as one of another kind."""
    return replace(planting, kind=kind)
