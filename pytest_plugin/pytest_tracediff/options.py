"""The options and ini keys of the plugin, and what a run makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

RECORD_MODES = ("none", "once", "new_episodes", "all", "rewrite")
DIFF_MODES = ("detailed", "summary", "disabled")
MARK = (
    "tracediff(id=, key=, last=, rel_tol=, abs_tol=, ignore=, strict_steps=): run the test once "
    "for each pinned trace that is chosen, and compare with these tolerances"
)
_OFF = ("", "0", "false", "no", "off")

_INI = {
    "tracediff_dir": ("string", "tests/traces", "directory of the pinned traces"),
    "tracediff_store": ("string", "", "store that references of fixtures are looked up in"),
    "tracediff_collect": ("bool", True, "replay the trace files of tracediff_dir as tests"),
    "tracediff_rel_tol": ("string", "", "accept differences up to this share"),
    "tracediff_abs_tol": ("string", "", "accept differences up to this much"),
    "tracediff_tolerance": ("linelist", [], "tolerances by path: PATH rel=1e-9 abs=0.01 …"),
    "tracediff_ignore": ("linelist", [], "paths that are left out"),
    "tracediff_strict_steps": ("bool", False, "let any step that differs fail a test"),
    "tracediff_redact": ("linelist", [], "what is secret, on top of redact in [tool.tracediff]"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for on the command line and in the ini file."""

    directory: Path
    store: str | None
    collect: bool
    update: bool
    new_only: bool
    record: bool
    record_mode: str
    ci: bool
    warn_unused: bool
    details: bool
    diff_mode: str
    artifacts: Path | None
    rel_tol: str | None
    abs_tol: str | None
    tolerance: tuple[str, ...]
    ignore: tuple[str, ...]
    strict_steps: bool
    redact: tuple[str, ...]


def add_options(parser: pytest.Parser) -> None:
    """Declare them."""
    group = parser.getgroup("tracediff", "recorded traces as regression tests")
    switch = group.addoption
    switch("--tracediff-update", action="store_true",
           help="make results the new expectations")  # fmt: skip
    switch("--tracediff-update-new-only", action="store_true",
           help="make results expectations only where there are none yet")  # fmt: skip
    switch("--tracediff-record", action="store_true",
           help="keep the traces of the jobs that tests run, tagged test:NAME")  # fmt: skip
    switch("--tracediff-record-mode", choices=RECORD_MODES, default="none", metavar="MODE",
           help=f"how recorded inputs are renewed: {', '.join(RECORD_MODES)} (none)")  # fmt: skip
    switch("--tracediff-ci", action="store_true",
           help="write nothing and ask no store; on by itself when CI is set")  # fmt: skip
    switch("--tracediff-artifacts", metavar="DIR",
           help="keep what differs in this directory, also in CI")  # fmt: skip
    switch("--tracediff-warn-unused", action="store_true",
           help="list the pinned traces that no test used")  # fmt: skip
    switch("--tracediff-details", action="store_true",
           help="show every step that differs, and every trace that was replayed")  # fmt: skip
    switch("--tracediff-diff-mode", choices=DIFF_MODES, default="detailed", metavar="MODE",
           help=f"how a difference is shown: {', '.join(DIFF_MODES)} (detailed)")  # fmt: skip
    for name, (kind, default, what) in _INI.items():
        parser.addini(name, what, type=kind, default=default)  # type: ignore[arg-type]  # its own words


def read_options(config: pytest.Config) -> Options:
    """What this run was asked for.

    Raises:
        pytest.UsageError: Two options do not go together.
    """
    get, ini = config.getoption, config.getini
    ci = bool(get("--tracediff-ci")) or os.environ.get("CI", "").strip().lower() not in _OFF
    update, new_only = bool(get("--tracediff-update")), bool(get("--tracediff-update-new-only"))
    mode = str(get("--tracediff-record-mode"))
    asked = [
        name
        for name, on in (
            ("--tracediff-update", update),
            ("--tracediff-update-new-only", new_only),
            ("--tracediff-record", bool(get("--tracediff-record"))),
            (f"--tracediff-record-mode={mode}", mode != "none"),
        )
        if on
    ]
    if ci and asked:
        raise pytest.UsageError(
            f"{asked[0]} is refused in continuous integration, where nothing is written: "
            "run it on your machine, or unset CI"
        )
    if update and new_only:
        raise pytest.UsageError(
            "--tracediff-update and --tracediff-update-new-only exclude each other: give one"
        )
    artifacts = get("--tracediff-artifacts")
    return Options(
        directory=config.rootpath / str(ini("tracediff_dir")),
        store=str(ini("tracediff_store")) or None,
        collect=bool(ini("tracediff_collect")),
        update=update,
        new_only=new_only,
        record=bool(get("--tracediff-record")),
        record_mode=mode,
        ci=ci,
        warn_unused=bool(get("--tracediff-warn-unused")),
        details=bool(get("--tracediff-details")),
        diff_mode=str(get("--tracediff-diff-mode")),
        artifacts=config.invocation_params.dir / str(artifacts) if artifacts else None,
        rel_tol=str(ini("tracediff_rel_tol")) or None,
        abs_tol=str(ini("tracediff_abs_tol")) or None,
        tolerance=tuple(ini("tracediff_tolerance")),
        ignore=tuple(ini("tracediff_ignore")),
        strict_steps=bool(ini("tracediff_strict_steps")),
        redact=tuple(ini("tracediff_redact")),
    )
