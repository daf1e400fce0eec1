"""Secrets are sealed before anything leaves the process."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tracediff.errors import ReplayError
from tracediff.values import (
    Allow,
    Opaque,
    Redacted,
    encode,
    encode_map,
    identity,
    inert,
    live,
    without_secrets,
)


class Rules:
    """Names that contain "secret" are secret."""

    def __init__(
        self,
        types: tuple[type, ...] = (),
        scrub: Callable[[str], str] | None = None,
        scrub_values: bool = False,
        path_rule: Callable[[tuple[str | int, ...]], bool] | None = None,
    ) -> None:
        self.safe: set[str] = set()
        self.types = types
        self.scrub = scrub
        self.scrub_values = scrub_values
        self.path_rule = path_rule

    def secret(self, name: str) -> bool:
        if "secret" in name:
            return True
        self.safe.add(name)
        return False

    def seal(self, data: bytes) -> tuple[str, bytes]:
        return "k1", hashlib.blake2b(data, key=b"key", digest_size=16).digest()


@dataclass
class Account:
    name: str
    secret: Any


class Login(NamedTuple):
    user: str
    my_secret: str


class Named(dict[str, Any]):
    pass


MARK = "hunter2-hunter2"


@pytest.mark.parametrize(
    "obj",
    [
        {"secret": MARK},
        {"a": [{"b": {"the_secret": (MARK,)}}]},
        {"secret": {"deep": {"er": [MARK]}}, "list": [bytearray(b"x")]},
        Account("x", MARK),
        [Login("x", MARK)],
        {1: 2, "secret": MARK},
        OrderedDict(secret=MARK),
        Named(secret=MARK),
        ValueError({"secret": MARK}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_no_secret_is_written(obj: Any, slow: bool) -> None:
    rules = Rules(path_rule=(lambda path: False) if slow else None)
    data = encode(obj, redaction=rules)
    assert MARK.encode() not in data
    assert b"k1" in data
    assert encode(inert(data)) == data
    assert data == encode(obj, redaction=Rules(types=(frozenset,)))


def test_equal_secrets_can_still_be_compared() -> None:
    one, same, other = (
        encode({"secret": text}, redaction=Rules()) for text in (MARK, MARK, MARK + "!")
    )
    assert one == same
    assert one != other
    found: Any = inert(one)
    assert isinstance(found["secret"], Redacted)
    assert found["secret"].type == "builtins:str"


def test_names_that_are_not_secret_become_safe() -> None:
    rules = Rules()
    encode({"a": 1, "secret": 2, "b": {"c": 3}}, redaction=rules)
    assert rules.safe == {"a", "b", "c"}


@pytest.mark.parametrize("slow", [False, True])
def test_a_flag_is_no_secret(slow: bool) -> None:
    told = {"has_secret": True, "secret": None, "more": [(1,)] if slow else 1}
    assert inert(encode(told, redaction=Rules())) == told


def test_a_call_with_other_secrets_is_alike_without_them() -> None:
    one, other = (encode({"secret": text, "id": 1}, redaction=Rules()) for text in ("a", "b"))
    assert identity(one) != identity(other)
    assert without_secrets(one) == without_secrets(other) is not None
    assert without_secrets(encode({"secret": 1, "id": 1}, redaction=Rules())) != without_secrets(
        one
    )
    assert without_secrets(encode({"id": 1})) is None


def test_by_type_by_path_and_by_pattern() -> None:
    found: Any = inert(encode({"a": [b"x", "y"]}, redaction=Rules(types=(bytes,))))
    assert isinstance(found["a"][0], Redacted)
    assert found["a"][1] == "y"
    found = inert(encode(Account(MARK, 1), redaction=Rules(types=(bytes,))))
    assert found.type.endswith(":Account")
    rules = Rules(path_rule=lambda path: path == ("a", 1, "name"))
    found = inert(encode({"a": [Account("x", 1), Account("y", 2)]}, redaction=rules))
    assert found["a"][0].fields["name"] == "x"
    assert isinstance(found["a"][1].fields["name"], Redacted)
    rules = Rules(scrub=lambda text: re.sub(r"\d", "#", text), scrub_values=True)
    found = inert(encode({"a": ("x1", Account("5", 1))}, redaction=rules))
    assert found["a"][0] == "x#"
    assert found["a"][1].fields["name"] == "#"


def test_reprs_of_opaque_values_are_scrubbed_always() -> None:
    class Session:
        def __repr__(self) -> str:
            return f"<Session {MARK}>"

    rules = Rules(scrub=lambda text: text.replace(MARK, "###"))
    found: Any = inert(encode({"a": Session(), "b": MARK}, redaction=rules))
    assert isinstance(found["a"], Opaque)
    assert found["a"].text == "<Session ###>"
    assert found["b"] == MARK


def test_a_redacted_value_refuses_to_be_used_in_a_replay() -> None:
    found: Any = live(encode({"secret": MARK}, redaction=Rules()), Allow())
    with pytest.raises(ReplayError) as caught:
        str(found["secret"])
    assert caught.value.slug == "placeholder-used"
    assert encode(found) == encode({"secret": MARK}, redaction=Rules())


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ({"a": {"secret": MARK}, "b": 1}, Rules()),
        ({"secret": object()}, Rules()),
        (Account(MARK, 1), Rules(path_rule=lambda path: path == ("name",))),
        ({"a": [MARK]}, Rules(path_rule=lambda path: path == ("a", 0))),
    ],
)
def test_a_secret_that_a_replay_hands_on_stays_the_one_that_was_recorded(
    value: object, rules: Rules
) -> None:
    recorded = encode(value, redaction=rules)
    assert encode(live(recorded, Allow(["*"])), redaction=rules) == recorded


def test_identity_counts_opaque_values_by_type() -> None:
    class Session:
        def __init__(self, number: int) -> None:
            self.number = number

    one, other = (encode({"s": Session(n), "id": 7}) for n in (1, 2))
    assert one != other
    assert identity(one) == identity(other)
    assert identity(one) != identity(encode({"s": Session(1), "id": 8}))
    plain = encode_map([("a", encode("$"))])
    assert identity(plain) == plain
