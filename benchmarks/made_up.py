"""Data to measure with, made up with fixed seeds: the calculation of one product's price.

As in a real calculation, the same product goes into every step, and each step takes the quote that
the step before it gave.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tracediff import values
from tracediff.model import Source, Step, Trace, Value

WORDS = (
    "steel", "oak", "lamp", "chair", "matt", "white", "garden", "set", "folding", "large",
    "outdoor", "cushion", "frame", "glass", "pine", "black", "shelf", "cabinet", "drawer", "linen",
)  # fmt: skip
COUNTRIES = ("DE", "FR", "CZ", "PL", "AT", "NL", "IT", "SE")
STARTED = datetime(2024, 3, 1, 8, 0, tzinfo=UTC)
NAMES = ("Weight", "Shipping", "Duty", "Exchange", "Margin", "VAT", "Rounding")
SECTIONS = 7
STEPS = 50


def money(dice: random.Random, top: int = 500) -> Decimal:
    """An amount with two digits after the point."""
    return Decimal(dice.randrange(1, top * 100)).scaleb(-2)


def product(dice: random.Random) -> dict[str, Any]:
    """What a shop knows of a product, about 300 bytes."""
    number = dice.randrange(10**6, 10**7)
    return {
        "product_id": number,
        "sku": f"{dice.choice('ABCDEF')}{number}-{dice.randrange(100):02}",
        "name": " ".join(dice.choices(WORDS, k=5)),
        "country": dice.choice(COUNTRIES),
        "weight": Decimal(dice.randrange(100, 90_000)).scaleb(-3),
        "size": (dice.randrange(200), dice.randrange(200), dice.randrange(200)),
        "cost": money(dice),
        "currency": dice.choice(("EUR", "CZK", "PLN", "USD")),
        "available": dice.random() < 0.8,
        "since": date(2020, 1, 1) + timedelta(days=dice.randrange(1500)),
        "tags": dice.sample(WORDS, 3),
    }


def quote(dice: random.Random, line: int) -> dict[str, Any]:
    """What one step of a calculation gives: a few amounts, rates and where they come from."""
    return {
        "line": line,
        "amount": money(dice),
        "rate": Decimal(dice.randrange(1, 10**6)).scaleb(-6),
        "factor": dice.random() * 3,
        "valid_until": STARTED + timedelta(hours=dice.randrange(10_000)),
        "rule": f"{dice.choice(WORDS)}/{dice.choice(WORDS)}",
        "reason": dice.choice(WORDS),
        "parts": [{"name": dice.choice(WORDS), "amount": money(dice)} for _ in range(4)],
    }


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """A table such as an input reads, about 90 bytes a row."""
    dice = random.Random(seed)
    return [
        {
            "id": number,
            "sku": f"{dice.randrange(10**9):09}",
            "name": f"{dice.choice(WORDS)} {dice.choice(WORDS)} {dice.randrange(1000)}",
            "price": money(dice),
            "stock": dice.randrange(1000),
            "rate": dice.random(),
            "country": dice.choice(COUNTRIES),
        }
        for number in range(count)
    ]


def price_trace(seed: int, *, changed: int = 0, removed: bool = False) -> Trace:
    """A trace of 50 steps with rich values, 38 KB: seven sections of six or seven steps each.

    Args:
        seed: The same seed gives the same values.
        changed: In how many steps, spread evenly, the result is another one.
        removed: Whether one step is missing and another one is new.
    """
    dice = random.Random(seed)
    about = product(dice)
    given = quote(dice, 0)
    steps = [_step(-1, "job", "price", {"product": about, "quote": given}, money(dice), dice)]
    odd = {1 + at * (STEPS - 1) // changed for at in range(changed)} if changed else set()
    for index in range(1, STEPS):
        section = (index - 1) // SECTIONS
        head = 1 + section * SECTIONS
        name = NAMES[section] if index == head else f"{NAMES[section]}: part {index - head}"
        result = quote(dice, index)
        shown = {**result, "amount": result["amount"] + 1} if index in odd else result
        args = {"product": about, "quote": given, "store_id": 9}
        steps.append(_step(0 if index == head else head, "step", name, args, shown, dice))
        given = result
    if removed:
        del steps[SECTIONS]  # the last step of the first section, so nothing points at it
        steps = [replace(step, parent=step.parent - (step.parent > SECTIONS)) for step in steps]
        steps.append(_step(0, "step", "Surcharge", {"line": 99}, money(dice), dice))
    return Trace(
        id=f"made-up-{seed}", key="commodity/calculate/one", job="pricing.job:calculate",
        steps=tuple(steps), started_at=int(STARTED.timestamp()) * 10**9, duration=5_000_000,
        meta=f"product_id={about['product_id']}", tags=(f"product:{about['product_id']}",),
    )  # fmt: skip


def _step(
    parent: int, kind: Any, name: str, args: dict[str, Any], result: object, dice: random.Random
) -> Step:
    line = dice.randrange(10, 50)
    return Step(
        parent=parent,
        kind=kind,
        name=name,
        args=Value(values.encode(args)),
        result=Value(values.encode(result)),
        start=dice.randrange(5_000_000),
        duration=dice.randrange(1_000, 200_000),
        source=Source(f"pricing/part{line % 9}.py", line, f"pricing.part{line % 9}:step{line}"),
    )


def siblings(count: int, seed: int) -> Trace:
    """A trace with that many steps of one name under the job; nothing in them but the seed's."""
    return Trace(
        id=f"siblings-{seed}", key="many", job="many:job", steps=tuple(_siblings(count, seed))
    )


def _siblings(count: int, seed: int) -> Iterator[Step]:
    dice = random.Random(seed)
    yield _step(-1, "job", "many", {"lines": count}, money(dice), dice)
    for index in range(count):
        given = {"line": index, "amount": money(dice, 10**6)}
        yield _step(0, "step", "Line", given, {"amount": money(dice, 10**6)}, dice)
