"""The project's source files as they are now: where a function stands, and the text of a line."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath

from tracediff.replayability.remedies import Defined
from tracediff.replayable import Place

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


class Sources:
    """Reads files of a project; of those that cannot be read it knows nothing.

    Args:
        root: The project's directory, to which a place's file is relative. Nothing outside is read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[ast.Module, list[str]] | None] = {}

    def line(self, file: str, number: int) -> str:
        """The text of a line, "" where there is none."""
        found = self._parsed(file)
        return found[1][number - 1].strip() if found and 0 < number <= len(found[1]) else ""

    def directory_of(self, module: str) -> str | None:
        """The directory of the project, one of those nearest to its top, that holds a module."""
        try:
            inner = sorted(one for one in self._root.iterdir() if one.is_dir())
        except OSError:  # advice is without its file, then
            return None
        for one in inner:
            there = one / f"{module}.py", one / module / "__init__.py"
            if not one.name.startswith(".") and any(each.is_file() for each in there):
                return one.name
        return None

    def locate(self, place: Place) -> Defined | None:
        """The function that a place is in; None where it is not there by its name."""
        found = self._parsed(place.file)
        if found is None:
            return None
        node: ast.AST = found[0]
        for name in place.unit.partition(":")[2].split("."):
            inner = [
                one
                for one in ast.iter_child_nodes(node)
                if isinstance(one, _FUNCTION | ast.ClassDef) and one.name == name
            ]
            if not inner:
                return None
            node = inner[-1]
        if not isinstance(node, _FUNCTION):
            return None
        above = [self._text(found[1], one) for one in node.decorator_list]
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        return Defined(first, found[1][node.lineno - 1].strip(), tuple(above))

    @staticmethod
    def _text(lines: list[str], node: ast.expr) -> str:
        last = node.end_lineno or node.lineno
        return " ".join(one.strip() for one in lines[node.lineno - 1 : last])

    def _parsed(self, file: str) -> tuple[ast.Module, list[str]] | None:
        if file not in self._known:
            self._known[file] = self._read(file)
        return self._known[file]

    def _read(self, file: str) -> tuple[ast.Module, list[str]] | None:
        relative = PurePosixPath(file)
        if relative.is_absolute() or ".." in relative.parts:
            return None
        try:
            text = (self._root / relative).read_text(encoding="utf-8")
            return ast.parse(text), text.splitlines()
        except (OSError, ValueError, SyntaxError, RecursionError):  # advice is without its line
            return None
