"""Every kind of change: its share in the result is exactly what Shapley's definition gives.

The table is in ``kinds/*.txt``. A kind starts with ``### its-name`` and a comment; then come

- ``call``: what the job calls, in ``shop/calc.py``;
- ``result``: the job's old and new result (or error), as each side gives it by itself;
- ``share``: a cause and its share, ``;`` between causes, ``none`` where nothing changed, and
  ``share result.tax`` for a field. A cause is its units with `` + `` between them, each "kind name"
  or only the name (without "shop."; ``*`` as in file names, ``|`` for either of two, and ``?``
  after a unit that may also be left out);
- ``kept``: the added and removed definitions that come and go with the causes;
- ``innocent``: what differs and ran besides, without any share; ``idle``: how many never ran;
- ``xfail``: why it is not right yet;
- ``@ file`` with its lines, within ``shop/`` unless it begins with "/": those with "-" are the old
  side's, those with "+" the new one's, the others both have.

Unless a kind brings ``jobs.py``, the job settles what the call returns, and three units of
``calc.py`` that do so are written anew without changing anything: no kind may blame them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tracediff.api import open_project
from tracediff.config import load_config
from tracediff.model import Trace

TABLE = Path(__file__).with_name("kinds")
SETTINGS = '[tool.tracediff]\njobs = ["shop.*"]\n'
JOBS = """\
import tracediff as td
from shop import calc

@td.job("kind", depth="inputs")
def job():
    return calc.settle(calc.{call})
"""
NEIGHBOURS = """

- SCALE = 2 * 3
+ SCALE = 6

  class Near:
      def keep(self, amount):
-         kept = amount
-         return kept
+         return amount

  def settle(amount):
-     if SCALE == 6:
-         return Near().keep(amount)
-     return None
+     return Near().keep(amount) if SCALE == 6 else None
"""
INNOCENT = ("constant calc:SCALE", "method calc:Near.keep", "function calc:settle")
RUNNER = """
import asyncio, os, sqlite3, sys, tomllib, traceback
import tracediff as td, tracediff.api, tracediff.recording

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        root = line.strip()
        os.chdir(root)
        sys.path.insert(0, root)
        try:
            from shop.jobs import job
            said = repr(job())
        except Exception as error:
            traceback.print_exc()
            said = type(error).__name__
        if line.startswith(" "):
            td.flush(20)
        print(said, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@dataclass
class Kind:
    """One entry of the table."""

    name: str
    call: str = ""
    result: str = ""
    shares: dict[str, str] = field(default_factory=dict)
    kept: str = ""
    innocent: str = ""
    idle: str = "0"
    xfail: str = ""
    files: dict[str, list[str]] = field(default_factory=dict)

    def write(self, root: Path, side: str) -> Path:
        """The project as it is on a side, "-" or "+"."""
        texts = {"/pyproject.toml": SETTINGS, "__init__.py": ""}
        if "jobs.py" not in self.files:
            texts["jobs.py"] = JOBS.format(call=self.call)
        for name, lines in self.files.items():
            more = NEIGHBOURS.splitlines() if name == "calc.py" else []
            if any(line[:1] in {side, " "} for line in lines):
                texts[name] = "".join(
                    line[2:] + "\n" for line in lines + more if line[:1] in {side, " ", ""}
                )
        for name, text in texts.items():
            path = root / name.strip("/") if name.startswith("/") else root / "shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root


def read(file: Path) -> Iterator[Kind]:
    kind: Kind | None = None
    lines: list[str] | None = None
    for line in file.read_text().splitlines():
        if line.startswith("### "):
            kind, lines = Kind(line[4:]), None
            yield kind
        elif line.startswith("@ "):
            lines = kind.files[line[2:]] = []
        elif lines is not None:
            assert re.match(r"[-+ ]( |$)|$", line), f"{file.name}: {kind.name}: {line!r}"
            lines.append(line)
        elif line and not line.startswith("#"):
            name, _, text = line.partition(": ")
            if name.startswith("share"):
                kind.shares[name.removeprefix("share").strip() or "result"] = text
            else:
                assert name in {"call", "result", "kept", "innocent", "idle", "xfail"}, line
                setattr(kind, name, text)


# A generator gives each kind before it is read: the list is what reads them.
KINDS = [kind for file in sorted(TABLE.glob("*.txt")) for kind in list(read(file))]
CASES = [
    pytest.param(
        kind,
        id=kind.name,
        marks=[pytest.mark.xfail(strict=True, reason=kind.xfail)] if kind.xfail else [],
    )
    for kind in KINDS
]


@pytest.fixture(scope="session")
def run(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that runs the job of a project; one warm process forks for each.

    It gives the result as text, or the name of the error; ``keep`` is for the trace to be stored.
    """
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        cwd=tmp_path_factory.mktemp("runner"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def told(root: Path, *, keep: bool = False) -> str:
            process.stdin.write(f"{' ' * keep}{root}\n")
            process.stdin.flush()
            return process.stdout.readline().rstrip("\n")

        yield told


def recorded(root: Path) -> Trace:
    with open_project(start=root) as project:
        return project.resolve("@last")


def matches(unit: Any, pattern: str) -> bool:
    """Whether it is "kind name", each with ``|`` for either of two."""
    kinds, _, names = pattern.rstrip("?").rpartition(" ")
    return (not kinds or unit.kind in kinds.split("|")) and any(
        fnmatchcase(unit.name, name) or fnmatchcase(unit.name, f"shop.{name}")
        for name in names.split("|")
    )


def is_cause(units: tuple[Any, ...], text: str) -> bool:
    """Whether units are all those that a cause of the table has, and no others."""
    patterns = text.split(" + ")
    return all(any(matches(unit, one) for one in patterns) for unit in units) and all(
        one.endswith("?") or any(matches(unit, one) for unit in units) for one in patterns
    )


def parsed(text: str, change: Fraction | None) -> list[tuple[str, Fraction | None]]:
    """The causes of an effect and their shares; an "?" for the whole change."""
    if text == "none":
        return []
    pairs = (one.rsplit(" = ", 1) for one in text.split("; "))
    return [(cause, change if share == "?" else Fraction(share)) for cause, share in pairs]


def shared(found: Any, effect: Any) -> list[tuple[tuple[Any, ...], Fraction]]:
    """The causes that have a share in an effect."""
    return [
        (cause.units, share)
        for cause, share in zip(found.causes, effect.shares, strict=True)
        if share
    ]


def agrees(got: list[tuple[tuple[Any, ...], Fraction]], expected: Any) -> bool:
    """Whether each expected cause is one that was found, with exactly its share."""
    left = list(got)
    for cause, share in expected:
        hit = next((one for one in left if one[1] == share and is_cause(one[0], cause)), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


def spell(units: Any) -> str:
    return " + ".join(f"{unit.kind} {unit.name}" for unit in units)


def number(text: str) -> Fraction | None:
    inner = re.fullmatch(r"(?:Decimal\('(.*)'\)|Fraction\((.*), (.*)\)|([-\d.]+))", text)
    if inner is None:
        return None
    exact, above, below, plain = inner.groups()
    if above:
        return Fraction(int(above), int(below))
    if plain:
        return Fraction(float(plain)) if "." in plain else Fraction(int(plain))
    return Fraction(exact)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.in_turn
@pytest.mark.slow
def test_each_kind_of_change_has_exactly_its_share(kind: Kind, run: Any, tmp_path: Path) -> None:
    from tracediff.explain.attribution import attribute

    old, new = kind.write(tmp_path / "old", "-"), kind.write(tmp_path / "new", "+")
    before, _, after = kind.result.partition(" -> ")
    assert before in {"?", run(old, keep=True)}
    assert after in {"?", run(new)}
    found = attribute(recorded(old), load_config(old), load_config(new))
    assert found.refused is None
    effects = {".".join(map(str, effect.path)): effect for effect in found.effects}
    wanted = {} if "none" in kind.shares.values() else kind.shares
    assert set(effects) == set(wanted)
    for path, text in wanted.items():
        effect = effects[path]
        got = shared(found, effect)
        assert sum(effect.shares) == effect.change
        said = "; ".join(f"{spell(units)} = {share}" for units, share in got)
        ways = [parsed(way, effect.change) for way in text.split(" | ")]
        assert any(agrees(got, way) for way in ways), f"{path}: {said}"
    reasons = " ".join(cause.merged or "" for cause in found.causes)
    assert tempfile.gettempdir() not in reasons
    kept = {name.removeprefix("shop.") for cause in found.causes for name in cause.kept}
    assert kept == set(filter(None, kind.kept.split("; ")))
    assert kind.idle in {"?", str(found.idle)}
    check_innocent(kind, found.innocent)


def check_innocent(kind: Kind, units: tuple[Any, ...]) -> None:
    """They are the neighbours and those that the table names, all of them and no others."""
    if kind.innocent == "?":
        return
    expected = [*INNOCENT, *filter(None, kind.innocent.split("; "))]
    assert is_cause(units, " + ".join(expected)), spell(units)


def test_the_table_is_whole_and_its_shares_add_up() -> None:
    assert len(KINDS) >= 95
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    for kind in KINDS:
        assert kind.call, kind.name
        assert kind.shares, kind.name
        old, _, new = kind.result.partition(" -> ")
        before, after = number(old), number(new)
        if None in {before, after} or before == after or "result" not in kind.shares:
            continue
        for way in kind.shares["result"].split(" | "):
            total = sum(share for _, share in parsed(way, after - before))
            assert total == after - before, kind.name
