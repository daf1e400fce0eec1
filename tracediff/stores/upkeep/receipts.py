"""What an erasure leaves: a receipt that says what was erased without repeating it.

Ids and what was asked for are in it as salted digests, so that whoever knows one of them can look
it up, and who does not learns nothing of it. A digest of something short can be guessed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracediff.errors import StoreError

SCHEMA = "tracediff/receipt/1"
FOLDER = "receipts"


def new_id() -> str:
    """A name for a receipt, which says nothing."""
    return secrets.token_hex(8)


def key_of(receipt: str) -> str:
    """The blob that keeps a receipt."""
    return f"{FOLDER}/{receipt}.json"


def pending_key(receipt: str) -> str:
    """The blob that says which segments an erasure has still to write anew."""
    return f"{FOLDER}/{receipt}.pending"


@dataclass(frozen=True, slots=True)
class Digests:
    """Salted digests of ids and of what was asked for."""

    salt: str = field(default_factory=lambda: secrets.token_hex(16))

    def of_id(self, trace_id: str) -> str:
        """The digest of a trace's id."""
        return hashlib.sha256(f"{self.salt}\0{trace_id}".encode()).hexdigest()[:32]

    def of_wish(self, text: str) -> str:
        """The digest of a tag or a context field; slow, because such texts can be guessed."""
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(data, salt=self.salt.encode(), n=2**14, r=8, p=1).hex()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was erased, and what could not be."""

    id: str
    when: str
    store: str
    reason: str
    by: str | None
    salt: str
    asked: tuple[str, ...]
    clear: tuple[str, ...]
    traces: int
    bytes: int
    ids: tuple[str, ...]
    segments: Mapping[str, str | None]
    artifacts: int
    spooled: int
    caches: tuple[str, ...]
    unreached: tuple[str, ...]
    remaining: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether nothing was found afterwards."""
        return not self.remaining

    def document(self) -> dict[str, Any]:
        """The receipt as JSON has it."""
        asked: dict[str, Any] = {"digests": list(self.asked)}
        if self.clear:
            asked["clear"] = list(self.clear)
        return {
            "schema": SCHEMA,
            "id": self.id,
            "when": self.when,
            "store": self.store,
            "reason": self.reason,
            "by": self.by,
            "salt": self.salt,
            "asked": asked,
            "traces": self.traces,
            "bytes": self.bytes,
            "ids": list(self.ids),
            "segments": dict(self.segments),
            "artifacts": self.artifacts,
            "spooled": self.spooled,
            "caches": list(self.caches),
            "unreached": list(self.unreached),
            "remaining": list(self.remaining),
            "verified": self.verified,
        }


def read_receipt(data: bytes) -> Receipt:
    """A receipt of its JSON; raises StoreError ``receipt-invalid``."""
    try:
        found = json.loads(data)
        if found["schema"] != SCHEMA:
            raise _invalid(f"it is {str(found['schema'])[:60]!r}")
        return Receipt(
            id=str(found["id"]),
            when=str(found["when"]),
            store=str(found["store"]),
            reason=str(found["reason"]),
            by=found["by"],
            salt=str(found["salt"]),
            asked=_texts(found["asked"]["digests"]),
            clear=_texts(found["asked"].get("clear", ())),
            traces=int(found["traces"]),
            bytes=int(found["bytes"]),
            ids=_texts(found["ids"]),
            segments={str(old): new for old, new in found["segments"].items()},
            artifacts=int(found["artifacts"]),
            spooled=int(found["spooled"]),
            caches=_texts(found["caches"]),
            unreached=_texts(found["unreached"]),
            remaining=_texts(found["remaining"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(f"{type(error).__name__} where it is read") from None


def _texts(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, found))


def _invalid(why: str) -> StoreError:
    return StoreError(
        f"this is no receipt of an erasure: {why}",
        slug="receipt-invalid",
        hint="name the file that `tracediff erase -o` wrote, or the id of a receipt in this store",
    )
