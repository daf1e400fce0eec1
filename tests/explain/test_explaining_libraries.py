"""What a changed job read through libraries is served to every mixture of its old and new code."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from tracediff import values
from tracediff.explained import Explanation

READING = """
    import os, random, sqlite3, uuid
    from decimal import Decimal
    from pathlib import Path

    ROOT = Path(__file__).parents[1]

    def rate():
        with open(os.environ["RATES"]) as file:
            return int(file.read())

    def surcharge():
        return int(os.environ["SURCHARGE"])

    def drawn():
        return int(random.random() * 1000)

    def numbered():
        return uuid.uuid4().int % 1000

    def price():
        con = sqlite3.connect(ROOT / "shop.db")
        try:
            return sum(row[0] for row in con.execute("SELECT price FROM product"))
        finally:
            con.close()

    @td.job("total")
    def total():
        cents = rate() + surcharge() + drawn() + numbered() + price()
        return Decimal(cents) / 100
    """


def test_every_library_is_served_to_every_mixture_and_shares_are_right_to_the_cent(
    shop: Any, commit: Any, tmp_path: Path
) -> None:
    shop.settings('inputs = ["open", "os.environ", "random", "sqlite3", "uuid"]\n')
    shop.jobs(READING)
    rates = tmp_path / "rate.txt"  # a file of the project would be read for real
    rates.write_text("7")
    database = sqlite3.connect(shop.directory / "shop.db")
    with database:
        database.execute("CREATE TABLE product (price INTEGER)")
        database.executemany("INSERT INTO product VALUES (?)", [(150,), (250,)])
    database.close()
    shop.write(".gitignore", ".tracediff/\n__pycache__/\nshop.db\n")
    commit("as it was")
    trace = shop.record("total()", SURCHARGE="11", RATES=str(rates))[0]
    read = {step.name: values.inert(step.result) for step in trace.steps if step.kind == "input"}
    rates.unlink()
    (shop.directory / "shop.db").unlink()
    drawn, number = int(read["random.random"] * 1000), read["uuid.uuid4"].int % 1000
    assert shop.result(trace) == Decimal(7 + 11 + drawn + number + 400) / 100
    shop.change("int(file.read())", "int(file.read()) * 2")
    shop.change('int(os.environ["SURCHARGE"])', 'int(os.environ["SURCHARGE"]) - 3')
    shop.change("int(random.random() * 1000)", "int(random.random() * 1000) * 2 + 1")
    shop.change("uuid.uuid4().int % 1000", "uuid.uuid4().int % 1000 + 5")
    shop.change("sum(row[0] for row", "sum(row[0] * 2 for row")
    with shop.project() as project:
        found: Explanation = project.explain(trace.id)
    assert found.refused is None, found.refused
    (effect,) = found.effects
    names = [" + ".join(unit.name for unit in cause.units) for cause in found.causes]
    assert dict(zip(names, effect.shares, strict=True)) == {
        "shop.jobs:rate": Fraction(7, 100), "shop.jobs:surcharge": Fraction(-3, 100),
        "shop.jobs:drawn": Fraction(drawn + 1, 100),
        "shop.jobs:numbered": Fraction(5, 100), "shop.jobs:price": Fraction(400, 100),
    }  # fmt: skip
