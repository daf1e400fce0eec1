"""Finding the job a trace names, inside the allow-list only, and binding its arguments."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from tracediff import frameworks, values
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.model import FOREIGN, Trace
from tracediff.recording import Job, jobs
from tracediff.runtime import ReplayAbort
from tracediff.stores.walking import imported_only


def find_job(trace: Trace, config: Config) -> Job:
    """The job with the trace's key, else the one at its recorded place.

    Raises:
        ReplayError: ``job-not-allowed``, ``job-not-importable``, ``job-unknown``,
            ``django-not-set-up``, ``trace-imported``.
    """
    check_replayable(trace)
    allow = values.Allow(config.jobs)
    frameworks.prepare(trace, config)
    allowed = allow.permits(trace.job)
    problem: ReplayError | None = None
    if allowed:
        problem = _load(trace.job.partition(":")[0])
        if problem is not None and not isinstance(problem, _AbsentError):
            raise problem  # though the job may be defined: no caller would get at it
        frameworks.settle(trace, config)
        for job in jobs.get(trace.key, ()):
            if job.unit == trace.job:
                return job
    problems = _load_all(allow)
    frameworks.settle(trace, config)
    found = [job for job in jobs.get(trace.key, ()) if allow.permits(job.unit)]
    if found:
        return found[-1]
    if trace.job.startswith("__main__:"):
        raise _nowhere(trace)
    if not allowed:
        raise _not_allowed(trace)
    same_place = [job for known in jobs.values() for job in known if job.unit == trace.job]
    if same_place:
        return same_place[-1]
    if problem is not None or problems:
        raise problem or problems[0]
    near = get_close_matches(trace.key, jobs, 1)
    raise ReplayError(
        f"no job {trace.key!r} is defined by {', '.join(allow.patterns)}",
        slug="job-unknown",
        hint=f"did you mean {near[0]!r}?" if near else _recorded_as(trace),
    )


def check_replayable(trace: Trace) -> None:
    """Raise ReplayError ``trace-imported`` for a trace of another tool: there is no job to run."""
    if trace.job in FOREIGN:
        raise imported_only(f"the trace {trace.id} was imported: there is nothing to run again")


def _not_allowed(trace: Trace) -> ReplayError:
    module = trace.job.partition(":")[0]
    return ReplayError(
        f"the trace names the job {trace.job}, which is not among the modules that may be replayed",
        slug="job-not-allowed",
        hint=f'if it is yours, add it: jobs = ["{module}"] in [tool.tracediff]',
    )


def _recorded_as(trace: Trace) -> str:
    return (
        f"it was recorded as {trace.job}; if that is a function without a mark, name it: "
        f'entry = ["{trace.job}"] in [tool.tracediff]'
    )


def _nowhere(trace: Trace) -> ReplayError:
    return ReplayError(
        f"the job {trace.key!r} was defined in a notebook or at a prompt: no module holds it",
        slug="job-not-allowed",
        hint="move it into a module that `jobs` in [tool.tracediff] names; the key may stay",
    )


class _AbsentError(ReplayError):
    """The very module is not there: its jobs may have moved."""


_OWN_CALL = 'guard the script\'s own call with `if __name__ == "__main__":`'


def _load(module: str) -> ReplayError | None:
    """Import a module and return what hinders it."""
    kind, hint = ReplayError, f"`import {module}` has to work by itself: mend what it raises"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        problem: BaseException = error
        hint = "set pythonpath in [tool.tracediff], or install what it needs"
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            kind = _AbsentError
    except SystemExit as error:
        problem, hint = error, _OWN_CALL
    except ReplayAbort as error:
        problem = error
        hint = _OWN_CALL if error.slug == "outside-replay" else error.hint or hint
    except Exception as error:  # noqa: BLE001 - a module runs any code
        problem = error
    else:
        return None
    return kind(
        f"{module} cannot be imported: {type(problem).__name__}: {problem}",
        slug="job-not-importable",
        hint=hint,
    )


def _load_all(allow: values.Allow) -> list[ReplayError]:
    """Import what the patterns name, so that a job that moved registers itself."""
    problems: list[ReplayError] = []
    for pattern in allow.patterns:
        name = pattern.removesuffix(".*")
        if not pattern.startswith("!") and name.replace(".", "").isidentifier():
            _load_below(name, allow, problems, pattern.endswith(".*"))
    return problems


def _load_below(name: str, allow: values.Allow, problems: list[ReplayError], deep: bool) -> None:
    if not allow.permits(name):
        return
    problem = _load(name)
    if problem is not None:
        problems.append(problem)
    package = sys.modules.get(name)
    if not deep or package is None:
        return
    for found in pkgutil.iter_modules(getattr(package, "__path__", ()), f"{name}."):
        if not found.name.rpartition(".")[2].startswith("__"):
            _load_below(found.name, allow, problems, deep)


def on_its_class(job: Job) -> Job:
    """The job with the class that a class method is called on, unless its factory says which."""
    if not job.method or job.factory is not None:
        return job
    module, _, qualname = job.unit.partition(":")
    *owners, name = qualname.split(".")
    found: Any = sys.modules.get(module)
    for owner in owners:
        found = getattr(found, owner, None)
    if isinstance(found, type) and isinstance(found.__dict__.get(name), classmethod):
        return replace(job, factory=lambda: found)
    return job


def bind(job: Job, trace: Trace, allow: values.Allow) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The recorded arguments as the job takes them now.

    Raises:
        ReplayError: ``job-signature-changed`` or ``job-needs-factory``.
    """
    if job.method and job.factory is None:
        raise ReplayError(
            f"the job {job.key!r} is a method, and nothing says how to make its object",
            slug="job-needs-factory",
            hint="name a function that makes it: @td.job(key, factory=…)",
        )
    recorded, mark = trace.steps[0].args, job.mark
    given: dict[str, Any] = values.live(recorded, allow) if recorded is not None else {}  # type: ignore[assignment]  # arguments are a dict
    known, several = mark.order, (mark.rest, mark.keywords)
    required = [name for name in known if name not in mark.defaults and name not in several]
    added = [name for name in required if name not in given and name not in mark.ignore]
    removed = [name for name in given if name not in known]
    if added or removed:
        changes = [f"{name!r} is new" for name in added]
        changes += [f"{name!r} is gone" for name in removed]
        raise ReplayError(
            f"the parameters of {job.key!r} have changed: {', '.join(changes)}",
            slug="job-signature-changed",
            hint="give new parameters a default, or record the job again",
        )
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name in known:
        if name == mark.rest:
            args.extend(given.get(name, ()))
        elif name == mark.keywords:
            kwargs.update(given.get(name, {}))
        elif name in mark.names:
            args.append(given[name] if name in given else _unrecorded(job, name))
        else:
            kwargs[name] = given[name] if name in given else _unrecorded(job, name)
    return tuple(args), kwargs


def _unrecorded(job: Job, name: str) -> Any:
    """What a parameter gets that the recording does not have: its default, if it has one."""
    if name in job.mark.defaults:
        return job.mark.defaults[name]
    said = f"<the argument {name!r} of {job.key!r}, ignored when it was recorded>"
    return values.Placeholder(values.Opaque("tracediff:ignored", said))
