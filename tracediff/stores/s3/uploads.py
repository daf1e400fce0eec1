"""Putting one object: in one request, or in parts when it is large."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import dataclass
from typing import Any

from tracediff.errors import StoreError
from tracediff.stores.s3.clients import Clients

PART = 8 << 20
"""Bytes above which an object is put in parts, and the least size of one."""

_PARTS = 9_000  # S3 takes 10,000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is put where; ``options`` are arguments that say how it is stored."""

    bucket: str
    object: str
    data: bytes
    digest: bytes
    options: dict[str, str]
    doing: str

    @property
    def named(self) -> dict[str, Any]:
        """The arguments of the request that begins an object."""
        return {**self.place, "Metadata": {"sha256": self.digest.hex()}, **self.options}

    @property
    def place(self) -> dict[str, str]:
        """The arguments that name the object."""
        return {"Bucket": self.bucket, "Key": self.object}


def put(clients: Clients, upload: Upload, *, once: bool, expecting: frozenset[str]) -> None:
    """Put the object, whole or not at all; the server checks its SHA-256.

    Args:
        clients: Whom to ask.
        upload: What is put where.
        once: Only if there is no such object: the server then answers with an expected code.
        expecting: Codes that are raised as ``ExpectedError``.
    """
    condition = {"IfNoneMatch": "*"} if once else {}
    if len(upload.data) > PART:
        _put_parts(clients, upload, condition, expecting)
        return
    clients.ask(
        "put_object",
        upload.doing,
        expecting=expecting,
        Body=upload.data,
        ChecksumSHA256=_text(upload.digest),
        **upload.named,
        **condition,
    )


def _put_parts(
    clients: Clients, upload: Upload, condition: dict[str, str], expecting: frozenset[str]
) -> None:
    answer = clients.ask(
        "create_multipart_upload", upload.doing, ChecksumAlgorithm="SHA256", **upload.named
    )
    place = {**upload.place, "UploadId": answer["UploadId"]}
    try:
        parts = _parts(clients, upload, place)
        clients.ask(
            "complete_multipart_upload",
            upload.doing,
            expecting=expecting,
            MultipartUpload={"Parts": parts},
            **place,
            **condition,
        )
    except BaseException:
        # What cannot be aborted now is removed by the lifecycle rule that `init` makes.
        with contextlib.suppress(StoreError):
            clients.ask("abort_multipart_upload", upload.doing, **place)
        raise


def _parts(clients: Clients, upload: Upload, place: dict[str, str]) -> list[dict[str, Any]]:
    size = max(PART, -(-len(upload.data) // _PARTS))
    parts = []
    for number, start in enumerate(range(0, len(upload.data), size), start=1):
        body = upload.data[start : start + size]
        checksum = _text(hashlib.sha256(body).digest())
        answer = clients.ask(
            "upload_part",
            upload.doing,
            PartNumber=number,
            Body=body,
            ChecksumSHA256=checksum,
            **place,
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
    return parts


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
