"""Calls of libraries named in ``inputs``, recorded in one process and served in another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff import values
from tracediff.model import Trace

ALL = 'inputs = ["open", "os.environ", "random", "time", "uuid"]\n'

READING = """
    import gzip, os, random, uuid
    from pathlib import Path
    from random import choice, gauss
    from uuid import uuid4

    def raised(path):
        try:
            open(path)
        except OSError as error:
            return type(error).__name__, error.errno, error.filename, str(error)

    def refused(*args):
        try:
            open(*args)
        except ValueError as error:
            return str(error)

    @td.job("files")
    def files(directory):
        at = Path(directory)
        with open(at / "latin.txt", encoding="latin-1") as file:
            name, mode, lines = Path(file.name).name, file.mode, list(file)
        with open(f"{directory}/raw.bin", "rb") as file:
            start = file.read(2)
            file.seek(-2, os.SEEK_END)
            end = file.read()
        with open(at / "raw.bin", "rb", buffering=0) as file:
            half = file.read(3)
        try:
            (at / "raw.bin").read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            broken = error.reason
        with gzip.open(at / "packed.gz", "rt", encoding="utf-8") as file:
            packed = file.read()
        with open(at / "latin.txt", encoding="ascii", errors="replace", newline="") as file:
            replaced = file.readline()
        return [name, mode, lines, start, end, half, broken, packed, replaced,
                raised(str(at / "none")), raised(str(at)),
                refused("a\\0b"), refused("a", "rz"), (at / "empty").read_bytes()]

    @td.job("drawn")
    def drawn():
        numbers = list(range(9))
        random.shuffle(numbers)
        return [numbers, choice("abcdef"), random.gauss(1, 2), gauss(0, 1),
                random.gauss(mu=3), random.randint(1, 10**30),
                random.sample(range(100), 3), uuid4(), uuid.uuid1()]

    @td.job("variables")
    def variables():
        return [os.environ["RATE"], os.getenv("NO_SUCH", "other"), "RATE" in os.environ,
                os.environ.get("NO_SUCH"), sorted(k for k in os.environ if k.startswith("SHOP_")),
                {k: v for k, v in os.environ.items() if k.startswith("SHOP_")}]
"""


@pytest.fixture
def library_shop(shop: Any, tmp_path: Path) -> Any:
    shop.settings(ALL)
    outside = tmp_path / "outside"
    outside.mkdir()
    shop.outside = outside
    return shop


def names(trace: Trace) -> list[str]:
    return [step.name for step in trace.steps[1:]]


def fidelity(shop: Any, trace: Trace) -> Trace:
    new = shop.replay(trace)
    assert not new.replay.misses, new.replay.misses
    assert not new.replay.unused
    assert new.steps[0].result == trace.steps[0].result, (shop.result(trace), shop.result(new))
    assert [(one.name, one.result) for one in new.steps] == [
        (one.name, one.result) for one in trace.steps
    ]
    assert new.warnings == trace.warnings
    return new  # type: ignore[no-any-return]  # a Trace


@pytest.fixture
def clear() -> Callable[[Path], None]:
    def remove(directory: Path) -> None:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()

    return remove


def test_files_are_served_where_there_are_none(
    library_shop: Any, clear: Callable[[Path], None]
) -> None:
    shop, outside = library_shop, library_shop.outside
    (outside / "latin.txt").write_bytes("é 1\r\nzwei\n".encode("latin-1"))
    (outside / "raw.bin").write_bytes(bytes(range(256)))
    (outside / "empty").write_bytes(b"")
    import gzip

    (outside / "packed.gz").write_bytes(gzip.compress("größer".encode()))
    shop.jobs(READING)
    (trace,) = shop.record(f"files({str(outside)!r})")
    found = shop.result(trace)
    assert found[:3] == ["latin.txt", "r", ["é 1\n", "zwei\n"]]
    assert found[7:9] == ["größer", "\ufffd 1\r\n"]
    clear(outside)
    fidelity(shop, trace)


def test_draws_and_ids_are_served_however_they_were_imported(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs(READING)
    first, second = shop.record("drawn(); drawn()")
    assert first.steps[0].result != second.steps[0].result
    assert names(first)[-2:] == ["uuid.uuid4", "uuid.uuid1"]
    fidelity(shop, first)
    fidelity(shop, second)


def test_variables_are_those_of_the_recording(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs(READING)
    (trace,) = shop.record("variables()", RATE="1.25", SHOP_A="1", SHOP_B="2")
    assert shop.result(trace) == ["1.25", "other", True, None, ["SHOP_A", "SHOP_B"],
                                  {"SHOP_A": "1", "SHOP_B": "2"}]  # fmt: skip
    fidelity(shop, trace)


def test_a_secret_variable_is_sealed_and_a_replay_that_uses_it_says_so(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs("""
        import os

        @td.job("secret")
        def secret(use):
            token = os.environ["SHOP_TOKEN"]
            return token.upper()[:1] if use else token is not None
    """)
    kept, used = shop.record("secret(False); secret(True)", SHOP_TOKEN="sesame-open-7781")
    for trace in (kept, used):
        assert isinstance(values.inert(trace.steps[1].result), values.Redacted)
        assert b"sesame" not in b"".join(one.result.data for one in trace.steps if one.result)
    fidelity(shop, kept)
    (miss,) = shop.replay(used).replay.misses
    assert miss.name == "os.environ"
    assert "no exact recording of str" in (miss.hint or "")


def test_what_a_late_import_reads_is_no_input(library_shop: Any) -> None:
    shop = library_shop
    (shop.directory / "late.py").write_text(
        "import os, uuid\nNUMBER = uuid.uuid4()\nRATE = os.environ.get('RATE', '1')\n"
    )
    shop.jobs("""
        import uuid

        @td.job("lately")
        def lately():
            import late
            return late.RATE, uuid.uuid4()
    """)
    for trace in shop.record("lately(); lately()"):
        assert [step.name for step in trace.steps[1:]] == ["uuid.uuid4"]
        fidelity(shop, trace)


def test_what_is_written_is_an_output_and_a_replay_writes_nothing(
    library_shop: Any, clear: Callable[[Path], None]
) -> None:
    shop, outside = library_shop, library_shop.outside
    shop.jobs("""
        from pathlib import Path

        @td.job("write")
        def write(directory):
            at = Path(directory)
            with open(at / "log.csv", "a", newline="") as file:
                if file.tell() == 0:
                    file.write("head\\n")
                file.write("line\\n")
            with open(at / "data.bin", "wb") as file:
                file.write(b"\\xff" * 20_000)
                file.seek(1)
                file.write(b"ab")
                file.truncate(5)
            with open(at / "both.txt", "r+") as file:
                first = file.readline()
                file.write("more")
            here = Path(__file__).with_name("made.txt")
            here.write_text("in the project")
            try:
                open(at / "log.csv", "x")
            except FileExistsError as error:
                there = error.errno
            return first, here.read_text(), (at / "data.bin").read_bytes(), there
    """)
    (outside / "both.txt").write_text("one\ntwo\n")
    first, second = shop.record(f"write({str(outside)!r}); write({str(outside)!r})")
    assert (outside / "log.csv").read_text() == "head\nline\nline\n"
    assert (outside / "data.bin").read_bytes() == b"\xffab\xff\xff"
    assert (outside / "both.txt").read_text() == "one\ntwo\nmoremore"
    written = [
        list(values.inert(one.args).values())
        for one in first.steps
        if one.name == "write to a file"
    ]
    assert [text for _, text in written] == ["head\nline\n", b"\xffab\xff\xff", "one\ntwo\nmore",
                                            "in the project"]  # fmt: skip
    (shop.directory / "shop" / "made.txt").unlink()
    clear(outside)
    fidelity(shop, first)
    fidelity(shop, second)
    assert not outside.exists()
    assert not (shop.directory / "shop" / "made.txt").exists()


def test_the_projects_own_files_and_python_s_are_read_for_real(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs("""
        import json, zoneinfo
        from pathlib import Path

        @td.job("own")
        def own():
            import colorsys, linecache
            linecache.getline(json.__file__, 1)
            zoneinfo.ZoneInfo("Asia/Tokyo")
            return Path(__file__).with_name("rates.json").read_text()
    """)
    shop.write("shop/rates.json", "[1]")
    (trace,) = shop.record("own()")
    assert names(trace) == []
    shop.write("shop/rates.json", "[2]")
    assert shop.result(shop.replay(trace)) == "[2]"


def test_nothing_is_recorded_below_an_input_of_the_programs_own(library_shop: Any) -> None:
    shop, outside = library_shop, library_shop.outside
    (outside / "rate").write_text("7")
    shop.jobs("""
        from pathlib import Path
        import uuid

        @td.step("Convert")
        def convert(text):
            return text + str(uuid.uuid4())[:0]

        @td.input("Rate")
        def rate(path):
            return convert(Path(path).read_text())

        @td.job("rated")
        def rated(path):
            return rate(path) + str(uuid.uuid4())[:0]
    """)
    (trace,) = shop.record(f"rated({str(outside / 'rate')!r})")
    assert names(trace) == ["Rate", "Convert", "uuid.uuid4"]
    (outside / "rate").unlink()
    assert shop.result(shop.replay(trace)) == "7"


def test_a_thread_without_the_jobs_context_may_not_write_in_a_replay(library_shop: Any) -> None:
    shop, outside = library_shop, library_shop.outside
    shop.jobs("""
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path

        @td.job("threads")
        def threads(path, inside):
            with ThreadPoolExecutor(2) as pool:
                write = Path(path).write_text
                write = td.propagate(write) if inside else write
                return pool.submit(write, "written").result()
    """)
    path = outside / "out"
    plain, carried = shop.record(f"threads({str(path)!r}, False); threads({str(path)!r}, True)")
    assert names(plain) == []
    assert names(carried) == ["open for writing", "write to a file"]
    path.unlink()
    fidelity(shop, carried)
    (miss,) = shop.replay(plain).replay.misses
    assert (miss.kind, miss.name) == ("output", "open for writing")
    assert not path.exists()


def test_a_secret_file_is_sealed(library_shop: Any) -> None:
    shop, outside = library_shop, library_shop.outside
    (outside / "db_password").write_text("sesame-open")
    shop.jobs("""
        @td.job("secret")
        def secret(path):
            return len(open(path + "/db_password").read())
    """)
    (trace,) = shop.record(f"import warnings; warnings.simplefilter('ignore'); "
                           f"secret({str(outside)!r})")  # fmt: skip
    assert isinstance(values.inert(trace.steps[1].result), values.Redacted)
    (miss,) = shop.replay(trace).replay.misses
    assert "no exact recording of bytes" in (miss.hint or "")


def test_a_file_that_is_no_regular_one_stays_a_plain_call(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs("""
        @td.job("device")
        def device():
            with open("/dev/null", "w") as file:
                file.write("gone")
            with open("/dev/zero", "rb", buffering=0) as file:
                return file.read(3)
    """)
    (trace,) = shop.record("device()")
    assert names(trace) == []
    fidelity(shop, trace)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            '["opne"]',
            "inputs: 'opne' is no library whose calls can be recorded (did you mean",
        ),
        ('["peewee"]', "inputs: 'peewee' is no library"),
    ],
)
def test_a_library_that_is_not_known_is_named(shop: Any, setting: str, said: str) -> None:
    shop.settings(f"inputs = {setting}\n")
    shop.jobs("""
        @td.job("one")
        def one():
            return 1
    """)
    done = shop.run("-c", "from shop.jobs import *; print(one())")
    assert done.stdout == "1\n"
    assert said in done.stderr


def test_an_id_is_recorded_however_its_function_was_kept_before(library_shop: Any) -> None:
    shop = library_shop
    shop.jobs("""
        import uuid

        class Field:
            def __init__(self, default):
                self.default = default

        FIELD, OLDER = Field(uuid.uuid4), Field(uuid.uuid1)

        @td.job("numbered")
        def numbered():
            return [FIELD.default(), OLDER.default(node=1)]
    """)
    (trace,) = shop.record("numbered()")
    assert names(trace) == ["uuid.uuid4", "uuid.uuid1"]
    assert shop.result(shop.replay(trace)) == shop.result(trace)


def test_nothing_is_touched_where_the_setting_is_empty(shop: Any) -> None:
    shop.jobs("""
        @td.job("one")
        def one():
            return 1
    """)
    done = shop.run("-c", "import builtins, io, os, random, uuid\n"
                    "here = builtins.open, io.open, type(os.environ).__getitem__, uuid.uuid4, "
                    "random.random\nfrom shop.jobs import *; one()\n"
                    "print(here == (builtins.open, io.open, type(os.environ).__getitem__, "
                    "uuid.uuid4, random.random), sorted(vars(random._inst)))")  # fmt: skip
    assert done.stdout == "True ['gauss_next']\n", done.stderr


def test_what_was_in_place_comes_back_when_recording_is_switched_off(shop: Any) -> None:
    shop.jobs("")
    code = """
import builtins, os, random, uuid, sys
before = builtins.open, vars(type(os.environ))["__getitem__"], uuid.uuid4.__code__, random.random
import tracediff as td
from uuid import uuid4
td.configure(inputs=["open", "os.environ", "random", "uuid"])
assert uuid4.__code__ is uuid.uuid4.__code__ is not before[2]
td.configure(enabled=False)
after = builtins.open, vars(type(os.environ))["__getitem__"], uuid.uuid4.__code__, random.random
assert before == after and uuid4 is uuid.uuid4
assert "random" not in vars(random._inst)
"""
    done = shop.run("-c", code)
    assert done.returncode == 0, done.stderr
    assert sys.modules  # this process was not touched


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("psycopg", "from psycopg import Cursor as it; del it.stream"),
        ("pymongo", "import pymongo as it; del it.AsyncMongoClient"),
    ],
)
def test_a_version_that_is_built_otherwise_is_said_and_breaks_no_job(
    shop: Any, name: str, gone: str
) -> None:
    shop.jobs("""
        @td.job("one")
        def one():
            return 1
    """)
    code = f"{gone}\nimport tracediff as td; td.configure(inputs=[{name!r}])"
    done = shop.run("-c", f"try:\n    exec({code!r})\n"
                    "except Exception as error:\n    print(error)\n"
                    "from shop.jobs import *; print(one())")  # fmt: skip
    assert f"this version of {name!r} cannot be recorded" in done.stdout, done.stderr
    assert done.stdout.endswith("1\n")
