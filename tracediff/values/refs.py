"""Names of classes and functions: "module:qualname", read without running anybody's code."""

from __future__ import annotations

import sys
import types
from pathlib import PurePath
from typing import Any

_mro = type.__dict__["__mro__"].__get__
_namespace = type.__dict__["__dict__"].__get__
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_cache: dict[int, tuple[type, str]] = {}
_CACHE_SIZE = 4096


def mro(cls: type) -> tuple[type, ...]:
    """The classes ``cls`` inherits from, itself first, whatever its metaclass pretends."""
    found: tuple[type, ...] = _mro(cls)
    return found


def namespace(cls: type) -> Any:
    """The class's own ``__dict__``, whatever its metaclass pretends."""
    return _namespace(cls)


def class_attribute(cls: type, name: str) -> Any:
    """The class attribute as it is stored (no descriptor is called), or None."""
    for base in mro(cls):
        found = namespace(base).get(name)
        if found is not None:
            return found
    return None


def type_ref(cls: type) -> str:
    """Return "module:qualname"; ``__main__`` becomes the module's real name where it is known."""
    known = _cache.get(id(cls))
    if known is not None and known[0] is cls:
        return known[1]
    module = module_of(cls)
    ref = clean(f"{real_module(module)}:{_qualname(cls)}")
    if len(_cache) >= _CACHE_SIZE:
        _cache.clear()
    _cache[id(cls)] = (cls, ref)
    return ref


def module_of(cls: type) -> str:
    """The name of the module that defines the class, "?" where it does not say."""
    try:
        module = _module(cls)
    except AttributeError:
        return "?"
    return module if type(module) is str else "?"


def clean(text: str) -> str:
    """The text without lone surrogates, which a name should not have but may."""
    return text.encode("utf-8", "backslashreplace").decode()


def real_module(name: str) -> str:
    """The importable name of ``__main__``; any other name as it is.

    ``__mp_main__`` is what multiprocessing calls it, in the processes that it starts alone.
    """
    if name not in ("__main__", "__mp_main__"):
        return name
    spec = getattr(sys.modules.get(name), "__spec__", None)
    known = getattr(spec, "name", None)
    if isinstance(known, str) and known != name:
        return known
    file = main_file(name)
    return PurePath(file).stem if file else name


def main_file(name: str = "__main__") -> str | None:
    """The file of ``__main__``; Python takes its ``__file__`` away when the script has ended."""
    main = sys.modules.get(name)
    file = getattr(main, "__file__", None) or getattr(
        getattr(main, "__loader__", None), "path", None
    )
    return file if isinstance(file, str) and file else None


def global_ref(obj: Any) -> str | None:
    """The "module:qualname" of a function or class that this name leads back to, else None."""
    if isinstance(obj, type):
        module, qualname = module_of(obj), _qualname(obj)
    else:
        module, qualname = obj.__module__, obj.__qualname__
    if type(module) is not str or type(qualname) is not str:
        return None
    found: Any = sys.modules.get(module)
    if type(found) is not types.ModuleType:
        return None
    for part in qualname.split("."):
        space = namespace(found) if isinstance(found, type) else getattr(found, "__dict__", {})
        if part not in space:
            return None
        found = space[part]
        if type(found) in {staticmethod, classmethod}:
            found = found.__func__
    return clean(f"{real_module(module)}:{qualname}") if found is obj else None
