"""Django's files on disk: what a job saves through a storage, and what it deletes, are outputs.

As a whole, and not by what a storage asks the disk in between: the name that it finds free depends
on what is there already, which in a replay is what the recorded job saved.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.files.storage import FileSystemStorage

from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.files import readable
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_output
from tracediff.recording.redaction import REDACTED

MAX_FILE = 1 << 20
"""Bytes of a file above which its size alone is recorded."""


def patches() -> Iterable[Patch]:
    """What records the storage that writes to the disk, and those derived from it."""
    yield Patch(FileSystemStorage, "save", _saving(FileSystemStorage.save))
    yield Patch(FileSystemStorage, "delete", _deleting(FileSystemStorage.delete))


def _save(name: str, size: int | None, content: str | bytes | None) -> str:
    """Save a file: what is recorded is the name that it got."""
    raise NotImplementedError


def _delete(name: str) -> None:
    """Delete a file."""


SAVE = Reach("output", "django storage save", _save)
DELETE = Reach("output", "django storage delete", _delete)


def _saving(inherited: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inherited)
    def save(self: Any, name: Any, content: Any, *args: Any, **kwargs: Any) -> Any:
        real = super(FileSystemStorage, self).save  # a class beside this one may have its own
        parent = recorded_here()
        if parent is None:
            refuse_output(SAVE.mark.name)
            return real(name, content, *args, **kwargs)
        buffer = parent.buffer
        wanted = str(getattr(content, "name", name) if name is None else name)
        size, data = _taken(content, buffer)
        shown = REDACTED if buffer.redactor.secret(os.path.basename(wanted)) else data
        if isinstance(shown, bytes):
            shown = readable(shown)
        got = SAVE(parent, wanted, size, shown, run=lambda *_: real(name, content, *args, **kwargs))
        if not isinstance(got, str):  # the code is new
            got = wanted
        _keep(buffer, self, got, data)
        return got

    return save


def _deleting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def delete(self: Any, name: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            refuse_output(DELETE.mark.name)
            return real(self, name)
        result = DELETE(parent, name, run=lambda _: real(self, name))
        _keep(parent.buffer, self, name, None)
        return result

    return delete


def _taken(content: Any, buffer: Buffer) -> tuple[int | None, Any]:
    """The size and the content of what is to be saved, where it can be read twice."""
    with contextlib.suppress(Exception):  # a file of any kind; a recorder never breaks the job
        start = content.tell()
        try:
            content.seek(0, os.SEEK_END)
            size = content.tell()
            if size > MAX_FILE:
                return size, None
            content.seek(0)
            return size, content.read()
        finally:
            if buffer.server is None:
                content.seek(start)
            else:  # as saving it leaves it
                content.seek(0, os.SEEK_END)
    return None, None


def _keep(buffer: Buffer, storage: Any, name: Any, data: Any) -> None:
    """Let ``open`` know what is in a file by now: it is nothing from outside."""
    with contextlib.suppress(Exception):  # a storage of any kind; a recorder never breaks the job
        written = buffer.written = buffer.written or {}
        place = os.path.abspath(storage.path(name))
        if isinstance(data, bytes):
            written[place] = data
        else:
            written.pop(place, None)
