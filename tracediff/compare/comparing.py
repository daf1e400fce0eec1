"""One comparison under way: aligned, then looked at step by step."""

from __future__ import annotations

from collections.abc import Iterator

from tracediff.compare.alignment import align
from tracediff.compare.autotraced import autotraced, excused, lacking
from tracediff.compare.code import CodeChanges
from tracediff.compare.labels import Labels
from tracediff.compare.order import Pair, merged
from tracediff.compare.stepdiff import StepChanges, StepDiff, differing, error_line
from tracediff.compare.tolerances import Rules
from tracediff.compare.trees import Tree
from tracediff.compare.verdict import decides, first, outputs_differ
from tracediff.model import (
    Aspect,
    CodeChange,
    Comparison,
    Divergence,
    DivergenceKind,
    Flag,
    Label,
    Step,
    Trace,
    make_divergence,
)

_FLAGGED: dict[Flag, Aspect] = {"renamed": "name", "moved": "place", "reordered": "place"}
_VALUES: frozenset[Aspect] = frozenset({"args", "result", "error", "state"})


class Comparing:
    """Compares two traces of one depth.

    Args:
        old: The recorded trace.
        new: The other one.
        rules: Tolerances by path.
        strict: Let any step that differs beyond tolerance decide the verdict.
        code: What tells the code behind two steps apart, if anything does.
    """

    def __init__(
        self, old: Trace, new: Trace, rules: Rules, *, strict: bool, code: CodeChanges | None
    ) -> None:
        self.traces = (old, new)
        self.rules = rules
        self.strict = strict
        self.code = code
        self.old, self.new = Tree(old.steps), Tree(new.steps)
        self.lacking = (lacking(old), lacking(new))
        self.excused: list[str] = []
        self.found = align(self.old, self.new, *self.lacking)
        self.flagged = self.found.moved | self.found.renamed | self.found.reordered
        self.labels = Labels(old, new)
        self.steps = StepDiff(old, new, rules)
        self.drift = 0
        self.remarks = list(self.found.remarks)

    def run(self) -> Comparison:
        """The comparison."""
        pairs, ended = merged(self.old, self.new, self.found)
        divergences = self._divergences(pairs, ended)
        if self.excused:
            self.remarks.append(excused(len(self.excused), set(self.excused)))
        replay = self.traces[1].replay
        different = (
            (replay is not None and bool(replay.misses))
            or any(decides(one, self._step(one), strict=self.strict) for one in divergences)
            or outputs_differ(self.old, self.new, self.found, self.rules)
        )
        return Comparison(
            old=self.traces[0],
            new=self.traces[1],
            pairs=tuple(pairs),
            divergences=tuple(divergences),
            different=different,
            first=first(divergences, ended, (self._step(one).kind for one in divergences)),
            drift=self.drift,
            unchanged=len(self.found.partner)
            - sum(one.old is not None and one.new is not None for one in divergences),
            remarks=tuple(self.remarks),
        )

    def _step(self, one: Divergence) -> Step:
        return self.old.steps[one.old] if one.old is not None else self.new.steps[one.new or 0]

    def _divergences(self, pairs: list[Pair], ended: dict[Pair, int]) -> list[Divergence]:
        """One divergence a step that differs; of a step that came or went, none for what is in it.

        Steps are looked at in the order they ended, so that a parent knows of its children.
        """
        touched: set[int] = set()
        made: dict[Pair, Divergence] = {}
        for pair in ended:
            i, j = pair
            if i is None or j is None:
                one = self._one_sided(i, j)
                host = self._host(i, j)
                if one is not None and host is not None:
                    touched.add(host)
            else:
                old, new = self.old.steps[i], self.new.steps[j]
                aspects = differing(old, new)
                one = self._both(i, j, aspects, touched) if aspects or i in self.flagged else None
                # A block's names outlive it: whatever its result, it hides nothing inside.
                hides_nothing = new.args is None and j in touched
                if hides_nothing or (aspects and _passes_on(old, new, aspects)):
                    touched.add(new.parent)
            if one is not None:
                made[pair] = one
        return [made[pair] for pair in pairs if pair in made]

    def _host(self, i: int | None, j: int | None) -> int | None:
        """The step of the new trace in which a step came or went; none for notes."""
        step = self.old.steps[i] if i is not None else self.new.steps[j or 0]
        if step.kind in ("note", "artifact"):
            return None
        return self.found.partner.get(step.parent) if i is not None else step.parent

    def _one_sided(self, i: int | None, j: int | None) -> Divergence | None:
        tree, at = (self.old, i) if i is not None else (self.new, j or 0)
        step, other = tree.steps[at], int(i is not None)
        known = step.parent in (self.found.partner if i is not None else self.found.back)
        if not known or (self.rules.any and self.rules.at(tree.path(at)).ignore):
            return None
        unit = autotraced(step)
        if unit is not None and unit in self.lacking[other]:
            self.excused.append(unit)
            return None
        return Divergence(kind="removed" if i is not None else "added", old=i, new=j)

    def _both(self, i: int, j: int, aspects: list[Aspect], touched: set[int]) -> Divergence | None:
        old, new = self.old.steps[i], self.new.steps[j]
        path: tuple[str, ...] = ()
        if self.rules.any:
            path = self.old.path(i)
            if self.rules.at(path).ignore:
                return None
        found = self.steps.of(old, new, aspects, path)
        self.drift += found.drift
        self.remarks += found.remarks
        flags = list(self._flags(i)) if i in self.flagged else []
        if not found.by_aspect and not flags:
            return None
        return self._divergence((i, j), flags, found, touched)

    def _divergence(
        self, pair: tuple[int, int], flags: list[Flag], found: StepChanges, touched: set[int]
    ) -> Divergence:
        old, new = self.old.steps[pair[0]], self.new.steps[pair[1]]
        aspects = set(found.by_aspect)
        valued = not aspects.isdisjoint(_VALUES)
        if flags:
            aspects.update(_FLAGGED[flag] for flag in flags)
        beyond = aspects - found.within
        kind: DivergenceKind = "changed" if valued or not flags else flags[0]
        code = self._code(old, new)
        label: Label = "unproven"
        if valued:
            ticked = bool(found.clock) and not beyond and not found.drift
            carried = pair[1] in touched or self._surrounded(pair, touched)
            label = (
                "clock" if ticked else self.labels.of(old, new, beyond, carried=carried, code=code)
            )
        return make_divergence(
            kind=kind,
            old=pair[0],
            new=pair[1],
            label=label,
            aspects=tuple(sorted(aspects)),
            changes=found.by_aspect,
            also=tuple(flag for flag in flags if flag != kind) if flags else (),
            within=not beyond,
            code=code,
            frames=found.frames,
        )

    def _surrounded(self, pair: tuple[int, int], touched: set[int]) -> bool:
        """Whether a block, which sees the names around it, stands where those may differ."""
        i, j = pair
        while self.new.steps[j].args is None and self.new.steps[j].parent >= 0:
            i, j = self.old.steps[i].parent, self.new.steps[j].parent
            if j in touched or self.found.partner.get(i) != j:
                return True
        return pair[1] != j and self.old.steps[i].args != self.new.steps[j].args

    def _flags(self, i: int) -> Iterator[Flag]:
        if i in self.found.moved:
            yield "moved"
        if i in self.found.renamed:
            yield "renamed"
        if i in self.found.reordered:
            yield "reordered"

    def _code(self, old: Step, new: Step) -> tuple[CodeChange, ...] | None:
        if self.code is None or old.kind in ("note", "artifact"):
            return None
        return self.code.behind(old.source, new.source)


def _passes_on(old: Step, new: Step, aspects: list[Aspect]) -> bool:
    """Whether what came of a step differs in the least, tolerated or not."""
    if "result" in aspects or "state" in aspects:
        return True
    return "error" in aspects and error_line(old.error) != error_line(new.error)
