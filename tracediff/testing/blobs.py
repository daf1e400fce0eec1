"""What every ``Blobs`` must do."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tracediff.stores.base import Blobs
from tracediff.testing.refusal import refused

BAD_KEYS = (
    "",
    ".",
    "..",
    "/",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    "a\0b",
    "\ud800",
    "a/\udcff",
    ".tmp-1",
    "a/.tmp-1",
    "x" * 256,
    "/".join(["x" * 100] * 11),
)
"""Keys that not every driver could keep, so none does."""

GOOD_KEYS = (
    "a",
    "-rf",
    ".hidden",
    "...",
    "with blank",
    "new\nline",
    "back\\slash",
    "100%",
    "%2e%2e",
    "a*?[b]",
    "ключ/键/🗝",
    "x" * 255,
    "/".join(["deep"] * 100),
)


class BlobsConformance:
    """Subclass it, name the class ``Test…`` and say how to open your blobs."""

    def make_blobs(self, directory: Path) -> Blobs:
        """Open the blobs that ``directory`` stands for; empty the first time."""
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, directory: Path) -> Iterator[Blobs]:
        """Blobs that are closed afterwards."""
        blobs = self.make_blobs(directory / "blobs")
        try:
            yield blobs
        finally:
            blobs.close()

    def test_is_blobs(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            assert isinstance(blobs, Blobs)

    def test_bytes_come_back_as_they_were(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            for data in (b"", b"\0", bytes(range(256)) * 20_000):
                blobs.put("a/b", data)
                assert blobs.get("a/b") == data

    def test_putting_the_same_bytes_again_changes_nothing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            for _ in range(2):
                blobs.put("a", b"bytes")
            assert blobs.get("a") == b"bytes"
            assert list(blobs.keys()) == ["a"]

    def test_a_range_is_that_part(self, tmp_path: Path) -> None:
        data = bytes(range(100))
        with self.opened(tmp_path) as blobs:
            blobs.put("a", data)
            for start, length in [(0, 100), (0, 0), (3, 4), (99, 1), (100, 0), (0, None)]:
                end = None if length is None else start + length
                assert blobs.get("a", start, length) == data[start:end]
            assert blobs.get("a", 98) == data[98:]
            assert blobs.get("a", 100) == b""

    def test_a_range_that_the_blob_does_not_have_is_refused(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            blobs.put("a", bytes(100))
            for start, length in [
                *[(0, 101), (99, 2), (100, 1), (101, 0), (101, None), (1 << 70, 1)],
                *[(-1, 1), (-1, None), (0, -1), (0, 1 << 40), (0, 1 << 70), (50, 1 << 62)],
            ]:
                with refused("blob-truncated"):
                    blobs.get("a", start, length)

    def test_what_is_not_there_is_missing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            with refused("blob-missing"):
                blobs.get("a")
            blobs.put("a/b", b"1")
            for key in ("b", "a", "a/b/c", "a/bb"):
                with refused("blob-missing"):
                    blobs.get(key, 0, 1)

    def test_deleting_counts_what_was_there(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            blobs.put("a", b"1")
            blobs.put("b/c", b"2")
            blobs.put("b/d", b"3")
            assert blobs.delete([]) == 0
            assert blobs.delete(iter(["a", "a", "nothing", "b", "b/c"])) == 2
            with refused("blob-missing"):
                blobs.get("a")
            assert list(blobs.keys()) == ["b/d"]
            assert blobs.delete(BAD_KEYS) == 0

    def test_keys_are_sorted_and_begin_with_the_prefix(self, tmp_path: Path) -> None:
        names = ["a/b", "a/b2", "a/c/d", "ab", "b", "a0", "A", "é"]
        with self.opened(tmp_path) as blobs:
            assert list(blobs.keys()) == []
            for key in names:
                blobs.put(key, b"x")
            for prefix in ("", "a", "a/", "a/b", "a/b2", "a/c/", "ab", "z", "a/b/", "é"):
                want = sorted(key for key in names if key.startswith(prefix))
                assert list(blobs.keys(prefix)) == want
            for prefix in ("../", "/", "a//", "a/../", "./", "\0", "\ud800", "x/\ud800/"):
                assert list(blobs.keys(prefix)) == []

    def test_a_bad_key_is_refused(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            for key in BAD_KEYS:
                with refused("blob-key-invalid"):
                    blobs.put(key, b"x")
                with refused("blob-key-invalid"):
                    blobs.get(key)
            assert list(blobs.keys()) == []
        assert [path.name for path in tmp_path.iterdir()] in ([], ["blobs"])

    def test_an_odd_key_is_a_key(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            for number, key in enumerate(GOOD_KEYS):
                blobs.put(key, b"%d" % number)
            for number, key in enumerate(GOOD_KEYS):
                assert blobs.get(key) == b"%d" % number
            assert list(blobs.keys()) == sorted(GOOD_KEYS)
            assert blobs.delete(GOOD_KEYS) == len(GOOD_KEYS)

    def test_readers_see_a_blob_whole_while_it_is_put(self, tmp_path: Path) -> None:
        bodies = [bytes([number]) * (1000 + number * 500) for number in range(8)]

        def work(number: int) -> None:
            for _ in range(10):
                blobs.put("shared", bodies[number])
                assert blobs.get("shared") in bodies
                blobs.put(f"own/{number}", bodies[number])
                assert blobs.get(f"own/{number}") == bodies[number]

        with self.opened(tmp_path) as blobs, ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, number) for number in range(8)]:
                done.result()
            assert len(list(blobs.keys())) == 9

    def test_closing_twice_is_fine(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as blobs:
            blobs.put("a", b"x")
            blobs.close()
            blobs.close()
