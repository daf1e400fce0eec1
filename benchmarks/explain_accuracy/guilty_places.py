"""Guilty changes outside of plain code: tables, data files, decorators, dependencies."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator

from benchmarks.explain_accuracy.ground import Ground
from benchmarks.explain_accuracy.sources import Edit, Module, Planting, functions

Candidates = Iterator[Planting | None]

DEPENDENCY = "vendor/agency-{}.dist-info/"
RATES = "vendor/agency/rates.py"


def near(text: str, dice: random.Random) -> str:
    """A number with another digit that is not zero."""
    digits = [at for at, one in enumerate(text) if one in "123456789"]
    if not digits:
        return text
    at = dice.choice(digits[:3])
    return text[:at] + dice.choice([one for one in "123456789" if one != text[at]]) + text[at + 1 :]


def tables(ground: Ground, dice: random.Random) -> Candidates:
    """One number of a table that a module holds."""
    for module in ground.modules:
        for statement in module.tree.body:
            value = getattr(statement, "value", None)
            if not isinstance(value, ast.Dict | ast.List | ast.Tuple):
                continue
            numbers = [one for one in ast.walk(value) if _number(module, one)]
            for node in dice.sample(numbers, min(len(numbers), 40)):
                edit = module.edit(node, near(module.segment(node), dice))
                yield ground.planted("table entries", module, statement, edit)


def _number(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return False
    return bool(re.fullmatch(r'"?\d*\.?\d+"?', module.segment(node)))


def data_files(ground: Ground, dice: random.Random) -> Candidates:
    """One number of a JSON file."""
    for path, text in ground.sources.items():
        if not path.endswith(".json"):
            continue
        for found in re.finditer(r'"\d+\.\d+"|(?<=: )\d+', text):
            edit = Edit(path, found.start(), found.end(), near(found.group(), dice))
            yield Planting(
                kind="data-file entries",
                guilty=True,
                what=f"{found.group()} becomes {edit.text}",
                edits=(edit,),
                units=frozenset({path}),
            )


def decorators(ground: Ground, dice: random.Random) -> Candidates:
    """Another argument of a decorator, or one decorator less."""
    for module in ground.modules:
        for name, function in functions(module):
            for decorator in function.decorator_list:
                if not isinstance(decorator, ast.Call) or "td." in module.segment(decorator):
                    continue
                unit = frozenset({f"{module.name}:{name}"})
                for node in ast.walk(decorator):
                    if _number(module, node):
                        edit = module.edit(node, near(module.segment(node), dice))
                        yield _decorated(module, decorator, edit, unit)
                begin = module.starts[decorator.lineno - 1]
                edit = Edit(module.path, begin, module.starts[decorator.end_lineno], "")
                yield _decorated(module, decorator, edit, unit)


def _decorated(module: Module, node: ast.expr, edit: Edit, units: frozenset[str]) -> Planting:
    what = f"@{module.segment(node)} becomes {edit.text or 'nothing'!r}"
    return Planting(kind="decorators", guilty=True, what=what, edits=(edit,), units=units)


def dependencies(ground: Ground, dice: random.Random) -> Candidates:
    """The next version of a distribution, with another rate in it."""
    module = next(one for one in ground.modules if one.path == RATES)
    for statement in ast.walk(module.tree):
        if not _number(module, statement):
            continue
        edit = module.edit(statement, near(module.segment(statement), dice))
        planted = ground.planted("dependency versions", module, statement, edit)
        if planted is None:
            continue
        files: list[tuple[str, str | None]] = []
        for name, text in DISTRIBUTION.items():
            files += [(DEPENDENCY.format("1.0") + name, None)]
            files += [(DEPENDENCY.format("1.1") + name, text)]
        yield Planting(
            kind=planted.kind,
            guilty=True,
            what=f"agency 1.0 → 1.1: {planted.what}",
            edits=planted.edits,
            units=planted.units,
            files=tuple(files),
            names=frozenset({"agency 1.0 → 1.1"}),
        )


DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: agency\nVersion: 1.1\n"
    "Summary: What an agent takes for its trouble\n",
    "top_level.txt": "agency\n",
    "RECORD": "agency/__init__.py,,\nagency/rates.py,,\nagency-1.1.dist-info/METADATA,,\n"
    "agency-1.1.dist-info/top_level.txt,,\nagency-1.1.dist-info/RECORD,,\n",
}

PLACES = {
    "table entries": tables,
    "data-file entries": data_files,
    "decorators": decorators,
    "dependency versions": dependencies,
}
