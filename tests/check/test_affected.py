"""Only what is affected: which changes have a trace replayed again, and that no other needs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tracediff.check.affected import DIRECTORY, FILE, Known
from tracediff.check.executed import set_id
from tracediff.check.surroundings import Current
from tracediff.checked import Result
from tracediff.config import load_config
from tracediff.model import Query, Row, Tolerance
from tracediff.stores.local import LocalStore

FILES = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop.*"]\n',
    "shop/__init__.py": "",
    "shop/rates.py": """
        RATE = 2
        FEE = 10
        """,
    "shop/boxes.py": '''
        class Box:
            """A box."""

            edge = 1

            def __init__(self, number):
                self.number = number

            def size(self):
                return self.edge

            def label(self):
                return "box"


        class Special(Box):
            def label(self):
                return "special"
        ''',
    "shop/shipping.py": """
        def cost(number):
            import colorsys

            return number + 1 if colorsys.ONE_THIRD < 1 else 0


        def unused(number):
            return number - 1
        """,
    "shop/jobs.py": """
        import json
        import os
        import threading
        from functools import lru_cache
        from pathlib import Path

        import tracediff as td
        from shop import boxes, rates
        from shop.rates import FEE

        try:
            from shop import extras
        except ImportError:
            extras = None


        def traced(function):
            return function


        @td.input("Weight")
        def weight(number):
            return number % 5


        def heavy_fee(total):
            return FEE  # a fee


        def light_fee(total, least=0):
            return least


        def rounded(value, digits=2):
            return round(value, digits)


        @td.job("shop/price")
        def price(number):
            fee = heavy_fee(number) if weight(number) > 3 else light_fee(number)
            return {"total": number * rates.RATE + fee + boxes.Special(number).size()}


        @td.job("shop/ship")
        def ship(number):
            from shop.shipping import cost

            return {"total": cost(number)}


        @td.job("shop/files")
        def files(number):
            table = json.loads(Path("data/table.json").read_text())
            zones = sorted(os.listdir("data/zones"))
            if Path("data/override.txt").exists():
                table["x"] = 0
            return {"total": table["x"] * number, "zones": zones}


        @td.job("shop/settings")
        def settings(number):
            return {"zone": os.environ.get("SHOP_ZONE", "none")}


        @td.job("shop/made")
        def made(number):
            scope = {}
            exec("def double(x):\\n    return x * 2", scope)
            return {"total": scope["double"](number)}


        def in_thread(found):
            found.append(1)


        @td.job("shop/threads")
        def threads(number):
            found = []
            thread = threading.Thread(target=in_thread, args=(found,))
            thread.start()
            thread.join()
            return {"total": sum(found)}


        if __name__ == "__main__":
            price(1)
            price(4)
            for job in (ship, files, settings, made, threads):
                job(3)
        """,
    "data/table.json": '{"x": 7}',
    "data/zones/north": "",
    "data/other.json": "{}",
}
ALL = frozenset({"light", "heavy", "ship", "files", "settings", "made", "threads"})
NONE: frozenset[str] = frozenset()

REPLAYER = """
import importlib, json, os, sys
from pathlib import Path
from tracediff.check.executed import Executed
from tracediff.check.surroundings import own_digest
from tracediff.config import load_config
from tracediff.digests import outcome_digest
from tracediff.model import Query
from tracediff.replay import replay_here
from tracediff.replay.bytecode import drop_stale_bytecode
from tracediff.stores.local import LocalStore

def in_child(run):
    pipe, end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(pipe)
            with os.fdopen(end, "w") as stream:
                json.dump(run(), stream)
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(end)
    with os.fdopen(pipe) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return json.loads(said)

def replay(trace, config, executed):
    with executed:
        new = replay_here(trace, config)
    same = outcome_digest(trace) == outcome_digest(new)
    ran, units = executed.set()
    return [trace.id, "same" if same else "changed", ran, units, executed.doubt]

def all_of(root, together):
    os.chdir(root)
    config = load_config(Path(root))
    sys.path[:0] = map(str, config.pythonpath)
    store = LocalStore(Path(root) / ".tracediff")
    traces = [store.load(row) for row in store.search(Query(limit=100)).rows]
    store.close()
    executed = Executed(config)
    with executed:
        importlib.import_module("shop.jobs")
    if together:
        return [replay(trace, config, executed) for trace in traces]
    return [in_child(lambda: replay(trace, config, executed)) for trace in traces]

drop_stale_bytecode()
own_digest()
for line in sys.stdin:
    root, together = json.loads(line)
    print(json.dumps(in_child(lambda: all_of(root, together))), flush=True)
"""


class Shop:
    """A project whose traces are recorded, and known once they were replayed."""

    def __init__(self, directory: Path, replays: Callable[..., list[Any]]) -> None:
        self.directory = directory
        self._replays = replays

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text()
        assert old in text
        (self.directory / name).write_text(text.replace(old, new, 1))

    def record(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "shop.jobs"], cwd=self.directory, timeout=60, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    @property
    def rows(self) -> list[Row]:
        store = LocalStore(self.directory / DIRECTORY)
        try:
            return list(store.search(Query(limit=1000)).rows)
        finally:
            store.close()

    def named(self) -> dict[str, str]:
        """What the traces of a shop are called here, by id."""
        return {
            row.id: row.key.removeprefix("shop/")
            if row.key != "shop/price"
            else ("light" if "1" in row.meta else "heavy")
            for row in self.rows
        }

    def replay(self, *, together: bool = False) -> list[Result]:
        self.doubts = {}
        found = []
        for name, kind, ran, units, doubt in self._replays(self.directory, together):
            self.doubts[name] = doubt
            told = tuple((file, what, digest) for file, what, digest in units)
            found.append(Result(id=name, key="", kind=kind, ran=ran, units=told))
        return found

    def known(self, **options: Any) -> Known:
        return Known(self.directory / DIRECTORY, **options)

    def learn(self, *, together: bool = False, **options: Any) -> None:
        with self.known(**options) as known:
            list(known.unaffected(self.rows, load_config(self.directory)))
            known.learn(self.replay(together=together))
            assert known.remarks == []

    def affected(self, **options: Any) -> set[str]:
        names = self.named()
        with self.known(**options) as known:
            asked = list(known.unaffected(self.rows, load_config(self.directory)))
        return {names[row.id] for row, unaffected in asked if not unaffected}

    def changed(self) -> set[str]:
        names = self.named()
        return {names[one.id] for one in self.replay() if one.kind != "same"}


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Any]]]:
    """Replays all traces of a directory in processes of their own."""
    environment = {**os.environ, "TRACEDIFF_CODE_VERSION": "0" * 40}
    environment.pop("PYTEST_CURRENT_TEST", None)
    with subprocess.Popen(
        [sys.executable, "-P", "-c", REPLAYER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=environment, cwd=tmp_path_factory.mktemp("elsewhere"),
    ) as process:  # fmt: skip

        def ask(directory: Path, together: bool = False) -> list[Any]:
            process.stdin.write(json.dumps([str(directory), together]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, replays: Any) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"), replays)
    for name, text in FILES.items():
        shop.write(name, text)
    shop.record()
    shop.learn()
    return shop


@pytest.fixture
def shop(recorded: Shop, replays: Any, tmp_path: Path) -> Shop:
    """A copy of the project with all that is known of it."""
    shutil.copytree(recorded.directory, tmp_path / "shop")
    return Shop(tmp_path / "shop", replays)


def edit(name: str, old: str, new: str) -> Callable[[Shop], None]:
    return lambda shop: shop.edit(name, old, new)


def write(name: str, text: str) -> Callable[[Shop], None]:
    return lambda shop: shop.write(name, text)


JOBS, BOXES, RATES, SHIPPING = "shop/jobs.py", "shop/boxes.py", "shop/rates.py", "shop/shipping.py"
CHANGES: dict[str, tuple[Callable[[Shop], None], frozenset[str]]] = {
    "nothing": (lambda shop: None, NONE),
    "the body of a function that ran": (
        edit(JOBS, "return FEE ", "return FEE + 1 "), frozenset({"heavy"})),
    "the body of one that did not run": (
        edit(JOBS, "round(value, digits)", "round(value, digits + 1)"), NONE),
    "a body that ran in a thread": (
        edit(JOBS, "found.append(1)", "found.append(2)"), frozenset({"threads"})),
    "a method's body that ran": (
        edit(BOXES, "return self.edge", "return self.edge * 2"), frozenset({"light", "heavy"})),
    "a method's body that did not run": (edit(BOXES, 'return "box"', 'return "case"'), NONE),
    "a body of a module that one job imports": (
        edit(SHIPPING, "number + 1", "number + 2"), frozenset({"ship"})),
    "a function of it that did not run": (edit(SHIPPING, "number - 1", "number - 2"), NONE),
    "a constant": (edit(RATES, "RATE = 2", "RATE = 3"), ALL),
    "a constant of a module that one job imports": (
        lambda shop: shop.write(SHIPPING, "MOST = 3\n" + FILES[SHIPPING]), frozenset({"ship"})),
    "a comment": (edit(JOBS, "# a fee", "# the fee of what is heavy\n"), NONE),
    "blank lines": (edit(JOBS, "def heavy_fee", "\n\n\ndef heavy_fee"), NONE),
    "a docstring": (edit(BOXES, '"""A box."""', '"""A large box."""'), ALL),
    "a decorator": (edit(JOBS, "def heavy_fee", "@traced\ndef heavy_fee"), ALL),
    "a default": (edit(JOBS, "least=0", "least=1"), ALL),
    "an annotation": (edit(JOBS, "def rounded(value,", "def rounded(value: float,"), ALL),
    "a class attribute": (edit(BOXES, "edge = 1", "edge = 2"), ALL),
    "a method added to a subclass": (
        edit(BOXES, 'return "special"', 'return ""\n\n    def size(self):\n        return 5'), ALL),
    "a base class": (edit(BOXES, "class Special(Box)", "class Special(Box, object)"), ALL),
    "a new function": (edit(JOBS, "def rounded", "def newer():\n    pass\n\n\ndef rounded"), ALL),
    "a function renamed": (edit(JOBS, "def rounded", "def cut"), ALL),
    "a body that becomes a generator": (
        edit(JOBS, "return round(value, digits)", "yield round(value, digits)"), ALL),
    "another order of definitions": (
        edit(RATES, "RATE = 2\nFEE = 10", "FEE = 10\nRATE = 2"), ALL),
    "something done at import": (
        edit(JOBS, "def traced", "boxes.Box.edge = 3\n\n\ndef traced"), ALL),
    "a module that an import did not find": (write("shop/extras.py", "X = 1\n"), ALL),
    "a module in the place of a library's": (
        write("colorsys.py", "ONE_THIRD = 2\n"), frozenset({"ship"})),
    "a module that nobody imports": (write("shop/newer.py", "X = 1\n"), NONE),
    "a file that was read": (write("data/table.json", '{"x": 8}'), frozenset({"files"})),
    "a file that was not read": (write("data/other.json", "[]"), NONE),
    "a file that is gone": (
        lambda shop: (shop.directory / "data/table.json").unlink(), frozenset({"files"})),
    "a file in a directory that was listed": (write("data/zones/south", ""), frozenset({"files"})),
    "a file in a directory that was not listed": (write("data/more/south", ""), NONE),
    "a file that was looked for": (write("data/override.txt", ""), frozenset({"files"})),
    "text that is executed": (edit(JOBS, "return x * 2", "return x * 3"), frozenset({"made"})),
    "a file that cannot be compiled": (edit(RATES, "RATE = 2", "RATE ="), ALL),
    "a setting that a replay depends on": (
        edit("pyproject.toml", "jobs =", 'replay_allow = ["subprocess"]\njobs ='), ALL),
    "a setting that it does not depend on": (
        edit("pyproject.toml", "jobs =", "retentions = [1, 2]\njobs ="), NONE),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_a_trace_is_affected_by_what_it_ran_and_read(shop: Shop, kind: str) -> None:
    change, affected = CHANGES[kind]
    change(shop)
    assert shop.affected() == affected
    if affected != ALL:
        assert shop.changed() <= affected


def test_a_variable_that_was_read_affects_who_read_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_OTHER", "x")
    assert shop.affected() == NONE
    monkeypatch.setenv("SHOP_ZONE", "north")
    assert shop.affected() == {"settings"}


def test_another_tolerance_or_recording_has_a_trace_replayed_again(shop: Shop) -> None:
    rule = Tolerance(path="**", rel=1e-6)
    assert shop.affected(rules=[rule]) == ALL
    shop.learn(rules=[rule])
    assert shop.affected(rules=[rule]) == NONE
    with shop.known(rules=[rule]) as known:
        rows = [replace(row, outcome=b"other") for row in shop.rows]
        config = load_config(shop.directory)
        assert not any(same for _, same in known.unaffected(rows, config))


def test_the_version_of_a_library_affects_all(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    (place / "fake-1.dist-info").mkdir(parents=True)
    (place / "fake-1.dist-info" / "METADATA").write_text("Name: fake\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(place))
    assert shop.affected() == ALL


def test_what_an_earlier_replay_left_in_the_process_counts(recorded: Shop, tmp_path: Path) -> None:
    shop = Shop(tmp_path, recorded._replays)
    for name, text in FILES.items():
        shop.write(name, text)
    shop.edit(
        JOBS, "def heavy_fee", "@lru_cache\ndef rate():\n    return rates.RATE\n\n\ndef heavy_fee"
    )
    shop.edit(JOBS, "number * rates.RATE", "number * rate()")
    shop.record()
    shop.learn(together=True)
    assert shop.affected() == NONE
    shop.edit(JOBS, "    return rates.RATE", "    return rates.RATE + 1")
    assert shop.affected() >= {"light", "heavy"}  # one of them found it in the cache


DOUBTS = """
    import os
    import socket
    import subprocess
    import sys
    import _thread

    import tracediff as td

    @td.job("shop/program")
    def program():
        return subprocess.run(["true"], check=False).returncode

    @td.job("shop/fork")
    def fork():
        child = os.fork()
        if not child:
            os._exit(0)
        return os.waitpid(child, 0)[1]

    @td.job("shop/profile")
    def profile():
        sys.setprofile(None)

    @td.job("shop/network")
    def network():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.connect(("127.0.0.1", 9))

    def in_thread(done):
        done.release()

    @td.job("shop/thread")
    def thread():
        done = _thread.allocate_lock()
        done.acquire()
        _thread.start_new_thread(in_thread, (done,))
        done.acquire()

    @td.job("shop/update")
    def update():
        with open("count.txt", "r+") as stream:
            count = int(stream.read() or "0") + 1
            stream.seek(0)
            stream.write(str(count))
        with open("count.txt") as stream:
            stream.read()

    @td.job("shop/plain")
    def plain():
        with open("made.txt", "w") as stream:
            stream.write("x")
        with open("made.txt") as stream:
            return stream.read()

    if __name__ == "__main__":
        for job in (program, fork, profile, network, thread, update, plain):
            job()
    """

CLEAR = {"plain", "profile", "thread"}


def test_what_nobody_can_follow_is_replayed_each_time(recorded: Shop, tmp_path: Path) -> None:
    shop = Shop(tmp_path, recorded._replays)
    shop.write(
        "pyproject.toml",
        '[tool.tracediff]\njobs = ["shop.*"]\nreplay_allow = ["subprocess:true", "socket"]\n',
    )
    shop.write("shop/__init__.py", "")
    shop.write("shop/jobs.py", DOUBTS)
    shop.write("count.txt", "1")
    shop.record()
    shop.learn()
    names = shop.named()
    assert {names[one] for one, why in shop.doubts.items() if not why} == CLEAR
    assert shop.affected() == set(names.values()) - CLEAR
    shop.edit(JOBS, "    done.release()", "    return done.release()")
    assert shop.affected() == set(names.values()) - CLEAR | {"thread"}


LOOKING = """
    import sys
    import tracediff as td

    def compiled(function):
        names = function.__code__.co_names
        return lambda: "round" in names or function.__code__.co_consts

    def shortcut():
        return 1.5

    @td.job("shop/looked")
    def looked():
        return str(compiled(shortcut)())

    def place():
        return sys._getframe().f_lineno

    @td.job("shop/line")
    def line():
        return place()

    @td.job("shop/other")
    def other():
        return 1

    if __name__ == "__main__":
        looked()
        line()
        other()
    """


def test_code_that_is_looked_at_and_line_numbers_that_are_asked_for_count(
    recorded: Shop, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, recorded._replays)
    shop.write("pyproject.toml", FILES["pyproject.toml"])
    shop.write("shop/__init__.py", "")
    shop.write("shop/jobs.py", LOOKING)
    shop.record()
    shop.learn()
    assert shop.affected() == NONE
    shop.edit(JOBS, "return 1.5", "return 2.5")
    assert shop.affected() == {"looked", "line"}  # line numbers are those of all the code
    shop.edit(JOBS, "return 2.5", "return 1.5")
    shop.edit(JOBS, "def place", "\n\n\ndef place")
    assert shop.affected() == {"line"}
    assert shop.changed() == {"line"}


def rows_of(count: int) -> list[Row]:
    return [
        Row(id=f"{at:08}", key="k", state="success", started_at=at, duration=1, steps=1,
            outcome=b"o")
        for at in range(count)
    ]  # fmt: skip


UNITS = (("", "settings", "never"), ("x.py", "code ", "0"))


def learn(known: Known, shop: Shop, rows: list[Row], units: tuple[Any, ...] = UNITS) -> None:
    list(known.unaffected(rows, load_config(shop.directory)))
    ran = set_id(units)
    known.learn(Result(id=row.id, key="k", kind="same", ran=ran, units=units) for row in rows)


def count(shop: Shop, table: str = "traces") -> int:
    with sqlite3.connect(shop.directory / DIRECTORY / FILE) as db:
        (found,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return found


def test_traces_that_changed_or_failed_or_were_never_asked_about_are_not_learned(
    shop: Shop,
) -> None:
    with shop.known() as known:
        learn(known, shop, rows_of(1))
        rows = rows_of(4)
        list(known.unaffected(rows[1:3], load_config(shop.directory)))
        for row, kind in zip(rows[1:], ("changed", "failed", "same"), strict=True):
            known.learn([Result(id=row.id, key="k", kind=kind, ran=set_id(UNITS))])
    assert count(shop) == len(ALL) + 1


def test_the_oldest_traces_are_forgotten_with_what_only_they_need(shop: Shop) -> None:
    with shop.known(most=50) as known:
        learn(known, shop, rows_of(120))
    assert (count(shop), count(shop, "sets"), count(shop, "units")) == (50, 1, len(UNITS))
    assert shop.affected() == ALL


@pytest.mark.parametrize("hurt", ["text", "half", "empty", "torn", "other"])
def test_a_database_that_is_hurt_is_set_aside_and_all_is_replayed(shop: Shop, hurt: str) -> None:
    path = shop.directory / DIRECTORY / FILE
    data = path.read_bytes()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(FILE + suffix).unlink(missing_ok=True)
    if hurt == "other":
        sqlite3.connect(path).close()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE other (x)")
        db.close()
    else:
        torn = data[:4096] + os.urandom(len(data) - 4096)
        path.write_bytes({"text": b"nothing of the kind" * 99, "half": data[: len(data) // 2],
                          "empty": b"", "torn": torn}[hurt])  # fmt: skip
    with shop.known() as known:
        asked = list(known.unaffected(shop.rows, load_config(shop.directory)))
    assert not any(unaffected for _, unaffected in asked)
    assert known.remarks
    shop.learn()
    assert shop.affected() == NONE


def test_a_newer_schema_is_left_alone(shop: Shop) -> None:
    path = shop.directory / DIRECTORY / FILE
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = 99")
    db.close()
    with shop.known() as known:
        learn(known, shop, shop.rows)
    assert "schema 99" in known.remarks[0]
    assert count(shop) == len(ALL)


def test_a_set_that_is_not_whole_affects(shop: Shop) -> None:
    with sqlite3.connect(shop.directory / DIRECTORY / FILE) as db:
        db.execute("UPDATE sets SET units = substr(units, 1, length(units) - 4)")
    db.close()
    assert shop.affected() == ALL


def test_without_a_place_to_write_all_is_replayed(shop: Shop) -> None:
    rows = shop.rows
    shutil.rmtree(shop.directory / DIRECTORY)
    (shop.directory / DIRECTORY).write_text("")
    with shop.known() as known:
        learn(known, shop, rows)
        assert not any(same for _, same in known.unaffected(rows, load_config(shop.directory)))
    assert known.remarks


WRITER = """
import sys
from pathlib import Path
from tracediff.check.affected import Known
from tracediff.check.executed import set_id
from tracediff.check.surroundings import Current
from tracediff.checked import Result
from tracediff.config import load_config
from tracediff.model import Row

start, count = map(int, sys.argv[1:])
rows = [Row(id=f"{at:08}", key="k", state="success", started_at=at, duration=1, steps=1,
            outcome=b"o") for at in range(start, start + count)]
with Known(Path(".tracediff")) as known:
    list(known.unaffected(rows, load_config(Path.cwd())))
    for at, row in enumerate(rows):
        units = (("", "settings", str(at % 7)),)
        known.learn([Result(id=row.id, key="k", kind="same", ran=set_id(units), units=units)])
        if at == 600:
            print("writing", flush=True)
    print(known.remarks)
"""


def writer(shop: Shop, start: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(start), str(count)], cwd=shop.directory,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("fresh", [False, True])
def test_two_checks_may_write_at_once(shop: Shop, fresh: bool) -> None:
    if fresh:
        for path in (shop.directory / DIRECTORY).glob(f"{FILE}*"):
            path.unlink()
    running = [writer(shop, at * 10_000, 3_000) for at in range(2)]
    said = [one.communicate(timeout=100)[0].split() for one in running]
    assert said == [["writing", "[]"]] * 2
    assert count(shop) == 6_000 + (0 if fresh else len(ALL))
    if fresh:
        assert (count(shop, "sets"), count(shop, "units")) == (7, 7)


def test_a_check_that_is_killed_while_it_writes_hurts_nothing(shop: Shop) -> None:
    with writer(shop, 0, 50_000) as killed:
        assert killed.stdout.readline() == "writing\n"
        killed.send_signal(signal.SIGKILL)
    assert count(shop) >= len(ALL) + 500
    assert shop.affected() == NONE
    with shop.known() as known:
        learn(known, shop, rows_of(3))
    assert known.remarks == []


def test_what_is_known_of_many_traces_is_told_as_a_stream(shop: Shop) -> None:
    config = load_config(shop.directory)
    with shop.known() as known:
        settings = ("", "settings", Current(config).digest("", "settings"))
        learn(known, shop, rows_of(5_000), (settings,))
    with shop.known() as known:
        asked = known.unaffected(iter(rows_of(5_000)), config)
        assert next(asked)[1]
        assert sum(same for _, same in asked) == 4_999


def test_a_store_may_begin_beside_what_is_known_of_traces_elsewhere(tmp_path: Path) -> None:
    with Known(tmp_path / DIRECTORY) as known:
        assert known.remarks == []
    LocalStore(tmp_path / DIRECTORY).close()
