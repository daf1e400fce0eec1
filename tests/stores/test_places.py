"""Where a local store lives: permissions, full disks, files in the way, git, the disk itself."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from tracediff.model import Query
from tracediff.stores import open_store
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace, refused


def everything(store) -> list[str]:
    return [row.id for row in store.search(Query(limit=1000)).rows]


# Who may read it


def test_directories_and_files_are_for_this_user_alone(tmp_path, run):
    run(
        """
        os.umask(0)
        store = LocalStore(Path(sys.argv[1]), durability="host")
        store.save([make_trace("a")])
        store.save_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b"")
        Path(sys.argv[1], "index.sqlite").unlink()
        store.save([make_trace("b")])
        os._exit(0)
        """,
        tmp_path / "above" / "store",
    )
    found = [tmp_path / "above", *(tmp_path / "above").rglob("*")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in found}
    assert {modes[path] for path in found if path.is_dir()} == {0o700}
    assert {modes[path] for path in found if path.is_file()} == {0o600}
    names = {path.name for path in found}
    assert {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm", ".gitignore"} <= names
    assert any(name.endswith(".seg") for name in names)


def test_git_ignores_it(tmp_path):
    def git(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", tmp_path, *args], check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    store = open_store(".tracediff", root=tmp_path)
    store.save([make_trace("a")])
    (tmp_path / "own.py").write_text("x = 1\n")
    assert git("status", "--porcelain", "--untracked-files=all") == "?? own.py\n"
    git("add", "--all")
    assert git("ls-files") == "own.py\n"
    store.close()
    store = open_store(".tracediff", root=tmp_path)
    assert everything(store) == ["a"]
    store.close()


# Where nothing can be written


@pytest.fixture
def anyones():
    """A directory that every user can reach; pytest's own are for their owner alone."""
    directory = Path(tempfile.mkdtemp(prefix="tracediff-test-"))
    directory.chmod(0o755)
    yield directory
    for path in directory.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(directory)


UNPRIVILEGED = """
import sqlite3
open_store("memory:")
if os.getuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
"""


def make_read_only(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


READING = """
store = LocalStore(Path(sys.argv[1]))
assert store.read_only
rows = store.search(Query(tags=("x",))).rows
print(*(row.id for row in rows))
assert store.load(rows[0]) == make_trace(rows[0].id, tags=("x",))
assert store.find("a")[0].id == "a"
assert store.load_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391") == b""
assert store.check() == [], store.check()
before = sorted(Path(sys.argv[1]).rglob("*"))
for change in (
    lambda: store.save([make_trace("new")]),
    lambda: store.delete(["a"]),
    lambda: store.save_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b""),
):
    try:
        change()
    except StoreError as error:
        print(error.slug, bool(error.hint))
assert sorted(Path(sys.argv[1]).rglob("*")) == before
store.close()
"""


@pytest.mark.parametrize("writer", ["closed", "killed", "alive"])
def test_a_read_only_store_is_read_and_a_change_of_it_is_an_error(anyones, start, run, writer):
    process = start(
        """
        store = LocalStore(Path(sys.argv[1]))
        store.save([make_trace(one, tags=("x",)) for one in "ab"])
        store.save_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b"")
        if sys.argv[2] == "closed":
            store.close()
        print("saved", flush=True)
        if sys.argv[2] == "alive":
            sys.stdin.readline()
        os._exit(0)
        """,
        anyones / "store",
        writer,
        stdin=subprocess.PIPE,
    )
    assert process.stdout.readline() == "saved\n"
    if writer != "alive":
        process.wait()
    make_read_only(anyones / "store")
    out = run(UNPRIVILEGED + READING, anyones / "store")
    assert out.splitlines() == ["b a", *["store-read-only True"] * 3]


def test_a_read_only_directory_without_a_store_is_an_error_with_a_hint(anyones, run):
    (anyones / "empty").mkdir()
    make_read_only(anyones)
    out = run(
        UNPRIVILEGED
        + """
for name in ("empty", "missing"):
    try:
        LocalStore(Path(sys.argv[1], name))
    except StoreError as error:
        print(error.slug, bool(error.hint))
""",
        anyones,
    )
    assert out.splitlines() == ["store-unwritable True"] * 2


def test_a_store_of_another_user_that_cannot_even_be_read_is_an_error_with_a_hint(anyones, run):
    store = LocalStore(anyones / "store")
    store.save([make_trace("a")])
    store.close()
    (anyones / "store").chmod(0o000)
    out = run(
        UNPRIVILEGED
        + """
try:
    LocalStore(Path(sys.argv[1]))
except StoreError as error:
    print(error.slug, bool(error.hint))
""",
        anyones / "store",
    )
    assert out.splitlines() == ["store-unwritable True"]


# A disk that fills up


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte of its own, which takes root to mount."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]
    mounted = os.getuid() == 0 and not subprocess.call(command, stderr=subprocess.DEVNULL)
    if not mounted:
        pytest.skip("a file system of its own can only be mounted by root")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


FILLING = """
import random
store = LocalStore(Path(sys.argv[1]) / "store")
noise = random.Random(1)
saved, refusals = [], []
for n in range(200):
    trace = make_trace(f"t{n}", result=noise.randbytes(30_000), started_at=n)
    try:
        store.save([trace])
        saved.append(trace)
    except StoreError as error:
        refusals.append((error.slug, bool(error.hint)))
        if len(refusals) == 20:
            break
assert saved and set(refusals) == {("store-full", True)}, (len(saved), refusals)
assert [row.id for row in store.search(Query(limit=999)).rows] == [t.id for t in reversed(saved)]
assert [store.load(store.find(trace.id, 99)[-1]).id for trace in saved]
assert store.check() == [], store.check()
"""

GOING_ON = """
store.save([make_trace("more", started_at=999)])
store.close()
store = LocalStore(Path(sys.argv[1]) / "store")
assert [row.id for row in store.search(Query(limit=1)).rows] == ["more"]
assert len(store.search(Query(limit=999)).rows) == len(saved) + 1
assert store.check() == []
store.close()
print(len(saved))
"""


def test_a_full_disk_is_an_error_and_saving_works_again_when_there_is_room(small_disk, run):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200_000))
    out = run(f"{FILLING}\nPath(sys.argv[1], 'filler').unlink()\n{GOING_ON}", small_disk)
    assert int(out) > 5


def fill_up(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_can_still_be_opened_and_read(small_disk, tmp_path):
    store = LocalStore(small_disk / "store")
    store.save([make_trace("a")])
    store.close()
    fill_up(small_disk / "filler")
    store = LocalStore(small_disk / "store")
    assert everything(store) == ["a"]
    assert store.load(store.find("a")[0]) == make_trace("a")
    assert store.check() == []
    for _ in range(50):
        with refused("store-full"):
            store.save([make_trace("b")])
    assert len(list(Path("/proc/self/fd").iterdir())) < 60
    assert everything(store) == ["a"]
    (small_disk / "filler").unlink()
    store.save([make_trace("b")])
    assert everything(store) == ["b", "a"]
    store.close()


def test_a_limit_of_file_size_is_an_error_and_saving_works_again_without_it(tmp_path, run):
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))

    unlimited = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
    )
    out = run(f"{FILLING}\n{unlimited}\n{GOING_ON}", tmp_path, preexec_fn=limited)
    assert int(out) > 5


# What is in the way


def test_a_file_where_the_directory_should_be_is_an_error_and_stays(tmp_path):
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with refused("store-io", "store-unwritable"):
            LocalStore(directory)
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "segments").write_text("mine")
    store = LocalStore(tmp_path / "store")
    with refused("store-io"):
        store.save([make_trace("a")])
    assert everything(store) == []
    store.close()
    (tmp_path / "other" / "index.sqlite").mkdir(parents=True)
    with refused("store-unwritable", "store-io"):
        LocalStore(tmp_path / "other")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "/".join(["x" * 200] * 30)])
def test_a_name_that_no_file_can_have_is_an_error(tmp_path, name):
    with refused("store-io"):
        open_store(name, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names",
    [
        ["notes.txt"],
        [".gitignore", "pyproject.toml"],
        [".git/", ".gitignore"],
        ["sources/", "README.md"],
        ["segments/", "main.py"],
        ["redaction.key", "x"],
    ],
    ids=str,
)
def test_a_directory_of_something_else_is_refused_and_left_as_it_is(tmp_path, names):
    for name in names:
        path = tmp_path / name
        path.mkdir() if name.endswith("/") else path.touch()
    before = sorted(tmp_path.rglob("*"))
    with refused("store-foreign"):
        LocalStore(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("names", [[], [".gitignore"], ["redaction.key"], [".tmp-1"]], ids=str)
def test_an_empty_directory_becomes_a_store(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    store = LocalStore(tmp_path)
    store.save([make_trace("a")])
    store.close()
    (tmp_path / "stray.txt").touch()
    (tmp_path / "index.sqlite").unlink()
    store = LocalStore(tmp_path)  # the segments alone say whose it is
    assert everything(store) == ["a"]
    store.close()


def test_a_link_to_a_directory_is_that_directory(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = LocalStore(tmp_path / "link")
    store.save([make_trace("a")])
    store.close()
    store = LocalStore(tmp_path / "real")
    assert everything(store) == ["a"]
    store.close()


def test_a_store_stays_where_it_is_when_the_working_directory_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    store = LocalStore(Path("s"))
    store.save([make_trace("a")])
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.save([make_trace("b")])
    store.save_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b"")
    assert everything(store) == ["b", "a"]
    assert store.load(store.find("a")[0]) == make_trace("a")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    store.close()


def test_a_closed_store_says_so(tmp_path):
    store = LocalStore(tmp_path / "s")
    store.save([make_trace("a")])
    store.close()
    for use in (
        lambda: store.save([make_trace("b")]),
        lambda: store.search(Query()),
        lambda: store.find("a"),
        lambda: store.delete(["a"]),
    ):
        with refused("store-closed"):
            use()
    store.close()


# The disk itself


SYNCS = """
from tracediff.stores import local
real, synced = os.fsync, []

def fsync(file):
    path = os.readlink(f"/proc/self/fd/{file}")
    known = [row.id for row in store.search(Query()).rows] if path.endswith(".seg") else []
    synced.append((path.rpartition("/")[2], os.fstat(file).st_size, known))
    real(file)

store = LocalStore(Path(sys.argv[1]) / "store", durability=sys.argv[2])
os.fsync = fsync
store.save([make_trace("a")])
first, synced[:] = list(synced), []
store.save([make_trace("b"), make_trace("c")])
second, synced[:] = list(synced), []
store.delete(["a"])
third, synced[:] = list(synced), []
store.save_source("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b"")
fourth = list(synced)
(segment,) = Path(sys.argv[1], "store", "segments").iterdir()
print((segment.name, segment.stat().st_size, first, second, third, fourth))
store.close()
"""


def test_host_durability_waits_for_the_disk_before_a_row_says_so(tmp_path, run):
    out = run(SYNCS, tmp_path, "host")
    name, size, first, second, third, fourth = eval(out)  # our own program's tuple
    # The directories that hold the new names, then the bytes, and all before the row.
    assert [one[0] for one in first] == ["store", "segments", name]
    assert first[-1][2] == []
    assert [(one[0], one[2]) for one in second] == [(name, ["a"])]
    assert first[-1][1] < second[0][1] < third[0][1] == size
    assert [one[0] for one in third] == [name]
    assert third[0][2] == ["c", "b", "a"]
    assert fourth[0][0] == "store"  # sources/ was made in it
    assert any(one[0].startswith(".tmp-") for one in fourth)
    assert fourth[-1][0] == "e6"  # the renamed file's directory


def test_process_durability_waits_for_nothing(tmp_path, run):
    assert eval(run(SYNCS, tmp_path, "process"))[2:] == ([], [], [], [])
