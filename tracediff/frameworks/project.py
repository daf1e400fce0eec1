"""Setting Django up in a replay, when the job had it set up.

Which settings: those that ``DJANGO_SETTINGS_MODULE`` names, else those of the project's
``manage.py``, else those the trace names, if ``jobs`` names their module. A trace is untrusted: it
imports nothing else.
"""

from __future__ import annotations

import os
import re
import sys
from types import ModuleType
from typing import Any

from tracediff import values
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.frameworks.recorded import SETTINGS
from tracediff.model import Trace

VARIABLE = "DJANGO_SETTINGS_MODULE"
_DEFAULT = re.compile(rf"""{VARIABLE}["']\s*,\s*["']([\w.]+)["']""")


def set_django_up(trace: Trace, config: Config) -> None:
    """Set Django up if the job had it set up, once a process.

    Raises:
        ReplayError: ``django-not-set-up``.
    """
    settings = _settings(trace, config)
    wanted = SETTINGS in trace.context
    if settings is None or not (wanted or _was_loaded(settings, trace)):
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = settings
    try:
        _set_up()
    except Exception as error:
        if before is None:
            del os.environ[VARIABLE]
        if wanted:
            raise ReplayError(
                f"the settings {settings} cannot be used: {type(error).__name__}: {error}",
                slug="django-not-set-up",
                hint="the settings have to be readable where the replay runs, or set "
                f"{VARIABLE} to others",
            ) from error


def _set_up() -> None:
    import django
    from django.apps import apps

    if apps.ready and any(
        sys.modules.get(one.module.__name__) is not one.module
        for one in apps.get_app_configs()
        if isinstance(one.module, ModuleType)
    ):
        _forget(apps)
    if not apps.ready:
        django.setup(set_prefix=False)


def _forget(apps: Any) -> None:
    """Let Django load its applications anew, since their modules are."""
    from django.conf import settings
    from django.utils.functional import empty

    settings._wrapped = empty
    apps.app_configs.clear()
    apps.all_models.clear()
    apps._pending_operations.clear()
    apps.stored_app_configs.clear()
    apps.apps_ready = apps.models_ready = apps.loading = apps.ready = False
    apps.ready_event.clear()
    apps.clear_cache()


def _settings(trace: Trace, config: Config) -> str | None:
    given = os.environ.get(VARIABLE)
    if given:
        return given
    try:
        found = _DEFAULT.search((config.root / "manage.py").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or no text
        found = None
    if found is not None:
        return found[1]
    recorded = trace.context.get(SETTINGS)
    if isinstance(recorded, str) and values.Allow(config.jobs).permits(recorded):
        return recorded
    return None


def _was_loaded(settings: str, trace: Trace) -> bool:
    """Whether the settings are among the files that the recorded job's process had loaded."""
    tail = settings.replace(".", "/")
    ends = (f"{tail}.py", f"{tail}/__init__.py")
    return any(file == end or file.endswith(f"/{end}") for file in trace.code.files for end in ends)
