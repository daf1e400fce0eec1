"""Explanations for the reports, made by hand, the same on every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.explain.apportioning import shown
from tracediff.explained import (
    Blame,
    Cause,
    Certificate,
    Effect,
    Explanation,
    Hunk,
    Interaction,
    LineChange,
    Passed,
    Span,
    Unit,
)
from tracediff.model import MISSING, Code, ErrorInfo, ReplayInfo, Source, Step, Trace, Value
from tracediff.values import encode

KEY = "commodity/calculate/one"
ID = "1m8a4t9p5fyvc278jm1f"


def trace(result: Any, rate: str, **more: Any) -> Trace:
    """A price of one step; what is an error was raised."""
    error = result if isinstance(result, ErrorInfo) else None
    state: Any = "error" if error else "success"
    job = Step(parent=-1, kind="job", name=KEY, state=state, error=error,
               args=Value(encode({"store_id": 1, "product_id": 42})),
               result=None if error else Value(encode(result)))  # fmt: skip
    step = Step(parent=0, kind="step", name="Duty rate", args=Value(encode({"heading": "8518"})),
                result=Value(encode(rate)),
                source=Source("pricing/duty.py", 68, "pricing.duty:duty_rate"))  # fmt: skip
    return Trace(**{"id": ID, "key": KEY, "job": "pricing.job:calculate", "steps": (job, step),
                    "state": state, "code": Code(commit="1a2b3c4d" * 5), **more})  # fmt: skip


def effect(path: tuple[Any, ...], old: Any, new: Any, shares: list[str], **more: Any) -> Effect:
    exact = tuple(map(Fraction, shares))
    if "shown" not in more:
        ends = (0, 1) if more.get("kind") == "indicator" else (old, new)
        more["shown_change"], more["shown"] = shown(exact, *ends)
    made = {"path": path, "kind": "number", "old": old, "new": new, "shares": exact}
    return Effect(**{**made, "change": sum(exact, Fraction(0)), **more})


def hunk(path: str, line: int, *lines: str) -> Hunk:
    return Hunk(old_path=path, path=path, old_line=line, line=line, lines=lines)


def cause(name: str, file: str, line: int, *lines: str, **more: Any) -> Cause:
    kind = more.pop("kind", "function")
    where = Span(file=file, first=line, last=line + 3)
    return Cause(
        **{
            "units": (Unit(kind=kind, name=name, old=where, new=where),),
            "line": Source(file, line, name),
            "hunks": (hunk(file, line, *lines),) if lines else (),
            **more,
        }
    )


def blame(sha: str, author: str, day: int, subject: str) -> Blame:
    return Blame(line=1, sha=sha * 5, author=author, date=datetime(2024, 5, day, tzinfo=UTC),
                 subject=subject)  # fmt: skip


def pricing_causes() -> tuple[Cause, ...]:
    """The planted changes of the pricing example that change a price."""
    return (
        cause(
            "pricing.duty:DUTY_RATES", "pricing/duty.py", 44,
            '-    "8518": Decimal("0.025"),', '+    "8518": Decimal("0.037"),',
            kind="constant",
            commits=(blame("4f1c09aa", "Ada Byron", 2, "Raise the duty on loudspeakers"),),
            travelled=(
                Passed(path=("Evaluating guards", "Duty rate"), old="0.025", new="0.037", index=9),
                Passed(path=("Duty",), old="3.11", new="4.60", index=21),
                Passed(path=("Net price",), old="151.90", new="153.16", index=24),
                Passed(path=("VAT",), old="35.03", new="35.33", index=28),
                Passed(path=(), old="219.38", new="221.28", index=0),
            ),
        ),
        cause(
            "pricing.weights:VOLUMETRIC_DIVISOR", "pricing/weights.py", 13,
            "-VOLUMETRIC_DIVISOR = Decimal(5000)", "+VOLUMETRIC_DIVISOR = Decimal(6000)",
            kind="constant",
            commits=(blame("9b33e7d1", "Grace Murray", 7, "Use the carriers' new divisor"),),
            travelled=(
                Passed(path=("Evaluating guards", "Weight", "Volumetric weight"), old="2.400",
                       new="2.000", index=12),
                Passed(path=(), old="219.38", new="218.79", index=0),
            ),
        ),
        cause(
            "pricing.rounding:to_cents", "pricing/rounding.py", 16,
            "-    rounded = amount.quantize(CENT, rounding=ROUND_HALF_UP)",
            "+    rounded = amount.quantize(CENT, rounding=ROUND_HALF_EVEN)",
            commits=(blame("c0ffee42", "Edsger W.", 9, "Round half to even"),),
            variable=LineChange(
                name="rounded", old="3.115", new="3.12",
                old_source=Source("pricing/rounding.py", 16, "pricing.rounding:to_cents"),
                new_source=Source("pricing/rounding.py", 16, "pricing.rounding:to_cents"),
            ),
            travelled=(
                Passed(path=("Duty", "Rounding to cents"), old="3.11", new="3.12", index=23),
            ),
            kept=("pricing.rounding:ROUND_HALF_EVEN",),
        ),
    )  # fmt: skip


def certificate(**more: Any) -> Certificate:
    return Certificate(
        **{"commit": "1a2b3c4d" * 5, "certified": True, "reproduced": 212, "total": 212, **more}
    )


def explained(old: Any, new: Any, **more: Any) -> Explanation:
    """An explanation of a job whose result was ``old`` and is ``new``."""
    before = trace(old, "0.025")
    after = trace(new, "0.037" if old != new else "0.025", replay=ReplayInfo(of=ID))
    return Explanation(
        **{
            "old": before,
            "new": after,
            "comparison": compare(before, after),
            "certificate": certificate(),
            **more,
        }
    )


INNOCENT = tuple(
    Unit(kind="function", name=f"pricing.{name}", new=Span(file="pricing/x.py", first=1, last=2))
    for name in (
        "margin:condition_correction", "job:net_price", "guards:clear", "vat:vat", "exchange:rate",
        "shipping:legs", "inputs:product", "models:Price.__str__", "cost:purchase_cost",
    )
)  # fmt: skip
PRICE = effect(
    ("result",), Decimal("219.38"), Decimal("221.79"), ["1.9033", "0.5117", "-0.005"],
    interactions=(
        Interaction(first=0, second=1, amount=Fraction("0.031")),
        Interaction(first=0, second=2, amount=Fraction("0.0001")),
    ),
)  # fmt: skip


def pricing(**more: Any) -> Explanation:
    return explained(
        Decimal("219.38"),
        Decimal("221.79"),
        **{
            "causes": pricing_causes(),
            "effects": (PRICE,),
            "main": 0,
            "hybrids": 8,
            "innocent": INNOCENT,
            "idle": 3,
            **more,
        },
    )


def fields() -> Explanation:
    """Several numbers and a text that changed; one cause has no part in the one that is drawn."""
    four = (*pricing_causes(), cause("pricing.texts:LABEL", "pricing/texts.py", 3, "+LABEL = 'x'"))
    numbers = (
        effect(("result", "amount"), Decimal("219.38"), Decimal("221.79"),
               ["1.9033", "0.5117", "-0.005", "0"]),
        effect(("result", "duty"), Decimal("3.11"), Decimal("4.60"), ["1.495", "0", "-0.005", "0"]),
        effect(("result", "shipping"), Decimal("9.90"), Decimal("8.40"), ["0", "-1.5", "0", "0"]),
        effect(("result", "label"), "price", "new price", ["0", "0", "0", "1"], kind="indicator"),
        *(
            effect(("result", "lines", at, "net"), at, at + 3, ["1", "2", "0", "0"])
            for at in range(12)
        ),
    )  # fmt: skip
    return explained(
        {"amount": Decimal("219.38")}, {"amount": Decimal("221.79")}, causes=four, effects=numbers,
        main=0, hybrids=16, data={0: (Fraction("0.5117"), Fraction("1.8983"))},
    )  # fmt: skip


def merged() -> Explanation:
    """Units that cannot run apart, and a cause whose way is long."""
    names = ("pricing.duty:duty", "pricing.job:landed_cost", "pricing.job:price")
    units = tuple(
        Unit(kind="function", name=name, new=Span(file="pricing/job.py", first=at, last=at + 9))
        for at, name in enumerate(names, 10)
    )
    way = tuple(
        Passed(path=("Shipping", f"Leg {at}", "Rate"), old=f"{at}.10", new=f"{at}.25", index=at)
        for at in range(20)
    )
    long = hunk("pricing/job.py", 25, *(f"-    old = {at}" for at in range(30)))
    moved = Hunk(old_path="pricing/tax.py", path="pricing/vat.py", old_line=9, line=14,
                 lines=("-    tax = net * 19", "+    tax = net * 21"))  # fmt: skip
    vat = cause(
        "pricing.vat:vat", "pricing/vat.py", 14, hunks=(moved,),
        commits=(Blame(line=14, sha=None),),
        variable=LineChange(name="tax", old="19.00", new="21.00",
                            new_source=Source("pricing/vat.py", 14, "pricing.vat:vat")),
    )  # fmt: skip
    one = Cause(
        units=units,
        line=Source("pricing/job.py", 31, "pricing.job:landed_cost"),
        merged="landed_cost passes an argument that only the new duty takes",
        hunks=(long, hunk("pricing/duty.py", 60, "-def duty(a):", "+def duty(a, b):")),
        commits=tuple(blame(f"{at}abcdef0", f"Author {at}", at + 1, "Part") for at in range(5)),
        travelled=way,
    )
    shares = effect(("result",), 100, 104, ["5", "-1"])
    said = certificate(reproduced=210, unreproduced=(("Clock",), ("Id",)),
                       unrecorded=(("Clock",),), remarks=("the lock file differs",))  # fmt: skip
    return explained(100, 104, causes=(one, vat), effects=(shares,), main=0, hybrids=4,
                     certificate=said, noise=("result.at", "output.Save.at"),
                     remarks=("2 definitions were merged",))  # fmt: skip


def indicator() -> Explanation:
    error = ErrorInfo(
        type="pricing.guards:NoDuty", message="no duty for 8518", bases=("Exception",)
    )
    both = Interaction(first=0, second=1, amount=Fraction(1, 3))
    fact = effect(("error",), MISSING, "pricing.guards:NoDuty: no duty for 8518",
                  ["2/3", "1/3", "0"], kind="indicator",
                  interactions=(both,))  # fmt: skip
    return explained(Decimal("219.38"), error, causes=pricing_causes()[:2],
                     effects=(replace(fact, shares=fact.shares[:2], shown=fact.shown[:2]),),
                     main=0, hybrids=4)  # fmt: skip


def sampled() -> Explanation:
    shares = replace(PRICE, margins=(Fraction("0.021"), Fraction("0.008"), Fraction("0.0004")))
    return pricing(effects=(shares,), method="sampling", hybrids=4_096)


def many_causes() -> Explanation:
    """Sixty causes, up and down, each smaller than the one before it."""
    parts = [f"{(-1) ** (at % 3 == 2) * (60 - at) ** 3}/5000" for at in range(60)]
    total = sum(map(Fraction, parts), Fraction(0))
    causes = tuple(
        cause(f"pricing.rules_{at % 4}:rule_{at}", f"pricing/rules_{at % 4}.py", at + 1,
              f"-    return {at}", f"+    return {at + 1}")
        for at in range(60)
    )  # fmt: skip
    old = Decimal(1200)
    new = old + Decimal(total.numerator) / total.denominator
    return explained(old, new, causes=causes, effects=(effect(("result",), old, new, parts),),
                     main=0, method="groups", hybrids=2_400)  # fmt: skip


def refused() -> Explanation:
    return explained(
        Decimal("219.38"), Decimal("221.79"),
        refused="the result differs on every run of the same code, so no share of it can be told; "
        "name what is random with td.input and record the trace again",
        certificate=certificate(certified=False, remarks=("the recorded commit is not here",)),
    )  # fmt: skip


def hostile(evil: str) -> Explanation:
    """The same text wherever an explanation holds text of a trace, of code or of git."""
    where = Span(file=evil, first=1, last=2)
    source = Source(evil, 1, evil)
    bad = Cause(
        units=(Unit(kind="function", name=evil, old=where, new=where),
               Unit(kind="data file", name=evil)),
        line=source,
        merged=evil,
        hunks=(Hunk(old_path=evil, path=evil, old_line=1, line=1, lines=(f"-{evil}", f"+{evil}")),),
        commits=(Blame(line=1, sha=evil, author=evil, date=datetime(2024, 5, 1), subject=evil),),
        variable=LineChange(name=evil, old=evil, new=f"{evil}!", old_source=source,
                            new_source=source),
        travelled=(Passed(path=(evil, evil), old=evil, new=evil, index=1),),
        kept=(evil,),
    )  # fmt: skip
    numbers = (
        effect(("result", evil), Decimal(1), Decimal(3), ["1", "1"],
               interactions=(Interaction(first=0, second=1, amount=Fraction(1)),)),
        effect(("error", evil), evil, evil, ["1/2", "1/2"], kind="indicator"),
    )  # fmt: skip
    made = explained(evil, f"{evil}!", causes=(bad, bad), effects=numbers, main=0)
    return replace(
        made,
        old=replace(made.old, id=evil, key=evil, meta=evil),
        new=replace(made.new, id=evil, key=evil),
        certificate=certificate(commit=evil, certified=False, unrecorded=((evil, evil),),
                                remarks=(evil,)),
        innocent=(Unit(kind="input", name=evil),),
        noise=(evil,),
        remarks=(evil,),
    )  # fmt: skip


EXPLANATIONS: dict[str, Callable[[], Explanation]] = {
    "pricing": pricing,
    "fields": fields,
    "merged": merged,
    "indicator": indicator,
    "sampled": sampled,
    "many": many_causes,
    "refused": refused,
    "unchanged": lambda: explained(100, 100, innocent=INNOCENT[:2], idle=1),
    "unattributed": lambda: explained("a", "b", refused="no changed unit ran"),
}


@pytest.fixture
def explanation() -> Callable[[str], Explanation]:
    return lambda name: EXPLANATIONS[name]()


@pytest.fixture(params=sorted(EXPLANATIONS))
def any_explanation(request: pytest.FixtureRequest) -> Explanation:
    return EXPLANATIONS[request.param]()


@pytest.fixture(scope="session")
def explaining() -> dict[str, Callable[..., Any]]:
    """The pieces of explanations, for tests that put others together."""
    return {"explained": explained, "effect": effect, "cause": cause, "hostile": hostile,
            "pricing": pricing}  # fmt: skip
