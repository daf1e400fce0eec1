"""Forms of web pages: their bytes taken apart, and put together for a replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email import message_from_string
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlencode

from tracediff.frameworks.messages import FORMS, media_type, single, undeclared

_MOST_FIELDS = 10_000


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form."""
    return media_type(content_type) in FORMS


def form_data(content_type: str, data: bytes) -> dict[str, Any] | None:
    """A form's fields by name, its files under ``files``; None where the bytes are no form."""
    if media_type(content_type) == FORMS[0]:
        return undeclared(data) or _fields(data)
    boundary = _boundary(content_type)
    if boundary is None:
        return None
    fields: dict[str, list[Any]] = {}
    files: dict[str, list[Any]] = {}
    for head, content in _parts(boundary, data):
        name = _told(head, "name")
        if name is None:
            return None
        filename = _told(head, "filename")
        if filename is None:
            fields.setdefault(name, []).append(content.decode("utf-8", "replace"))
        else:
            told = {"filename": filename, "content_type": head.get("Content-Type")}
            files.setdefault(name, []).append({**told, "content": content})
    form = single(fields.items())
    return {**form, "files": single(files.items())} if files else form


def form_bytes(content_type: str, form: Mapping[str, Any]) -> bytes:
    """A form as it is sent; it need not be the same to the byte as the one that was taken apart."""
    fields = dict(form)
    files = fields.pop("files") if isinstance(form.get("files"), dict) else {}
    if media_type(content_type) == FORMS[0]:
        return urlencode(fields, doseq=True).encode()
    boundary = (_boundary(content_type) or "boundary").encode()
    parts = [
        b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (_quoted(name), str(one).encode())
        for name, found in fields.items()
        for one in listed(found)
    ]
    for name, found in files.items():
        parts += [_file(name, one) for one in listed(found)]
    sent = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
    return sent + b"--%b--\r\n" % boundary


def listed(found: Any) -> list[Any]:
    """What a name had of which ``single`` told."""
    return found if isinstance(found, list) else [found]


def _fields(data: bytes) -> dict[str, Any] | None:
    try:
        text = data.decode("utf-8")
        found = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # no text, or of more fields than anybody reads
        return None
    return single(found.items())


def _boundary(content_type: str) -> str | None:
    head = Message()
    head["Content-Type"] = content_type
    return head.get_boundary()


def _parts(boundary: str, data: bytes) -> Iterator[tuple[Message, bytes]]:
    """The head and the content of each part."""
    pieces = (b"\r\n" + data).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return
        head, _, content = piece.partition(b"\r\n\r\n")
        yield message_from_string(head.decode("utf-8", "replace").strip()), content


def _told(head: Message, name: str) -> str | None:
    found = head.get_param(name, header="Content-Disposition")
    if isinstance(found, tuple):  # its encoding, its language and itself
        found = found[2]
    return found if isinstance(found, str) else None


def _file(name: str, file: Mapping[str, Any]) -> bytes:
    kind = file["content_type"]
    said = b'Content-Disposition: form-data; name="%b"; filename="%b"\r\n' % (
        _quoted(name),
        _quoted(file["filename"]),
    )
    if kind is not None:
        said += b"Content-Type: %b\r\n" % str(kind).encode()
    return said + b"\r\n" + bytes(file["content"])


def _quoted(text: str) -> bytes:
    return text.replace("\\", "\\\\").replace('"', "%22").replace("\r\n", "%0D%0A").encode()
