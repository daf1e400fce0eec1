"""Innocent changes that touch several definitions: renames, moves, helpers, another order."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.explain_accuracy.ground import Ground
from benchmarks.explain_accuracy.innocents import WITHIN, Kind, innocent
from benchmarks.explain_accuracy.names import Mentions, bound_in, free_in, named_in
from benchmarks.explain_accuracy.sources import Edit, Module, Planting, functions, unit_of

Candidates = Iterator[Planting]
SIMPLE = ast.BinOp | ast.Compare | ast.Call
OPEN = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Lambda, ast.Starred, ast.JoinedStr,
        ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)  # fmt: skip


def renamed_functions(ground: Ground, dice: random.Random) -> Candidates:
    """A function gets another name, and so do all who mention it."""
    mentions = [Mentions(module) for module in ground.modules]
    for module, name, _ in ground.functions():
        if "." in name or name.startswith("__"):
            continue
        edits: list[Edit] = []
        units: set[str] = set()
        for other, mentioned in zip(ground.modules, mentions, strict=True):
            found = mentioned.of(name)
            if found is None or (found and not _one_meaning(other, module, name)):
                break
            edits += [Edit(other.path, start, end, f"{name}_anew") for start, end in found]
            units |= _units_at(other, [start for start, _ in found])
        else:
            yield Planting(
                kind="renamed function", guilty=False, what=f"{name} becomes {name}_anew",
                edits=tuple(edits), units=frozenset(units),
            )  # fmt: skip


def _one_meaning(module: Module, home: Module, name: str) -> bool:
    """Whether a name stands for the one function wherever it is mentioned."""
    for node in ast.walk(module.tree):
        match node:
            case ast.arg(arg=other) | ast.keyword(arg=other) if other == name:
                return False
            case ast.Name(id=other, ctx=ast.Store()) if other == name:
                return False
            case ast.FunctionDef(name=other) | ast.ClassDef(name=other) if other == name:
                if module is not home or not isinstance(node.parent, ast.Module):
                    return False
            case ast.alias(name=other, asname=told) if name in {other.rpartition(".")[2], told}:
                if isinstance(node.parent, ast.Import) or told is not None:
                    return False
                if (node.parent.module or "").rpartition(".")[2] != home.name.rpartition(".")[2]:
                    return False
            case ast.Attribute(attr=other, value=value) if other == name:
                last = home.name.rpartition(".")[2]
                if not isinstance(value, ast.Name) or value.id != last:
                    return False
    return True


def _units_at(module: Module, offsets: list[int]) -> set[str]:
    found = set()
    for statement in module.tree.body:
        members = statement.body if isinstance(statement, ast.ClassDef) else [statement]
        for member in members:
            begin, end = module.lines_of(member)
            if any(begin <= at < end for at in offsets):
                unit = unit_of(module, member)
                if unit is not None:
                    found.add(unit)
    return found


def moved(ground: Ground, dice: random.Random) -> Candidates:
    """A function goes to a module of its own, which the old one imports it from."""
    for module, name, function in ground.functions():
        if "." in name or module.path.endswith("__init__.py") or "/" not in module.path:
            continue
        imports = _imports(module)
        if not free_in(function) <= imports.keys() or function.name.startswith("__"):
            continue
        needed = "".join(sorted({imports[one] + "\n" for one in free_in(function)}))
        begin, end = module.lines_of(function)
        path = module.path.removesuffix(".py") + f"_{name.strip('_')}.py"
        package = module.name.rpartition(".")[0]
        target = f"{package}.{path.rpartition('/')[2].removesuffix('.py')}"
        text = f"from __future__ import annotations\n\n{needed}\n\n{module.text[begin:end]}"
        there = f"from {target} import {name}\n"
        yield Planting(
            kind="moved function", guilty=False, what=f"{name} goes to {path}",
            edits=(Edit(module.path, begin, end, there),),
            units=frozenset({f"{module.name}:{name}"}), files=((path, text),),
        )  # fmt: skip


def _imports(module: Module) -> dict[str, str]:
    """The statement that brings each imported name."""
    found = {}
    for node in module.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != (
            "__future__"
        ):
            for one in node.names:
                told = f" as {one.asname}" if one.asname else ""
                source = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                name = one.asname or one.name.partition(".")[0]
                found[name] = f"{source}import {one.name}{told}"
    return found


def extracted(ground: Ground, dice: random.Random) -> Candidates:
    """An expression goes to a function of its own."""
    for module, name, function in ground.functions():
        local = bound_in(function)
        local |= {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        top = function if "." not in name else function.parent
        for statement in function.body:
            for node in ast.walk(statement):
                value = getattr(node, "value", None)
                if not isinstance(node, ast.Assign | ast.Return) or not isinstance(value, SIMPLE):
                    continue
                if any(isinstance(one, OPEN) for one in ast.walk(value)):
                    continue
                private = "." in name and "__" in module.segment(value)
                if private or "super" in named_in(value) or node.parent is not function:
                    continue
                given = ", ".join(sorted(named_in(value) & local))
                helper = "_" + name.replace(".", "_").strip("_") + "_part"
                text = module.segment(value)
                start = module.lines_of(top)[0]
                added = f"def {helper}({given}):\n    return (\n        {text}\n    )\n\n\n"
                edits = (
                    Edit(module.path, start, start, added),
                    module.edit(value, f"{helper}({given})"),
                )
                yield innocent("extracted helper", module, name, *edits)


def exchanged(ground: Ground, dice: random.Random) -> Candidates:
    """Two functions in each other's place."""
    for module in ground.modules:
        plain = [node for name, node in functions(module) if "." not in name]
        for one, two in pairwise(plain):
            (start, middle), (again, end) = module.lines_of(one), module.lines_of(two)
            if module.text[middle:again].strip():
                continue
            text = module.text[again:end] + module.text[middle:again] + module.text[start:middle]
            units = frozenset({f"{module.name}:{one.name}", f"{module.name}:{two.name}"})
            yield Planting(
                kind="reordered definitions", guilty=False,
                what=f"{one.name} comes after {two.name}",
                edits=(Edit(module.path, start, end, text),), units=units,
            )  # fmt: skip


INNOCENT: dict[str, Kind] = {
    **WITHIN,
    "renamed function": renamed_functions,
    "moved function": moved,
    "extracted helper": extracted,
    "reordered definitions": exchanged,
}
"""The candidates of each kind of change that should alter nothing."""

NO_UNITS = frozenset(
    {"reordered definitions", "moved function", "renamed function", "changed annotation"}
)
"""What changes no unit once names, places and annotations are left out of account: on top."""
