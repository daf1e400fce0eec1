"""What in a text looks personal or secret, though no built-in rule takes it out of values."""

from __future__ import annotations

import re
from collections.abc import Iterator

_EMAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}\b")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")


def suspects(text: str) -> Iterator[tuple[str, str]]:
    """What it looks like, and the piece of the text that does."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield "an e-mail address", found[0]
    for found in _CARD.finditer(text):
        if _is_card(found[0]):
            yield "a card number", found[0]
    for found in _IBAN.finditer(text):
        if _is_iban(found[0]):
            yield "an IBAN", found[0]


def _is_card(text: str) -> bool:
    """Luhn's check, of numbers that begin as those of payment cards do."""
    digits = [int(one) for one in text if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return digits[0] in (2, 3, 4, 5, 6) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check of ISO 7064, mod 97."""
    plain = text.replace(" ", "")
    number = "".join(str(int(one, 36)) for one in plain[4:] + plain[:4])
    return len(plain) >= 15 and int(number) % 97 == 1
