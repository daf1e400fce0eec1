"""What the tests of comparing share: traces written as nested steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tracediff.model import Step, Trace, Value
from tracediff.values import encode


@dataclass(frozen=True)
class Node:
    """One step and what is in it; ``args``, ``result`` and ``key`` are plain objects."""

    name: str
    children: tuple[Node, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)

    def step(self, parent: int) -> Step:
        """The step alone."""
        fields = {
            name: Value(encode(one)) if name in ("args", "result", "key") else one
            for name, one in self.fields.items()
        }
        return Step(parent=parent, name=self.name, **{"kind": "step", **fields})


def _node(name: str, *children: Node, **fields: Any) -> Node:
    return Node(name, children, fields)


def _trace(*children: Node, about: dict[str, Any] | None = None, **job: Any) -> Trace:
    steps: list[Step] = []

    def add(node: Node, parent: int) -> None:
        index = len(steps)
        steps.append(node.step(parent))
        for child in node.children:
            add(child, index)

    add(Node("job", children, {"kind": "job", **job}), -1)
    return Trace(id="t", key="k", job="m:f", steps=tuple(steps), **(about or {}))


@pytest.fixture(scope="session")
def node() -> Callable[..., Node]:
    """A function that writes a step: ``node(name, *children, args=…, result=…)``."""
    return _node


@pytest.fixture(scope="session")
def trace() -> Callable[..., Trace]:
    """A function that makes a trace of steps: ``trace(*children, about={…}, result=…)``."""
    return _trace
