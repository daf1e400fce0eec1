"""``/check``: the project's last check, each of its causes with its traces, and accepting them.

The check is what `tracediff check` kept; whether its causes are accepted is read from the project's
file each time. What a page accepts is what it showed: a cause that another check finds other, and
an acceptance that somebody else wrote meanwhile, are refused and told.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tracediff.check.accepting import TOGETHER, Entry, entry_of, narrowed
from tracediff.check.causesfile import FILE, accept_causes, drop_causes, read_causes, stamp
from tracediff.check.keptcheck import Kept as KeptCheck
from tracediff.check.keptcheck import as_accepted, kept_check
from tracediff.check.lastcheck import last_check
from tracediff.check.selecting import Selection
from tracediff.check.state import code_state
from tracediff.checked import Checked, Group, Ran
from tracediff.checks import Wanted
from tracediff.config import mask
from tracediff.errors import ExpectationError
from tracediff.expectations.accepting import refuse_in_ci
from tracediff.model import Query
from tracediff.reports import verdict, wording
from tracediff.reports.pages import causeview, checkview
from tracediff.web import runs
from tracediff.web.kept import Kept
from tracediff.web.refusals import status_of
from tracediff.web.running import Say, Subject
from tracediff.web.site import Site

PAGE: Final = 50
"""Traces of a cause on one page."""
LONGEST_REASON: Final = 2_000
LAST: Final = 100
"""Of how many traces a check is that is started from a page, unless it says."""
MOST: Final = 100_000
_SUBJECT: Final = Subject(kind="check", id="")
_LONGEST_KEY: Final = 500
_RUN: Final = "/check/run"
_Stamp = tuple[int, ...]


def routes(site: Site) -> list[BaseRoute]:
    """The routes of the last check."""
    page = _CheckPage(site)
    return [
        Route("/check", page.shown),
        Route(_RUN, page.run),
        Route(_RUN, page.started, methods=["POST"]),
        Route("/check/{cause}", page.cause),
        Route("/check/{cause}/accept", page.accepted, methods=["POST"]),
        Route("/check/{cause}/drop", page.dropped, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The last check: as it ran, and with what is accepted now.

    ``trouble`` says why that is unknown; the causes are then accepted as they were.
    """

    kept: KeptCheck
    now: Checked
    told: verdict.Story
    accepted: dict[str, Entry]
    trouble: str = ""

    def group(self, cause: str) -> Group | None:
        return next((one for one in self.now.groups if one.cause == cause), None)


class _CheckPage:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._root = site.project.config.root
        self._kept: Kept[_Stamp, KeptCheck] = Kept(1)
        self._made: Kept[tuple[_Stamp, _Stamp], _Found] = Kept(1)

    def _found(self) -> _Found:
        """The last check with what is accepted; read again when one of their files is another."""
        path = last_check(self._root)
        check, file = _stamp(path), _stamp(self._root / FILE)
        found = self._made.get((check, file))
        if found is not None:
            return found
        kept = self._kept.get(check) if check else None
        if kept is None:
            kept = kept_check(path)
            self._kept.put(check, kept)
        try:
            entries = read_causes(self._root)
        except ExpectationError as error:
            return _Found(kept=kept, now=kept.found, told=verdict.story(kept.found), accepted={},
                          trouble=_said(error))  # fmt: skip
        now = as_accepted(kept.found, entries)
        accepted = {one.cause: one for one in entries}
        found = _Found(kept=kept, now=now, told=verdict.story(now), accepted=accepted)
        self._made.put((check, file), found)
        return found

    def shown(self, request: Request) -> Response:
        """The last check, or how to run one."""
        try:
            found = self._found()
        except ExpectationError as error:
            if error.slug != "check-missing":
                raise
            served = checkview.Served(csrf=_csrf(request), last=LAST)
            return self._site.page(request, "checknone.html", at="check", served=served)
        page = checkview.check_view(found.now, found.told, typed=False)
        served = self._served(request, found)
        return self._site.page(request, "check.html", at="check", page=page, served=served)

    def _served(self, request: Request, found: _Found) -> checkview.Served:
        ran = found.kept.ran
        keys = {name for one in found.now.groups for name in one.keys}
        only = keys.pop() if len(keys) == 1 else ""
        changed = ran is None or ran.state != code_state(self._root)
        return checkview.Served(
            ran=checkview.ran_words(ran) if ran is not None else "",
            ago=_ago(ran) if ran is not None else "",
            code="The code has changed since." if changed else "The code has not changed since.",
            changed=changed,
            since=checkview.since_words(found.kept.found, found.now),
            trouble=found.trouble,
            csrf=_csrf(request),
            key=only if len(only) <= _LONGEST_KEY else "",
            last=min(max(found.now.checked, 1), MOST),
        )

    def cause(self, request: Request) -> Response:
        """One cause with its traces."""
        found = self._found()
        cause = request.path_params["cause"]
        group = found.group(cause)
        if group is None:
            raise HTTPException(404, "the last check has no such cause")
        return self._cause(request, found, group, self._acceptance(request, found, group))

    def _cause(
        self,
        request: Request,
        found: _Found,
        group: Group,
        accept: causeview.Acceptance,
        status: int = 200,
    ) -> Response:
        told = found.told
        at = next(at for at, one in enumerate(told.causes) if one.group is group)
        around = [told.causes[it].group.cause if 0 <= it < len(told.causes) else None
                  for it in (at - 1, at + 1)]  # fmt: skip
        return self._site.page(
            request, "checkcause.html", at="check", status=status, accept=accept,
            card=causeview.card(found.now, told.causes[at], typed=False, alone=True),
            traces=causeview.traces(group, _number(request, "from"), PAGE, told.places),
            main=found.now.main[:200], before=around[0], after=around[1],
        )  # fmt: skip

    def _acceptance(self, request: Request, found: _Found, group: Group) -> causeview.Acceptance:
        now, seen = found.accepted.get(group.cause), entry_of(group)
        covers = now if now is not None and not group.drift else seen
        return causeview.Acceptance(
            cause=group.cause,
            csrf=_csrf(request),
            offered=group.cause != TOGETHER,
            accepted=verdict.accepted(group.accepted) if group.accepted is not None else "",
            beyond=tuple(one[: verdict.LONGEST] for one in group.drift),
            covers=causeview.covered(covers.fields),
            exact=group.exact,
            seen=stamp(seen),
            was=stamp(now),
        )

    def accepted(self, request: Request) -> Response:
        """Accept a cause as it was shown, for the reason that is given."""

        def accept(found: _Found, group: Group) -> str:
            refuse_in_ci("accepting", os.environ, "tracediff accept --cause ID --from REPORT")
            seen, form = entry_of(group), self._site.form(request)
            reason = form.get("reason", "").strip()
            if not 0 < len(reason) <= LONGEST_REASON:
                raise ExpectationError(
                    "say why it is right" if not reason else "the reason is too long",
                    slug="usage",
                    hint="it is kept with who and when, for whoever reviews it",
                )
            if stamp(seen) != form.get("seen"):
                raise _overtaken("finds that it moves other than you saw", group.cause)
            who = self._site.who(request)
            expected = {group.cause: form.get("was", "")}
            done = accept_causes(self._root, [seen], reason, by=who, expected=expected)
            lost = [text for one in done.replaced for text in narrowed(one, seen)]
            less = f" It no longer covers what this check has not: {', '.join(lost)}."
            return (
                f"It is entered in {FILE}: commit that with the change.{less[:500] if lost else ''}"
            )

        return self._written(request, accept)

    def dropped(self, request: Request) -> Response:
        """Accept a cause no longer."""

        def drop(found: _Found, group: Group) -> str:
            refuse_in_ci("dropping what was accepted", os.environ, "tracediff accept --drop ID")
            entry = found.accepted.get(group.cause)
            expected = {group.cause: self._site.form(request).get("was", "")}
            drop_causes(self._root, [entry] if entry is not None else [], expected=expected)
            return f"It is taken out of {FILE}: commit that."

        return self._written(request, drop)

    def _written(self, request: Request, write: Callable[[_Found, Group], str]) -> Response:
        """Write what is accepted, and show what it is then; a form that fails is shown again."""
        cause = request.path_params["cause"]
        typed = self._site.form(request).get("reason", "")[:LONGEST_REASON]
        found = self._found()
        group = found.group(cause)
        try:
            if group is None:
                raise _overtaken("does not find it any more", cause)
            if cause == TOGETHER:
                raise HTTPException(400, "nothing is left to accept there")
            done = write(found, group)
        except ExpectationError as error:
            return self._refused(request, cause, typed, error)
        if "HX-Request" not in request.headers:
            return RedirectResponse(f"/check/{cause}#acceptance", 303)
        found = self._found()
        again = found.group(cause)
        if again is None:  # another check ran in this moment
            return self._site.fragment(
                "checkaccept.html", writable=True,
                accept=causeview.Acceptance(cause=cause, done=done, gone=True),
            )  # fmt: skip
        accept = replace(self._acceptance(request, found, again), done=done)
        return self._site.fragment("checkaccept.html", writable=True, accept=accept)

    def _refused(
        self, request: Request, cause: str, typed: str, error: ExpectationError
    ) -> Response:
        found, status = self._found(), status_of(error.slug)
        group = found.group(cause)
        if group is None:
            accept = causeview.Acceptance(cause=cause[:20], gone=True)
        else:
            accept = self._acceptance(request, found, group)
        problem, hint = mask(error.message), mask(error.hint or "")
        accept = replace(accept, problem=problem, hint=hint, reason=typed)
        if "HX-Request" in request.headers:
            return self._site.fragment(
                "checkaccept.html", status=status, writable=True, accept=accept
            )
        if group is not None:
            return self._cause(request, found, group, accept, status)
        return self._site.page(
            request, "checkcause.html", at="check", status=status, accept=accept, card=None,
            before=None, after=None,
        )  # fmt: skip

    def run(self, request: Request) -> Response:
        """How far the check is that was started from a page; the last check, once it is done."""
        run = self._site.runs.latest(_SUBJECT)
        if run is None or run.standing == "done":
            return RedirectResponse("/check", 303)
        last, key = _asked(request.query_params)
        selected = f" --key {shlex.quote(key)}" if key else ""
        start = runs.Start(
            title="Check", command=f"tracediff check --last {last}{selected}",
            action=_run_page(last, key), label="Run", back=(("/check", "Last check"),),
        )  # fmt: skip
        return runs.shown(self._site, request, run, start, at="check")

    def started(self, request: Request) -> Response:
        """Start a check of the last traces of a job."""
        last, key = _asked({**request.query_params, **self._site.form(request)})
        wanted = Wanted(selection=Selection(query=Query(key=key or None), last=last))

        def work(say: Say) -> None:
            self._site.project.check(
                wanted, progress=lambda what, done, of: say(f"{what}: {done:,} of {of:,}")
            )

        return runs.begin(self._site, _SUBJECT, _run_page(last, key), work)


def _asked(given: Mapping[str, str]) -> tuple[int, str]:
    """Of how many traces a check is wanted, and of which job."""
    last, key = given.get("last", str(LAST)), given.get("key", "").strip()
    if not (last.isascii() and last.isdecimal() and len(last) < 7 and 0 < int(last) <= MOST):
        raise HTTPException(400, f"a check is of 1 to {MOST:,} traces")
    if len(key) > _LONGEST_KEY:
        raise HTTPException(400, "this is no key of a job")
    return int(last), key


def _run_page(last: int, key: str) -> str:
    return f"{_RUN}?{urlencode({'last': last, 'key': key})}"


def _stamp(path: Path) -> _Stamp:
    """What is another when a file is: each is written elsewhere, and takes the place of the old."""
    try:
        status = path.stat()
    except OSError:  # there is none, or none to be read
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _overtaken(what: str, cause: str) -> ExpectationError:
    return ExpectationError(
        f"the check was run again meanwhile, and {what}",
        slug="check-overtaken",
        hint=f"nothing was changed; look at what the check says now of {cause[:20]}",
    )


def _said(error: ExpectationError) -> str:
    return mask(f"{error.message} ({error.hint})" if error.hint else error.message)


def _csrf(request: Request) -> str:
    found: str = getattr(request.state, "csrf", "")
    return found


def _ago(ran: Ran) -> str:
    try:
        at = datetime.fromisoformat(ran.at).timestamp()
    except (ValueError, OverflowError):  # no time that can be shown
        return ""
    return wording.age(int(at * 1e9), time.time_ns())


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "0")
    if not (given.isascii() and given.isdecimal() and len(given) < 12):
        raise HTTPException(400, f"{name} is not a number")
    return int(given)
