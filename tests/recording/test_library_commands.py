"""Which words of Redis's commands are secret, in those of several keys."""

from __future__ import annotations

import pytest

from tracediff.recording.libraries.keyvalue.commands import secret_reply, secret_words


def is_secret(name: str) -> bool:
    return "token" in name


@pytest.mark.parametrize(
    ("command", "places"),
    [
        ("MSET a 1 token 2", {3}),
        ("MSETEX 2 a 1 token 2 EX 10", {4}),
        ("JSON.MSET a $ 1 token $ 2", {5}),
        ("HSETEX user EX 10 FIELDS 2 name ann token x", {8}),
        ("XADD events MAXLEN ~ 9 * token x", {6}),
        ("SMOVE a token x", {2}),
        ("BLPOP token a 0", set()),
        ("RPOPLPUSH token a", set()),
    ],
)
def test_words_after_each_secret_name_are_secret(command: str, places: set[int]) -> None:
    name, *words = command.split()
    assert secret_words(name, words, is_secret) == places


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("MGET a token", [False, True]),
        ("HGETEX user EX 10 FIELDS 2 name token", [False, True]),
        ("HGETDEL user FIELDS 1 token", [True]),
        ("SUNION a token", True),
        ("ZUNION 2 a token", True),
        ("RPOPLPUSH a token", True),
        ("BLPOP a token 0", False),  # its key is in the reply
    ],
)
def test_a_reply_is_secret_by_any_of_its_keys(command: str, expected: object) -> None:
    name, *words = command.split()
    assert secret_reply(name, words, is_secret) == expected
