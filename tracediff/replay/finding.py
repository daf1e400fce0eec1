"""Finding the job a trace names, inside the allow-list only, and binding its arguments."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from difflib import get_close_matches
from typing import Any

from tracediff import values
from tracediff.errors import ReplayError
from tracediff.model import Trace
from tracediff.recording import Job, jobs


def find_job(trace: Trace, allow: values.Allow) -> Job:
    """The job with the trace's key, else the one at its recorded place.

    Raises:
        ReplayError: ``job-not-allowed``, ``job-not-importable``, ``job-unknown``.
    """
    module = trace.job.partition(":")[0]
    allowed = allow.permits(trace.job)
    if allowed:
        _load(module)
        for job in jobs.get(trace.key, ()):
            if job.unit == trace.job:
                return job
    elif not allow.patterns or not any(p.endswith(".*") for p in allow.patterns):
        raise _not_allowed(trace)
    _load_all(allow)
    found = [job for job in jobs.get(trace.key, ()) if allow.permits(job.unit)]
    if found:
        return found[-1]
    if not allowed:
        raise _not_allowed(trace)
    same_place = [job for known in jobs.values() for job in known if job.unit == trace.job]
    if same_place:
        return same_place[-1]
    near = get_close_matches(trace.key, jobs, 1)
    raise ReplayError(
        f"no job {trace.key!r} is defined by {', '.join(allow.patterns)}",
        slug="job-unknown",
        hint=f"did you mean {near[0]!r}?" if near else f"it was recorded as {trace.job}",
    )


def _not_allowed(trace: Trace) -> ReplayError:
    module = trace.job.partition(":")[0]
    return ReplayError(
        f"the trace names the job {trace.job}, which is not among the modules that may be replayed",
        slug="job-not-allowed",
        hint=f'if it is yours, add it: jobs = ["{module}"] in [tool.tracediff]',
    )


def _load(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        raise ReplayError(
            f"{module} cannot be imported: {type(error).__name__}: {error}",
            slug="job-not-importable",
            hint="set pythonpath in [tool.tracediff], or install what it needs",
        ) from error


def _load_all(allow: values.Allow) -> None:
    """Import what the patterns name, so that a job that moved registers itself."""
    for pattern in allow.patterns:
        if (
            pattern.startswith("!")
            or not pattern.removesuffix(".*").replace(".", "").isidentifier()
        ):
            continue
        name = pattern.removesuffix(".*")
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            continue
        _load(name)
        package = importlib.import_module(name)
        if pattern.endswith(".*") and hasattr(package, "__path__"):
            for found in pkgutil.walk_packages(package.__path__, f"{name}."):
                if not found.name.rpartition(".")[2].startswith("__") and allow.permits(found.name):
                    _load(found.name)


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
    recorded = trace.steps[0].args
    given: dict[str, Any] = values.live(recorded, allow) if recorded is not None else {}  # type: ignore[assignment]  # arguments are a dict
    signature = job.signature()
    known = signature.parameters
    required = [
        name
        for name, one in known.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    added = [name for name in required if name not in given and name not in job.mark.ignore]
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
    for name, one in known.items():
        value: Any = given.get(name, None if name in job.mark.ignore else one.default)
        if one.kind is one.VAR_POSITIONAL:
            args.extend(value if name in given else ())
        elif one.kind is one.VAR_KEYWORD:
            kwargs.update(value if name in given else {})
        elif one.kind is one.KEYWORD_ONLY:
            kwargs[name] = value
        else:
            args.append(value)
    return tuple(args), kwargs
