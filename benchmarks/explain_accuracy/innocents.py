"""Innocent changes within one function: candidates by kind, found out to be innocent by running."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator

from benchmarks.explain_accuracy.ground import Ground, body_of
from benchmarks.explain_accuracy.names import bound_in, named_in, texts_of
from benchmarks.explain_accuracy.sources import Edit, Module, Planting

Candidates = Iterator[Planting]
Kind = Callable[[Ground, random.Random], Candidates]
MIRRORED = {ast.Lt: ">", ast.LtE: ">=", ast.Gt: "<", ast.GtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
FUNCTIONS = ast.FunctionDef | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp
SCOPES = FUNCTIONS | ast.GeneratorExp | ast.ClassDef


def innocent(kind: str, module: Module, name: str, *edits: Edit, what: str = "") -> Planting:
    """A planting in one function that should alter nothing."""
    units = frozenset({f"{module.name}:{name}"})
    told = what or f"in {name}: {edits[0].text.strip()!r:.60}"
    return Planting(kind=kind, guilty=False, what=told, edits=edits, units=units)


def renamed_locals(ground: Ground, dice: random.Random) -> Candidates:
    """A local variable gets another name."""
    for module, name, function in ground.functions():
        arguments = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        found = sorted(bound_in(function) - arguments)
        texts = texts_of(function)
        for local in dice.sample(found, len(found)):
            used = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == local]
            if local in texts or any(_other_use(node, local) for node in ast.walk(function)):
                continue
            edits = [module.edit(node, f"{local}_now") for node in used]
            yield innocent("renamed local variable", module, name, *edits)


def _other_use(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return name in names
        case ast.ExceptHandler(name=other) | ast.FunctionDef(name=other) | ast.arg(arg=other):
            return name == other
    return False


def mirrored(ground: Ground, dice: random.Random) -> Candidates:
    """``a < b`` written ``b > a``."""
    for module, name, node in _within(ground, ast.Compare):
        other = MIRRORED.get(type(node.ops[0])) if len(node.ops) == 1 else None
        if other is not None:
            left, right = module.segment(node.left), module.segment(node.comparators[0])
            if isinstance(node.left, ast.BoolOp | ast.IfExp | ast.Lambda | ast.Compare):
                continue
            edit = module.edit(node, f"{right} {other} {left}")
            yield innocent("mirrored comparison", module, name, edit)


def flipped(ground: Ground, dice: random.Random) -> Candidates:
    """The two ways of an ``if`` in each other's place."""
    for module, name, node in _within(ground, ast.If):
        begin, end = module.lines_of(node)
        if not node.orelse or isinstance(node.orelse[0], ast.If):
            continue
        if module.text.startswith("elif", module.span(node)[0]):
            continue
        yes, no = _block(module, node.body), _block(module, node.orelse)
        pad = module.indent(node)
        text = f"{pad}if not ({module.segment(node.test)}):\n{no}{pad}else:\n{yes}"
        yield innocent("flipped if and else", module, name, Edit(module.path, begin, end, text))
    for module, name, node in _within(ground, ast.IfExp):
        test, yes, no = (module.segment(one) for one in (node.test, node.body, node.orelse))
        edit = module.edit(node, f"({no} if not ({test}) else {yes})")
        yield innocent("flipped if and else", module, name, edit)


def _block(module: Module, block: list[ast.stmt]) -> str:
    return module.text[module.lines_of(block[0])[0] : module.lines_of(block[-1])[1]]


def cancelling(ground: Ground, dice: random.Random) -> Candidates:
    """Something done to a number and undone."""
    for module, name, node in _within(ground, ast.BinOp):
        text = module.segment(node)
        if not isinstance(node.op, ast.Mod):
            told = dice.choice((f"(({text}) * 2 / 2)", f"(({text}) + 7 - 7)", f"(-(-({text})))"))
            yield innocent("edits that cancel out", module, name, module.edit(node, told))
    for module, name, node in _within(ground, ast.Assign, ast.AugAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and node in node.parent.body:
            at = module.lines_of(node)[1]
            pad, by = module.indent(node), dice.choice((1, 3, 11))
            text = f"{pad}{target.id} = {target.id} + {by}\n{pad}{target.id} = {target.id} - {by}\n"
            yield innocent("edits that cancel out", module, name, Edit(module.path, at, at, text))


def told(ground: Ground, dice: random.Random) -> Candidates:
    """A line that logs, or a note."""
    for module, name, function in ground.functions():
        statement = body_of(function)[0]
        at, pad = module.lines_of(statement)[0], module.indent(statement)
        if pad.strip():
            continue
        if any(line == "import tracediff as td" for line in module.text.splitlines()):
            text = f'{pad}td.note("{name} is reached")\n'
        else:
            text = (
                f"{pad}import logging\n\n"
                f'{pad}logging.getLogger(__name__).debug("%s is reached", "{name}")\n'
            )
        yield innocent("added logging or note", module, name, Edit(module.path, at, at, text))


def annotated(ground: Ground, dice: random.Random) -> Candidates:
    """Another type in an annotation."""
    for module, name, function in ground.functions():
        for argument in function.args.args:
            if argument.annotation is not None:
                edit = module.edit(argument.annotation, "object")
                yield innocent("changed annotation", module, name, edit)
        if function.returns is not None:
            edit = module.edit(function.returns, "object")
            yield innocent("changed annotation", module, name, edit)


def looped(ground: Ground, dice: random.Random) -> Candidates:
    """A list written as a loop."""
    for module, name, node in _within(ground, ast.Assign, ast.Return):
        made = node.value
        if not isinstance(made, ast.ListComp) or len(made.generators) != 1:
            continue
        clause = made.generators[0]
        target, source = module.segment(clause.target), module.segment(clause.iter)
        pad = module.indent(node)
        wanted = "".join(f" if ({module.segment(test)})" for test in clause.ifs)
        into = "gathered"
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            into = node.targets[0].id
            if into in named_in(made):
                continue
        lines = [f"{into} = []", f"for {target} in {source}:"]
        if wanted:
            lines.append("    if" + wanted.removeprefix(" if").replace(" if ", " and ") + ":")
        inner = "        " if wanted else "    "
        lines.append(f"{inner}{into}.append({module.segment(made.elt)})")
        if isinstance(node, ast.Return):
            lines.append(f"return {into}")
        elif not isinstance(node.targets[0], ast.Name):
            continue
        begin, end = module.lines_of(node)
        text = "".join(f"{pad}{line}\n" for line in lines)
        yield innocent("comprehension to loop", module, name, Edit(module.path, begin, end, text))


def returned(ground: Ground, dice: random.Random) -> Candidates:
    """What is returned gets a name first."""
    for module, name, node in _within(ground, ast.Return):
        if node.value is not None and not isinstance(node.value, ast.Name):
            pad, text = module.indent(node), module.segment(node.value)
            if "\n" in text or pad.strip():
                continue
            begin, end = module.lines_of(node)
            lines = f"{pad}outcome = {text}\n{pad}return outcome\n"
            yield innocent("named result", module, name, Edit(module.path, begin, end, lines))


def inlined(ground: Ground, dice: random.Random) -> Candidates:
    """A module's constant written out where it is used."""
    for module, name, function in ground.functions():
        for statement in module.tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=constant)], value=value):
                    pass
                case _:
                    continue
            if not isinstance(value, ast.Constant | ast.Call) or constant in bound_in(function):
                continue
            used = [n for s in function.body for n in ast.walk(s)
                    if isinstance(n, ast.Name) and n.id == constant]  # fmt: skip
            if not used or constant in texts_of(function) or "\n" in module.segment(value):
                continue
            edits = [module.edit(node, module.segment(value)) for node in used]
            planting = innocent("inlined constant", module, name, *edits)
            reads = frozenset({f"{module.name}:{constant}"})
            yield Planting(
                kind=planting.kind, guilty=False, what=planting.what, edits=planting.edits,
                units=planting.units, reads=reads,
            )  # fmt: skip


def _within(ground: Ground, *kinds: type[ast.AST]) -> Iterator[tuple[Module, str, ast.AST]]:
    """Nodes on lines that ran in functions themselves, not in functions within them."""
    names = {id(node): name for _, name, node in ground.functions()}
    for module, node in ground.inside(*kinds):
        at = getattr(node, "parent", None)
        while at is not None and not isinstance(at, SCOPES):
            at = getattr(at, "parent", None)
        if id(at) in names:
            yield module, names[id(at)], node


WITHIN: dict[str, Kind] = {
    "renamed local variable": renamed_locals,
    "mirrored comparison": mirrored,
    "flipped if and else": flipped,
    "edits that cancel out": cancelling,
    "added logging or note": told,
    "changed annotation": annotated,
    "comprehension to loop": looped,
    "named result": returned,
    "inlined constant": inlined,
}
"""The candidates of each kind that stays in one function."""
