"""A trace may be as deep as it has steps: what a comparison asks of each may not take that long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff.compare import compare
from tracediff.compare.trees import Tree
from tracediff.model import Step, Tolerance


def asked(monkeypatch, trace, **given):
    """How many names were put together to compare a chain of 300 steps with a trace of none."""
    names = 0
    path = Tree.path

    def counted(self, index):
        nonlocal names
        found = path(self, index)
        names += len(found)
        return found

    monkeypatch.setattr(Tree, "path", counted)
    job = trace()
    chain = (Step(parent=at, kind="step", name="s") for at in range(300))
    deep = replace(job, steps=(*job.steps, *chain))
    for pair in ((deep, job), (job, deep)):
        assert len(compare(*pair, **given).divergences) == 1
    return names


@pytest.mark.parametrize("rules", [(), (Tolerance(path="x", ignore=True),)])
def test_no_way_down_is_worked_out_for_steps_in_what_came_or_went(monkeypatch, trace, rules):
    assert asked(monkeypatch, trace, tolerances=rules) <= 10
