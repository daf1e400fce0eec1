"""Recorded text is harmless where it is shown."""

from __future__ import annotations

import pytest

from tracediff.reports.clean import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve, nai\u0308ve, ไม่", "naïve, nai\u0308ve, ไม่"),
        ("z" + "\u0316" * 8 + "a", "z" + "\u0316" * 8 + "a"),
        ("z" + "\u0316" * 10 + "a", "z" + "\u0316" * 8 + r"\u0316\u0316a"),
        ("\u202eab\x00\ud800", r"\u202eab\x00\ud800"),
    ],
)
def test_what_would_steer_or_cover_other_text_is_escaped(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(shown) == shown
