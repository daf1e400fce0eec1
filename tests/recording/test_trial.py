"""Trying redaction rules: what a trial says would be taken out is what the recorder takes out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from dataclasses import replace as with_fields
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracediff as td
from tracediff import values
from tracediff.errors import ConfigError
from tracediff.model import Artifact, ErrorInfo, Query, Step, Value
from tracediff.recording.redaction import Redactor
from tracediff.recording.suspects import suspects
from tracediff.recording.trial import Patterns, hits
from tracediff.recording.trying import try_rules
from tracediff.reports.redaction import redaction_document
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.redaction import redaction_lines
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryStore
from tracediff.testing import make_trace
from tracediff.values import nodes

SECRET = "zebra-crossing-88"
RULES = ("*.email", "*_ssn", "customer.address.*", r"re:\bAC-\d+")


@dataclass
class Client:
    """A class that a trial must not import."""

    host: str
    token: str


def traced(result: object = 19, **fields):
    return make_trace("t1", result=result, **fields)


def found(trace, *rules: str, verdict: str = "taken") -> list[tuple[str, str]]:
    every = hits(trace, Patterns((), rules))
    return [(one.rule, f"{one.step}.{one.field}") for one in every if one.verdict == verdict]


def sealed_in(obj: object) -> int:
    """How many secrets were sealed in a value, and pieces of its texts."""
    if isinstance(obj, nodes.Redacted):
        return 1
    if isinstance(obj, str):
        return int("[redacted]" in obj)
    if isinstance(obj, nodes.Record):
        return sum(map(sealed_in, obj.fields.values())) + sealed_in(obj.base)
    if isinstance(obj, dict):
        return sum(map(sealed_in, obj.values()))
    if isinstance(obj, list | tuple | set | frozenset):
        return sum(map(sealed_in, obj))
    return 0


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=5),
    st.sampled_from(["plain", "account AC-123", "AC-", SECRET, ""]),
    st.builds(Client, st.just("h"), st.sampled_from([SECRET, None, True])),
)  # fmt: skip
NAMES = st.sampled_from(["email", "a_ssn", "customer", "address", "street", "password", "x", "0",
                         "token_count", "apiToken"])  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(NAMES, inner),
        st.dictionaries(st.one_of(NAMES, st.integers(0, 3)), inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


@given(TREES)
def test_a_trial_counts_what_the_recorder_takes_out(value):
    redactor = Redactor(RULES, lambda: b"k" * 32)
    recorded = values.inert(values.encode(value, redaction=redactor.rules()))
    trace = traced(value, tags=(), steps=(traced(value).steps[0],))
    trace = with_fields(trace, steps=(with_fields(trace.steps[0], args=None),))
    taken = [one.field for one in hits(trace, Patterns(RULES)) if one.verdict == "taken"]
    assert len(taken) == sealed_in(recorded), taken


def test_each_kind_of_rule_finds_its_places():
    value = {
        "email": "a@b.example",
        "customer": {"address": {"street": "High Street"}, "name": "me"},
        "client": Client("h", SECRET),
        "price": Decimal("1.5"),
        "text": "account AC-123 and AC-4",
        "password": None,
    }
    rules = ("email", "customer.address.*", f"type:{__name__}.Client", r"re:AC-\d+",
             "type:decimal.Decimal")  # fmt: skip
    assert found(traced(value), *rules)[:6] == [
        ("email", "price.result.email"),
        ("customer.address.*", "price.result.customer.address.street"),
        (f"type:{__name__}.Client", "price.result.client"),
        ("type:decimal.Decimal", "price.result.price"),
        (r"re:AC-\d+", "price.result.text"),
        (r"re:AC-\d+", "price.result.text"),
    ]


def test_built_in_rules_are_tried_too(monkeypatch):
    monkeypatch.setenv("SHOP_API_TOKEN", SECRET)
    value = {"apiKey": "k-1", "said": f"x{SECRET}", "url": "https://me:pw@shop.example/", "n": 1}
    assert found(traced(value))[:3] == [
        ("the name apiKey", "price.result.apiKey"),
        ("a secret of this environment", "price.result.said"),
        ("user and password in a URL", "price.result.url"),
    ]


def test_texts_of_a_trace_are_looked_at():
    error = ErrorInfo(
        type="builtins:ValueError",
        message="no, password=hunter22",
        traceback="at token: abcdefgh",
        value=Value(values.encode((["Bearer abcdefghij"], {}))),
    )
    step = Step(parent=0, kind="step", name="guard", error=error)
    note = Step(parent=0, kind="note", name="trying secret=abc")
    trace = traced(tags=("secret=abc",), meta="--password hunter2", context={"a": "jwt=abcdefg"})
    trace = with_fields(trace, steps=(trace.steps[0], step, note))
    assert {place for _, place in found(trace)} == {
        "(trace).meta", "(trace).tags", "(trace).context.a", "guard.error.message",
        "guard.error.traceback", "guard.error.value.*.*", "(notes).text",
    }  # fmt: skip


def test_what_looks_secret_and_stays_is_told_with_a_rule_that_takes_it():
    value = {
        "pan": "4111 1111 1111 1111", "iban": "GB82 WEST 1234 5698 7654 32", "mail": "a@b.example",
        "head": "Bearer abcdefghijkl", "order": "4111 1111 1111 1112",
    }  # fmt: skip
    trace = traced(value)
    suspected = found(trace, verdict="suspected")
    assert {rule for rule, _ in suspected} == {
        "a card number", "an IBAN", "an e-mail address", "bearer or basic credentials"
    }  # fmt: skip
    store = MemoryStore("memory:")
    store.save([trace])
    trial = try_rules(store, Query(), ())
    remedies = {one.rule: one.remedy for one in trial.found if one.verdict == "suspected"}
    assert remedies["a card number"] == "*.pan"
    again = try_rules(store, Query(), [one for one in remedies.values() if one])
    assert [one for one in again.found if one.verdict == "suspected"] == []


@given(st.text(max_size=200))
def test_any_text_can_be_suspected(text):
    assert all(piece in text for _, piece in suspects(text))


def test_artifacts_are_never_taken_out_and_suspected_when_they_are_texts():
    data = b"password=hunter22\n"
    one = Artifact(name="log.txt", sha256=hashlib.sha256(data).hexdigest(), size=len(data),
                   media_type="text/plain", data=data)  # fmt: skip
    trace = traced(artifacts=(one,))
    assert found(trace) == []
    assert found(trace, verdict="suspected") == [
        ("NAME=VALUE of a secret name", "log.txt.artifact")
    ]


def test_no_secret_is_shown():
    value = {"password": SECRET, "email": "who@shop.example", "pin": 8250, "AC": "AC-99887766"}
    store = MemoryStore("memory:")
    store.save([traced(value, tags=("password=hunter22",))])
    trial = try_rules(store, Query(), ("email", r"re:AC-\d+", "pin"))
    shown = json.dumps(redaction_document(trial)) + paint(redaction_lines(trial, LOOK), LOOK)
    for secret in (SECRET, "who@", "8250", "99887766", "hunter22"):
        assert secret not in shown.replace("(8,250", "")
    assert "z… (17 characters)" in shown


LOOK = Look(width=100, now=0)


def test_rules_that_find_nothing_and_traces_that_cannot_be_read_are_told(tmp_path):
    store = LocalStore(tmp_path)
    store.save([make_trace("a"), make_trace("b")])
    (path,) = (tmp_path / "segments").glob("*.seg")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    trial = try_rules(store, Query(), ("nothing",))
    store.close()
    assert (trial.traces, len(trial.unreadable), trial.idle) == (1, 1, ("nothing",))
    text = paint(redaction_lines(trial, LOOK), LOOK)
    assert "nothing finds nothing more in these traces" in text
    assert "trace b are hurt" in text


def test_memory_is_bounded_however_many_places_there_are(monkeypatch):
    monkeypatch.setattr("tracediff.recording.trying.MOST", 10)
    store = MemoryStore("memory:")
    store.save([traced({f"field{n}": {"password": "x" * 8} for n in range(50)})])
    trial = try_rules(store, Query(), ())
    (taken,) = [one for one in trial.found if one.rule == "the name password"]
    assert (len(taken.places), taken.count, trial.left_out) == (10, 100, 90)


@pytest.mark.parametrize("rule", ["", "re:(", "type:", "type:Client", "type:a b.C"])
def test_a_rule_that_cannot_be_one_is_refused(rule):
    with pytest.raises(ConfigError) as caught:
        Patterns((), (rule,))
    assert caught.value.slug == "config-invalid"
    assert "re:PATTERN" in caught.value.hint


def test_a_deep_value_is_walked():
    value: object = {"password": SECRET}
    for _ in range(400):
        value = [value]
    assert [rule for rule, _ in found(traced(value))[:1]] == ["the name password"]


def test_the_command_imports_no_class_of_the_users(tmp_path: Path):
    """It works where the job's own modules are not: what they made is read without them."""
    (tmp_path / "pyproject.toml").write_text('[tool.tracediff]\nredact = ["*.email"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        store = LocalStore(tmp_path / ".tracediff")
        store.save([traced({"client": Client("h", SECRET), "email": "a@b.example"})])
        store.close()

        def run(*args: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "tracediff", "redaction", *args],
                capture_output=True, text=True, check=False,
                env={"PYTHONPATH": str(Path(td.__file__).parents[1]), "COLUMNS": "100"},
            )  # fmt: skip

        done = run("--format", "json", "--rule", f"type:{__name__}.Client", "--last", "5")
        assert (done.returncode, done.stderr) == (0, "")
        rules = {(one["rule"], one["origin"]) for one in json.loads(done.stdout)["found"]
                 if one["verdict"] == "taken"}  # fmt: skip
        assert (f"type:{__name__}.Client", "--rule") in rules
        assert ("*.email", "redact") in rules
        refused = run("--rule", "re:(")
        assert refused.returncode == 2
        assert "hint:" in refused.stderr
        assert "no traces match" in run("other/key").stdout
