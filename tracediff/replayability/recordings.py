"""What of a recording, or of the machine, keeps a trace from being replayed. Pure."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

from tracediff.config import Config
from tracediff.model import Trace
from tracediff.replayability.evidence import Examined
from tracediff.replayability.remedies import setting
from tracediff.replayable import Reason, Remedy

_CUTS = (
    (re.compile(r"^inputs and outputs after the first"), "too-many-inputs",
     "recorded more inputs and outputs than a trace holds",
     "read in larger pieces: one @td.input around the loop that reads"),
    (re.compile(r"nested too deep or too large to be recorded whole"), "value-cut",
     "was given a value too deep or too large to be kept whole",
     "hand it less: an input that gives what is needed of it"),
    (re.compile(r"^'(.*)' is too large to be recorded"), "file-too-large",
     "reads a file that is larger than what is recorded",
     "an input of your own that gives what is needed of the file: @td.input"),
    (re.compile(r"cannot be recorded: \w+$"), "value-raises",
     "was given a value that raises when it is read", "register an exact form for its class"),
    (re.compile(r"is not recorded: it was closed after the job"), "file-left-open",
     "closes a file that it wrote after the job", "close it in the job, with a `with` block"),
)  # fmt: skip
_HARMLESS = (
    (re.compile(r"^artifact .*larger than .* bytes"), "artifact-too-large",
     "leaves an artifact out, which is too large", "keep less of it: the replay itself needs none"),
    (re.compile(r"^steps after the first|calls are no steps"), "steps-left-out",
     "has more steps than a trace holds", "autotrace less, or lower the depth of this job"),
)  # fmt: skip


def cuts(trace: Trace) -> Iterator[Reason]:
    """What the recorder could not keep, of what a replay needs."""
    yield from _said(trace, _CUTS, fatal=True)


def cautions(trace: Trace) -> Iterator[Reason]:
    """What the recorder could not keep, and the replay did without."""
    yield from _said(trace, (*_CUTS, *_HARMLESS), fatal=False)


def _said(
    trace: Trace, table: tuple[tuple[re.Pattern[str], str, str, str], ...], *, fatal: bool
) -> Iterator[Reason]:
    for pattern, kind, said, mend in table:
        warnings = [one for one in trace.warnings if pattern.search(one)]
        if warnings:
            yield Reason(
                kind=kind,
                said=said,
                subjects=(warnings[0],),
                remedies=(Remedy(change="code", said=mend),),
                fatal=fatal,
            )


def surroundings(one: Examined, config: Config) -> Iterator[Reason]:
    """What ran otherwise than it was recorded, though the code is the same."""
    new = one.first.trace
    if new is None:
        return
    before, now = one.trace.code.distributions, new.code.distributions
    moved = [name for name in sorted(before.keys() & now.keys()) if before[name] != now[name]]
    if moved:
        wanted = " ".join(f"{name}=={before[name]}" for name in moved)
        said = "ran with other versions of libraries"
        yield Reason(
            kind="libraries-differ",
            said=said,
            subjects=tuple(f"{name} {before[name]} → {now[name]}" for name in moved),
            remedies=(
                Remedy(change="command", said="get the recorded ones into a directory of their own",
                       lines=(f"pip install --target .recorded {wanted}",)),
                setting("recorded_libraries", (".recorded",), "and replay with them", config),
            ),
        )  # fmt: skip
    old = one.trace.code.python
    if old and new.code.python and old != new.code.python:
        short = ".".join(old.split(".")[:2])
        found = shutil.which(f"python{short}")
        yield Reason(
            kind="python-differs",
            said=f"was recorded with Python {old}, and replayed with {new.code.python}",
            remedies=(setting("python", found or f"python{short}",
                              "replay with it; tracediff is to be installed there", config),),
        )  # fmt: skip
    for reading in one.first.readings:
        if reading.kind in ("locale", "zone"):
            what = "locale" if reading.kind == "locale" else "time zone"
            lines = (f"locale-gen {reading.what}",) if what == "locale" else ("pip install tzdata",)
            yield Reason(
                kind=f"{what.replace(' ', '-')}-missing",
                said=f"ran in a {what} that this machine does not have",
                subjects=(reading.what,),
                remedies=(Remedy(change="command", said=f"install the {what}", lines=lines),),
            )


def code_missing(one: Examined) -> Reason:
    """The recorded code is not to be had, so that what differs may be the change."""
    return Reason(
        kind="code-missing",
        said="ran code that is not to be had any more; today's gives something else",
        subjects=(one.missing,),
        remedies=(_code_again(one),),
    )


def _code_again(one: Examined) -> Remedy:
    code = one.trace.code
    if code.dirty:
        said = "record on a commit, or in a local store, which keeps the sources that ran"
        return Remedy(change="recording", said=said)
    if "shallow" in one.missing:
        return Remedy(change="command", said="get the commit", lines=("git fetch --unshallow",))
    if code.commit:
        said = "get the commit into this clone"
        return Remedy(change="command", said=said, lines=("git fetch --all",))
    said = "record in a git work tree, or say in production which commit runs"
    line = "export TRACEDIFF_CODE_VERSION=$(git rev-parse HEAD)  # when it is deployed"
    return Remedy(change="code", said=said, lines=(line,))
