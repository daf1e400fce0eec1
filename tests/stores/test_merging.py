"""Small segments of a spool become one; whenever that ends, nothing is lost and nothing doubled."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tracediff.model import Artifact, Query
from tracediff.stores import merging
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.merging import merge_small, tidy
from tracediff.stores.open_segment import OpenSegment, Ownership
from tracediff.stores.packing import pack
from tracediff.stores.remote import RemoteStore
from tracediff.stores.segments import Frame, scan
from tracediff.stores.shipping import Shipper
from tracediff.stores.spool import SpoolStore
from tracediff.stores.spooled import segments, waiting
from tracediff.testing import make_trace

PAGE = os.urandom(70_000)
PAGES = (Artifact(name="p", sha256=hashlib.sha256(PAGE).hexdigest(), size=70_000, data=PAGE),)


class Away:
    """A store that counts what is put."""

    def __init__(self) -> None:
        self.index, self.blobs, self.puts = MemoryIndex(), MemoryBlobs(), Counter[str]()
        put = self.blobs.put

        def counted(key: str, data: bytes) -> None:
            self.puts[key] += 1
            put(key, data)

        self.blobs.put = counted  # type: ignore[method-assign]  # it counts, and is the same
        self.store = RemoteStore("away:", self.index, self.blobs)

    def move(self, directory: Path) -> None:
        shipper = Shipper(directory, lambda: self.store, 3600)
        assert shipper.ship(), shipper.problem

    def verify(self, wanted: set[str]) -> None:
        """Each trace is there once, its frame and its row, and can be read whole."""
        keys = [key for key in self.blobs.keys("") if "/segments/" in key]
        frames = Counter(frame.id for key in keys for frame in scan(self.blobs.get(key)))
        assert frames == dict.fromkeys(wanted, 1)
        rows = self.index.search(Query(limit=10_000)).rows
        assert {row.id for row in rows} == wanted
        for row in rows:
            for artifact in self.store.load(row).artifacts:
                assert artifact.data is not None


def given_up(directory: Path, *ids: str, place: str = "keep", **fields) -> Path:
    """A segment that a process has left."""
    segment = OpenSegment(directory / "segments" / place, sync=False)
    segment.append(b"".join(pack(make_trace(one, **fields)).frame for one in ids))
    segment.close()
    return directory / "segments" / place / segment.name


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "spool"


def test_what_many_processes_gave_up_becomes_one_segment_of_each_place(directory):
    for n in range(20):
        given_up(directory, f"a{n}", f"b{n}")
        given_up(directory, f"t{n}", place="30d/tenants/acme")
    given_up(directory, "alone", place="7d")
    merge_small(directory)
    found = segments(directory)
    assert [str(one.parent.relative_to(directory / "segments")) for one in found] == [
        "30d/tenants/acme", "7d", "keep",
    ]  # fmt: skip
    assert waiting(directory).segments == 3
    away = Away()
    away.move(directory)
    away.verify({"alone", *(f"{kind}{n}" for kind in "abt" for n in range(20))})
    assert len(away.puts) == 3
    assert list(directory.rglob("*.seg")) == []


def test_who_waits_for_a_segment_waits_until_what_it_is_in_is_moved(directory):
    own, _ = given_up(directory, "own"), given_up(directory, "other")
    merge_small(directory)
    (merged,) = segments(directory)
    assert own.is_symlink()
    assert own.exists()
    merged.unlink()
    assert not own.exists()
    tidy(directory)
    assert not own.is_symlink()


def test_what_lives_is_full_was_begun_or_is_hurt_at_its_end(directory, monkeypatch):
    monkeypatch.setattr(merging, "SMALL", 5_000)
    living = OpenSegment(directory / "segments" / "keep", sync=False)
    living.append(pack(make_trace("living")).frame)
    large = given_up(directory, *(f"large{n}" for n in range(10)))
    begun = given_up(directory, "begun")
    merging.begin(begun)
    torn = given_up(directory, "torn")
    with torn.open("ab") as file:
        file.write(pack(make_trace("never-saved")).frame[:-3])
    given_up(directory, "one")
    merge_small(directory)
    left = [one.name for one in segments(directory)]
    assert {living.name, large.name, begun.name} < set(left)
    assert len(left) == 4
    (merged,) = [one for one in segments(directory) if one.name == max(left)]
    assert [(type(one), one.id) for one in scan(merged.read_bytes())] == [
        (Frame, "torn"), (Frame, "one"),
    ]  # fmt: skip
    living.close()


def test_no_merged_segment_is_longer_than_one_that_is_full(directory, monkeypatch):
    size = given_up(directory, "a", place="1d").stat().st_size
    monkeypatch.setattr(merging, "ROLL_AT", 3 * size + 50)
    for n in range(10):
        given_up(directory, f"{n}")
    merge_small(directory)
    found = [one for one in segments(directory) if one.parent.name == "keep"]
    assert sorted(round(one.stat().st_size / size) for one in found) == [1, 3, 3, 3]


def test_large_artifacts_go_along(directory):
    spools = [
        SpoolStore(directory, lambda: Away().store, upload_every=3600) for _ in range(2)
    ]  # fmt: skip
    for n, spool in enumerate(spools):
        spool.save([make_trace(f"t{n}", artifacts=PAGES)])
        spool.roll(at_once=True)
    assert len(list(directory.glob("artifacts/keep/*/*"))) == 2
    merge_small(directory)
    (merged,) = segments(directory)
    assert [one.parent.name for one in directory.glob("artifacts/keep/*/*")] == [merged.name]
    away = Away()
    away.move(directory)
    away.verify({"t0", "t1"})
    for spool in spools:
        spool.shipper.stop()
        spool.close()


def test_a_disk_that_refuses_the_links_takes_no_artifact(directory, monkeypatch):
    spools = [
        SpoolStore(directory, lambda: Away().store, upload_every=3600) for _ in range(2)
    ]  # fmt: skip
    for n, spool in enumerate(spools):
        spool.save([make_trace(f"t{n}", artifacts=PAGES)])
        spool.roll(at_once=True)
    kept = {path.parent.name for path in directory.glob("artifacts/keep/*/*")}

    def full(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            merge_small(directory)
    assert kept < {path.parent.name for path in directory.glob("artifacts/keep/*/*")}
    away = Away()
    away.move(directory)
    away.verify({"t0", "t1"})
    for spool in spools:
        spool.shipper.stop()
        spool.close()


def test_a_segment_that_was_replaced_by_a_link_is_not_moved_under_its_old_name(directory):
    old, _ = given_up(directory, "a"), given_up(directory, "b")
    away = Away()
    with Ownership(old) as file:  # as a process that is about to move it
        assert file is not None
    merge_small(directory)
    away_shipper = Shipper(directory, lambda: away.store, 3600)
    away_shipper._mover.move(old)  # it listed the segments before
    assert not away.puts
    away.move(directory)
    away.verify({"a", "b"})


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from tracediff.stores.merging import merge_small

calls, at = 0, -1

def killing(function):
    def call(*given, **named):
        global calls
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*given, **named)
    return call

for name in ("write", "fsync", "rename", "replace", "link", "symlink", "mkdir", "unlink", "rmdir"):
    setattr(os, name, killing(getattr(os, name)))
merge_small(Path(sys.argv[1]))
steps = calls
for line in sys.stdin:
    calls, at = 0, int(line.split()[0])
    child = os.fork()
    if not child:
        merge_small(Path(line.split()[1]))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, line
print(steps)
"""


def merged_and_killed(first: Path, *others: tuple[int, Path]) -> int:
    """Merge in ``first``, and in others by processes that are killed before their nth call."""
    lines = "".join(f"{at} {directory}\n" for at, directory in others)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(first)],
        input=lines, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def fill(directory: Path) -> set[str]:
    spool = SpoolStore(directory, lambda: Away().store, upload_every=3600)
    spool.shipper.stop()
    spool.save([make_trace("large", artifacts=PAGES)])
    spool.close()
    for n in range(2):
        given_up(directory, f"t{n}")
    return {"large", "t0", "t1"}


def test_who_is_killed_while_it_merges_loses_nothing_and_doubles_nothing(tmp_path):
    wanted = fill(tmp_path / "whole")
    killed = [(at, tmp_path / str(at)) for at in range(40)]
    for _, directory in killed:
        fill(directory)
    steps = merged_and_killed(tmp_path / "whole", *killed[:20])
    assert 20 <= steps < 40, "each call is to be killed at"
    merged_and_killed(tmp_path / "whole", *killed[20:steps])
    for _, directory in killed[:steps]:
        away = Away()
        away.move(directory)
        away.verify(wanted)
        assert segments(directory) == []
        assert waiting(directory).segments == 0


def test_what_a_killed_merge_left_is_removed_in_time(tmp_path, directory, monkeypatch):
    wanted = fill(directory)
    merged_and_killed(tmp_path / "none", (8, directory))
    assert [one for one in directory.rglob(".tmp-*") if one.is_file()]
    away = Away()
    monkeypatch.setattr(merging, "LEFT_AFTER", -1.0)
    away.move(directory)
    away.verify(wanted)
    assert [one for one in directory.rglob("segments/**/*") if not one.is_dir()] == []
    assert [one for one in directory.rglob("artifacts/**/*") if not one.is_dir()] == []


MERGE = """
import sys
from pathlib import Path
from tracediff.stores.merging import merge_small
merge_small(Path(sys.argv[1]))
"""


def _without_privileges() -> None:
    """Let file permissions hold for root too."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def test_a_segment_that_may_not_be_read_keeps_no_other_from_being_merged(tmp_path):
    for name in ("a", "b", "c"):
        segment = OpenSegment(tmp_path / "segments" / "keep", sync=False)
        segment.append(pack(make_trace(name)).frame)
        segment.close()
    first = segments(tmp_path)[0]
    first.chmod(0o000)
    done = subprocess.run(
        [sys.executable, "-c", MERGE, tmp_path], check=False, capture_output=True,
        preexec_fn=_without_privileges,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert first in segments(tmp_path)
    assert len(segments(tmp_path)) == 2
