"""Checks for the reports, made by hand, the same on every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any
from zlib import crc32

import pytest

from tracediff.check.sums import Sum
from tracediff.checked import (
    Acceptance,
    Bin,
    Change,
    Checked,
    Group,
    Mark,
    Moved,
    Noise,
    Result,
    Total,
)

KEY = "commodity/calculate/one"
PRICE = "output.Saving price.price.amount"
EVIL = (
    "</style></svg><script>alert(1)</script><img src=x onerror=alert(1)>]]>&lt;&#60;|`*_~[x](y)"
    "![i](http://e.x)\"'\x1b[2J\x1b]0;t\x07\x00\u202egnp.\u200b\ud800\ufffe%0A%2C%3A::error::\r\n"
    "::set-output name=x::y\n##[error]x\n````\n</details>\n# h\n| a | b |\n@all #1 漢 {{x}} ${x}"
)


def total(field: str, changes: Iterable[Any]) -> Total:
    """The sum of some changes, as a check makes it."""
    made = Sum()
    for one in changes:
        made.add(Fraction(one))
    return made.total(field)


def change(unit: str, file: str, line: int, *hunk: str, **more: Any) -> Change:
    given = {"id": f"{crc32(unit.encode()):08x}", "units": (unit,), "kind": "constant"}
    return Change(**{**given, "file": file, "line": line, "hunk": hunk, **more})


def changed(number: int, old: str, new: str, size: int = 131) -> Result:
    moved = Moved(field="result", old=old, new=new, change=Fraction(new) - Fraction(old))
    return Result(id=f"1m8b2xrncbxrz8pd{number:04}", key=KEY, kind="changed",
                  meta=f"product_id={number}", size=size, moved=(moved,))  # fmt: skip


def group(made: Change | None, totals: tuple[Total, ...], smallest: Result, **more: Any) -> Group:
    if made is not None:
        names = " + ".join(name.rpartition(":")[2] for name in made.units)
        given = {"cause": made.id, "label": f"{names} ({made.file})", "exact": True, "change": made}
    else:
        given = {"cause": "5b60a30e", "label": "Saving price (pricing/job.py)"}
    count = max(one.count for one in totals) if totals else 1
    return Group(**{**given, "count": count, "smallest": smallest, "totals": totals,
                    "keys": {KEY: count}, **more})  # fmt: skip


DIVISOR = change("pricing.weights:VOLUMETRIC_DIVISOR", "pricing/weights.py", 13,
                 "-VOLUMETRIC_DIVISOR = Decimal(5000)", "+VOLUMETRIC_DIVISOR = Decimal(6000)",
                 commit="ea2b87de4f9ac0011223344556677889900aabbc")  # fmt: skip
RATES = change("pricing.duty:DUTY_RATES", "pricing/duty.py", 44,
               '-    "8518": Decimal("0.025"),', '+    "8518": Decimal("0.037"),',
               commit="640a5ac1b2c3d4e5f60718293a4b5c6d7e8f9012")  # fmt: skip
CENTS = change("pricing.rounding:to_cents", "pricing/rounding.py", 16,
               "-    rounded = amount.quantize(CENT, rounding=ROUND_HALF_UP)",
               "+    rounded = amount.quantize(CENT, rounding=ROUND_HALF_EVEN)",
               kind="function")  # fmt: skip
LABEL = change("pricing.texts:LABEL", "pricing/texts.py", 3, "-LABEL = 'price'",
               "+LABEL = 'Price'")  # fmt: skip
TARIFF = Acceptance(cause=RATES.id, label="DUTY_RATES (pricing/duty.py)",
                    reason="the customs tariff of November", who="Ada Byron",
                    when="2026-11-25", fields={"result": "up"})  # fmt: skip


def falls() -> list[Fraction]:
    return [Fraction(-at * at, 100) for at in range(3, 28)] + [Fraction(-1, 20)] * 120


def rises() -> list[Fraction]:
    return [Fraction(at, 4) for at in range(8, 21)]


def cents() -> list[Fraction]:
    return [Fraction(1, 100)] * 14 + [Fraction(-1, 100)] * 37


def three(**more: Any) -> tuple[Group, ...]:
    """The three planted changes of the pricing example that change prices."""
    divisor = group(
        DIVISOR,
        (total("result", falls()), total(PRICE, falls()),
         total("output.Saving price.price.shipping", falls()),
         total("output.Saving price.price.vat", [one / 5 for one in falls()])),
        changed(3, "73.39", "73.11"),
        marks=(Mark(attributes=("input Main product.volume = 'large'", "argument store_id = 3"),
                    support=0.83, ratio=6.4, count=120),),
    )  # fmt: skip
    rates = group(
        RATES, (total("result", rises()), total(PRICE, rises())), changed(684, "661.83", "664.73"),
        marks=(Mark(attributes=("input Main product.category = 'audio'",), support=0.96,
                    ratio=41.2, count=12),
               Mark(attributes=("tag ri:8518",), support=0.5, ratio=float("inf"), count=6)),
        **more,
    )  # fmt: skip
    rounding = group(
        CENTS, (total("result", cents()), total(PRICE, cents())), changed(77, "77.59", "77.58", 97),
        others={"output.Saving price.price.note": 3},
    )  # fmt: skip
    return divisor, rates, rounding


def added(groups: Iterable[Group]) -> tuple[Total, ...]:
    """What groups of no common trace come to."""
    fields: dict[str, list[Total]] = {}
    for one in groups:
        for it in one.totals:
            fields.setdefault(it.field, []).append(it)
    return tuple(
        Total(
            field=name, count=sum(one.count for one in parts),
            change=sum((one.change for one in parts), Fraction(0)),
            least=min(one.least for one in parts), most=max(one.most for one in parts),
            up=sum(one.up for one in parts), down=sum(one.down for one in parts),
            bins=max(parts, key=lambda one: one.count).bins,
        )
        for name, parts in sorted(fields.items())
    )  # fmt: skip


def check(groups: tuple[Group, ...], **more: Any) -> Checked:
    count = sum(one.count for one in groups)
    given = {
        "matching": 300, "checked": 300, "same": 300 - count, "changed": count, "main": "result",
        "groups": groups, "totals": added(groups), "explained": count, "reproduced": (20, 20),
        "seconds": 12.4, "broken": (f"{count:,} traces differ, and at most 0 may",),
    }  # fmt: skip
    return Checked(**{**given, **more})


def pricing() -> Checked:
    return check(three())


def passing() -> Checked:
    return check((), changed=0, broken=(), main="")


def all_accepted() -> Checked:
    groups = tuple(
        group(one.change, one.totals, one.smallest,
              accepted=Acceptance(cause=one.cause, label=one.label, reason="as it should be"))
        for one in three()
    )  # fmt: skip
    return check(groups, broken=(), accepted=sum(one.count for one in groups))


def everything() -> Checked:
    """All that a check can find at once."""
    first, second, third = three(accepted=TARIFF)
    drifting = group(
        LABEL, (), changed(11, "1", "1"), count=9,
        others={"result.label": 9, "output.Saving price.price.label": 9},
        accepted=Acceptance(cause=LABEL.id, label="LABEL", reason="a capital", who="Grace"),
        drift=("result.label moves, and that was not accepted",),
    )  # fmt: skip
    unexplained = group(
        None, (total("result", ["-1.5", "0.25"]), total(PRICE, ["-1.5", "0.25"])),
        changed(99, "10.00", "8.50", 45),
    )  # fmt: skip
    groups = (first, second, unexplained, third, drifting)
    count = sum(one.count for one in groups)
    failures = tuple(
        Result(id=f"1m8b2xrnf00000000{at:03}", key=KEY, kind="failed", slug=slug, message=message,
               hint=hint)
        for at, (slug, message, hint) in enumerate((
            ("replay-died", "the process of the replay ended with exit code 3", "run it alone"),
            ("replay-timeout", "the replay took longer than 60 s", ""),
            ("trace-hurt", "its bytes are damaged", ""),
        ))
    )  # fmt: skip
    return check(
        groups, matching=5000, checked=300, same=300 - count - 3, failed=3, unaffected=1700,
        accepted=13, failures=failures, explained=count - 2,
        noise=(Noise(field="result.printed_at", count=41, example="1m8b2xrncbxrz8pd0003"),),
        stale=(Acceptance(cause="0badcafe", label="MARGIN (pricing/margin.py)",
                          reason="the new margins", who="Edsger W.", when="2026-05-02"),),
        broken=(f"{count - 13} traces differ, and at most 0 may",
                "3 traces could not be replayed",
                "result moves by -77.25 in all, and may by at most 10.00"),
        remarks=("2 could not be explained: the recorded commit is not here",
                 "1,000 of 2,000 traces that changed were explained; --explain all takes longer"),
        against="1a2b3c4d5e6f", reproduced=(19, 20),
    )  # fmt: skip


def texts_only() -> Checked:
    """Nothing that is a number moved."""
    one = group(LABEL, (), changed(11, "1", "1"), count=9, others={"result.label": 9})
    return check((one,), main="", totals=())


def plain(amount: Fraction) -> Total:
    """One change of the result, with no more work than that."""
    return Total(field="result", count=1, change=amount, least=amount, most=amount,
                 up=int(amount > 0), down=int(amount < 0), bins=(Bin(1.0, 1.0, 1),))  # fmt: skip


def many_causes(count: int = 60) -> Checked:
    one = changed(1, "1", "2")
    groups = tuple(
        group(
            Change(id=f"{at:08x}", units=(f"pricing.rules_{at % 7}:rule_{at}",), kind="function",
                   file=f"pricing/rules_{at % 7}.py", line=at + 1,
                   hunk=(f"-    return {at}", f"+    return {at + 1}")),
            (plain(Fraction((-1) ** at * (count - at) ** 2, 300)),),
            one,
        )
        for at in range(count)
    )  # fmt: skip
    return check(groups, checked=2 * count, same=count)


def enormous() -> Checked:
    """Amounts that no float and no screen holds."""
    huge, tiny = Fraction(10**5000 + 1, 7), Fraction(1, 3**400)
    sides = (total("result", [huge]), total("result", [-huge, tiny]), total("result", [tiny]))
    groups = tuple(
        group(one, (side,), changed(at, "1", "2"))
        for at, (one, side) in enumerate(zip((DIVISOR, RATES, CENTS), sides, strict=True))
    )
    return check(groups)


def hostile(evil: str = EVIL) -> Checked:
    """The same text wherever a check holds text of a trace, of code or of people."""
    said = Acceptance(cause=evil, label=evil, reason=evil, who=evil, when=evil, fields={evil: evil})
    result = Result(
        id=evil, key=evil, kind="changed", meta=evil, cause=evil, label=evil,
        moved=(Moved(field=evil, old=evil, new=evil, change=Fraction(1)),), message=evil,
        slug=evil, hint=evil, attributes=((evil, evil),),
    )  # fmt: skip
    one = Group(
        cause=evil, label=evil, count=3, smallest=result, exact=True,
        change=Change(id=evil, units=(evil, evil), kind=evil, file=evil, line=-1,
                      hunk=(f"-{evil}", f"+{evil}", evil), commit=evil),
        totals=(total(evil, [1, -2, 5]), total("result", [1])), others={evil: 2}, keys={evil: 3},
        marks=(Mark(attributes=(evil, evil), support=float("nan"), ratio=float("nan"), count=1),),
    )  # fmt: skip
    accepted = Group(cause=f"{evil}2", label=evil, count=1, smallest=result, accepted=said,
                     drift=(evil,), others={evil: 1})  # fmt: skip
    passes = Group(cause=f"{evil}3", label=evil, count=1, smallest=result, accepted=said)
    return Checked(
        matching=9, checked=9, same=1, changed=5, accepted=1, failed=1, unaffected=2, main=evil,
        groups=(one, accepted, passes), totals=(total(evil, [1, -2, 5]), total("result", [1])),
        failures=(result,), noise=(Noise(field=evil, count=1, example=evil),), stale=(said,),
        explained=1, reproduced=(1, 2), against=evil, seconds=float("inf"), broken=(evil, evil),
        remarks=(evil,),
    )  # fmt: skip


def odd_bins() -> Checked:
    """Distributions as nobody makes them."""
    nan, inf = float("nan"), float("inf")
    bins = (Bin(-inf, nan, 3), Bin(nan, inf, -5), Bin(1.0, 1.0, 0))
    one = Total(field="result", count=3, change=Fraction(3), least=Fraction(0), most=Fraction(3),
                up=3, down=0, bins=bins)  # fmt: skip
    return check((group(DIVISOR, (one,), changed(1, "1", "2")),))


CHECKS: dict[str, Callable[[], Checked]] = {
    "pricing": pricing,
    "passing": passing,
    "accepted": all_accepted,
    "everything": everything,
    "texts": texts_only,
    "many": many_causes,
    "enormous": enormous,
    "hostile": hostile,
    "bins": odd_bins,
}


@pytest.fixture
def checked() -> Callable[[str], Checked]:
    """A check by its name."""
    return lambda name: CHECKS[name]()


@pytest.fixture(params=sorted(CHECKS))
def any_check(request: pytest.FixtureRequest) -> Checked:
    return CHECKS[request.param]()


@pytest.fixture(scope="session")
def ten_thousand() -> Checked:
    """A check of ten thousand causes."""
    return many_causes(10_000)


@pytest.fixture(scope="session")
def checking() -> dict[str, Any]:
    """The pieces of checks, for tests that put others together."""
    return {"check": check, "group": group, "change": change, "total": total, "changed": changed,
            "hostile": hostile, "EVIL": EVIL}  # fmt: skip
