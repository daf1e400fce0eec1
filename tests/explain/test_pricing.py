"""The pricing example: certified, deep on both sides, and its planted change found by commit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tracediff import demo
from tracediff.api import open_project
from tracediff.codefiles import source_reader
from tracediff.explain.certificate import certify
from tracediff.model import Query, Source

pytestmark = pytest.mark.in_turn


@pytest.mark.slow
def test_certificate_deep_replay_and_bisect(surroundings: None, tmp_path: Path) -> None:
    directory = demo.copy(tmp_path / "pricing")
    demo.make_catalogue(directory)
    (directory / ".gitignore").write_text(".tracediff/\n__pycache__/\ncatalogue.sqlite\n")
    demo.commit(directory, "first version")
    demo.record(directory, jobs=3)
    commits = {}
    for name in ("rename_move", "volumetric"):
        demo.change(directory, name)
        commits[name] = demo.commit(directory, name)
    project = open_project(start=directory)
    for row in project.search(Query(limit=3)).rows:
        trace = project.resolve(row.id)
        load = source_reader(project.config.root, lambda: project.store)
        found = certify(trace, project.config, load=load)
        assert found.whole, found
        assert found.remarks == ()
        deep = project.compare(trace.id, deep=True)
        assert len(deep.old.steps) > len(trace.steps)
        if deep.different:
            guilty = project.bisect(trace.id).commit
            assert guilty is not None
            assert guilty.subject == "volumetric"
            project.close()
            return
    pytest.fail("no price changed")


@pytest.mark.slow
def test_the_newest_trace_of_the_demo_is_explained_to_the_cent(tmp_path: Path) -> None:
    made = demo.build(tmp_path / "demo", jobs=1)
    with open_project(start=made.directory) as project:
        found = project.explain("@last")
    assert found.certificate.whole
    assert found.main is not None
    main = found.effects[found.main]
    named = {
        cause.units[0].name: (share, cause.line, [one.sha for one in cause.commits])
        for cause, share in zip(found.causes, main.shown, strict=True)
    }
    assert named == {
        "pricing.duty:DUTY_RATES": (
            "7.20",
            Source("pricing/duty.py", 44, "pricing.duty:DUTY_RATES"),
            [made.changes["duty"]],
        ),
        "pricing.weights:VOLUMETRIC_DIVISOR": (
            "-4.20",
            Source("pricing/weights.py", 13, "pricing.weights:VOLUMETRIC_DIVISOR"),
            [made.changes["volumetric"]],
        ),
        "pricing.rounding:to_cents": (
            "-0.10",
            Source("pricing/rounding.py", 16, "pricing.rounding:to_cents"),
            [made.changes["rounding"]],
        ),
    }
    assert (str(main.old), str(main.new), main.shown_change) == ("661.83", "664.73", "2.90")
    assert sum(main.shares) == main.change == Fraction("2.90")
    assert "pricing.job:net_price" in {unit.name for unit in found.innocent}
