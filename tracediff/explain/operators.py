"""Where an operator stands: a syntax tree knows the lines of operands, not what is between them."""

from __future__ import annotations

import ast

_AROUND = b" \t\f()\\"


def place_operators(tree: ast.AST, data: bytes) -> None:
    """Note in each expression that goes over several lines where its first operator is.

    Args:
        tree: The syntax tree.
        data: The source it was made of.
    """
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for node in ast.walk(tree):
        sides = _sides(node)
        if sides is not None and sides[0].end_lineno != sides[1].lineno:
            node.operator_line = _between(*sides, lines)  # type: ignore[attr-defined]  # our own


def operator_line(node: object) -> int | None:
    """The line of an expression's operator; of anything else its own, None for what has none."""
    line: int | None = getattr(node, "operator_line", None) or getattr(node, "lineno", None)
    return line


def _sides(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    match node:
        case ast.BinOp(left=left, right=right):
            return left, right
        case ast.BoolOp(values=[left, right, *_]):
            return left, right
        case ast.Compare(left=left, comparators=[right, *_]):
            return left, right
    return None


def _between(left: ast.expr, right: ast.expr, lines: list[bytes]) -> int | None:
    """The line with anything else than brackets, comments and white space between two operands."""
    first, last = left.end_lineno or left.lineno, right.lineno
    for number in range(first, last + 1):
        text = lines[number - 1] if number <= len(lines) else b""
        end = right.col_offset if number == last else len(text)
        start = (left.end_col_offset or 0) if number == first else 0
        if text[start:end].partition(b"#")[0].strip(_AROUND):
            return number
    return None
