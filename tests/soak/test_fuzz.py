"""Settings and trace files that nobody wrote, or somebody wrote to do harm.

Whatever the bytes are, reading settings gives a Config or a ConfigError, and a trace file that is
given to a command is shown, compared or refused: no other exception, and no hang, which the suite's
own time limit would end. ``make soak`` tries 20,000 of each where a test run tries some hundreds.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tracediff.cli import exits, group
from tracediff.config import Config, load_config
from tracediff.config.checks import _CHECKS, _RULE, _TOLERANCE
from tracediff.errors import ConfigError

LONG = int(os.environ.get("FUZZ") or 20_000)
RELEASED = Path(__file__).parents[2] / "fixtures" / "traces" / "v1"
KEPT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


# Settings

HARMFUL = ["1e999999999", "1e-999999999", "1/0", "\x00", "\ud7ff", "..", "~", "a" * 300, "(" * 300,
           "[" * 300, "**/" * 100, "a:b:c", "memory:", "file://[", "9" * 5000]  # fmt: skip
_texts = st.sampled_from(HARMFUL) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63])
_leaves = _texts | _numbers | st.booleans()


def tables(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from(names) | _texts
    return st.dictionaries(keys, _values, max_size=4)


_values: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        _leaves
        | st.lists(_values, max_size=3)
        | tables(*_RULE, *_TOLERANCE, "index", "blobs", "a", "prod")
    )
)


def toml(value: Any) -> str:
    """A value as inline TOML; integers beyond what Python reads in decimals in hexadecimal."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"0x{value:x}" if value > 10**15 else str(max(value, -(10**15)))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"


def read(directory: Path, data: bytes) -> bool:
    """Whether the settings are taken; anything but a Config or a ConfigError is raised."""
    (directory / "pyproject.toml").write_bytes(data)
    try:
        config = load_config(directory, env={})
    except ConfigError as error:
        refusal = error
    else:
        assert isinstance(config, Config)
        assert all(isinstance(cell, str) for row in config.as_rows() for cell in row)
        return True
    assert refusal.slug in ("config-unreadable", "config-unknown-key", "config-invalid")
    assert refusal.hint
    assert 0 < len(refusal.message) < 10_000
    return False


@KEPT
@given(st.dictionaries(st.sampled_from(sorted(_CHECKS)) | _texts, _values, max_size=4))
def test_any_table_is_a_config_or_a_config_error(tmp_path, table):
    lines = [f"{toml(key)} = {toml(value)}\n" for key, value in table.items()]
    read(tmp_path, "".join(["[tool.tracediff]\n", *lines]).encode())


VALID = b"""[tool.tracediff]
jobs = ["pricing.*"]
store = "prod"
sample = 0.5
retention = {}
[tool.tracediff.stores.prod]
index = "memory:x"
[tool.tracediff.job."a/*"]
depth = "inputs"
[[tool.tracediff.tolerance]]
path = "**/weight"
quantum = "0.01"
types = [["int", "float"]]
""".replace(b"retention = {}\n", b"")


@KEPT
@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 6), st.binary(max_size=6))))
@example([])
def test_any_bytes_are_a_config_or_a_config_error(tmp_path, edits):
    data = VALID
    for at, cut, some in edits:
        data = data[:at] + some + data[at + cut :]
    taken = read(tmp_path, data)
    assert taken or edits


@pytest.mark.parametrize(
    "line",
    [
        "sample = " + "9" * 5_000,
        "sample = 0x" + "f" * 5_000,
        "jobs = " + "[" * 5_000,
        "jobs = " + "[" * 5_000 + "]" * 5_000,
        "a" + ".a" * 5_000 + " = 1",
        'pythonpath = ["\\u0000"]',
        'store = "\\u0000"',
        'tolerance = [{path = "a", quantum = "1e999999999"}]',
        'tolerance = [{path = "a", quantum = "1e-999999999"}]',
        'tolerance = [{path = "a", quantum = "' + "9" * 5_000 + '"}]',
        'tolerance = [{path = "a", ulp = 0x' + "f" * 5_000 + "}]",
        'python = "' + "x" * 1_000_000 + '"',
        "[tool.tracediff.job." + '"' + "*" * 1_000 + '"]\nsample = 1',
        "jobs = 9999-99-99",
        "jobs = 12:61:00",
        "sample = 2020-01-01T00:00:00+99:99",
    ],
    ids=lambda line: line[:30],
)
def test_a_harmful_setting_is_a_config_or_a_config_error(tmp_path, line):
    read(tmp_path, f"[tool.tracediff]\n{line}\n".encode())


# Trace files

FILES = sorted(RELEASED.glob("*.trace.json"))
TEXTS = [path.read_bytes() for path in FILES]
ODD = [None, True, -1, 2**64, 10**4000, 1e308, "", "\ud800", "$", "a:b", "1E+999999999", [], {},
       {"$decimal": "1E+999999999"}, {"$decimal": "-1E-999999999"}, {"$decimal": "sNaN"},
       {"$int": "9" * 5_000}, {"$range": [0, 10**18, 1]}, {"$range": [0, 1, 0]},
       {"$fraction": ["1", "0"]}, {"$float": "nan"}, {"$bytes": "eA=="}, {"$packed": "wQ=="},
       {"$timedelta": [10**9, 0, 0]}, {"$ref": 0}, {"$tuple": [{"$tuple": []}]},
       {"$set": [1, 1]}, {"$dict": [[[], 1]]}]  # fmt: skip


def nodes(doc: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key or number there."""
    keys = doc if isinstance(doc, dict) else range(len(doc)) if isinstance(doc, list) else ()
    for key in list(keys):
        yield doc, key
        yield from nodes(doc[key])


def mutated(rng: random.Random) -> bytes:
    """A released trace file, changed as a document, as bytes, or as both."""
    data = rng.choice(TEXTS)
    if rng.random() < 0.8:
        doc = json.loads(data)
        for _ in range(rng.randint(1, 3)):
            holder, key = rng.choice(list(nodes(doc)))
            change = rng.randrange(5)
            if change == 0:
                del holder[key]
            elif change == 1:
                other, name = rng.choice(list(nodes(doc)))
                holder[key] = json.loads(json.dumps(other[name]))
            elif change == 2 and isinstance(holder, dict):
                holder[rng.choice(["$set", "$dict", "$record", "x", ""])] = holder.pop(key)
            else:
                holder[key] = copy.deepcopy(rng.choice(ODD))  # else one could come to hold itself
        data = json.dumps(doc).encode()
    if rng.random() < 0.3:
        at = rng.randrange(len(data))
        data = data[:at] + rng.randbytes(rng.randrange(3)) + data[at + rng.randrange(4) :]
    return data


def command(*args: object) -> tuple[int, str]:
    """Run a command here: its exit code and what it said on stderr. Bugs are raised."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = exits.run(group, [*map(str, args)])
    assert "#bug" not in said.getvalue()
    return code, said.getvalue()


def try_file(directory: Path, data: bytes, before: Path) -> bool:
    """Whether a file is taken; then what is shown of it as JSON is a trace file as well."""
    path = directory / "odd.trace.json"
    path.write_bytes(data)
    code, said = command("show", path, "-o", directory / "shown")
    if code == exits.ERROR:
        assert re.search(r"docs/errors.md#(trace|value|schema|reference)-\w+", said), said
        assert command("compare", before, path, "-o", directory / "compared")[0] == exits.ERROR
        return False
    assert (code, said) == (0, "")
    code, said = command("compare", before, path, "-o", directory / "compared")
    if code == exits.ERROR:  # it is shown all the same: with a word in the place of a value
        assert re.search(r"docs/errors.md#(value-unreadable|trace-running|trace-lost)", said), said
        return True
    assert (code in (exits.SAME, exits.DIFFERENT), said) == (True, "")
    json_code, said = command("show", path, "--format", "json", "-o", directory / "again.json")
    assert (json_code, said) == (0, "")
    again = directory / "again.json"
    assert command("show", again, "--format", "json", "-o", directory / "twice.json")[0] == 0
    assert again.read_bytes() == (directory / "twice.json").read_bytes()
    return True


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a pyproject.toml to run commands in, where bugs are raised."""
    (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACEDIFF_DEBUG", "1")
    return tmp_path


@KEPT
@given(st.integers(0, 2**40))
def test_a_mutated_trace_file_is_shown_and_compared_or_refused(place, seed):
    one_file(place, random.Random(seed))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_trace_file_that_is_whole_is_taken(place, path):
    assert try_file(place, path.read_bytes(), path)


@KEPT
@given(st.binary(max_size=200))
def test_any_bytes_are_no_trace_file_and_refused(place, data):
    assert not try_file(place, data, FILES[0])


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_tens_of_thousands_of_files_and_settings_raise_nothing(place, write_figures):
    begun = time.monotonic()
    seeds = [random.getrandbits(40) for _ in range(LONG)]
    files = sum(numbered_by(seed, one_file, place) for seed in seeds)
    (place / "settings").mkdir()
    tables = sum(numbered_by(seed, one_table, place / "settings") for seed in seeds)
    assert 0 < files < LONG
    assert 0 < tables < LONG
    figures = {
        "mutated trace files": f"{LONG:,}",
        "of these shown and compared": f"{files:,}",
        "of these refused": f"{LONG - files:,}",
        "mutated settings": f"{LONG:,}",
        "of these taken": f"{tables:,}",
        "of these refused as a ConfigError": f"{LONG - tables:,}",
        "other exceptions, hangs": "0",
        "seed": os.environ["SEED"],
        "duration": f"{(time.monotonic() - begun) / 60:.0f} minutes on {os.cpu_count()} cores",
    }
    command = "make soak" if LONG == 20_000 else f"make soak FUZZ={LONG}"
    write_figures("fuzz", command, figures)


def numbered_by(seed: int, act: Callable[[Path, random.Random], bool], directory: Path) -> bool:
    """What an act on a seed says; what it raises names the seed."""
    try:
        return act(directory, random.Random(seed))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


def one_file(directory: Path, rng: random.Random) -> bool:
    return try_file(directory, mutated(rng), rng.choice(FILES))


def one_table(directory: Path, rng: random.Random) -> bool:
    data = VALID
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        value = toml(rng.choice([10**400, -1, 0.5, True, [[]], {}, rng.choice(HARMFUL)]))
        some = rng.choice([rng.randbytes(rng.randrange(4)), value.encode()])
        data = data[:at] + some + data[at + rng.choice([0, 1, 5, 30]) :]
    return read(directory, data)


HUGE = [{"$decimal": "1E+999999999"}, {"$decimal": "-1E-999999999"}, {"$decimal": "sNaN"},
        {"$decimal": "9" * 30}, {"$int": "9" * 4_000}, {"$range": [0, 10**18, 1]}, 1e308, 5e-324,
        {"$float": "nan"}, 3, 0.5, {"$timedelta": [999_999_999, 0, 0]}]  # fmt: skip


def numbered(result: Any) -> bytes:
    """A trace file whose job has this result."""
    doc = json.loads((RELEASED / "price.trace.json").read_bytes())
    doc["steps"][0] |= {"state": "success", "result": result}
    del doc["steps"][0]["error"], doc["state"]
    return json.dumps(doc).encode()


@pytest.mark.parametrize("after", HUGE, ids=lambda one: json.dumps(one)[:30])
def test_numbers_of_any_size_are_shown_and_compared_at_once(place, after):
    (place / "after.trace.json").write_bytes(numbered({"net": after, "rows": [after, 1]}))
    taken = command("show", "after.trace.json", "-o", place / "shown")[0] == 0
    for before in HUGE:
        (place / "before.trace.json").write_bytes(numbered({"net": before, "rows": [1, before]}))
        for form in ("text", "json"):
            code, said = command("compare", "before.trace.json", "after.trace.json",
                                 "--format", form, "-o", place / "compared")  # fmt: skip
            known = code in (exits.SAME, exits.DIFFERENT)
            assert known == (taken and command("show", "before.trace.json",
                                               "-o", place / "s")[0] == 0), said  # fmt: skip
            if known:
                assert (place / "compared").stat().st_size < 100_000


def test_a_container_with_too_few_parts_is_refused_by_its_name(place):
    refused = 0
    for kind in range(128):
        packed = base64.b64encode(bytes([0xC7, 1, kind, 0x90])).decode()
        (place / "odd.trace.json").write_bytes(numbered({"$packed": packed}))
        code, said = command("compare", FILES[0], "odd.trace.json", "-o", place / "compared")
        assert (code == exits.ERROR) == ("value-unreadable" in said)
        refused += code == exits.ERROR
    assert refused > 5


def test_a_trace_without_even_a_job_is_refused(place):
    doc = {**json.loads(TEXTS[0]), "steps": []}
    assert not try_file(place, json.dumps(doc).encode(), FILES[0])
