"""No secret reaches the store: not one byte of it, whatever way it takes."""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

import tracediff as td
from tracediff import values
from tracediff.config import load_config
from tracediff.model import Query, Trace
from tracediff.recording import session
from tracediff.recording.redaction import Redactor, is_secret_name
from tracediff.recording.sealingkey import redaction_key
from tracediff.stores import open_store
from tracediff.values import Redacted

SECRET = "hunter2" + "-Zq9"
"""Not one text in this file, which the store keeps a copy of."""

MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass
class Account:
    user: str
    password: str


class Login(NamedTuple):
    user: str
    api_key: str


class Client:
    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return f"<Client token={self.token!r}>"


class ApiError(Exception):
    def __init__(self, message: str, **attributes: Any) -> None:
        super().__init__(message)
        self.__dict__.update(attributes)


@td.step("step")
def step(x: Any = None, **more: Any) -> Any:
    return x


@td.input("login")
def login(user: str, password: str, *, authorization: str = "-", token_count: int = 3) -> str:
    return user


def fail(error: BaseException) -> None:
    raise error


@dataclass
class Kept:
    """A local store, and everything in it as bytes."""

    directory: Path

    def traces(self) -> list[Trace]:
        assert td.flush(30)
        store = open_store(str(self.directory))
        try:
            return [store.load(row) for row in store.search(Query(limit=99)).rows][::-1]
        finally:
            store.close()

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Each file as it is, and each compressed frame in it decompressed."""
        assert td.flush(30)
        for path in self.directory.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                yield path.name, path.name.encode() + data
                yield path.name, b"".join(decompressed(data))
        with contextlib.closing(sqlite3.connect(self.directory / "index.sqlite")) as index:
            text = "\n".join(index.iterdump()).encode()
        yield "index", text


def decompressed(data: bytes) -> Iterator[bytes]:
    at = data.find(MAGIC)
    while at >= 0:
        try:
            yield zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data[at:])).read()
        except zstandard.ZstdError:
            yield b""
        at = data.find(MAGIC, at + 1)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Recording into a local store; nothing in it may hold the secret."""
    made = Kept(tmp_path / "store")
    td.configure(store=str(made.directory))
    yield made
    assert td.flush(30)
    everything = list(made.everything())
    assert any(b"login" in data or b"step" in data for _, data in everything)
    for name, data in everything:
        assert SECRET.encode() not in data, name
        assert SECRET.encode("utf-16-le") not in data, name
    td.configure(enabled=False)
    session._process.recorder, session._process.ready = None, False


def run(function: Any) -> None:
    with contextlib.suppress(Exception):  # what the job says is in the trace
        td.job("run")(function)()


VALUES = {
    "dict": {"password": SECRET},
    "nested": [{"a": ({"client_secret": [SECRET]},)}],
    "headers": {"headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}},
    "dataclass": Account("me", SECRET),
    "namedtuple": [Login("me", SECRET)],
    "opaque": Client(SECRET),
    "url": f"postgres://me:{SECRET}@db/prices",
    "url inside": {"dsn": [f"https://{SECRET}@host/x", 1]},
    "mixed keys": {1: 2, "token": SECRET},
    "exception": ApiError(f"password={SECRET}", token=SECRET),
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_with_secret_names_are_sealed_wherever_they_stand(kept: Kept, value: Any):
    def work() -> Any:
        step(value)
        step(x=value)
        step(1, y=value)
        with td.step("block", key=value) as block:
            block.result = value
        list(td.step("items")(lambda: iter([value]))())
        return value

    run(work)
    [trace] = kept.traces()
    if not isinstance(value, Exception):  # its text is scrubbed only where it was raised
        assert trace.warnings == ()


def test_arguments_with_secret_names_are_sealed_and_others_kept(kept: Kept, args):
    def work() -> None:
        login("me", SECRET, authorization=f"Basic {SECRET}")
        login("me", password=SECRET)
        login("me", SECRET + "x")
        step(1, access_token=SECRET)

    run(work)
    one, same, other, extra = (args(found) for found in kept.traces()[0].steps[1:])
    assert one["user"] == "me"
    assert one["token_count"] == 3
    assert isinstance(one["password"], Redacted)
    assert isinstance(one["authorization"], Redacted)
    assert one["password"] == same["password"] != other["password"]
    assert isinstance(extra["more"]["access_token"], Redacted)


def test_a_secret_argument_is_taken_out_of_what_the_call_raises(kept: Kept):
    @td.step("checked")
    def checked(user: str, **options: str) -> None:
        raise ValueError(f"{user} cannot log in with {options['password']!r}")

    @td.job("logs in")
    def logs_in(token: str) -> None:
        for number in range(3):
            with contextlib.suppress(ValueError):  # recorded with the step
                checked(f"user {number}", password=SECRET)
        for _ in range(100):
            step(1)
        raise RuntimeError(f"no {token} today")

    with pytest.raises(RuntimeError):
        logs_in(SECRET)
    [trace] = kept.traces()
    errors = [one.error.message for one in trace.steps if one.error is not None]
    assert errors[0] == "no [redacted] today"
    assert errors[1:] == [f"user {n} cannot log in with '[redacted]'" for n in range(3)]


def test_texts_of_the_trace_itself_are_scrubbed(kept: Kept):
    @td.job(
        "described",
        meta=lambda token: f"token={token}",
        context=lambda token: {"api_key": token, "said": f"password: {token}"},
        tags=[f"secret={SECRET}"],
    )
    def described(token: str) -> None:
        td.note(f"Authorization: Bearer {SECRET}", head=True)
        td.note(f'{{"password": "{SECRET}", "user": "me"}}')
        td.note(f"curl --token {SECRET} https://me:{SECRET}@host/")
        td.note(f"Cookie: a=1; session={SECRET}")
        td.tag(f"token:{SECRET}")
        td.artifact(f"password={SECRET}.txt", b"")
        td.artifact("missing", f"/nowhere/token={SECRET}")
        with td.step(f"password={SECRET}"):
            pass

    described(SECRET)
    [trace] = kept.traces()
    assert trace.context == {"said": "password: [redacted]"}
    assert '"user": "me"' in trace.steps[2].name
    assert trace.tags == ("secret=[redacted]", "token:[redacted]")


ERRORS = {
    "message": ValueError(f"password={SECRET}"),
    "repr in message": ValueError(repr({"token": SECRET})),
    "escaped json": ValueError(f'{{\\"token\\": \\"{SECRET}\\"}}'),
    "quotes": ValueError(f"password='it\\'s {SECRET}'"),
    "nested args": ValueError([f"token={SECRET}"], {"password": SECRET}),
    "attributes": ApiError("x", token=SECRET, headers={"Authorization": SECRET}),
    "texts in attributes": ApiError("x", log=[f"pwd={SECRET}"]),
    "key": KeyError(f"https://x:{SECRET}@host"),
    "process": subprocess.CalledProcessError(1, ["curl", f"Authorization: Bearer {SECRET}"],
                                             output=f"token={SECRET}".encode()),
    "group": ExceptionGroup(f"token={SECRET}", [ValueError(f"secret: {SECRET}")]),
}  # fmt: skip


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_errors_are_scrubbed_with_their_attributes_causes_and_notes(kept: Kept, error: Exception):
    error.__notes__ = [f"api_key={SECRET}"]

    def work() -> None:
        try:
            td.step("inner")(fail)(error)
        except Exception as inner:
            raise ValueError("outer") from inner

    run(work)
    [trace] = kept.traces()
    assert trace.state == "error"


def test_source_lines_in_a_traceback_are_scrubbed(kept: Kept):
    code = f"def leak():\n    password = '{SECRET}'; raise ValueError\n"
    linecache.cache["<leak>"] = (len(code), None, code.splitlines(True), "<leak>")
    names: dict[str, Any] = {}
    exec(compile(code, "<leak>", "exec"), names)
    run(names["leak"])
    assert "password = [redacted]" in kept.traces()[0].steps[0].error.traceback


def test_secrets_of_the_environment_are_found_in_values_and_texts(kept: Kept, monkeypatch):
    monkeypatch.setenv("SHOP_API_TOKEN", SECRET)
    monkeypatch.setenv("TOKEN_URL", "harmless-value")

    def work() -> Any:
        step(SECRET)
        step([f"x{SECRET}y", SECRET.encode(), {SECRET: 1}])
        td.note(f"using {SECRET} at harmless-value")
        td.tag(SECRET)
        raise ValueError(SECRET, {"at": [SECRET]})

    run(work)
    [trace] = kept.traces()
    assert trace.steps[3].name == "using [redacted] at harmless-value"


def test_keys_of_tracediff_itself_are_found_too(kept: Kept, monkeypatch):
    key = "c3VwZXItc2VjcmV0LWtleS1vZi0zMi1ieXRlcyEhISE="
    monkeypatch.setenv("TRACEDIFF_ENCRYPTION_KEYS", f"k2={key},k1={key[::-1].strip('=')}=")

    def work() -> Any:
        step({"at": key, "environment": dict(os.environ), "text": f"bad key {key.rstrip('=')}"})
        td.note(f"using {key}")
        raise ValueError(os.environ["TRACEDIFF_ENCRYPTION_KEYS"])

    run(work)
    stored = b"".join(one.read_bytes() for one in kept.directory.rglob("*") if one.is_file())
    [trace] = kept.traces()
    assert trace.steps[2].name == "using [redacted]"
    assert key[:20] not in repr(trace)
    assert key[::-1].strip("=")[:20] not in repr(trace)
    assert key[:20].encode() not in stored


def test_configured_rules_by_name_path_text_and_type(kept: Kept, args):
    recorder = session._process.recorder
    assert recorder is not None
    td.configure(
        store=str(kept.directory),
        redact=["*.email", "*_ssn", "customer.address.*", r"re:\bAC-\d+",
                f"type:{__name__}.Client"],
    )  # fmt: skip

    @td.step("typed")
    def typed(customer: Any, email: str, customer_ssn: str, client: Any, text: str) -> Any:
        customer["seen"] = True
        return {"customer": customer}

    customer = {"email": SECRET, "address": {"street": SECRET}, "name": "me"}
    run(lambda: typed(customer, SECRET, SECRET, Client(SECRET), "account AC-123"))
    [trace] = kept.traces()
    found = args(trace.steps[1])
    assert found["text"] == "account [redacted]"
    assert found["customer"]["name"] == "me"
    for value in (found["email"], found["customer_ssn"], found["client"],
                  found["customer"]["email"], found["customer"]["address"]["street"]):  # fmt: skip
        assert isinstance(value, Redacted)
    assert trace.steps[1].mutated == ("customer",)


def test_processes_of_one_store_seal_with_one_key(tmp_path: Path):
    one, two = (Redactor((), lambda: redaction_key(tmp_path / "store")) for _ in range(2))
    other = Redactor((), lambda: redaction_key(tmp_path / "other"))
    data = values.encode(SECRET)
    assert one.seal(data) == two.seal(data)
    assert one.seal(data) != other.seal(data)
    assert (tmp_path / "store/redaction.key").stat().st_mode & 0o077 == 0
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    redaction_key(foreign)
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


def test_a_key_from_the_environment_serves_any_store(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TRACEDIFF_REDACTION_KEY", "k" * 32)
    data = values.encode(SECRET)
    sealed = {Redactor((), lambda at=at: redaction_key(at)).seal(data) for at in (None, tmp_path)}
    assert len(sealed) == 1


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True), ("userPassword", True), ("DB_PASSWORD", True), ("api_key", True),
        ("apiKey", True), ("X-API-Key", True), ("Authorization", True), ("token", True),
        ("access_token", True), ("tokens_used", False), ("token_count", False), ("author", False),
        ("key", False), ("secretary", False), ("passenger", False), ("card_number", True),
        ("sessionid", False), ("session_id", True), ("cookie_policy", False), ("", False),
    ],
)  # fmt: skip
def test_names_are_secret_by_whole_words(name: str, secret: bool):
    assert is_secret_name(name) is secret


@pytest.mark.parametrize(
    "text",
    ["author: Jane", "the token was refused", "passwords are stored hashed", "https://host/a@b",
     "me@example.com", "no secret here", "price: 5"],
)  # fmt: skip
def test_ordinary_texts_are_left_alone(text: str):
    assert Redactor((), bytes).scrub(text) == text


@pytest.mark.parametrize(
    "piece", ["password=", "--token ", "://", "eyJ", "Cookie: ", "token" + " " * 50, "-", "a_", "'"]
)
def test_scrubbing_a_long_text_comes_to_an_end(piece: str):
    assert Redactor((), bytes).scrub(piece * (400_000 // len(piece)))


def test_settings_of_this_repository_switch_nothing_on():
    assert not load_config(Path(__file__).parent).enabled


@pytest.mark.parametrize("name", ["PGPASSWORD", "SMTP_PASS", "REDISCLI_AUTH", "DB_PW", "API_TOKEN"])
def test_a_variable_of_the_environment_is_secret_by_the_end_of_its_name(name: str):
    assert Redactor((), bytes).names_secret(name, "hunter2hunter2")


@pytest.mark.parametrize("name", ["COMPASS", "PGPASSFILE", "PASS_COUNT", "SHELL"])
def test_other_variables_of_the_environment_are_not(name: str):
    assert not Redactor((), bytes).names_secret(name, "hunter2hunter2")
