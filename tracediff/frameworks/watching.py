"""Putting the frameworks' hooks in place, each when its framework is imported."""

from __future__ import annotations

import importlib
from types import ModuleType

from tracediff.frameworks.importing import importing, is_imported

_HOOKS = {
    "tasks": ("celery.app.base", "celery.app.task"),
    "sending": ("celery.app.base", "celery.app.task", "celery.canvas", "celery.result"),
    "views": ("django.core.handlers.base",),
    "commands": ("django.core.management.base",),
    "rq": ("rq",),
    "dramatiq": ("dramatiq",),
    "arq": ("arq",),
    "huey": ("huey",),
    "airflow": ("airflow.providers.standard.operators.python",),
    "prefect": ("prefect.tasks",),
    "endpoints": ("starlette.applications",),
    "api_endpoints": ("fastapi.applications",),
    "flask_views": ("flask.app",),
    "handlers": ("awslambdaric.bootstrap",),
    "server_ends": ("uvicorn.server",),
}
"""The modules here that set hooks, and what has to be imported before."""


def watch() -> None:
    """Record the jobs of the frameworks that are imported, now or later."""
    for needed in _HOOKS.values():
        for name in needed:
            importing.when(name, _hook)


def bring_hooks() -> None:
    """Import what a framework that is there imports later, and which its hooks wait for.

    Celery imports its tasks' class when the first task is made: those of ``shared_task`` are
    announced before.
    """
    for first, *later in _HOOKS.values():
        if is_imported(first):
            for name in later:
                importlib.import_module(name)


def _hook(module: ModuleType) -> None:
    from tracediff.recording.session import get_ready  # many a process has no framework

    get_ready()  # the program's modules come after its framework
    for hooks, needed in _HOOKS.items():
        if module.__name__ in needed and all(map(is_imported, needed)):
            importlib.import_module(f"tracediff.frameworks.{hooks}").hook()
