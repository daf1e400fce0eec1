"""What ``tracediff doctor`` says about blobs in S3: asked in ways that leave nothing behind."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tracediff.errors import StoreError
from tracediff.stores.base import Diagnosis
from tracediff.stores.s3 import lifecycle
from tracediff.stores.s3.address import Address
from tracediff.stores.s3.clients import Clients, ExpectedError
from tracediff.stores.s3.failures import DENIED, HURT, MISSING

SKEW_SECONDS = 60
"""How far the clocks may be apart; Amazon refuses requests at 15 minutes."""

_OTHER = base64.b64encode(bytes(32)).decode("ascii")


def diagnose(
    clients: Clients, address: Address, retentions: Sequence[int]
) -> tuple[Diagnosis, ...]:
    """One or more findings for each bucket."""
    said: list[Diagnosis] = []
    for bucket in address.buckets:
        found = _Bucket(clients, address, bucket).diagnosed(retentions)
        said += found
        if any(one.text.startswith("cannot reach") for one in found):
            break  # the others are on the same server
    return tuple(said)


class _Bucket:
    """One bucket under examination."""

    def __init__(self, clients: Clients, address: Address, bucket: str) -> None:
        self._clients = clients
        self._address = address
        self._bucket = bucket
        self._probe = f"keep/{address.prefix}/probe-{secrets.token_hex(8)}"

    def diagnosed(self, retentions: Sequence[int]) -> list[Diagnosis]:
        try:
            date = self._date()
            roles = self._roles()
        except StoreError as error:
            if error.slug == "store-unreachable":
                return [_bad(f"cannot reach bucket {self._bucket}: {error.message}", error.hint)]
            return [_bad(error.message, error.hint)]
        return [*roles, *_clock(date), *self._rules(retentions)]

    def _date(self) -> str | None:
        """The server's time, from a request that anybody may make who may do anything here."""
        try:
            answer = self._list()
        except ExpectedError:
            return None
        headers: dict[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
        return headers.get("date")

    def _roles(self) -> list[Diagnosis]:
        may = {
            "list": self._may(self._list),
            "read": self._may(self._get),
            "write": self._may(self._put),
        }
        able = [what for what, can in may.items() if can]
        unable = [what for what, can in may.items() if not can]
        text = f"bucket {self._bucket}: these credentials may {', '.join(able) or 'do nothing'}"
        if unable and able:
            text += f", not {', '.join(unable)}"
        roles = [name for name, needs in _ROLES.items() if all(may[need] for need in needs)]
        if not roles:
            hint = "a recorder needs PutObject, a reader GetObject and ListBucket"
            return [_bad(f"{text}: neither a recorder nor a reader", hint)]
        return [_good(f"{text}: {' and '.join(roles)}")]

    def _may(self, what: Any) -> bool:
        try:
            what()
        except ExpectedError as error:
            return error.code not in DENIED
        return True

    def _list(self) -> dict[str, Any]:
        doing = f"list bucket {self._bucket}"
        prefix = f"keep/{self._address.prefix}/"
        return self._clients.ask(
            "list_objects_v2",
            doing,
            expecting=DENIED,
            Bucket=self._bucket,
            Prefix=prefix,
            MaxKeys=1,
        )

    def _get(self) -> None:
        doing = f"read from bucket {self._bucket}"
        place = {"Bucket": self._bucket, "Key": self._probe}
        self._clients.ask("get_object", doing, expecting=DENIED | MISSING, **place)

    def _put(self) -> None:
        """A put with a wrong checksum: who may not write is told so, and nobody writes anything."""
        doing = f"write into bucket {self._bucket}"
        place = {"Bucket": self._bucket, "Key": self._probe}
        self._clients.ask(
            "put_object",
            doing,
            expecting=DENIED | HURT,
            Body=b"probe",
            ChecksumSHA256=_OTHER,
            **place,
        )
        self._clients.ask("delete_object", doing, **place)
        raise StoreError(
            f"bucket {self._bucket}: the server takes bytes that do not have their checksum",
            slug="store-refused",
            hint="use a server that checks x-amz-checksum-sha256; nothing else is checked on the "
            "way",
        )

    def _rules(self, retentions: Sequence[int]) -> list[Diagnosis]:
        try:
            there = lifecycle.existing(self._clients, self._bucket)
            used = [int(one.removesuffix("d")) for one in self._clients.classes(self._bucket)]
        except StoreError as error:
            if error.slug == "store-denied":
                return []  # who only records or reads may not look
            return [_bad(error.message, error.hint)]
        missing = lifecycle.lacking(lifecycle.rules(self._address, {*retentions, *used}), there)
        if not missing:
            return [_good(f"bucket {self._bucket}: its lifecycle rules are as they must be")]
        names = ", ".join(rule["ID"] for rule in missing)
        return [_bad(f"bucket {self._bucket}: lifecycle rules are missing: {names}", _INIT)]


_ROLES = {"recorder": ("write",), "reader": ("list", "read")}
_INIT = "tracediff init sets them, with credentials that may set a bucket's lifecycle rules"


def _clock(date: str | None) -> list[Diagnosis]:
    if date is None:
        return []
    try:
        skew = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return []
    if abs(skew) <= SKEW_SECONDS:
        return []
    which = "ahead of" if skew > 0 else "behind"
    return [
        _bad(f"this machine's clock is {abs(skew):.0f} s {which} the server's", "set it, with NTP")
    ]


def _good(text: str) -> Diagnosis:
    return Diagnosis(True, text)


def _bad(text: str, hint: str | None) -> Diagnosis:
    return Diagnosis(False, text, hint)
