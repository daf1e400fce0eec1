"""Which definitions behind a step differ: found by name through the project's files."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest

from tracediff.compare import compare
from tracediff.compare.code import CodeChanges, file_of
from tracediff.compare.definitions import read_module
from tracediff.model import Code, CodeChange, Source, Step, Trace, Value
from tracediff.recording.codeversion import blob_id
from tracediff.values import encode

Files = Mapping[str, str]
BASE = {
    "shop/price.py": """
        from shop import rates
        from shop.tables import DUTY, Table
        import shop.tables as tables

        LIMIT = 10

        def price(net):
            return helper(net) + rates.rate("DE")

        def helper(net):
            if net > LIMIT:
                return net
            return DUTY["DE"]

        def table(net):
            return Table(net).total()

        def other(net):
            return tables.SPARE + net

        def lazy(net):
            from shop.tables import SPARE
            return SPARE

        def loose(thing):
            return thing.total()

        def lonely(net):
            return net
        """,
    "shop/rates.py": """
        def rate(country):
            "What a country takes."
            return 0.19  # Germany
        """,
    "shop/tables.py": """
        DUTY = {
            "DE": 3,
            "FR": 4,
        }
        SPARE = 1

        class Table:
            size = 3

            def __init__(self, net):
                self.net = net

            def total(self):
                return self.net
        """,
}


def texts(files: Files) -> dict[str, str]:
    return {path: textwrap.dedent(text) for path, text in files.items()}


def trace(files: Files, steps: tuple[Step, ...] = (), **versions: str) -> Trace:
    blobs = {path: blob_id(text.encode()) for path, text in texts(files).items()}
    code = Code(files=blobs, distributions=versions)
    return Trace(id="1", key="k", job="shop.price:price", steps=steps, code=code)


def reader(*sides: Files):
    known = {blob_id(text.encode()): text for files in sides for text in texts(files).values()}
    return lambda path, blob: known.get(blob)


def edited(path: str, before: str, after: str) -> dict[str, str]:
    assert before in BASE[path]
    return {**BASE, path: BASE[path].replace(before, after)}


def behind(new: Files, name: str, **options) -> tuple[CodeChange, ...] | None:
    source = Source("shop/price.py", 1, f"shop.price:{name}")
    changes = CodeChanges(trace(BASE), trace(new), reader(BASE, new))
    return changes.behind(source, source)


@pytest.mark.parametrize(
    ("path", "before", "after", "reached"),
    [
        ("shop/price.py", "LIMIT = 10", "LIMIT = 11", {"price": "LIMIT", "helper": "LIMIT"}),
        ("shop/price.py", "return net\n            return", "return -net\n            return",
         {"price": "helper", "helper": "helper"}),
        ("shop/rates.py", "0.19", "0.20", {"price": "rate"}),
        ("shop/tables.py", '"DE": 3', '"DE": 5', {"price": "DUTY", "helper": "DUTY"}),
        ("shop/tables.py", "size = 3", "size = 4", {"table": "Table"}),
        ("shop/tables.py", "return self.net", "return self.net * 2",
         {"table": "Table.total", "loose": "Table.total"}),
        ("shop/tables.py", "SPARE = 1", "SPARE = 2", {"other": "SPARE", "lazy": "SPARE"}),
    ],
)  # fmt: skip
def test_a_change_is_seen_from_the_functions_that_lead_to_it(
    path: str, before: str, after: str, reached: dict[str, str]
) -> None:
    new = edited(path, before, after)
    for name in ("price", "helper", "table", "other", "lazy", "loose", "lonely"):
        found = behind(new, name)
        assert found is not None
        assert [one.name for one in found] == ([reached[name]] if name in reached else []), name
        assert all(one.file == path for one in found)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("shop/rates.py", "# Germany", "# the Federal Republic"),
        ("shop/rates.py", "What a country takes.", "A country's share."),
        ("shop/rates.py", "return 0.19", "\n            return (0.19)"),
    ],
)
def test_comments_docstrings_and_layout_are_no_change(path: str, before: str, after: str) -> None:
    assert behind(edited(path, before, after), "price") == ()


def test_a_change_shows_the_lines_that_differ_and_where() -> None:
    found = behind(edited("shop/tables.py", '"DE": 3', '"DE": 5'), "helper")
    assert found == (
        CodeChange(
            file="shop/tables.py",
            line=3,
            name="DUTY",
            removed=('    "DE": 3,',),
            added=('    "DE": 5,',),
        ),
    )


def test_a_step_of_its_own_is_looked_at_where_it_is() -> None:
    new = edited("shop/rates.py", "0.19", "0.20")
    step = Step(
        parent=0,
        kind="step",
        name="rate",
        args=Value(encode({})),
        source=Source("shop/rates.py", 2, "shop.rates:rate"),
    )
    changes = CodeChanges(trace(BASE, (step,)), trace(new, (step,)), reader(BASE, new))
    price = Source("shop/price.py", 1, "shop.price:price")
    assert changes.behind(price, price) == ()
    found = changes.behind(step.source, step.source)
    assert found is not None
    assert [one.name for one in found] == ["rate"]


def test_a_renamed_function_with_the_same_body_has_not_changed() -> None:
    new = edited("shop/price.py", "def lonely", "def alone")
    changes = CodeChanges(trace(BASE), trace(new), reader(BASE, new))
    before = Source("shop/price.py", 1, "shop.price:lonely")
    after = Source("shop/price.py", 1, "shop.price:alone")
    assert changes.behind(before, after) == ()


def test_code_that_is_not_to_be_had_is_not_guessed_at() -> None:
    new = edited("shop/rates.py", "0.19", "0.20")
    source = Source("shop/price.py", 1, "shop.price:price")
    changes = CodeChanges(trace(BASE), trace(new), reader(new))
    assert changes.behind(source, source) is None


def test_code_that_cannot_be_parsed_is_not_guessed_at() -> None:
    new = edited("shop/rates.py", "return 0.19", "return (")
    assert behind(new, "price") is None


def test_a_library_counts_for_those_who_import_it() -> None:
    files = {
        "shop/days.py": "import holidays\ndef days():\n    return holidays.all()\ndef no(): 1\n"
    }
    changes = CodeChanges(
        trace(files, holidays="0.63", numpy="1"),
        trace(files, holidays="0.64", numpy="2"),
        reader(files),
    )
    days = Source("shop/days.py", 2, "shop.days:days")
    assert changes.behind(days, days) == (CodeChange(file="", line=0, name="holidays 0.63 → 0.64"),)
    no = Source("shop/days.py", 4, "shop.days:no")
    assert changes.behind(no, no) == ()


def test_definitions_within_a_function_belong_to_it() -> None:
    source = Source("shop/price.py", 1, "shop.price:price.<locals>.inner")
    new = edited("shop/price.py", 'rates.rate("DE")', 'rates.rate("FR")')
    found = CodeChanges(trace(BASE), trace(new), reader(BASE, new)).behind(source, source)
    assert found is not None
    assert [one.name for one in found] == ["price"]


def test_a_module_is_read_whole() -> None:
    module = read_module(
        textwrap.dedent(
            """
            try:
                import fast as engine
            except ImportError:
                from . import slow as engine
            from ..base import Base
            if True:
                A, B = 1, 2
            A += 3
            C: int = 4
            class Outer(Base):
                x = A
                class Inner:
                    def m(self): return B
                @property
                def p(self): return C
            """
        ),
        "shop.inner.mod",
    )
    assert module is not None
    assert set(module.definitions) == {
        "A", "B", "C", "Outer", "Outer.Inner", "Outer.Inner.m", "Outer.p",
    }  # fmt: skip
    assert module.imports["engine"].module == "shop.inner"
    assert module.imports["Base"].module == "shop.base"
    assert len(module.definitions["A"].lines) == 2
    assert module.definitions["Outer"].names >= {"Base", "A"}


def test_a_module_is_found_under_any_root() -> None:
    files = ["src/shop/tables.py", "shop_tables.py", "src/shop/__init__.py"]
    assert file_of(files, "shop.tables") == "src/shop/tables.py"
    assert file_of(files, "shop") == "src/shop/__init__.py"
    assert file_of(files, "tables_") is None


def test_the_definitions_reach_the_labels_of_a_comparison() -> None:
    new = edited("shop/price.py", "LIMIT = 10", "LIMIT = 11")

    def steps(net: int) -> tuple[Step, ...]:
        return tuple(
            Step(
                parent=-1 if name == "price" else 0,
                kind="job" if name == "price" else "step",
                name=name,
                args=Value(encode({"net": net})),
                result=Value(encode(net)),
                source=Source("shop/price.py", 1, f"shop.price:{name}"),
            )
            for name in ("price", "helper", "lonely")
        )

    old_trace, new_trace = trace(BASE, steps(1)), trace(new, steps(2))
    found = compare(old_trace, new_trace, load=reader(BASE, new))
    labels = {old_trace.steps[one.old or 0].name: one.label for one in found.divergences}
    assert labels == {"price": "propagated", "helper": "unproven", "lonely": "propagated"}
    assert all(one.code is None for one in compare(old_trace, new_trace).divergences)


def test_methods_of_a_file_that_one_side_alone_loaded_are_no_change():
    loaded = BASE | {"shop/views.py": "class View:\n    def total(self):\n        return 1\n"}
    both = edited("shop/rates.py", "0.19", "0.20")
    for old, new in ((loaded, both), (both, loaded)):
        step = Source(file="shop/price.py", line=21, unit="shop.price:loose")
        changes = CodeChanges(trace(old), trace(new), reader(old, new)).behind(step, step)
        assert changes == ()
