"""The header line, the summary at the end, annotations, and what a run leaves behind."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_tracediff.items import ENDING, SNAPSHOTS
from pytest_tracediff.session import Failed, Session

ANNOTATIONS = 50
ANNOTATING = "pytest_github_actions_annotate_failures"


def header(session: Session) -> str | None:
    """Where the traces are and what is unusual about this run; None where there are none."""
    options = session.options
    said = []
    if options.directory.is_dir():
        said.append(f"traces in {session.name(options.directory)}")
    if options.record_mode != "none":
        said.append(f"record mode {options.record_mode}")
    if options.record:
        said.append("recording")
    if options.update or options.new_only:
        said.append("updating" if options.update else "storing what is new")
    if said and options.ci:
        said.append("CI: nothing is written")
    return f"tracediff: {', '.join(said)}" if said else None


def finish(run: Session, session: pytest.Session, status: int) -> None:
    """Judge what was used, and keep it for ``tracediff unused``."""
    from tracediff.errors import TracediffError  # where there are traces it is imported already

    _enter(run)
    try:
        usage = _usage(run, session, status)
        run.unused = usage.unused()
        results = run.bench.results
        if results is not None and (run.touched or usage.seen):
            from tracediff.expectations.usage import NAME, write_usage  # only what is kept

            results.prepare()
            write_usage(results.directory / NAME, usage)
    except TracediffError as error:
        run.tally.remarks.append(f"what was used is not known: {error.message}")


def _enter(run: Session) -> None:
    """Enter what an update wrote over where acceptances are logged, once for the whole run."""
    if not run.tally.changed:
        return
    from tracediff.errors import TracediffError  # as above
    from tracediff.expectations.accepting import LOG, enter_update

    try:
        enter_update(run.bench.root, run.tally.changed)
    except TracediffError as error:
        run.tally.remarks.append(f"the update is not entered in {LOG}: {error.message}")


def _usage(run: Session, session: pytest.Session, status: int) -> Any:
    from tracediff.expectations.usage import Usage

    tally, bench, directory = run.tally, run.bench, run.options.directory
    whole = _is_whole(run, session, status)
    stopped = (
        run.incomplete or status not in (0, 1) or bool(session.shouldstop or session.shouldfail)
    )
    careful = {*tally.partial, *run.unfinished}
    seen, judged = set(), set()
    for path in directory.rglob(f"*{ENDING}"):
        name = bench.name(path)
        parts = path.relative_to(directory).parts
        if parts[0] == SNAPSHOTS:
            module = "/".join(parts[1:-1]) + ".py"
            collected = module in tally.modules or module in tally.partial
            gone = not (run.config.rootpath / module).exists()
            if collected or gone:
                seen.add(name)
            sure = module in tally.modules and module not in careful and not _picked(run, module)
            if not stopped and (sure or (gone and whole)):
                judged.add(name)
        else:
            seen.add(name)
            if whole:
                judged.add(name)
    return Usage(
        frozenset(seen),
        frozenset(judged),
        frozenset(tally.used),
        tuple(sorted(tally.stale.items())),
    )


def _picked(run: Session, module: str) -> bool:
    """Whether single tests of a module were asked for."""
    return any("::" in one for one in run.config.args)


def _is_whole(run: Session, session: pytest.Session, status: int) -> bool:
    """Whether every test of the project ran and passed."""
    config = run.config
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    left_out = any(
        config.getoption(name, None)
        for name in ("lf", "stepwise", "keyword", "markexpr", "deselect", "ignore", "ignore_glob")
    )
    stopped = bool(session.shouldstop or session.shouldfail)
    return not (
        given or left_out or stopped or run.incomplete or run.tally.partial or run.unfinished
    ) and status in (0, 1)


def summarise(run: Session, terminal: Any) -> None:
    """What was compared and what is to be done."""
    tally, options = run.tally, run.options
    lines: list[tuple[str, dict[str, bool]]] = []
    if tally.compared or tally.different:
        lines.append((_counted(run), {"red": True} if tally.different else {}))
    if tally.recorded:
        said = f"{_many(len(tally.recorded), 'trace')} recorded: tracediff ls --tag test:NAME"
        lines.append((said, {}))
    for said in tally.replayed if options.details else ():
        lines.append((f"  {said}", {}))
    if tally.written:
        lines.append((f"{len(tally.written)} written: {_few(tally.written)}", {"yellow": True}))
    if tally.discarded:
        said = f"{len(tally.discarded)} not written, since their tests failed: "
        lines.append((said + _few(tally.discarded), {"yellow": True}))
    lines += _waiting(run)
    lines += _unused(run)
    for file, why in sorted(tally.stale.items())[:10]:
        lines.append((f"stale: {file}: {why}", {"yellow": True}))
    for remark in tally.remarks[:10]:
        lines.append((f"note: {remark}", {"yellow": True}))
    if lines:
        terminal.section("tracediff", sep="-")
        for text, colour in lines:
            terminal.write_line(text, **colour)
    annotate(run, terminal)


def _counted(run: Session) -> str:
    tally = run.tally
    said = [f"{_many(tally.compared, 'trace')} compared"]
    if tally.different:
        said.append(f"{tally.different} different")
    if tally.fields:
        within = f"{_many(tally.fields, 'field')} within tolerance"
        if tally.worst is not None:
            within += f", worst {tally.worst:.2g} of its limit"
            within += f" ({tally.place})" if run.options.details and tally.place else ""
        said.append(within)
    return "; ".join(said)


def _waiting(run: Session) -> list[tuple[str, dict[str, bool]]]:
    waiting = run.tally.waiting
    if not waiting:
        return []
    count = len({one for ids in waiting.values() for one in ids})
    lines: list[tuple[str, dict[str, bool]]] = []
    causes = _many(len(waiting), "cause")
    lines.append((f"{_many(count, 'result')} of {causes} wait: tracediff review", {"bold": True}))
    ranked = sorted(waiting.items(), key=lambda one: (-len(one[1]), one[0]))
    for cause, ids in ranked[:10]:
        lines.append((f"  {len(set(ids)):>4} × {cause.partition(' ')[2]}", {}))
    if len(ranked) > 10:
        lines.append((f"  … and {len(ranked) - 10} more", {}))
    return lines


def _unused(run: Session) -> list[tuple[str, dict[str, bool]]]:
    unused = run.unused
    if not unused:
        return []
    if not (run.options.warn_unused or run.options.details):
        return [(f"{_many(len(unused), 'pinned trace')} unused: --tracediff-warn-unused lists", {})]
    said = f"{_many(len(unused), 'pinned trace')} that no test used; `tracediff unused` again lists"
    yellow = {"yellow": True}
    return [(said, yellow), *((f"  {one}", yellow) for one in unused)]


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _few(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def annotate(run: Session, terminal: Any) -> None:
    """Annotations for GitHub, one a place and cause, unless another plugin makes them."""
    if os.environ.get("GITHUB_ACTIONS") != "true" or not run.failed:
        return
    if run.config.pluginmanager.hasplugin(ANNOTATING):
        return
    places: dict[tuple[str, int, str], list[Failed]] = {}
    for one in run.failed:
        places.setdefault((one.path, one.line, one.cause), []).append(one)
    for (path, line, cause), some in list(places.items())[:ANNOTATIONS]:
        more = f" (and {len(some) - 1} more traces)" if len(some) > 1 else ""
        title = _property(f"trace differs: {cause}")
        text = _escaped(some[0].message + more)
        terminal.write_line(f"::error file={_property(path)},line={line},title={title}::{text}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
