"""``/trace/ID/artifact/…``: the bytes of artifacts, which a browser never takes for a page."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tracediff.errors import StoreError
from tracediff.model import Artifact, Trace
from tracediff.reports.pages import artifactview
from tracediff.web.kept import Kept
from tracediff.web.tracereading import Reading, number

_KEPT: Final = 1
_ALONE: Final = "default-src 'none'; style-src 'none'; sandbox"


def routes(reading: Reading) -> list[BaseRoute]:
    """The routes of artifacts."""
    found = _Artifacts(reading)
    return [
        Route("/trace/{id}/artifact/{number}", found.given),
        Route("/trace/{id}/artifact/{number}/look", found.looked),
    ]


class _Artifacts:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._whole: Kept[str, Trace] = Kept(_KEPT)

    def given(self, request: Request) -> Response:
        """The bytes: an image as one, anything else as a file to keep."""
        artifact, data = self._asked(request)
        kind = artifactview.safe_type(data)
        shown = "attachment" if kind == artifactview.UNKNOWN else "inline"
        plain = artifactview.file_name(artifact.name)
        whole = quote(artifactview.file_name(artifact.name, plain=False), safe="")
        named = f"{shown}; filename=\"{plain}\"; filename*=UTF-8''{whole}"
        return Response(data, media_type=kind, headers={
            "Content-Disposition": named,
            "Content-Security-Policy": _ALONE,
            "Cache-Control": "private, max-age=600",
        })  # fmt: skip

    def looked(self, request: Request) -> Response:
        """What is in it, to be shown in the page."""
        artifact, data = self._asked(request)
        at = number(request.path_params["number"])
        return self._reading.site.fragment(
            "traceartifact.html",
            look=artifactview.look(at, artifact.name, data),
            address=f"/trace/{request.path_params['id']}/artifact/{at}",
        )

    def _asked(self, request: Request) -> tuple[Artifact, bytes]:
        trace = self._reading.trace(request)
        at = number(request.path_params["number"])
        if at >= len(trace.artifacts):
            raise HTTPException(404, "this trace has no such artifact")
        artifact = trace.artifacts[at]
        data = artifact.data
        if data is None:
            data = self._loaded(trace).artifacts[at].data
        if data is None:
            raise HTTPException(410, "the bytes of this artifact are not there any more")
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise StoreError(
                "this artifact's bytes are not those that were recorded",
                slug="trace-hurt",
                hint="`tracediff doctor` reads everything back",
            )
        return artifact, data

    def _loaded(self, trace: Trace) -> Trace:
        """The trace with what lies beside it."""
        found = self._whole.get(trace.id)
        if found is None or len(found.artifacts) != len(trace.artifacts):
            site = self._reading.site
            found = site.project.store.load(site.row(trace.id))
            self._whole.put(trace.id, found)
        return found
