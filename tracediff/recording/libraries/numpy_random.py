"""``numpy.random``: where a generator starts is an input, once; no draw is.

Entropy that numpy asks the system for is an input, so that a generator which the job makes without
a seed draws the same numbers in a replay, at no cost a draw. One that was there before the job (the
global one of ``numpy.random.normal``, one that a module made) is put into the state that it had
when the job first drew from it, and again whenever somebody else has drawn in between.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import bit_generator, mtrand

from tracediff import values
from tracediff.config import Config
from tracediff.recording.faults import brief
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here
from tracediff.recording.spans import Span
from tracediff.runtime import ReplayAbort, current

_KEY = "numpy.random"
_OWN = frozenset({__name__})
_NOBODY = object()
_BOUNDS = {"pos": 624, "buffer_pos": 4}
"""What numpy takes for an index into its own memory, and does not look at."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    # A name of its own, which numpy looks up at each call; the type stubs do not know it.
    namespace: Any = bit_generator
    yield Patch(namespace, "randbits", _entropy(namespace.randbits))
    yield Patch(np.random, "default_rng", _making(np.random.default_rng), everywhere=True)
    before: Any = mtrand._rand  # noqa: SLF001 - libraries use it too
    shared = _watching(before)
    yield Patch(mtrand, "_rand", shared)
    for name in _public(np.random.RandomState):
        if getattr(getattr(np.random, name, None), "__self__", None) is before:
            yield Patch(np.random, name, getattr(shared, name), everywhere=True)
    yield from _found({id(before): shared})


def loaded() -> None:
    """Watch the generators of modules that were imported since; a replay imports the job's."""
    for patch in _found({}):
        setattr(patch.owner, patch.name, patch.instead)


def _found(known: dict[int, Any]) -> Iterator[Patch]:
    """The generators among the global names of the program's modules."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("numpy", "tracediff"):
            continue
        if type(module) is not ModuleType:  # a lazy one would be loaded by the look
            continue
        for held, value in list(vars(module).items()):
            if type(value) in _WATCHED:
                if id(value) not in known:
                    known[id(value)] = _watching(value)
                yield Patch(module, held, known[id(value)])


# --- what the system is asked for -----------------------------------------------------------------


def _entropy(real: Callable[[int], int]) -> Callable[[int], int]:
    def seed(bits: int) -> int:
        return real(bits)

    reach = Reach("input", "numpy.random seed", seed)

    @functools.wraps(real)
    def randbits(k: int) -> int:
        parent = recorded_here()
        if parent is None or asked_by_python(_OWN):
            return real(k)
        return reach(parent, k)  # type: ignore[no-any-return]  # a recorded int

    return randbits


def _making(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def default_rng(seed: Any = None) -> Any:
        made = real(seed)
        if recorded_here() is not None or type(made) is not np.random.Generator:
            return made
        return _watching(made, sys._getframe(1).f_globals.get("__name__"))  # noqa: SLF001 - who calls

    return default_rng


# --- generators that were there before ------------------------------------------------------------


def _where(generator: str, after: str) -> None:
    """A state: of which generator, and in which input somebody drew from it before, if in one."""


STATE = Reach("input", "numpy.random state", _where)


def _public(kind: type) -> list[str]:
    return [name for name in dir(kind) if name[0] != "_" and callable(getattr(kind, name))]


class _Watched:
    """A generator that asks for its state where the job first draws from it."""

    _owner: object = _NOBODY  # the trace that drew last, if nobody else has since
    _module: str | None = None
    _known: str | None = None
    _after: str | None = None  # the input or output in which somebody drew last
    _replay: object = None
    _seen: int = 0  # how many spans of that replay were looked at

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _put(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def _drawing(self) -> None:
        parent = recorded_here()
        if parent is None:
            self._owner = _NOBODY
            self._after = _end()
            return
        buffer = parent.buffer
        drawn = buffer.server is not None and self._was_drawn(parent)
        if drawn or self._owner is not buffer.reached.get(_KEY):
            self._take(parent)

    def _was_drawn(self, parent: Span) -> bool:
        """Whether an input drew from it in the recording; a replay serves that and runs it not."""
        buffer, token = parent.buffer, _token(parent)
        if self._replay is not token:
            self._replay, self._seen = token, 0
        spans, start = buffer.spans, self._seen
        self._seen = len(spans)
        for span in spans[start:]:
            if span.mark.kind in ("input", "output") and span.mark is not STATE.mark:
                asked = values.encode({"generator": self._name(), "after": span.mark.name})
                if buffer.server is not None and asked in buffer.server.recorded(STATE.mark.name):
                    self._after = span.mark.name
                    return True
        return False

    def _seeded(self) -> None:
        """The program has said where it starts."""
        parent = recorded_here()
        self._owner = _NOBODY if parent is None else _token(parent)

    def _take(self, parent: Span) -> None:
        if asked_by_python(_OWN):
            self._owner = _NOBODY
            return
        buffer = parent.buffer
        try:
            asked = (self._name(), *([self._after] if self._after else []))
            state = STATE(parent, *asked, run=lambda *asked: self._state())
        except Exception as error:  # a recorder never breaks the job
            if buffer.server is not None:
                raise
            buffer.warn(f"the state of a generator of numpy is not recorded: {brief(error)}")
            return
        if buffer.server is not None and state is not None:  # None is a stub
            self._start(state)
        self._owner, self._after = _token(parent), None

    def _start(self, state: Any) -> None:
        """Go on where the recording did."""
        try:
            _check(state)
            self._put(state)
        except Exception as error:  # whatever the trace, which is not trusted, holds
            raise ReplayAbort(
                f"the generator {self._name()!r} cannot take the recorded state: {brief(error)}",
                slug="input-not-recorded",
                hint="another kind of generator draws other numbers: record the job again",
            ) from None

    def _name(self) -> str:
        """Where the program keeps it, "module:name"."""
        if self._known is None:
            self._known = _place(self) or f"{values.module_name(self._module or '?')}:?"
        return self._known


def _end() -> str | None:
    """The name of the input or output that runs now."""
    span: Span | None = current.get()
    while span is not None and span.mark.kind not in ("input", "output"):
        span = span.parent
    return None if span is None else span.mark.name


def _token(parent: Span) -> object:
    return parent.buffer.reached.setdefault(_KEY, object())


def _place(generator: object) -> str | None:
    """The first of its names, whatever the order in which modules were imported."""
    if generator is mtrand._rand:  # noqa: SLF001 - as above
        return _KEY
    found = [
        (name == "__main__", values.module_name(name), held)
        for name, module in list(sys.modules.items())
        if type(module) is ModuleType
        for held, value in list(vars(module).items())
        if value is generator
    ]
    return ":".join(min(found)[1:]) if found else None


def _check(state: Any) -> None:
    """Refuse numbers that numpy would follow out of its memory."""
    for name, value in state.items():
        if name in _BOUNDS and not (type(value) is int and 0 <= value <= _BOUNDS[name]):
            raise ValueError(f"{name} is {value!r}")
        if type(value) is dict:
            _check(value)


class _Generator(_Watched, np.random.Generator):
    """One of ``default_rng``'s kind."""

    def _state(self) -> dict[str, Any]:
        return dict(np.random.Generator.bit_generator.__get__(self).state)

    def _put(self, state: dict[str, Any]) -> None:
        np.random.Generator.bit_generator.__get__(self).state = state

    @property
    def bit_generator(self) -> Any:
        """What it draws from: whoever takes it may draw."""
        self._drawing()
        return np.random.Generator.bit_generator.__get__(self)


class _RandomState(_Watched, np.random.RandomState):
    """One of the older kind."""

    def _state(self) -> dict[str, Any]:
        return dict(np.random.RandomState.get_state(self, legacy=False))

    def _put(self, state: dict[str, Any]) -> None:
        np.random.RandomState.set_state(self, state)


_WATCHED: dict[type, type[_Watched]] = {
    np.random.Generator: _Generator,
    np.random.RandomState: _RandomState,
}


def _drawn(real: Any) -> Any:
    @functools.wraps(real)
    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._drawing()
        return real(self, *args, **kwargs)

    return draw


def _seeding(real: Any) -> Any:
    @functools.wraps(real)
    def seed(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = real(self, *args, **kwargs)
        if any(one is not None for one in (*args, *kwargs.values())):
            self._seeded()
        else:  # of the system's entropy, not all of which goes through ``SeedSequence``
            self._owner = _NOBODY
        return found

    return seed


def _cover() -> None:
    for kind, watched in _WATCHED.items():
        # As which they are told in values and in their own texts.
        watched.__name__, watched.__qualname__ = kind.__name__, kind.__qualname__
        watched.__module__ = kind.__module__
        for name in (*_public(kind), "__reduce__", "__getstate__"):
            if name in ("spawn", "bit_generator"):
                continue  # what is spawned is watched itself
            cover = _seeding if name in ("seed", "set_state") else _drawn
            setattr(watched, name, cover(getattr(kind, name)))


_cover()


def _watching(real: Any, module: str | None = None) -> Any:
    """A generator that shares a real one's state, and is watched."""
    if type(real) is np.random.Generator:
        made: Any = _Generator(real.bit_generator)
    else:
        made = _RandomState(real._bit_generator)  # noqa: SLF001 - there is no other way to share it
        np.random.RandomState.set_state(made, real.get_state(legacy=False))
    made._module = module  # noqa: SLF001 - of the class above
    return made
