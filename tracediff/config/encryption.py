"""The keys that payloads are encrypted with, as the environment gives them.

    TRACEDIFF_ENCRYPTION_KEYS="k2=BASE64,k1=BASE64,acme/k7=BASE64"

Never the file, and nothing here shows a key: errors say which entry is wrong, never what is in it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from tracediff.errors import ConfigError

VARIABLE = "TRACEDIFF_ENCRYPTION_KEYS"
SIZE = 32
"""Bytes of a key: AES-256's."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_RESERVED = re.compile(r"[%,=/\s\ud800-\udfff]")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """One key: its name, whose it is (None: everybody's), and its 32 bytes."""

    name: str
    tenant: str | None
    secret: bytes = field(repr=False)


def encryption_keys(environment: Mapping[str, str]) -> tuple[EncryptionKey, ...]:
    """The keys in their order: of each tenant, and of none, the first one is written with.

    Args:
        environment: The environment, or what of it begins with ``TRACEDIFF_``.

    Raises:
        ConfigError: ``encryption-keys-invalid``: an entry is none, by its number from 1.
    """
    text = environment.get(VARIABLE, "")
    if not text.strip():
        return ()
    found: dict[str, EncryptionKey] = {}
    for number, entry in enumerate(text.split(","), 1):
        key = _entry(entry, number)
        if key.name in found:
            raise _invalid(number, "has the name of another one")
        found[key.name] = key
    return tuple(found.values())


def _entry(text: str, number: int) -> EncryptionKey:
    name, equals, encoded = text.strip().partition("=")
    if not equals:
        raise _invalid(number, "is no NAME=BASE64")
    whose, slash, last = name.rpartition("/")
    if not _NAME.fullmatch(last) or (slash and not _ESCAPES.fullmatch(whose)):
        raise _invalid(number, "has a name that is neither NAME nor TENANT/NAME")
    if not slash:
        return EncryptionKey(name, None, _secret(encoded, number))
    tenant = unquote(whose)
    return EncryptionKey(f"{_quoted(tenant)}/{last}", tenant, _secret(encoded, number))


def _quoted(tenant: str) -> str:
    """One spelling for each tenant: envelopes name a key by its name, on every machine the same."""
    return _RESERVED.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), tenant)


def _secret(encoded: str, number: int) -> bytes:
    plain = encoded.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        secret = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(number, "is not in Base64") from None
    if len(secret) != SIZE:
        raise _invalid(number, f"has {len(secret)} bytes and not {SIZE}")
    return secret


def _invalid(number: int, why: str) -> ConfigError:
    return ConfigError(
        f"{VARIABLE}: entry {number} {why}",
        slug="encryption-keys-invalid",
        hint="write NAME=BASE64 or TENANT/NAME=BASE64, joined by commas, with 32 random bytes "
        "each: `openssl rand -base64 32` makes them",
    )
