"""Why a result changed: certified, compared, shared out, and followed down to line and commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction

from tracediff.compare import compare
from tracediff.config import Config
from tracediff.errors import ReplayError, TracediffError
from tracediff.explain import freshening
from tracediff.explain.attribution import Fresh, Progress, attributing, of_players
from tracediff.explain.certificate import Source, certify, failing, recorded_code, run_again
from tracediff.explain.evidence import Evidence
from tracediff.explain.noise import Certified, certified
from tracediff.explain.proving import proven
from tracediff.explain.telling import field_name
from tracediff.explained import Attribution, Cause, Effect, Explanation
from tracediff.model import Comparison, Tolerance, Trace
from tracediff.replay import checked_out, environment_at, replay
from tracediff.replay.deep import lacks_steps

MOST_BLAMED = 24
"""How many causes git is asked about, by the size of their share."""
_DATA = ("input", "arguments")


@dataclass(frozen=True, slots=True)
class _Side:
    """The code that a recording is compared with: its settings, and its commit if it is one's.

    ``told`` are the settings of the project itself.
    """

    config: Config
    told: Config
    commit: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a replay of this code is told."""
        return {} if self.config is self.told else environment_at(self.told, self.commit)

    def replay(self, trace: Trace, *, deep: bool) -> Trace:
        """Run a job of this code."""
        return replay(
            trace,
            self.config,
            timeout=self.told.replay_timeout,
            python=self.told.python,
            environment=self.environment,
            deep=deep,
        ).trace


def explain(  # noqa: PLR0913 - what one explanation may be told
    trace: Trace,
    config: Config,
    *,
    load: Source,
    other: Trace | None = None,
    against: str | None = None,
    refresh_inputs: bool = False,
    field: str | None = None,
    tolerances: Sequence[Tolerance] = (),
    progress: Progress | None = None,
) -> Explanation:
    """Say why the code as it is now gives another result than the recorded one.

    Args:
        trace: The recording.
        config: The project's settings.
        load: Finds recorded sources, as ``codefiles.source_reader`` does.
        other: Another recording; its code, inputs and arguments then stand for the new ones.
        against: A git revision, whose code then stands for the new one.
        refresh_inputs: Ask the inputs anew, and share the change among data and code.
        field: The field of the outcome that counts most, as ``result.total``.
        tolerances: What counts as the same.
        progress: Called with the name of each phase as it begins.

    Raises:
        ReplayError: The new code cannot be run; ``explain-other-job``, ``field-unknown``.
    """
    say = progress or (lambda said: None)
    if other is not None and other.key != trace.key:
        raise ReplayError(
            f"{other.id} is of the job {other.key!r}, {trace.id} of {trace.key!r}",
            slug="explain-other-job",
            hint="name two traces of one job; `tracediff compare` lays any two side by side",
        )
    say("replaying the recorded code")
    certificate = certify(trace, config, load=load, tolerances=tolerances)
    with contextlib.ExitStack() as entered:
        side = _new_side(entered, config, load, other, against)
        say("replaying the new code")
        deep = lacks_steps(trace, config)
        fresh, new = _fresh(trace, side, other, refresh_inputs=refresh_inputs, deep=deep)
        then: Config | None = None
        commit: str | None = None
        with contextlib.suppress(TracediffError):  # the certificate says why
            then, commit, _ = entered.enter_context(recorded_code(trace, config, load))
        known = run_again(trace, config, load=load, deep=True) if deep else None
        # Under the id that the reader knows it by: the replay is stored nowhere.
        old = replace(known, id=trace.id) if known else trace
        comparison = compare(old, new, tolerances=tolerances, load=load)
        cleared = certified(
            comparison, trace, config, certificate, load=load, deep=deep, tolerances=tolerances
        )
        comparison = replace(cleared.comparison, remarks=comparison.remarks)
        made = Explanation(
            old=old,
            new=new,
            comparison=comparison,
            certificate=certificate,
            noise=tuple(" › ".join(one) or old.key for one in certificate.unrecorded),
        )
        if then is None or not certificate.certified:
            return replace(made, refused="without the recorded code there is nothing to mix")
        fails = certificate.replayed and failing(trace, certificate.replayed)
        if fails and comparison.different:
            return replace(
                made, refused=f"the recorded code fails here, as it did not then: {fails}"
            )
        if not comparison.different:
            return replace(made, noise=tuple(dict.fromkeys(_noise(cleared))) or made.noise)
        found = entered.enter_context(
            attributing(trace, then, side.config, fresh=fresh, told=config, progress=progress)
        )
        if found.mixing is not None:
            say("proving which steps changed by themselves")
            comparison = proven(comparison, found.mixing, found.players, deep=deep)
        say("asking git who changed it")
        evidence = Evidence(then.root, commit, side.config.root, side.commit, config.root)
        return choosing(_made(made, comparison, found.attribution, evidence), field)


def _noise(cleared: Certified) -> Iterator[str]:
    """The fields of the outcome that were left out, as the attribution would name them."""
    for one in cleared.noise:
        step = cleared.comparison.old.steps[one.old or 0]
        head = ("output", step.name) if step.kind == "output" else ()
        if one.old is None or (one.old and not head):
            continue
        for aspect, changes in one.changes.items():
            for each in changes:
                yield field_name((*(head or (aspect,)), *each.path))


def _new_side(
    entered: contextlib.ExitStack,
    config: Config,
    load: Source,
    other: Trace | None,
    against: str | None,
) -> _Side:
    if other is not None:
        there, commit, _ = entered.enter_context(recorded_code(other, config, load))
        return _Side(there, config, commit)
    if against is not None:
        there, found = entered.enter_context(checked_out(config, against))
        return _Side(there, config, found)
    return _Side(config, config)


def _fresh(
    trace: Trace, side: _Side, other: Trace | None, *, refresh_inputs: bool, deep: bool
) -> tuple[Fresh | None, Trace]:
    """The other answers of inputs, where there are any, and the new trace."""
    again = other
    if refresh_inputs:
        again = freshening.freshened(
            trace,
            side.config,
            timeout=side.told.replay_timeout,
            python=side.told.python,
            environment=side.environment,
        )
    if again is None:
        return None, side.replay(trace, deep=deep)
    source = again

    def mix(names: frozenset[str], arguments: bool) -> Trace:
        return freshening.mixed(trace, source, names, arguments=arguments)

    fresh = Fresh(
        inputs=freshening.changed_inputs(trace, source),
        arguments=trace.steps[0].args != source.steps[0].args,
        failed=freshening.failed_inputs(trace, source),
        mix=mix,
    )
    served = mix(frozenset(fresh.inputs), fresh.arguments)
    return fresh, side.replay(served, deep=deep)


def _made(
    made: Explanation, comparison: Comparison, found: Attribution, evidence: Evidence
) -> Explanation:
    shared = {one.name: getattr(found, one.name) for one in fields(Attribution)}
    causes = [
        evidence.of(cause) if at < MOST_BLAMED else cause for at, cause in enumerate(found.causes)
    ]
    told = {"causes": tuple(causes), "noise": found.noise or made.noise}
    parts = _parts(found.causes, found.effects)
    return replace(made, **{**shared, **told}, comparison=comparison, data=parts)


def choosing(made: Explanation, field: str | None) -> Explanation:
    """The explanation with another field as the main one, its causes in the order of that.

    Args:
        made: The explanation.
        field: The field's name, or its last names if no other has them; None leaves it as it is.

    Raises:
        ReplayError: ``field-unknown``.
    """
    if field is None or not made.effects:
        return made
    main = _field([field_name(one.path) for one in made.effects], field)
    order = sorted(range(len(made.causes)), key=lambda at: -abs(made.effects[main].shares[at]))
    return replace(
        made,
        main=main,
        causes=tuple(made.causes[at] for at in order),
        effects=tuple(of_players(one, order) for one in made.effects),
    )


def _field(names: Sequence[str], field: str) -> int:
    """Which of the fields has this name, or is the only one that ends in it."""
    found = [at for at, name in enumerate(names) if field in (name, name.partition(".")[2])]
    ends = [at for at, name in enumerate(names) if name.endswith(f".{field}")]
    if found or len(ends) == 1:
        return (found or ends)[0]
    said = f"the field {field!r} is none of those that changed"
    if ends:
        said = f"several fields that changed end in {field!r}"
    raise ReplayError(
        f"{said}: {', '.join(names[at] for at in (ends or range(len(names)))[:10])}",
        slug="field-unknown",
        hint="name one of them with --field",
    )


def _parts(
    causes: Sequence[Cause], effects: Sequence[Effect]
) -> dict[int, tuple[Fraction, Fraction]]:
    """What data and what code has of each effect; nothing where no data changed."""
    is_data = [all(unit.kind in _DATA for unit in cause.units) for cause in causes]
    if not any(is_data):
        return {}
    zero = Fraction(0)
    return {
        at: (
            sum((one for one, data in zip(effect.shares, is_data, strict=True) if data), zero),
            sum((one for one, data in zip(effect.shares, is_data, strict=True) if not data), zero),
        )
        for at, effect in enumerate(effects)
    }
