"""Why a step differs, where that can be told without running anything again.

Same arguments and same children, other result: *origin*; if even the code is the same file by file,
*hidden input*. Other arguments, same result: *absorbed*. A changed argument or child, and no
definition behind the step differs: *propagated*; where nobody can tell about definitions, the same
source file must do. Else *unproven*.
"""

from __future__ import annotations

from tracediff.model import Aspect, CodeChange, Label, Step, Trace


class Labels:
    """Labels steps of one comparison."""

    def __init__(self, old: Trace, new: Trace) -> None:
        self._old = old.code.files
        self._new = new.code.files
        self._same_code = bool(self._old) and self._old == self._new

    def of(
        self,
        old: Step,
        new: Step,
        aspects: set[Aspect],
        *,
        below: bool,
        code: tuple[CodeChange, ...] | None = None,
    ) -> Label:
        """The label of a pair.

        Args:
            old: The recorded step.
            new: Its partner.
            aspects: What of them differs beyond tolerance.
            below: Whether a child's value differs.
            code: The definitions behind the step that differ, None where nobody can tell.
        """
        outcome = bool(aspects & {"result", "error", "state"})
        given = "args" in aspects
        if not outcome:
            if old.kind == "output":
                return "propagated"
            return "absorbed" if given else "unproven"
        if not given and not below:
            if old.kind == "input" or self._same_code:
                return "hidden input"
            return "origin"
        unchanged = self._same_file(old, new) if code is None else not code
        return "propagated" if unchanged else "unproven"

    def _same_file(self, old: Step, new: Step) -> bool:
        if self._same_code:
            return True
        if old.source is None or new.source is None:
            return False
        before = self._old.get(old.source.file)
        return before is not None and before == self._new.get(new.source.file)
