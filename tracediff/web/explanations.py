"""``/explain/ID``: why a trace's result is another on the code as it is now, and who has what part.

``against`` names a git revision that stands for the new code, ``other`` another trace that does,
``field`` the field of the outcome that is drawn. A GET shows what a run gave; a POST starts one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tracediff.explain.explaining import choosing
from tracediff.explained import Explanation
from tracediff.model import Row
from tracediff.replay.layout import git
from tracediff.reports.pages.aligned import aligned
from tracediff.reports.pages.comparelayout import Layout, layout
from tracediff.reports.pages.explainview import explain_view
from tracediff.web import runs
from tracediff.web.running import Run, Say, Subject
from tracediff.web.site import Site

_LONGEST: Final = 200
_LONGEST_FIELD: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a request asks to have explained."""

    row: Row
    against: str = ""
    other: str = ""
    field: str = ""

    @property
    def subject(self) -> Subject:
        """What its run is about; a field is chosen from what that gives."""
        options = (("against", self.against), ("other", self.other))
        return Subject(kind="explain", id=self.row.id, options=options)

    def address(self, path: str = "") -> str:
        """The address of its page, or of a part of that."""
        options = {"against": self.against, "other": self.other, "field": self.field}
        query = urlencode({name: text for name, text in options.items() if text})
        return f"/explain/{self.row.id}{path}" + (f"?{query}" if query else "")

    @property
    def command(self) -> str:
        """What explains the same on the command line."""
        words = ["tracediff", "explain", self.row.id, *filter(None, [self.other])]
        for name, text in (("--against", self.against), ("--field", self.field)):
            if text:
                words += [f"{name}={text}"] if text.startswith("-") else [name, text]
        return shlex.join(words)


def routes(site: Site) -> list[BaseRoute]:
    """The routes of explanations."""
    page = _ExplainPage(site)
    return [
        Route("/explain/{id}", page.shown),
        Route("/explain/{id}/run", page.started, methods=["POST"]),
    ]


class _ExplainPage:
    def __init__(self, site: Site) -> None:
        self._site = site

    def _asked(self, request: Request) -> _Asked:
        given = request.query_params
        against, other = given.get("against", "").strip(), given.get("other", "").strip()
        if len(against) > _LONGEST or not against.isprintable():
            raise HTTPException(400, "against is no revision")
        if against and other:
            raise HTTPException(400, "other and against each name the other side: give one of them")
        return _Asked(
            row=self._site.finished_row(request.path_params["id"]),
            against=against,
            other=self._site.finished_row(other).id if other else "",
            field=given.get("field", "")[:_LONGEST_FIELD],
        )

    def _code(self, asked: _Asked) -> str:
        """What names the code that is explained: of the work tree, and of the revision."""
        state = runs.state(self._site)
        if not asked.against:
            return state
        root = self._site.project.config.root
        try:
            wanted = f"{asked.against}^{{commit}}"
            found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
        except OSError:  # the run says what is wrong with it
            found = ""
        return f"{state} {found.strip()}"

    def shown(self, request: Request) -> Response:
        """The explanation, how far it is, or what starts it."""
        asked = self._asked(request)
        run = self._site.runs.latest(asked.subject)
        if run is None or run.standing != "done":
            return runs.shown(self._site, request, run, _start(asked))
        found: Explanation = choosing(run.result, asked.field or None)
        address, beside = _beside(self._site, run)
        return self._site.page(
            request,
            "explain.html",
            view=explain_view(
                found,
                link=_lines(address, beside),
                choose=lambda field: replace(asked, field=field).address(),
            ),
            start=_start(asked),
            linked=True,
            around=_around(asked, address),
            command=asked.command,
            stale=run.code != self._code(asked),
        )

    def started(self, request: Request) -> Response:
        """Start to explain."""
        site, asked = self._site, self._asked(request)

        def work(say: Say) -> Explanation:
            found = site.project.explain(
                site.trace(asked.row.id),
                site.trace(asked.other) if asked.other else None,
                against=asked.against or None,
                progress=say,
            )
            # Kept for a while: without a whole trace that no page shows.
            return replace(found, certificate=replace(found.certificate, replayed=None))

        return runs.begin(site, asked.subject, asked.address(), work, code=self._code(asked))


def _start(asked: _Asked) -> runs.Start:
    new = "the code as it is now"
    if asked.against:
        new = f"the code at {asked.against}"
    elif asked.other:
        new = f"the code and the inputs of {asked.other}"
    return runs.Start(
        title=f"Explain {runs.called(asked.row)}",
        command=asked.command,
        action=asked.address("/run"),
        label="Explain",
        back=_around(asked),
        key=runs.key_of(asked.row),
        told=(
            f"The job runs on the recorded code, on {new}, and on mixtures of both.",
            "So each piece of code that changed gets its exact share of the change.",
            "All runs are served the recorded inputs, and read and write nothing outside.",
        ),
        choice=not asked.other,
        against=asked.against,
    )


def _around(asked: _Asked, beside: str = "") -> tuple[tuple[str, str], ...]:
    """The pages around an explanation: ``beside`` is that of both sides."""
    trace = asked.row.id
    compared = beside or f"/compare/{trace}{f'/{asked.other}' if asked.other else ''}"
    return ((f"/trace/{trace}", "Trace"), (compared, "Compare"), ("", "Explain"))


def _beside(site: Site, run: Run) -> tuple[str, Layout]:
    """Where the explained comparison is shown; it is kept there for who follows."""
    name = f"{run.subject.id}/{run.name}"
    found = site.comparisons.get(name)
    if found is None:
        found = layout(aligned(run.result.comparison))
        site.comparisons.put(name, found)
    return f"/compare/{name}", found


def _lines(address: str, found: Layout) -> Callable[[int], str | None]:
    """Where each step of the new trace stands in a comparison."""

    def line(index: int) -> str | None:
        at = found.aligned.line_of(None, index)
        return None if at is None else f"{address}#line-{found.line[at]}"

    return line
