"""Recorded data against code: the same job with inputs read anew, and mixtures of both readings.

A replay of a trace without its inputs runs each of them for real: the fresh trace. What a mixture
serves is the recording, with the answers of some inputs taken from the fresh trace.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from tracediff import values
from tracediff.config import Config
from tracediff.model import Step, Trace
from tracediff.replay import replay
from tracediff.replay.matching import AMBIENT, recorded_identity


def without_inputs(trace: Trace) -> Trace:
    """The trace without its recorded inputs and what ran inside of them.

    Its outputs stay, so that a replay answers them and runs none; and so do the answers of the
    clock and of randomness, which are no data: the replay's clock is the recorded one.
    """
    kept: dict[int, int] = {-1: -1}  # by recorded index: where a step of this parent belongs
    steps: list[Step] = []
    gone: set[int] = set()
    for index, step in enumerate(trace.steps):
        ambient = step.kind == "input" and step.name in AMBIENT
        inside = step.parent in gone
        if (step.kind == "input" or inside) and not ambient and step.kind != "output":
            gone.add(index)
            kept[index] = kept[step.parent]
            continue
        if inside:
            gone.add(index)  # what ran inside of an output of an input is no longer reached either
        kept[index] = len(steps)
        steps.append(replace(step, parent=kept[step.parent]))
    return replace(trace, steps=tuple(steps), replay=None)


def freshened(
    trace: Trace,
    config: Config,
    *,
    timeout: float | None = None,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
    deep: bool = False,
) -> Trace:
    """Replay a trace with its inputs run for real; only they may reach the network and programs.

    Args:
        trace: The recording.
        config: The settings of the project whose code runs.
        timeout: Seconds the job may take; the configured ``replay_timeout`` by default.
        python: The interpreter; the configured one, else this one.
        environment: Variables to set for the process, on top of this one's.
        deep: Make steps of the functions of the job's own modules.

    Raises:
        ReplayError: The job cannot be found or called, died, or took too long.
    """
    allowed = {"TRACEDIFF_REPLAY_ALLOW": ",".join([*config.replay_allow, "inputs"])}
    done = replay(
        without_inputs(trace),
        config,
        on_miss="live",
        timeout=timeout,
        python=python,
        environment={**(environment or {}), **allowed},
        deep=deep,
    )
    return done.trace


def changed_inputs(recorded: Trace, fresh: Trace) -> tuple[str, ...]:
    """The inputs that answer one and the same call otherwise, by name, in the order of the calls.

    A call is the same by its arguments (or its key), and by how many of them came before it. What
    only one side asked is no such difference, because ``mixed`` answers that in any case; nor is
    what an input asked for itself, whose own answer stands for it.
    """
    pairs, _, _ = _matched(recorded, fresh)
    return tuple(
        dict.fromkeys(
            recorded.steps[old].name
            for old, new in pairs
            if not (_is_inner(recorded, old) and _is_inner(fresh, new))
            and _answer(recorded.steps[old]) != _answer(fresh.steps[new])
        )
    )


def one_sided_inputs(recorded: Trace, fresh: Trace) -> tuple[str, ...]:
    """The inputs of which one side made calls that the other did not, recorded ones first."""
    _, old, new = _matched(recorded, fresh)
    gone = (recorded.steps[index].name for index in old if not _is_inner(recorded, index))
    added = (fresh.steps[index].name for index in new if not _is_inner(fresh, index))
    return tuple(dict.fromkeys((*gone, *added)))


def failed_inputs(recorded: Trace, fresh: Trace) -> tuple[tuple[str, str], ...]:
    """The inputs that cannot be read any more, and what they say: they raise, and did not before.

    What changes because of these says nothing of the data.
    """
    pairs, _, added = _matched(recorded, fresh)
    calls = [(recorded.steps[old].error, new) for old, new in pairs]
    found: dict[str, str] = {}
    for before, index in (*calls, *((None, index) for index in added)):
        step = fresh.steps[index]
        if before is None and step.error is not None and not _is_inner(fresh, index):
            said = f"{step.error.type.rpartition(':')[2]}: {step.error.message}"
            found.setdefault(step.name, said)
    return tuple(found.items())


def mixed(
    recorded: Trace, fresh: Trace, names: Collection[str], *, arguments: bool = False
) -> Trace:
    """The recorded trace with the answers of some inputs taken from the fresh one.

    Recorded calls that the fresh side did not make stay. Calls that only the fresh side made are
    added, whatever their name: there is no other answer to them, and a mixture of old and new may
    make them.

    Args:
        recorded: What is served else.
        fresh: The other reading.
        names: The inputs whose answers are the fresh ones.
        arguments: Take the job's arguments from the fresh side too.
    """
    pairs, _, added = _matched(recorded, fresh)
    steps = list(recorded.steps)
    for old, new in pairs:
        if steps[old].name in names:
            steps[old] = replace(fresh.steps[new], parent=steps[old].parent)
    inner_last = sorted(added, key=lambda index: (_is_inner(fresh, index), index))
    steps += [replace(fresh.steps[index], parent=0) for index in inner_last]
    if arguments:
        steps[0] = replace(steps[0], args=fresh.steps[0].args, key=fresh.steps[0].key)
    return replace(recorded, steps=tuple(steps), replay=None)


def _matched(recorded: Trace, fresh: Trace) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """The same calls of both sides, as pairs of indexes, and those of one side only.

    What the job asked for is matched first, since what an input asked for itself is not asked for
    where that input is answered.
    """
    before, after = _calls(recorded), _calls(fresh)
    pairs: list[tuple[int, int]] = []
    gone: list[int] = []
    added: list[int] = []
    for call in dict.fromkeys((*before, *after)):
        left: list[list[int]] = [[], []]
        for old, new in zip(before.get(call, ([], [])), after.get(call, ([], [])), strict=True):
            pairs += zip(old, new, strict=False)
            left[0] += old[len(new) :]
            left[1] += new[len(old) :]
        pairs += zip(*left, strict=False)
        gone += left[0][len(left[1]) :]
        added += left[1][len(left[0]) :]
    return sorted(pairs), sorted(gone), sorted(added)


def _calls(trace: Trace) -> dict[tuple[str, bytes], tuple[list[int], list[int]]]:
    """The inputs that have an answer: by call, the job's own and those inside of others."""
    found: dict[tuple[str, bytes], tuple[list[int], list[int]]] = {}
    for index, step in enumerate(trace.steps):
        if step.kind == "input" and not step.open:
            call = found.setdefault((step.name, recorded_identity(step)), ([], []))
            call[_is_inner(trace, index)].append(index)
    return found


def _is_inner(trace: Trace, index: int) -> bool:
    """Whether an input or output made this call, rather than the job."""
    outer = trace.steps[index].parent
    while outer > 0 and trace.steps[outer].kind not in ("input", "output"):
        outer = trace.steps[outer].parent
    return outer > 0


def _answer(step: Step) -> tuple[object, ...]:
    """What tells one answer from another: not where an exception was raised."""
    # What has no exact form is another one each time; replay cannot serve it either way.
    result = None if step.result is None else values.identity(step.result.data)
    error = step.error
    return (result,) if error is None else (result, error.type, error.message, error.value)
