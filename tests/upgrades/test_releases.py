"""Each release leaves a store behind, and the one before it still works on what this one writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import tracediff
from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.mongo.preparing import SCHEMA as MONGO
from tracediff.stores.sqlite_file import SCHEMA
from tracediff.testing import make_trace

ROOT = Path(__file__).parents[2]


def released() -> list[str]:
    """The versions that CHANGELOG.md says are released, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return re.findall(r"^## \[?v?(\d+\.\d+\S*?)\]?(?:\s|$)", text, re.MULTILINE)


def tags() -> list[str]:
    """The releases that git knows, oldest first; none in an archive without git."""
    done = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=version:refname"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.split()


def test_every_release_has_left_a_store(every):
    """When this fails: run scripts/store_fixture.py, or add the release to its about.json."""
    kept = {version for one in every for version in one.about["releases"]}
    assert set(released()) - kept == set()


def test_every_schema_up_to_the_last_released_has_left_a_store(every):
    assert sorted(one.schema for one in every) == list(range(1, len(every) + 1))
    assert SCHEMA == MONGO
    assert every[-1].schema in (SCHEMA, SCHEMA - 1), "a schema was skipped"


OLD = """
import json, sys
from pathlib import Path
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace

try:
    store = LocalStore(Path(sys.argv[1]))
    ids = sorted(row.id for row in store.search(Query(limit=1000)).rows)
    store.save([make_trace("old")])
    store.close()
    print(json.dumps({"ids": ids}))
except StoreError as error:
    print(json.dumps({"slug": error.slug}))
"""


def test_the_last_release_works_on_a_store_of_this_one_or_refuses_it_clearly(tmp_path):
    found = tags()
    if not found:
        assert released() == ["0.1.0"], "a release after the first needs a tag"
        assert tracediff.__version__ == "0.1.0", "so does a version after it"
        return
    old = tmp_path / "old"
    old.mkdir()
    archive = subprocess.run(
        ["git", "archive", found[-1], "tracediff"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(old)], input=archive.stdout, check=True)
    directory = tmp_path / "store"
    with closing(LocalStore(directory)) as store:
        store.save([make_trace("new")])
    done = subprocess.run(
        [sys.executable, "-c", OLD, str(directory)],
        env={"PYTHONPATH": str(old)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said in ({"ids": ["new"]}, {"slug": "store-newer"})
    with closing(LocalStore(directory)) as store:
        ids = {row.id for row in store.search(Query()).rows}
        assert ids == ({"new", "old"} if "ids" in said else {"new"})
        assert store.check() == []
    assert not list(directory.glob("*.hurt"))
