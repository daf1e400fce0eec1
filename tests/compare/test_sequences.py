"""Pairing equal tokens in order, within a budget."""

from __future__ import annotations

import pytest

from tracediff.compare.sequences import Budget, match


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("xAbby", "zAbbw", [(1, 1), (2, 2), (3, 3)]),  # behind the last unique token
        ("xbbAy", "zbbAw", [(1, 1), (2, 2), (3, 3)]),  # before the first
        ("xAbbCy", "zAbbCw", [(1, 1), (2, 2), (3, 3), (4, 4)]),  # between two
        ("aab", "ab", [(0, 0), (2, 1)]),
        ("abc", "def", []),
        ("", "a", []),
    ],
)
def test_equal_tokens_are_paired_in_order(old: str, new: str, pairs: list[tuple[int, int]]) -> None:
    budget = Budget(1_000)
    assert match(old, new, budget) == pairs
    assert not budget.spent


def test_what_the_budget_does_not_allow_stays_unpaired_and_is_told() -> None:
    budget = Budget(9)
    assert match("xAbby", "zAbbw", budget) == []
    assert (budget.spent, budget.left) == (True, 9)
    assert match("same", "same", budget) == [(0, 0), (1, 1), (2, 2), (3, 3)]  # equal ends are free
    assert match("xAy", "zAw", budget) == [(1, 1)]
    assert budget.left == 1
