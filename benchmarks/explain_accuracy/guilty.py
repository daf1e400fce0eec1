"""Guilty changes: candidates by kind. Whether one alters the result is found out by running it."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from benchmarks.explain_accuracy.ground import Ground, body_of, nested
from benchmarks.explain_accuracy.guilty_places import PLACES
from benchmarks.explain_accuracy.sources import Edit, Module, Planting, functions, up

Candidates = Iterator[Planting | None]
Kind = Callable[[Ground, random.Random], Candidates]

OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
BOUNDARIES = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
MODES = ("ROUND_HALF_UP", "ROUND_HALF_EVEN", "ROUND_UP", "ROUND_DOWN")
ROUNDERS = {"int": ("round",), "round": ("int",), "floor": ("ceil",), "ceil": ("floor",)}
EARLY = ast.Return | ast.Raise | ast.Continue | ast.Break


def candidates(kind: str, ground: Ground, dice: random.Random) -> list[Planting]:
    """The candidates of one kind, in a random order."""
    found = [one for one in KINDS[kind](ground, dice) if one is not None]
    dice.shuffle(found)
    return found


def other_number(text: str, dice: random.Random) -> str | None:
    """A number near another, written alike."""
    if re.fullmatch(r"-?\d+", text):
        return str(int(text) + dice.choice((1, 1, 2, -1)))
    digits = [at for at, one in enumerate(text) if one in "123456789"]
    if not re.fullmatch(r"-?\d*\.\d+", text) or not digits:
        return None
    at = dice.choice(digits[:3])
    return text[:at] + dice.choice([one for one in "123456789" if one != text[at]]) + text[at + 1 :]


def number_edit(module: Module, node: ast.AST, dice: random.Random) -> Edit | None:
    """Put another number in a constant's place; it may be the text of a Decimal."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    written = module.segment(node)
    if isinstance(node.value, str):
        if written[:1] not in {'"', "'"}:
            return None
        other = other_number(written[1:-1], dice)
        return None if other is None else module.edit(node, f"{written[0]}{other}{written[0]}")
    other = other_number(written.replace("_", ""), dice)
    return None if other is None else module.edit(node, other)


def constants(ground: Ground, dice: random.Random) -> Candidates:
    """A number in a function, or one that a module names."""
    for module, node in ground.inside(ast.Constant):
        edit = number_edit(module, node, dice)
        if edit is not None and not nested(node):
            yield ground.planted("constants", module, node, edit)
    for module in ground.modules:
        for statement in module.tree.body:
            value = getattr(statement, "value", None)
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or value is None:
                continue
            numbers = [one for one in ast.walk(value) if isinstance(one, ast.Constant)]
            edit = number_edit(module, numbers[0], dice) if len(numbers) == 1 else None
            if edit is not None:
                yield ground.planted("constants", module, statement, edit)


def operators(ground: Ground, dice: random.Random) -> Candidates:
    """Plus for minus, times for divided by, "and" for "or"."""
    for module, node in ground.inside(ast.BinOp):
        other = OPERATORS.get(type(node.op))
        if other is not None and not nested(node):
            edit = _between(module, node.left, node.right, r"[-+*/]", other)
            yield edit and ground.planted("operators", module, node, edit)
    for module, node in ground.inside(ast.AugAssign):
        other = OPERATORS.get(type(node.op))
        if other is not None and not nested(node):
            edit = _between(module, node.target, node.value, r"[-+*/](?==)", other)
            yield edit and ground.planted("operators", module, node, edit)
    for module, node in ground.inside(ast.BoolOp):
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        if len(node.values) == 2 and not nested(node):
            left, right = node.values
            edit = _between(module, left, right, rf"\b{word}\b", other)
            yield edit and ground.planted("operators", module, node, edit)


def _between(module: Module, left: ast.AST, right: ast.AST, sign: str, other: str) -> Edit | None:
    begin, end = module.span(left)[1], module.span(right)[0]
    found = list(re.finditer(sign, module.text[begin:end]))
    if len(found) != 1:
        return None
    return Edit(module.path, begin + found[0].start(), begin + found[0].end(), other)


def boundaries(ground: Ground, dice: random.Random) -> Candidates:
    """A limit that belongs to the other side."""
    for module, node in ground.inside(ast.Compare):
        other = BOUNDARIES.get(type(node.ops[0])) if len(node.ops) == 1 else None
        if other is not None and not nested(node):
            edit = _between(module, node.left, node.comparators[0], r"[<>]=?", other)
            yield edit and ground.planted("comparison boundaries", module, node, edit)


def rounding(ground: Ground, dice: random.Random) -> Candidates:
    """Another rounding mode, or a number cut where it was rounded."""
    for module, node in ground.inside(ast.Name):
        if node.id in MODES:
            other = dice.choice([mode for mode in MODES if mode != node.id])
            imported = _import_of(module, "decimal", other)
            edits = (module.edit(node, other), *imported)
            yield ground.planted("rounding modes", module, node, *edits)
        if node.id in ROUNDERS and isinstance(node.parent, ast.Call) and node.parent.func is node:
            yield ground.planted(
                "rounding modes", module, node, module.edit(node, ROUNDERS[node.id][0])
            )
    for module, node in ground.inside(ast.Call):
        match node:
            case ast.Call(func=ast.Attribute(attr="quantize"), args=[ast.Call(args=[text]), *_]):
                written = module.segment(text)
                if re.fullmatch(r'"0\.0+1"', written):
                    edit = module.edit(text, '"' + written[1:-2] + '01"')
                    yield ground.planted("rounding modes", module, node, edit)
    for module, node in ground.inside(ast.BinOp):
        if isinstance(node.op, ast.FloorDiv):
            left, right = module.segment(node.left), module.segment(node.right)
            edit = module.edit(node, f"(-(-({left}) // ({right})))")
            yield ground.planted("rounding modes", module, node, edit)


def _import_of(module: Module, source: str, name: str) -> tuple[Edit, ...]:
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == source:
            if any(one.name == name for one in node.names):
                return ()
            first = module.span(node.names[0])[0]
            return (Edit(module.path, first, first, f"{name}, ", shown=False),)
    return ()


def guards(ground: Ground, dice: random.Random) -> Candidates:
    """A guard that goes: an ``if`` that leaves, or the bound of a ``max`` or ``min``."""
    for module, node in ground.inside(ast.If):
        if node.orelse or not isinstance(node.body[-1], EARLY) or nested(node):
            continue
        if _elif(module, node):
            continue
        begin, end = module.lines_of(node)
        yield ground.planted(
            "removed guards", module, node, Edit(module.path, begin, end, ""),
            what=f"{module.segment(node.test)!r:.60} is no longer asked",
        )  # fmt: skip
    for module, node in ground.inside(ast.Call):
        match node:
            case ast.Call(func=ast.Name(id="max" | "min"), args=[_, _], keywords=[]):
                kept = module.segment(node.args[dice.randrange(2)])
                edit = module.edit(node, f"({kept})")
                yield ground.planted("removed guards", module, node, edit)


def _elif(module: Module, node: ast.If) -> bool:
    begin, _ = module.span(node)
    return module.text.startswith("elif", begin)


def swapped(ground: Ground, dice: random.Random) -> Candidates:
    """Two arguments in each other's place."""
    for module, node in ground.inside(ast.Call):
        plain = [one for one in node.args if not isinstance(one, ast.Starred)]
        if len(plain) < 2 or len(plain) != len(node.args) or nested(node):
            continue
        one, two = sorted(dice.sample(range(len(plain)), 2))
        left, right = module.segment(plain[one]), module.segment(plain[two])
        if left != right:
            edits = (module.edit(plain[one], right), module.edit(plain[two], left))
            yield ground.planted("swapped arguments", module, node, *edits)


def reordered(ground: Ground, dice: random.Random) -> Candidates:
    """Two statements in each other's place."""
    for module, _, function in ground.functions():
        blocks = [body_of(function)]
        for node in ast.walk(function):
            if isinstance(node, ast.If | ast.For | ast.While) and not nested(node):
                blocks += [node.body, node.orelse]
        for block in blocks:
            for one, two in pairwise(block):
                if not isinstance(one, ast.Assign | ast.AugAssign | ast.If | ast.Expr):
                    continue
                if isinstance(two, ast.Return) or not ground.ran(module, two):
                    continue
                yield _exchanged(ground, module, one, two)


def _exchanged(ground: Ground, module: Module, one: ast.stmt, two: ast.stmt) -> Planting | None:
    (start, middle), (again, end) = module.lines_of(one), module.lines_of(two)
    if module.text[middle:again].strip() or module.indent(one) != module.indent(two):
        return None
    text = module.text[again:end] + module.text[middle:again] + module.text[start:middle]
    edit = Edit(module.path, start, end, text)
    what = f"{module.segment(one)!r:.50} comes after {module.segment(two)!r:.50}"
    return ground.planted("reordered statements", module, one, edit, what=what)


def defaults(ground: Ground, dice: random.Random) -> Candidates:
    """Another default of an argument."""
    for module in ground.modules:
        for _, function in functions(module):
            values = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                    edit: Edit | None = module.edit(value, str(not value.value))
                else:
                    numbers = [n for n in ast.walk(value) if isinstance(n, ast.Constant)]
                    edit = number_edit(module, numbers[0], dice) if len(numbers) == 1 else None
                yield edit and ground.planted("defaults", module, function, edit)


def closures(ground: Ground, dice: random.Random) -> Candidates:
    """A number or an operator in a function within a function."""
    for module, node in ground.inside(ast.Constant, ast.BinOp, ast.AugAssign):
        if not nested(node) or any(isinstance(one, ast.Lambda) for one in up(node)):
            continue
        if isinstance(node, ast.Constant):
            edit = number_edit(module, node, dice)
        else:
            plain = isinstance(node, ast.BinOp)
            left, right = (node.left, node.right) if plain else (node.target, node.value)
            sign = OPERATORS.get(type(node.op))
            edit = None if sign is None else _between(module, left, right, r"[-+*/]", sign)
        yield edit and ground.planted("closures", module, node, edit)


KINDS: dict[str, Kind] = {
    "constants": constants,
    "operators": operators,
    "comparison boundaries": boundaries,
    "rounding modes": rounding,
    "removed guards": guards,
    "swapped arguments": swapped,
    "reordered statements": reordered,
    "defaults": defaults,
    "closures": closures,
    **PLACES,
}
"""The candidates of each kind of change."""
