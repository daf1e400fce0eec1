"""What a replay does before it imports the job's module, and after."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from tracediff import values
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.frameworks import naming, replaying
from tracediff.frameworks.applications import APPLICATION, find_application
from tracediff.frameworks.entries import wait_for_entries
from tracediff.frameworks.importing import importing
from tracediff.frameworks.queueing import FRAMEWORK
from tracediff.frameworks.recorded import SETTINGS
from tracediff.frameworks.watching import bring_hooks, watch
from tracediff.model import Trace
from tracediff.recording.jobs import jobs

_UNMARKED = ("rq", "arq")
ARGUMENTS = {"method", "path", "route", "query", "body", "headers"}
"""The arguments of a request's job, by which its trace is known."""
INVOCATION = {"event", "context"}
"""Those of an invocation's on AWS Lambda."""


def prepare(trace: Trace, config: Config) -> None:
    """Let the jobs of the frameworks be found, and set Django up if the job had it.

    Raises:
        ReplayError: ``django-not-set-up``.
    """
    naming.use(config)
    replaying.use(trace)
    watch()
    wait_for_entries(config.entry)
    importing.stand_first()
    from tracediff.frameworks.project import set_django_up  # most projects have none

    set_django_up(trace, config)


def settle(trace: Trace, config: Config) -> None:
    """Have made known what importing the job's module has only announced.

    Raises:
        ReplayError: ``job-not-importable``.
    """
    bring_hooks()
    _find_unmarked(trace)
    tasks, commands = _hooked("tasks"), _hooked("commands")
    if tasks is not None:
        tasks.make_announced()
    if commands is not None:
        module = sys.modules.get(trace.job.partition(":")[0])
        if module is not None:
            commands.find_command(module)
    if _arguments(trace) == INVOCATION:
        from tracediff.frameworks.handlers import find_handler

        find_handler(trace.job)
    if not _is_request(trace):
        return
    if SETTINGS in trace.context:  # Django is set up
        from tracediff.frameworks.views import find_views

        find_views(values.Allow(config.jobs))
    application = trace.context.get(APPLICATION)
    if application is None and SETTINGS not in trace.context and trace.key not in jobs:
        raise ReplayError(
            f"the trace of {trace.key!r} does not say which application answered the request",
            slug="job-not-importable",
            hint="put the application into a variable of its module, or have a function without "
            "arguments make it, and record again",
        )
    if isinstance(application, str):
        _have_answered(trace, find_application(application, values.Allow(config.jobs)))


def _have_answered(trace: Trace, application: Any) -> None:
    """Have the trace's job done by the application that answered it."""
    flask: Any = sys.modules.get("flask")
    if flask is not None and isinstance(application, flask.Flask):
        from tracediff.frameworks import flask_views

        flask_views.replayed(trace.key, trace.job, application)
        return
    from tracediff.frameworks import answering, asgi_middleware, wsgi_middleware

    if isinstance(application, wsgi_middleware.Middleware):
        wsgi_middleware.replayed(trace.key, trace.job, application.app)
        return
    alone = not isinstance(application, asgi_middleware.Middleware)
    answering.replayed(trace.key, trace.job, application, alone=alone)


def _find_unmarked(trace: Trace) -> None:
    """Make known a function that nothing marks: RQ and arq run any."""
    library = trace.context.get(FRAMEWORK)
    if library not in _UNMARKED:
        return
    try:
        importlib.import_module(str(library))  # before what hooks into it, which waits for it
        tasks = importlib.import_module(f"tracediff.frameworks.{library}")
    except ImportError as error:
        raise ReplayError(
            f"the job ran in a worker of {library}, which cannot be imported: {error}",
            slug="job-not-importable",
            hint=f"install {library}: what the running job says of itself is made with it",
        ) from error
    tasks.hook()
    tasks.find(trace)


def _hooked(name: str) -> Any:
    return sys.modules.get(f"tracediff.frameworks.{name}")


def _arguments(trace: Trace) -> set[Any]:
    """The names of the arguments of a trace's job."""
    args = trace.steps[0].args
    found = values.inert(args) if args is not None else None
    return set(found) if isinstance(found, Mapping) else set()


def _is_request(trace: Trace) -> bool:
    """Whether the trace's job took a request."""
    return _arguments(trace) == ARGUMENTS
