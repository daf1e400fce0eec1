"""The pricing example: certified, deep on both sides, and its planted change found by commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracediff import demo
from tracediff.api import open_project
from tracediff.codefiles import source_reader
from tracediff.explain.certificate import certify
from tracediff.model import Query


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
