"""pydantic's models come back as they were, without validation; its secrets are sealed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.errors import CodecError, ReplayError
from tracediff.recording.redaction import Redactor
from tracediff.values import Allow, Opaque, Placeholder, Record, Redacted, encode, inert, live

REPO = Path(__file__).resolve().parents[2]
Back = Callable[..., Any]
T = TypeVar("T")
ran: list[str] = []


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    id: int
    lines: list[dict[str, Decimal]] = []
    _secret: int = pydantic.PrivateAttr(default=3)


class Fixed(pydantic.BaseModel, frozen=True):
    a: int
    inner: Order | None = None


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Box(pydantic.BaseModel, Generic[T]):
    value: T


class Watched(pydantic.BaseModel, validate_assignment=True):
    a: int

    @pydantic.field_validator("a")
    @classmethod
    def _check(cls, value: int) -> int:
        ran.append("validator")
        return value

    def model_post_init(self, context: Any) -> None:
        ran.append("post init")

    @cached_property
    def twice(self) -> int:
        return 2 * self.a


@pydantic.dataclasses.dataclass
class Sheet:
    a: int
    orders: list[Order] = pydantic.Field(default_factory=list)


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    a: int


class Account(pydantic.BaseModel):
    key: pydantic.SecretStr
    raw: pydantic.SecretBytes = pydantic.SecretBytes(b"sealed-bytes-9c1")
    number: pydantic.Secret[int] = pydantic.Secret(424_242_424_242)


def redactor() -> Redactor:
    return Redactor((), lambda: b"k" * 32)


MODELS = {
    "root": lambda: Numbers([1, 2]),
    "frozen": lambda: Fixed(a=1, inner=Order(id=1)),
    "generic": lambda: Box[int](value=1),
    "generic of a model": lambda: Box[Order](value=Order(id=1)),
    "unchecked": lambda: Order.model_construct(id="no number"),
    "dataclass": lambda: Sheet(1, [Order(id=1)]),
    "slots": lambda: Slot(1),
    "watched": lambda: Watched(a=1),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_and_nothing_of_theirs_runs(name: str, back: Back) -> None:
    obj = MODELS[name]()
    ran.clear()
    found = back(obj, __name__)
    assert found == obj
    assert getattr(found, "model_fields_set", None) == getattr(obj, "model_fields_set", None)
    assert ran == []


def test_extra_private_and_what_was_set_are_kept(back: Back) -> None:
    order = Order(id=1, extra=(1,))  # type: ignore[call-arg]  # allowed
    order._secret = 9
    found = back(order, __name__)
    assert (found._secret, found.extra, found.model_extra) == (9, (1,), {"extra": (1,)})
    assert found.model_fields_set == {"id", "extra"}
    watched = Watched(a=2)
    assert watched.twice == 4
    assert back(watched, __name__).__dict__ == {"a": 2, "twice": 4}


def test_a_generic_model_is_rebuilt_where_nobody_made_it_yet() -> None:
    data = [encode(MODELS[name]()) for name in ("generic", "generic of a model")]
    script = (
        "from tracediff.values import Allow, live\n"
        f"print([live(one, Allow(['tests.values.*', {__name__!r}])) for one in {data!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{REPO}:{Path(__file__).parent}"}, cwd=REPO,
    )  # fmt: skip
    assert "Box[int](value=1)" in done.stdout, done.stderr
    assert "Box[Order](value=Order(id=1" in done.stdout


def test_addresses_come_back_unless_they_hold_a_password(
    back: Back, why: Callable[[Any], str]
) -> None:
    for url in (
        pydantic.AnyUrl("https://a.b/c"),
        pydantic.HttpUrl("https://user@a.b/c?d=1#e"),
        pydantic.PostgresDsn("postgres://h1,h2/d"),
    ):
        assert back(url) == url
    found = encode(pydantic.HttpUrl("https://u:pa55word@a.b/c"), redaction=redactor())
    assert b"pa55word" not in found
    assert why(pydantic.PostgresDsn("postgres://u:p@h/d")) == "an address with a password"
    email = pydantic.NameEmail(name="Ada", email="ada@example.org")
    assert back(email) == email
    with pytest.raises(CodecError):
        live(encode(Record("pydantic:url", "library", {"class": "Any", "url": "x"})), Allow())


def test_secrets_are_sealed_by_any_name() -> None:
    account = Account(key="hunter22-hunter22")
    redaction = redactor()
    plain: Any = {"x": account, "y": [pydantic.SecretStr("hunter22-hunter22")]}
    data = encode(plain, redaction=redaction)
    for secret in (b"hunter22", b"sealed-bytes-9c1", b"424242"):
        assert secret not in data
    found: Any = inert(data)
    fields = found["x"].fields
    assert {type(fields[name]) for name in ("key", "raw", "number")} == {Redacted}
    same = inert(encode(pydantic.SecretStr("hunter22-hunter22"), redaction=redaction))
    other = inert(encode(pydantic.SecretStr("another"), redaction=redaction))
    assert found["y"][0] == same != other


def test_a_secret_that_nothing_seals_leaves_no_digest_to_guess_by() -> None:
    one, other = (inert(encode(pydantic.SecretStr(text))) for text in ("1234", "1235"))
    assert one == other
    assert isinstance(one, Opaque)
    assert one.digest is None


def test_a_sealed_secret_is_a_placeholder_in_a_replay() -> None:
    data = encode(Account(key="hunter22-hunter22"), redaction=redactor())
    found: Any = live(data, Allow([__name__]))
    assert type(found.__dict__["key"]) is Placeholder


def test_only_allowed_classes_are_rebuilt() -> None:
    for name in ("frozen", "generic", "slots"):
        with pytest.raises(ReplayError) as caught:
            live(encode(MODELS[name]()), Allow())
        assert caught.value.slug == "class-not-allowed"


@pytest.mark.parametrize("ref", ["Box[os]", "Box[nothing]", "Order[int]", "Box[]", "Nothing[int]"])
def test_a_crafted_generic_is_refused(ref: str) -> None:
    with pytest.raises(ReplayError):
        Allow([__name__]).load(f"{__name__}:{ref}")


@settings(deadline=None, max_examples=40)
@given(st.integers(), st.lists(st.dictionaries(st.text(max_size=3), st.decimals(allow_nan=False))))
def test_any_model(back: Back, number: int, lines: list[dict[str, Decimal]]) -> None:
    order = Order.model_construct(id=number, lines=lines)
    assert back(order, __name__) == order
