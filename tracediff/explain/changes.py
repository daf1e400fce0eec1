"""The lines that make two versions of a definition differ, whatever else was edited around them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from tracediff.explain.items import form_of, plain
from tracediff.explain.operators import operator_line


def changed_lines(old: ast.AST, new: ast.AST) -> list[tuple[int | None, int | None]]:
    """Where two syntax trees differ, as (line on the old side, line on the new side).

    Statements are aligned by their form; within two that correspond, the innermost expressions
    that differ are found. What is gone has the new line that stands in its place. A side that has
    nothing there is None.
    """
    found = dict.fromkeys(_differences(plain(old), plain(new)))
    return [one for one in found if one != (None, None)]


def _differences(old: ast.AST, new: ast.AST) -> Iterator[tuple[int | None, int | None]]:
    if form_of(old) == form_of(new):
        return
    if type(old) is not type(new):
        yield _line(old), _line(new)
        return
    inner = False
    for name in new._fields:
        before, after = getattr(old, name, None), getattr(new, name, None)
        if isinstance(before, list) and isinstance(after, list):
            for one in _between(before, after):
                inner = True
                yield one if one != (None, None) else (operator_line(old), operator_line(new))
        elif isinstance(before, ast.AST) and isinstance(after, ast.AST):
            for one in _differences(before, after):
                inner = True
                yield one if one != (None, None) else (operator_line(old), operator_line(new))
        elif isinstance(before, ast.AST) or isinstance(after, ast.AST):
            inner = True
            yield _line(before) or _line(old), _line(after) or _line(new)
    if not inner:
        yield _line(old), _line(new)


def _between(
    old: Sequence[object], new: Sequence[object]
) -> Iterator[tuple[int | None, int | None]]:
    before, after = [_form(one) for one in old], [_form(one) for one in new]
    for i, i_end, j, j_end in _gaps(before, after):
        both = min(i_end - i, j_end - j)
        for at in range(both):
            one, other = old[i + at], new[j + at]
            if isinstance(one, ast.AST) and isinstance(other, ast.AST):
                yield from _differences(one, other)
            else:
                yield _line(one), _line(other)
        there = _line_at(new, j + both)
        yield from ((_line(one), there) for one in old[i + both : i_end])
        yield from ((None, _line(one)) for one in new[j + both : j_end])


def _gaps(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """What differs, as ranges of both sides: place by place where that is less than aligned."""
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    aligned = [one[1:] for one in matcher.get_opcodes() if one[0] != "equal"]
    if len(old) == len(new):
        placed = [
            (at, at + 1, at, at + 1)
            for at, pair in enumerate(zip(old, new, strict=True))
            if pair[0] != pair[1]
        ]
        if len(placed) < sum(max(i_end - i, j_end - j) for i, i_end, j, j_end in aligned):
            return placed
    return aligned


def _line_at(nodes: Sequence[object], at: int) -> int | None:
    """The line of a node, or where the last one ends if there are not so many."""
    if at < len(nodes):
        return _line(nodes[at])
    last = nodes[-1] if nodes else None
    end: int | None = getattr(last, "end_lineno", None)
    return end


def _form(node: object) -> str:
    return form_of(node) if isinstance(node, ast.AST) else repr(node)


def _line(node: object) -> int | None:
    line: int | None = getattr(node, "lineno", None)
    return line
