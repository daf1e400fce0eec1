"""Figures as Prometheus reads them: the text exposition format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PREFIX = "tracediff_"
_EXACT = 1 << 53
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number, and the labels that tell it from others of its figure."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that is measured now and may rise and fall; ``name`` without the prefix."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def exposition(figures: Iterable[Figure]) -> str:
    """The text that Prometheus, or a collector of text files, reads."""
    return "".join(f"{line}\n" for one in figures for line in _lines(one))


def _lines(figure: Figure) -> list[str]:
    name = PREFIX + figure.name
    return [
        f"# HELP {name} {_printable(figure.help).translate(_IN_HELP)}",
        f"# TYPE {name} gauge",
        *(f"{name}{_labels(one.labels)} {_number(one.value)}" for one in figure.samples),
    ]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = [f'{name}="{_printable(text).translate(_IN_LABEL)}"' for name, text in labels.items()]
    return "{" + ",".join(pairs) + "}"


def _printable(text: str) -> str:
    """Half a surrogate pair is no UTF-8; a carriage return ends a line for some readers."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r", " ")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(float(value))
