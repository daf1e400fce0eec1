"""What a benchmark hands back, and how a figure is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median, quantiles
from typing import Any

SCALES = {"s": 1.0, "ms": 1e3, "µs": 1e6, "%": 100.0}
"""What a measured number (seconds, or a share) is multiplied with to be in this unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table.

    ``value`` is in ``unit``; None when it was not measured, and ``missing`` says why. ``ratio`` is
    against something that ran in turns with it: ``against`` says what. ``target`` is the most that
    is allowed, or the ``least``. ``spread`` is half the distance between the quartiles of the
    rounds, in ``unit``.
    """

    what: str
    unit: str
    value: float | None = None
    ratio: float | None = None
    against: str = ""
    target: float | None = None
    least: bool = False
    spread: float | None = None
    missing: str = ""
    benchmark: str = ""

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, or nothing without a target."""
        if self.target is None:
            return ""
        if self.value is None:
            return "not measured"
        met = self.value >= self.target if self.least else self.value <= self.target
        return "met" if met else "missed"

    def cells(self) -> tuple[str, str, str, str, str]:
        """What, figure, ratio, target and verdict as they are shown."""
        shown = f"({self.missing})" if self.value is None else written(self.value, self.unit)
        if self.spread is not None and self.value is not None:
            shown += f" ± {rounded(self.spread)}"
        ratio = "" if self.ratio is None else f"{rounded(self.ratio)} {self.against}"
        target = ""
        if self.target is not None:
            target = f"{'≥' if self.least else '≤'} {written(self.target, self.unit)}"
        return self.what, shown, ratio, target, self.verdict

    def of(self, benchmark: str) -> Figure:
        """The same figure as one of this benchmark."""
        return replace(self, benchmark=benchmark)

    def as_json(self) -> dict[str, Any]:
        """All fields and the verdict."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Figure:
        """What ``as_json`` wrote."""
        return cls(**{name: value for name, value in fields.items() if name != "verdict"})


def timed(
    what: str,
    samples: Sequence[float],
    unit: str,
    *,
    base: Sequence[float] | None = None,
    against: str = "",
    target: float | None = None,
) -> Figure:
    """A duration from samples in seconds: their median.

    Args:
        what: What was measured.
        samples: One a round.
        unit: What it is shown in, of ``SCALES``.
        base: What ran in turns with it, one sample a round; the ratio is the rounds' median.
        against: What that is.
        target: The most that is allowed, in ``unit``.
    """
    return Figure(
        what=what,
        unit=unit,
        value=median(samples) * SCALES[unit],
        ratio=ratio(samples, base) if base is not None else None,
        against=against,
        target=target,
        spread=spread(samples, SCALES[unit]),
    )


def rate(
    what: str,
    samples: Sequence[float],
    *,
    base: Sequence[float],
    against: str,
    target: float,
) -> Figure:
    """How often a second, from samples in seconds; ``target`` is the least."""
    often = [1 / one for one in samples]
    return Figure(
        what=what,
        unit="/s",
        value=median(often),
        ratio=ratio(samples, base),
        against=against,
        target=target,
        least=True,
        spread=spread(often),
    )


def ratio(samples: Sequence[float], base: Sequence[float]) -> float:
    """How many times the base, as the median of the rounds' own ratios."""
    return median(one / other for one, other in zip(samples, base, strict=True))


def spread(samples: Sequence[float], scale: float = 1.0) -> float | None:
    """Half the distance between the quartiles; None where there are too few samples."""
    if len(samples) < 8:
        return None
    low, _, high = quantiles(samples, n=4)
    return (high - low) / 2 * scale


def written(value: float, unit: str) -> str:
    """A number with its unit, three digits of it."""
    return f"{rounded(value)} {unit}" if unit else rounded(value)


def rounded(value: float) -> str:
    """Three significant digits, thousands in groups."""
    if value == 0:
        return "0"
    for limit, form in ((1000, "{:,.0f}"), (100, "{:.0f}"), (10, "{:.1f}"), (0.1, "{:.2f}")):
        if abs(value) >= limit:
            return form.format(value)
    return f"{value:.2g}"
