"""What a page says of an explanation: the answer, its picture, each cause, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.explained import Certificate, Effect, Explanation
from tracediff.model import Step
from tracediff.reports import amounts, attributed, excerpt, waterfall, wording
from tracediff.reports.attributed import LONGEST, Proof
from tracediff.reports.clean import clean
from tracediff.reports.outcome import outcome
from tracediff.reports.pages.comparelines import Field, change_field
from tracediff.reports.pages.explaincause import CauseView, Link, cause_view
from tracediff.reports.pages.explainpicture import Picture, picture
from tracediff.reports.pages.marked import Marked, marked
from tracediff.reports.svg import described
from tracediff.reports.text.comparison import sides
from tracediff.reports.waterfall import Waterfall
from tracediff.reports.wording import many, version

_BARS: Final = 30
_CAUSES: Final = 100
_OPENED: Final = 5
_FIELDS: Final = 100
_COLUMNS: Final = 24
_NAMED: Final = 100
_REMARKS: Final = 50
_TOGETHER: Final = 12
_VALUE: Final = 120
_WIDEST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """How far the recorded code reproduces the recording, and what of it does not."""

    whole: bool
    said: str
    what: str
    paths: tuple[str, ...]
    more: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a cause has of a field; "up", "down", or nothing."""

    text: str
    sign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """A field of the outcome that changed; ``link`` draws it instead of the one that is drawn."""

    name: str
    link: str | None
    main: bool
    old: Marked
    new: Marked
    change: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """All fields by all causes that have a part in them."""

    columns: tuple[tuple[int, str], ...]
    rows: tuple[FieldRow, ...]
    more_columns: str
    more_rows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer: what is drawn, or where nothing is, what differs at all."""

    same: bool
    head: str
    said: str
    old: Marked = ()
    new: Marked = ()
    delta: str = ""
    percent: str = ""
    whole: Field | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstView:
    """Where both first differ, which is where to look when there is no attribution."""

    name: str
    old: Marked
    new: Marked
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainView:
    """All that a page says of an explanation."""

    key: str
    call: str
    heads: tuple[str, str]
    old: str
    new: str
    verdict: Verdict
    certificate: CertificateView
    refused: str
    note: str
    first: FirstView | None
    picture: Picture | None
    proof: Proof | None
    data: tuple[str, str] | None
    fields: Fields | None
    together: tuple[tuple[int, int, str, str, str], ...]
    more_together: str
    causes: tuple[CauseView, ...]
    more_causes: str
    innocent: str
    innocents: tuple[str, ...]
    more_innocents: str
    idle: str
    method: str
    noise: tuple[str, ...]
    remarks: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]


def explain_view(
    found: Explanation,
    *,
    link: Link = lambda index: None,
    choose: Callable[[str], str | None] = lambda field: None,
) -> ExplainView:
    """Return what a page says of an explanation.

    Args:
        found: The explanation.
        link: The address of the line of a step of the new trace, None where there is none.
        choose: The address at which a field is drawn, None where there is none.
    """
    main = waterfall.main_effect(found)
    heads = sides(found.comparison)
    drawn = waterfall.waterfall(found, main, heads, _BARS) if main is not None else None
    worth = attributed.together(found, main) if main is not None else []
    innocents = [excerpt.cut(one, _WIDEST) for one in attributed.innocents(found)]
    old, call = found.old, ""
    if old.steps:
        call = excerpt.arguments(old.steps[0].args, 2 * _VALUE)
    remarks = attributed.remarks(found)
    return ExplainView(
        key=clean(old.key[:_WIDEST]), call=call or excerpt.cut(clean(old.meta), 2 * _VALUE),
        heads=heads,
        old=f"{heads[0]} at {version(old.code)}", new=f"{heads[1]} at {version(found.new.code)}",
        verdict=_verdict(found, main), certificate=certificate_view(found.certificate),
        refused=clean((found.refused or "")[:LONGEST]), note=_note(found, main),
        first=_first(found) if found.refused is not None else None,
        picture=picture(drawn, described(drawn, main)) if drawn and main else None,
        proof=attributed.proof(drawn, main) if drawn and main else None,
        data=attributed.data_and_code(found, main) if main is not None else None,
        fields=_fields(found, main, choose) if main is not None else None,
        together=tuple(worth[:_TOGETHER]),
        more_together=_left(len(worth), _TOGETHER, "more interaction"),
        causes=tuple(_causes(found, main, drawn, link)) if drawn and main else (),
        more_causes=_left(len(found.causes), _CAUSES, "more cause"),
        innocent=attributed.innocent(found), innocents=tuple(innocents[:_NAMED]),
        more_innocents=_left(len(innocents), _NAMED, "more unit"), idle=attributed.idle(found),
        method=attributed.method(found) if main is not None else "",
        noise=tuple(excerpt.cut(clean(one[:LONGEST]), _WIDEST) for one in found.noise[:_NAMED]),
        remarks=(*(clean(one[:LONGEST]) for one in remarks[:_REMARKS]),
                 *filter(None, [_left(len(remarks), _REMARKS, "more remark")])),
        commands=tuple(_commands(found, main)),
    )  # fmt: skip


def _left(count: int, shown: int, noun: str) -> str:
    return f"… {many(count - shown, noun)}" if count > shown else ""


def _verdict(found: Explanation, main: Effect | None) -> Verdict:
    if main is not None:
        old, new = marked(*waterfall.ends(found, main), 4 * _VALUE)
        delta = waterfall.change(main)
        different = found.comparison.different
        return Verdict(
            same=not different, head="different" if different else "same",
            said=waterfall.field(main), old=old, new=new, delta=delta,
            percent=wording.percent(amounts.number(main.old), main.change) if delta else "",
        )  # fmt: skip
    told = outcome(found.comparison)
    old, new = marked(*told.both, 4 * _VALUE) if told.both is not None else ((), ())
    fields = tuple(change_field(one) for one in told.changes[:_COLUMNS])
    whole = fields[0] if len(told.changes) == 1 and not told.changes[0].path else None
    stop = f" {clean(told.stop.name[:_WIDEST])}" if told.stop is not None else ""
    return Verdict(
        same=told.head != "different", head=told.head, said=told.said + stop, old=old, new=new,
        whole=whole, fields=() if whole else fields,
    )  # fmt: skip


def certificate_view(said: Certificate) -> CertificateView:
    """Return how far the recorded code reproduces the recording."""
    what, paths = attributed.unreproduced(said)
    return CertificateView(
        whole=said.whole, said=clean(str(said)[:LONGEST]), what=what,
        paths=tuple(excerpt.cut(one, _WIDEST) for one in paths[:_NAMED]),
        more=_left(len(paths), _NAMED, "more step"),
        remarks=tuple(clean(one[:LONGEST]) for one in said.remarks[:_REMARKS]),
    )  # fmt: skip


def _note(found: Explanation, main: Effect | None) -> str:
    """What is said where nothing is to be attributed."""
    if main is not None or found.refused is not None:
        return ""
    if found.noise:
        return attributed.NOISE
    return "" if found.comparison.different else attributed.NO_CHANGE


def _first(found: Explanation) -> FirstView | None:
    known = attributed.first(found)
    if known is None:
        return None
    before, after, place = known
    step = after or before
    old, new = marked(_ending(before), _ending(after), 2 * _VALUE)
    name = excerpt.cut(clean(step.name[:LONGEST]), _WIDEST) if step is not None else ""
    return FirstView(name=name, old=old, new=new, place=place)


def _ending(step: Step | None) -> str:
    return (excerpt.outcome(step, LONGEST) or "—") if step is not None else "—"


def _fields(found: Explanation, main: Effect, choose: Callable[[str], str | None]) -> Fields | None:
    if len(found.effects) < 2:
        return None
    shown = found.effects[:_FIELDS]
    having = [at for at in range(len(found.causes)) if any(one.shares[at] for one in shown)]
    columns = having[:_COLUMNS]
    names = waterfall.short_names([found.causes[at] for at in columns])
    return Fields(
        columns=tuple((at + 1, name) for at, name in zip(columns, names, strict=True)),
        rows=tuple(_field_row(found, one, one is main, columns, choose) for one in shown),
        more_columns=_left(len(having), _COLUMNS, "more cause"),
        more_rows=_left(len(found.effects), _FIELDS, "more field"),
    )


def _field_row(
    found: Explanation, effect: Effect, main: bool, columns: Sequence[int],
    choose: Callable[[str], str | None],
) -> FieldRow:  # fmt: skip
    name = waterfall.field(effect)
    old, new = marked(*waterfall.ends(found, effect, LONGEST), _VALUE // 2)
    return FieldRow(
        name=name, link=None if main else choose(name), main=main, old=old, new=new,
        change=waterfall.change(effect),
        cells=tuple(_cell(effect, at) for at in columns),
    )  # fmt: skip


def _cell(effect: Effect, cause: int) -> Cell:
    share = effect.shares[cause]
    if not share:
        return Cell(text="·", sign="")
    text = f"{waterfall.shown(effect, cause)}{waterfall.margin(effect, cause)}"
    return Cell(text=text, sign="down" if share < 0 else "up")


def _causes(found: Explanation, main: Effect, drawn: Waterfall, link: Link) -> Iterator[CauseView]:
    job = found.new.steps[0].name if found.new.steps else found.new.key
    guilty = [at for at, share in enumerate(main.shares) if share]
    others = [at for at in range(len(found.causes)) if not main.shares[at]]
    for row, at in enumerate([*guilty, *others][:_CAUSES]):
        share = attributed.share(main, at, drawn)
        yield cause_view(found.causes[at], at + 1, share, job, link, opened=row < _OPENED)


def _commands(found: Explanation, main: Effect | None) -> Iterator[tuple[str, str]]:
    """What to type next, and what it shows."""
    if found.comparison.different:
        reference = clean(found.old.id[:100])
        yield f"tracediff compare {reference}", "every step that differs"
        if main is None:
            yield f"tracediff bisect {reference}", "the commit that changed it"
