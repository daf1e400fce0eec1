"""Why a step differs, where that can be told without running anything again.

Same arguments and same children, other result: *origin*; where the code is the same too, *hidden
input*, as for inputs and outputs, which read the outside world. Other arguments, same result:
*absorbed*. A changed argument or child, and no definition behind the step differs: *propagated*;
where nobody can tell about definitions, the same source file must do. Else *unproven*: also where a
step sees more than its arguments (a block the names around it, a method its object) and those may
differ; and of imported traces, of whose code and arguments nobody knows all.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracediff.model import FOREIGN, Aspect, Code, CodeChange, Label, Step, Trace

_OUTSIDE = frozenset({"input", "output"})
_OWN = "tracediff-calc"
_REFUSED = "tracediff.runtime:ReplayAbort"


class Labels:
    """Labels steps of one comparison."""

    def __init__(self, old: Trace, new: Trace) -> None:
        self._old = old.code.files
        self._new = new.code.files
        self._same_code = _same_code(old.code, new.code) and not (_typed(old) or _typed(new))
        self._imported = old.job in FOREIGN or new.job in FOREIGN
        self._differed = False

    def of(
        self,
        old: Step,
        new: Step,
        aspects: set[Aspect],
        *,
        carried: bool,
        code: tuple[CodeChange, ...] | None = None,
    ) -> Label:
        """The label of a pair; pairs come in the order they ended.

        Args:
            old: The recorded step.
            new: Its partner.
            aspects: What of them differs beyond tolerance.
            carried: Whether a child's value differs, or what a block sees around it.
            code: The definitions behind the step that differ, None where nobody can tell.
        """
        if self._imported:
            return "unproven"
        before, self._differed = self._differed, True
        if not aspects & {"result", "error", "state"}:
            if "args" not in aspects:
                return "unproven"
            return "propagated" if old.kind == "output" else "absorbed"
        if old.args != new.args or carried:
            unchanged = self._same_file(old, new) if code is None else not code
            return "propagated" if unchanged else "unproven"
        if old.kind in _OUTSIDE and new.error is not None and new.error.type == _REFUSED:
            return "unproven"  # the replay stopped here: nothing outside was asked
        if self._same_code:
            return "hidden input"
        if old.kind in _OUTSIDE:
            return "unproven" if code or self._other_file(old, new) else "hidden input"
        if code == () or (before and not code and _is_method(new)):
            return "unproven"
        return "origin"

    def _other_file(self, old: Step, new: Step) -> bool:
        """Whether the step's own file is known to differ."""
        if old.source is None or new.source is None:
            return False
        before, after = self._old.get(old.source.file), self._new.get(new.source.file)
        return before is not None and after is not None and before != after

    def _same_file(self, old: Step, new: Step) -> bool:
        if self._same_code:
            return True
        if old.source is None or new.source is None:
            return False
        before = self._old.get(old.source.file)
        return before is not None and before == self._new.get(new.source.file)


def _same_code(old: Code, new: Code) -> bool:
    """Whether the code is known to be the same.

    A process loads what it needs, so only what both loaded can tell.
    """
    return (
        bool(old.files.keys() & new.files.keys())
        and not _differ(old.files, new.files)
        and not _differ(old.distributions, new.distributions)
        and old.python == new.python
    )


def _typed(trace: Trace) -> bool:
    """Whether a notebook or a prompt defined the job: no digest of such code is recorded."""
    source = trace.steps[0].source if trace.steps else None
    return source is not None and source.file.startswith("<")


def _differ(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    return any(old[name] != new[name] for name in old.keys() & new.keys() if name != _OWN)


def _is_method(step: Step) -> bool:
    """Whether a step's function is one of a class, whose object it sees."""
    if step.source is None:
        return False
    return "." in step.source.unit.partition(":")[2].rpartition("<locals>.")[2]
