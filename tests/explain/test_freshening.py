"""Recorded data against code: inputs read anew, and mixtures of both readings."""

from __future__ import annotations

import http.server
import sqlite3
import threading
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import pytest

from tracediff import values
from tracediff.api import open_project
from tracediff.explain.freshening import (
    changed_inputs,
    failed_inputs,
    freshened,
    mixed,
    one_sided_inputs,
    without_inputs,
)
from tracediff.explain.shapley import exact
from tracediff.model import Step, Trace, Value

SHOP = """
    import sqlite3
    from pathlib import Path

    ROOT = Path(__file__).parents[1]

    def ask(query, *values):
        db = sqlite3.connect(ROOT / "shop.db")
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()

    @td.input("Products")
    def products():
        return [row[0] for row in ask("SELECT id FROM product ORDER BY id")]

    @td.input("Price")
    def price(product):
        return ask("SELECT price FROM product WHERE id = ?", product)[0][0]

    @td.input("Rate")
    def rate():
        return int((ROOT / "rate.txt").read_text())

    @td.output("Save")
    def save(total):
        (ROOT / "saved").write_text(str(total))
        return "saved"

    @td.step("Net")
    def net():
        return sum(price(product) for product in products())

    @td.job("shop/total")
    def total(factor=1):
        started = td.now()
        found = factor * (net() * rate() + started.year * 0)
        save(found)
        return found
    """


def database(shop: Any, prices: dict[int, int], rate: int) -> None:
    db = sqlite3.connect(shop.directory / "shop.db")
    with db:
        db.execute("DROP TABLE IF EXISTS product")
        db.execute("CREATE TABLE product (id INTEGER, price INTEGER)")
        db.executemany("INSERT INTO product VALUES (?, ?)", prices.items())
    db.close()
    shop.write("rate.txt", str(rate))


@pytest.fixture
def stocked(shop: Any) -> Any:
    """A job that reads a database and a file, recorded; then both change: 30 * 2 is 60."""
    shop.jobs(SHOP)
    database(shop, {1: 10, 2: 20}, rate=2)
    shop.trace = shop.record("total()")[0]
    assert shop.result(shop.trace) == 60
    (shop.directory / "saved").unlink()
    database(shop, {1: 11, 2: 20, 3: 5}, rate=3)
    return shop


def fresh_of(shop: Any, trace: Trace, **options: Any) -> Trace:
    return freshened(trace, shop.project().config, **options)


def well_formed(trace: Trace) -> bool:
    return all(-1 <= step.parent < index for index, step in enumerate(trace.steps)) and [
        index for index, step in enumerate(trace.steps) if step.parent == -1
    ] == [0]


def test_the_inputs_are_read_anew_and_nothing_is_written(stocked: Any) -> None:
    fresh = fresh_of(stocked, stocked.trace)
    assert stocked.result(fresh) == 36 * 3
    assert stocked.results(fresh, "Products") == [[1, 2, 3]]
    assert stocked.results(fresh, "Save") == ["saved"], "as it was recorded"
    assert stocked.results(fresh, "now") == stocked.results(stocked.trace, "now")
    assert not (stocked.directory / "saved").exists()
    assert fresh.depth == stocked.trace.depth
    assert [miss.served for miss in fresh.replay.misses] == ["live"] * 5
    assert any(step.name == "ask" for step in fresh_of(stocked, stocked.trace, deep=True).steps)


def test_what_changed_is_named_and_what_only_one_side_asked(stocked: Any) -> None:
    fresh = fresh_of(stocked, stocked.trace)
    assert changed_inputs(stocked.trace, fresh) == ("Products", "Price", "Rate")
    assert one_sided_inputs(stocked.trace, fresh) == ("Price",)
    assert failed_inputs(stocked.trace, fresh) == ()
    assert changed_inputs(fresh, fresh) == one_sided_inputs(fresh, fresh) == ()
    database(stocked, {1: 10, 2: 20}, rate=2)
    same = fresh_of(stocked, stocked.trace)
    assert changed_inputs(stocked.trace, same) == one_sided_inputs(stocked.trace, same) == ()


@pytest.mark.slow
def test_mixtures_of_data_and_code_add_up(stocked: Any) -> None:
    """The players are three inputs and the code; nobody is the old result, all the fresh one."""
    recorded, old = stocked.trace, stocked.copy(stocked.directory.parent / "old")
    stocked.change("return found", "return found + 1000")
    fresh = fresh_of(stocked, recorded)
    names = changed_inputs(recorded, fresh)
    worth = []
    for mask in range(1 << 4):
        given = mixed(recorded, fresh, [name for at, name in enumerate(names) if mask >> at & 1])
        assert well_formed(given)
        new = (stocked if mask & 8 else old).replay(given)
        assert new.replay.misses == ()
        worth.append(stocked.result(new))
    assert worth[0] == 60
    assert worth[1] == (10 + 20 + 5) * 2, "the price of 3 has no answer but the fresh one"
    assert worth[2] == (11 + 20) * 2
    assert worth[4] == (10 + 20) * 3
    assert worth[15] == stocked.result(fresh) == 36 * 3 + 1000
    shares = exact(worth, 4)
    assert sum(shares) == 1048
    assert shares[3] == 1000


@pytest.mark.slow
def test_an_input_read_anew_enters_at_itself(stocked: Any) -> None:
    with open_project(start=stocked.directory) as project:
        found = project.explain("@last", refresh_inputs=True)
    causes = {cause.units[0].name: cause for cause in found.causes}
    entered, *way = causes["Rate"].travelled
    assert (entered.path, entered.old, entered.new) == (("Rate",), "2", "3")
    assert way[-1].path == ()
    assert [found.data[at][1] for at in sorted(found.data)] == [0] * len(found.effects)


def test_the_arguments_are_a_switch_of_their_own(stocked: Any) -> None:
    (other,) = stocked.record("total(2)")
    assert changed_inputs(stocked.trace, other) == ("now", "Products", "Price", "Rate")
    results = [
        stocked.result(stocked.replay(mixed(stocked.trace, other, names, arguments=arguments)))
        for names in ((), ("Products", "Price", "Rate"))
        for arguments in (False, True)
    ]
    assert results == [60, 120, 108, 216]


def test_new_code_may_ask_for_more(stocked: Any) -> None:
    stocked.change(
        '@td.job("shop/total")',
        '@td.input("Fee")\ndef fee():\n    return 7\n\n@td.job("shop/total")',
    )
    stocked.change("net() * rate()", "net() * rate() + fee()")
    assert stocked.replay(stocked.trace).replay.misses, "its recording has no fee"
    fresh = fresh_of(stocked, stocked.trace)
    assert changed_inputs(stocked.trace, fresh) == ("Products", "Price", "Rate")
    assert one_sided_inputs(stocked.trace, fresh) == ("Price", "Fee")
    assert stocked.result(stocked.replay(mixed(stocked.trace, fresh, ()))) == 67
    assert not (stocked.directory / "saved").exists()


def test_what_cannot_be_read_any_more_is_named(stocked: Any) -> None:
    (stocked.directory / "rate.txt").unlink()
    fresh = fresh_of(stocked, stocked.trace)
    assert fresh.state == "error"
    ((name, said),) = failed_inputs(stocked.trace, fresh)
    assert name == "Rate"
    assert said.startswith("FileNotFoundError: ")
    assert changed_inputs(stocked.trace, fresh) == ("Products", "Price", "Rate")
    served = stocked.replay(mixed(stocked.trace, fresh, ["Rate"]))
    assert served.steps[0].error.type == "builtins:FileNotFoundError"


def test_what_an_input_asks_for_itself_is_no_change_of_its_own(shop: Any) -> None:
    shop.jobs("""
        from pathlib import Path

        FILE = Path(__file__).parents[1] / "rates.txt"

        @td.input("Line")
        def line(at):
            return FILE.read_text().split()[at]

        @td.input("Lines")
        def lines():
            td.note("reading")
            return [int(line(0)), int(line(1))]

        @td.job("shop/lines")
        def job():
            return [lines(), line(0)]
        """)
    shop.write("rates.txt", "1 2")
    (recorded,) = shop.record("job()")
    shop.write("rates.txt", "3 4")
    fresh = fresh_of(shop, recorded)
    assert shop.result(fresh) == [[3, 4], "3"]
    assert changed_inputs(recorded, fresh) == ("Lines", "Line")
    results = [
        shop.result(shop.replay(mixed(recorded, fresh, names)))
        for names in ((), ("Lines",), ("Line",), ("Line", "Lines"))
    ]
    assert results == [[[1, 2], "1"], [[3, 4], "1"], [[1, 2], "3"], [[3, 4], "3"]]
    shop.change("[lines(), line(0)]", "[lines()]")
    assert changed_inputs(recorded, fresh_of(shop, recorded)) == ("Lines",)
    shop.change("[lines()]", "line(1)")
    direct = fresh_of(shop, recorded)
    assert changed_inputs(recorded, direct) == ("Line",)
    assert shop.result(shop.replay(mixed(recorded, direct, ["Line"]))) == "4"


@pytest.fixture
def rates() -> Iterator[tuple[int, list[str]]]:
    """A server on the loopback interface that answers "5", and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"5")

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_only_inputs_reach_the_network(shop: Any, rates: Any) -> None:
    port, asked = rates
    shop.jobs(f"""
        import urllib.request

        def get(what):
            return urllib.request.urlopen("http://127.0.0.1:{port}/" + what).read().decode()

        @td.input("Rate")
        def rate():
            return get("rate")

        @td.output("Publish")
        def publish():
            return get("publish")

        @td.job("shop/rated")
        def job():
            publish()
            return rate()
        """)
    (recorded,) = shop.record("job()")
    assert asked == ["/publish", "/rate"]
    shop.change(
        "    publish()\n    return rate()", "    publish()\n    return rate() + get('body')"
    )
    fresh = fresh_of(shop, recorded)
    assert asked == ["/publish", "/rate", "/rate"]
    assert fresh.steps[0].error.type == "tracediff.runtime:ReplayAbort"
    assert shop.results(fresh, "Rate") == ["5"]
    assert any(str(port) in said for said in fresh.warnings)
    assert shop.replay(recorded).state == "error"
    assert asked == ["/publish", "/rate", "/rate"]


def made(*steps: tuple[int, Any, str, Any]) -> Trace:
    """A trace of a job with these steps: parent, kind, name, result."""
    job = Step(parent=-1, kind="job", name="job")
    rest = [
        Step(parent=parent, kind=kind, name=name, args=Value(values.encode({})),
             result=Value(values.encode(result)))
        for parent, kind, name, result in steps
    ]  # fmt: skip
    return Trace(id="t", key="k", job="m:f", steps=(job, *rest))


def test_without_inputs_the_tree_stays_one() -> None:
    trace = made(
        (0, "step", "a", 1),
        (1, "input", "in", 1),
        (2, "step", "b", 1),
        (3, "output", "inner out", 1),
        (4, "input", "inner in", 1),
        (4, "note", "n", 1),
        (3, "input", "now", 1),
        (1, "note", "m", 1),
        (0, "input", "random", 1),
        (0, "output", "out", 1),
    )
    found = without_inputs(trace)
    assert well_formed(found)
    assert [(step.name, step.parent) for step in found.steps] == [
        ("job", -1), ("a", 0), ("inner out", 1), ("now", 1), ("m", 1), ("random", 0), ("out", 0)
    ]  # fmt: skip
    assert without_inputs(found) == found


def test_fewer_and_more_of_one_and_the_same_call() -> None:
    def asked(*answers: int) -> Trace:
        return made(*((0, "input", "in", answer) for answer in answers))

    def answers(trace: Trace) -> list[Any]:
        return [values.inert(step.result) for step in trace.steps[1:]]

    for old, new in chain(combinations([(1, 2, 3), (4,), ()], 2), [((4,), (1, 2, 3))]):
        both = [old[at] if at >= len(new) else new[at] for at in range(max(len(old), len(new)))]
        kept = [*old, *new[len(old) :]]
        assert answers(mixed(asked(*old), asked(*new), ["in"])) == both
        assert answers(mixed(asked(*old), asked(*new), [])) == kept
        assert one_sided_inputs(asked(*old), asked(*new)) == ("in",)
    unfinished = made((0, "input", "in", 1))
    gone = Trace(
        id="t", key="k", job="m:f",
        steps=(unfinished.steps[0], Step(parent=0, kind="input", name="in", open=True,
                                         args=unfinished.steps[1].args)),
    )  # fmt: skip
    assert mixed(unfinished, gone, ["in"]) == unfinished
