"""Traces and comparisons for the reports, made by hand, the same on every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.model import (
    Code,
    Comparison,
    Environment,
    ErrorInfo,
    ReplayInfo,
    Source,
    Step,
    Trace,
    Value,
)
from tracediff.recording.codeversion import blob_id
from tracediff.reports.text.canvas import Look
from tracediff.values import encode

START = 1_732_000_000 * 10**9
GOLDEN = Path(__file__).parent / "golden"
OLD_DUTY = 'RATE = Decimal("0.025")\n\n\ndef duty(net):\n    return net * RATE\n'
NEW_DUTY = 'RATE = Decimal("0.037")\n\n\ndef duty(net):\n    return net * RATE\n'


def value(obj: Any) -> Value:
    return Value(encode(obj))


def step(parent: int, name: str, result: Any = None, kind: Any = "step", **args: Any) -> Step:
    error = args.pop("error", None)
    unit = args.pop("unit", f"shop.{name.lower()}:{name.lower()}")
    call = None if kind == "note" else value(args)
    return Step(
        parent=parent,
        kind=kind,
        name=name,
        args=call,
        result=None if error or kind == "note" else value(result),
        error=error,
        state="error" if error else "success",
        start=1_000_000 * (parent + 2),
        duration=2_500_000,
        source=Source(f"{unit.partition(':')[0].replace('.', '/')}.py", 4, unit),
        head=kind == "note" and name.isupper(),
    )


def price(rate: str) -> tuple[Step, ...]:
    """A little price calculation: duty, VAT and a sum, with as many steps that never change."""
    net = Decimal("100.00")
    duty = net * Decimal(rate)
    vat = ((net + duty) * Decimal("0.19")).quantize(Decimal("0.01"))
    total = (net + duty + vat).quantize(Decimal("0.01"))
    return (
        step(-1, "shop/price", total, "job", product_id=42, unit="shop.job:price"),
        step(0, "LOADING", kind="note"),
        step(0, "Product", {"id": 42, "net": net}, "input", product_id=42),
        *(step(0, f"Check {number}", True, number=number) for number in range(5)),
        step(0, "TAXES", kind="note"),
        step(0, "Duty", duty, net=net),
        step(9, f"{rate} of {net}", kind="note"),
        step(0, "VAT", vat, net=net + duty),
        step(0, "Save", None, "output", total=total),
    )


def trace(steps: tuple[Step, ...], duty: str = OLD_DUTY, **more: Any) -> Trace:
    files = {"shop/duty.py": blob_id(duty.encode()), "shop/vat.py": "1" * 40}
    return Trace(
        **{
            "id": "1m8a4t9p5fyvc278jm1f",
            "key": "shop/price",
            "job": "shop.job:price",
            "steps": steps,
            "state": steps[0].state,
            "started_at": START,
            "duration": 12_300_000,
            "meta": "product_id=42",
            "tags": ("store:1", "ri:313421"),
            "code": Code(commit="1a2b3c4d" * 5, dirty=False, files=files, python="3.11.7"),
            "environment": Environment(),
            **more,
        }
    )


def replayed(steps: tuple[Step, ...], duty: str = NEW_DUTY, **more: Any) -> Trace:
    info = more.pop("replay", ReplayInfo(of="1m8a4t9p5fyvc278jm1f"))
    code = trace(steps, duty).code
    return trace(
        steps,
        duty,
        id="1m8a4t9p5fyvc278jm2f",
        replay=info,
        code=replace(code, commit="9f8e7d6c" * 5, dirty=True),
        **more,
    )


def read(path: str, blob: str) -> str | None:
    known = {blob_id(text.encode()): text for text in (OLD_DUTY, NEW_DUTY)}
    return known.get(blob, "def vat(net):\n    return net\n")


def failing() -> tuple[Step, ...]:
    steps = price("0.025")
    error = ErrorInfo(type="shop.job:NoDuty", message="no duty for 8518", bases=("Exception",))
    return (
        replace(steps[0], result=None, error=error, state="error"),
        *steps[1:9],
        replace(steps[9], result=None, error=error, state="error"),
    )


def made(name: str) -> Comparison:
    old = trace(price("0.025"))
    if name == "changed":
        return compare(old, replayed(price("0.037")), load=read)
    if name == "same":
        return compare(old, replayed(price("0.025"), OLD_DUTY), load=read)
    if name == "fails":
        return compare(old, replayed(failing()), load=read)
    if name == "other":
        return compare(old, trace(price("0.037"), id="1m8a4t9p5fyvc278jm3f"))
    raise AssertionError(name)


@pytest.fixture
def comparison() -> Callable[[str], Comparison]:
    return made


@pytest.fixture
def recorded() -> Trace:
    return trace(price("0.025"))


@pytest.fixture
def look() -> Callable[..., Look]:
    return lambda **options: Look(**{"now": START + 3600 * 10**9, "width": 100, **options})


@pytest.fixture(scope="session")
def builders() -> dict[str, Callable[..., Any]]:
    """The pieces above, for tests that put others together."""
    return {
        "step": step, "trace": trace, "replayed": replayed, "price": price, "read": read,
        "value": value,
    }  # fmt: skip
