"""Applications by name: where a replay finds the one that answered a recorded request.

An application is a module's variable, or what a function without arguments makes ("module:app",
"module:create_app()"). A trace is untrusted: only modules that ``jobs`` names are looked at.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import FrameType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from tracediff import values
from tracediff.errors import ReplayError
from tracediff.frameworks import naming
from tracediff.recording.faults import brief
from tracediff.recording.runs import Run

APPLICATION = "application"
"""The context field that names the application."""

_CLASSES = frozenset({"FastAPI", "Flask", "Middleware", "Starlette"})
_LIBRARIES = frozenset({"fastapi", "flask", "starlette", "tracediff"})
_HOOKED = "__tracediff_hooked__"
_makers: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_names: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()


def hook_made(kind: Any) -> None:
    """Remember where applications of a class are made, once."""
    real = kind.__init__
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        note_made(self)

    setattr(made, _HOOKED, True)
    kind.__init__ = made


def note_made(application: Any) -> None:
    """Remember the function that makes an application, which its caller's caller does."""
    config = naming.settings()
    if config is None:
        return
    allow = values.Allow(config.jobs)
    frame: FrameType | None = sys._getframe(1)
    maker = None
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        code = frame.f_code
        if module.partition(".")[0] not in _LIBRARIES:
            if not allow.permits(module):
                break
            if code.co_name not in ("<module>", "__init__") and "<" not in code.co_qualname:
                maker = f"{module}:{code.co_qualname}()"
        frame = frame.f_back
    if maker is not None:
        _makers[application] = maker


def name_of(application: Any) -> str | None:
    """The name of an application; None where it has none."""
    try:
        if application not in _names:
            _names[application] = _variable(application) or _makers.get(application)
        return _names[application]
    except TypeError:  # it has no hash, or cannot be referred to weakly
        return _variable(application)


def told(begun: Run, application: Any) -> None:
    """Say in a trace which application answered."""
    try:
        name = name_of(application)
    except Exception as error:  # a module of any kind
        begun.buffer.warn(f"the application cannot be named: {brief(error)}")
        return
    if name is None:
        begun.buffer.warn(
            "the application is no variable of a module, and no function without arguments made "
            "it: this trace cannot be replayed"
        )
    else:
        begun.buffer.context[APPLICATION] = name


def find_application(name: str, allow: values.Allow) -> Any:
    """The application of a name, made if a function makes it.

    Raises:
        ReplayError: ``job-not-allowed``, ``job-not-importable``.
    """
    module, _, path = name.partition(":")
    if not allow.permits(module):
        raise ReplayError(
            f"the trace names the application {name}, which is in no module that may be replayed",
            slug="job-not-allowed",
            hint=f'if it is yours, add it: jobs = ["{module}"] in [tool.tracediff]',
        )
    try:
        found: Any = importlib.import_module(module)
        for part in path.removesuffix("()").split("."):
            found = vars(found)[part]
        if not path.endswith("()"):
            return found
        if not _makes_application(found, module):
            raise TypeError("it is no function of this module that makes an application")
        return found()
    except Exception as error:
        raise ReplayError(
            f"the application {name} cannot be had: {type(error).__name__}: {error}",
            slug="job-not-importable",
            hint="it has to be there, or to be made, where the replay runs",
        ) from error


def _makes_application(function: Any, module: str) -> bool:
    """Whether a function looks like one that makes applications: a trace may name any."""
    if not isinstance(function, FunctionType) or function.__module__ != module:
        return False
    names = set(function.__code__.co_names)
    return "app" in function.__name__.lower() or not _CLASSES.isdisjoint(names)


def _variable(application: Any) -> str | None:
    """The module's variable that an application is; of several one that ``jobs`` names."""
    config = naming.settings()
    allow = values.Allow(config.jobs if config is not None else ())
    found = None
    modules: dict[str, Any] = dict(sys.modules)  # in which a program may put anything
    for name, module in modules.items():
        if not isinstance(module, ModuleType):
            continue
        for variable, value in list(vars(module).items()):
            if value is application:
                where = f"{values.module_name(name)}:{variable}"
                if allow.permits(where.partition(":")[0]):
                    return where
                found = found or where
    return found
