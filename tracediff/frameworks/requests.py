"""A Django request as plain data, and the request that a replay makes of it.

What is secret by its name is sealed as everywhere; so are the CSRF token and the session's cookie,
which stand in headers. Addresses of clients, what names one connection and what other tools count
requests with are left out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser
from django.utils.datastructures import MultiValueDict

from tracediff import values
from tracediff.frameworks.messages import (
    FORMS,
    MAX_BODY,
    UNDECLARED,
    Left,
    is_json,
    path_without_secrets,
    request_headers,
    sent_body,
    single,
    undeclared,
)
from tracediff.runtime import current


def request_data(request: Any) -> dict[str, Any]:
    """A request's ``query``, ``body`` and ``headers``."""
    return {
        "query": _single(request.GET),
        "body": _body(request),
        "headers": request_headers(request.headers.items()),
    }


def path_of(request: Any, route: Mapping[str, Any]) -> str:
    """A request's path without what its route captures under a name that says it is secret."""
    return path_without_secrets(request.path_info, route)


def _single(several: Mapping[str, Any]) -> dict[str, Any]:
    """A query, a form or its files: what a name has where it stands once, else a list."""
    lists: Any = several
    return single(one for one in lists.lists() if one[0] != "csrfmiddlewaretoken")


def _body(request: Any) -> Any:
    """The body, decoded where its type says how; None where there is none.

    Of the request nothing changes but that its body has been read: what the view does with upload
    handlers, streams and wrong forms is as ever.
    """
    kind = request.content_type or ""
    size = _size(request)
    if not size:
        return None
    is_form = kind in FORMS
    if is_form and hasattr(request, "_files"):
        return _undeclared(request) or _form(request.POST, request.FILES)
    data = _read(request) if size <= MAX_BODY else None
    if data is None:
        return Left(size)
    if is_form:
        try:
            return _undeclared(request) or _form(*_parsed(request, data))
        except Exception:  # the view is told when it asks
            return Left(size)
    return sent_body(kind, request.encoding, data)


def _read(request: Any) -> bytes | None:
    """The bytes of the body; None where the view would not get them, or not all."""
    before = request._read_started
    if before and not hasattr(request, "_body"):
        return None
    try:
        return bytes(request.body)
    except Exception:  # the view gets it when it reads
        request._read_started = before
        return None


class _Files(MemoryFileUploadHandler):  # type: ignore[misc]  # Django ships no types
    """Holds the files of a form that is small enough, whatever the settings say."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        """Take what comes."""
        self.activated = True


def _parsed(request: Any, data: bytes) -> tuple[Any, Any]:
    """The fields and files of a form, read beside the request."""
    if request.content_type == FORMS[0]:
        return QueryDict(data, encoding=request.encoding), MultiValueDict()
    handlers = [_Files(request)]
    fields, files = MultiPartParser(
        request.META, io.BytesIO(data), handlers, request.encoding
    ).parse()
    return fields, files


def _form(fields: Any, files: Any) -> dict[str, Any]:
    form: dict[str, Any] = _single(fields)
    told = {
        name: [_file(one) for one in found] if isinstance(found, list) else _file(found)
        for name, found in _single(files).items()
    }
    return {**form, "files": told} if told else form


def _undeclared(request: Any) -> dict[str, Any] | None:
    """The JSON object that is sent as a form."""
    data: bytes = getattr(request, "_body", b"")
    return undeclared(data) if request.content_type == FORMS[0] else None


def _size(request: Any) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:  # as Django takes it
        return 0


def _file(uploaded: Any) -> dict[str, Any]:
    told = {"filename": uploaded.name, "content_type": uploaded.content_type}
    if uploaded.size > MAX_BODY:
        return {**told, "content": Left(uploaded.size)}
    content = uploaded.read()
    uploaded.seek(0)
    return {**told, "content": content}


def rebuilt(
    method: str, path: str, query: Mapping[str, Any], body: Any, headers: Mapping[str, Any]
) -> HttpRequest:
    """The request that these data describe."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode("utf-8").decode("latin-1"),
        "SCRIPT_NAME": "",
        "QUERY_STRING": urlencode(query, doseq=True),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    cookies = environ.pop("HTTP_COOKIE", None)  # sealed: it cannot be taken apart
    # Here: that module may be what is being imported while the hooks are set.
    from django.core.handlers.wsgi import WSGIRequest

    request = WSGIRequest(environ)
    if cookies is not None:
        request.META["HTTP_COOKIE"] = cookies
    request.__dict__.setdefault("COOKIES", {})
    _fill(request, body)
    return request


def _fill(request: Any, body: Any) -> None:
    kind = request.content_type or ""
    if body is None:
        data: Any = b""
    elif isinstance(body, bytes | values.Placeholder):
        data = body
    elif kind in FORMS and isinstance(body, dict):
        found = body.get(UNDECLARED)
        data = _json(found) if isinstance(found, dict) else _filled_form(request, body)
    elif is_json(kind):
        data = _json(body)
    else:
        data = body.encode(request.encoding or "utf-8") if isinstance(body, str) else body
    if not isinstance(data, bytes):  # what was not recorded stops the replay where it is used
        request._stream = request.META["CONTENT_LENGTH"] = data
        return
    request._stream = io.BytesIO(data)
    request.META["CONTENT_LENGTH"] = str(len(data)) if data else ""
    if not hasattr(request, "_body"):
        request._body = data


def _json(body: Any) -> bytes:
    return json.dumps(told_sealed(body)).encode()


def _filled_form(request: Any, body: Mapping[str, Any]) -> Any:
    """The bytes of a form; its fields and files are there when they are asked for, as in Django."""
    fields = dict(body)
    files = fields.pop("files") if isinstance(body.get("files"), dict) else {}

    def load() -> None:
        request._post = _several(fields)
        request._files = _uploads(files)

    if request.method == "POST":  # of others Django reads no form
        request._load_post_and_files = load
    if request.content_type == FORMS[0]:
        return urlencode(told_sealed(fields), doseq=True).encode()
    said = "<the bytes of a form with files, of which the fields are recorded>"
    request._body = values.Placeholder(values.Opaque("tracediff:ignored", said))
    return _multipart(request.content_params.get("boundary", ""), fields, files)


def _multipart(boundary: str, fields: Mapping[str, Any], files: Mapping[str, Any]) -> Any:
    """Bytes in which a parser finds these; of a file that is not known, its placeholder."""
    from django.test.client import encode_multipart  # here: of all replays few have such a form

    parts = dict(_several(told_sealed(fields)).lists())
    for name, found in files.items():
        for one in _listed(found):
            if not isinstance(one["content"], bytes):
                return one["content"]
            parts[name] = [*parts.get(name, ()), _uploaded(one)]
    return encode_multipart(boundary, parts)


def _listed(found: Any) -> list[Any]:
    """What ``_single`` was given."""
    return found if isinstance(found, list) else [found]


def _several(form: Mapping[str, Any]) -> QueryDict:
    found = QueryDict(mutable=True)
    for name, value in form.items():
        found.setlist(name, _listed(value))
    found._mutable = False
    return found


def _uploads(files: Mapping[str, Any]) -> Any:
    return MultiValueDict(
        {name: [_uploaded(one) for one in _listed(found)] for name, found in files.items()}
    )


def _uploaded(file: Mapping[str, Any]) -> SimpleUploadedFile:
    return SimpleUploadedFile(file["filename"], file["content"], file["content_type"])


def told_sealed(value: Any) -> Any:
    """The value with a text in the place of what is sealed, which the new trace says."""
    if type(value) is values.Placeholder:
        here = current.get()
        if here is not None:
            here.buffer.warn("the request's body has secrets that the replay does not know")
        return "[redacted]"
    if isinstance(value, dict):
        return {name: told_sealed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [told_sealed(one) for one in value]
    return value
