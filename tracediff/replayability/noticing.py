"""What a replayed job reads for real, seen by Python's own hooks.

An audit hook sees the network, programs, files and databases. Where more is wanted, a profile
function sees the clock, chance, threads and drivers that reach the network by themselves. Neither
changes what the job does. An audit hook cannot be removed: this is for processes that end.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final

from tracediff import runtime
from tracediff.recording.propagation import propagate
from tracediff.recording.serving import position
from tracediff.recording.spans import Span
from tracediff.replay.guard import refusal
from tracediff.replayability.evidence import Reading
from tracediff.replayability.leftovers import Leftovers
from tracediff.replayability.stack import Caller, Stacks

MOST: Final = 500
"""How many different readings of a replay are kept."""

DRIVERS = frozenset("psycopg psycopg2 MySQLdb oracledb pyodbc".split())
"""Libraries whose own C code speaks to servers: no audit hook sees it."""

BY_LIBRARY: Final = "tracediff.recording.libraries"
"""Stands among the modules of a call that an input of the setting ``inputs`` made."""

_CLOCK = frozenset("time time_ns now utcnow today localtime gmtime".split())
_HOST = frozenset("getpid gethostname uname cpu_count getlogin getppid getcwd".split())
_STATUS = frozenset("stat lstat access".split())
_LISTING = frozenset({"os.listdir", "os.scandir"})
_CHANGING = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate"})
_NOT_FILES = ("/dev/", "/proc/", "/sys/", "/usr/share/zoneinfo", "/usr/share/locale")
_LINES = frozenset({"linecache", "tokenize", "traceback", "inspect", "importlib", "zipimport"})
_MAPPINGS = frozenset({"os", "collections.abc", "_collections_abc", "typing"})


class Noticing:
    """Notices what a job reads. To be made before anything is replayed or imported for it.

    Args:
        stacks: Tells whose code is whose.
    """

    def __init__(self, stacks: Stacks) -> None:
        self.stacks = stacks
        self._found: dict[tuple[Any, ...], Reading] = {}
        self._made: set[str] = set()
        self._set: set[str] = set()
        self._inside = threading.local()
        self._left: Leftovers | None = None
        self._calls: dict[CodeType, Callable[[FrameType], None]] = {}
        sys.addaudithook(self._audited)  # before that of the guard, which raises
        self._watch_environment()

    @contextlib.contextmanager
    def watching(self, *, watched: bool) -> Iterator[None]:
        """Around a replay: notice what needs a profile function as well, if that is wanted."""
        if not watched:
            yield
            return
        self._left = Leftovers(self.stacks)
        self._left.begin()
        self._calls = self._interesting()
        threading.setprofile(self._profiled)
        sys.setprofile(self._profiled)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def readings(self) -> list[Reading]:
        """What was noticed, in order."""
        changed = self._left.changed() if self._left is not None else ()
        return [*self._found.values(), *changed]

    def _quietly(self, note: Callable[..., None], *arguments: Any) -> None:
        """Note something while the job runs; whatever goes wrong is none of the job's."""
        guard = runtime.guard
        if guard is None or not guard.begun or getattr(self._inside, "on", False):
            return
        self._inside.on = True
        try:
            note(*arguments)
        except Exception:  # noqa: BLE001, S110 - evidence is lost, the replay is not
            pass
        finally:
            self._inside.on = False

    def _note(self, kind: str, what: str, caller: Caller, more: str = "") -> None:
        if caller.by_tool or len(self._found) >= MOST:
            return
        here = runtime.current.get()
        step = position(here) if isinstance(here, Span) else -1
        key = (kind, what, step, caller.place)
        self._found.setdefault(
            key,
            Reading(kind=kind, what=what[:400], step=step, place=caller.place,
                    modules=caller.modules, more=more),
        )  # fmt: skip

    # What the audit hook sees.

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _AUDITED:
            self._quietly(self._note_event, event, arguments, sys._getframe(1))  # noqa: SLF001 - whose code it is

    def _note_event(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        if event == "open":
            self._note_open(arguments, frame)
        elif event in _LISTING:
            self._note_path("directory", arguments[0], frame)
        elif event in _CHANGING:
            self._note_path("file changed", arguments[0], frame)
        elif event == "sqlite3.connect":
            self._note_database(arguments[0], frame)
        else:
            refused = refusal(event, arguments)
            if refused is not None:
                kind = "network" if event.startswith("socket") else "program"
                self._note(kind, refused, self.stacks.caller(frame))

    def _note_open(self, arguments: tuple[Any, ...], frame: FrameType) -> None:
        path, mode, flags = arguments
        if isinstance(path, int) or path is None:
            return
        if isinstance(mode, str):
            writes, reads = any(one in mode for one in "wax+"), "r" in mode or "+" in mode
        else:
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else False
            reads = not writes
        if writes:
            self._made.add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - a text
            self._note_path("file written", path, frame, "" if mode else "os.open")
        elif reads:
            self._note_path("file", path, frame, "" if mode else "os.open")

    def _note_path(self, kind: str, path: Any, frame: FrameType, more: str = "") -> None:
        if isinstance(path, int) or path is None:
            return
        text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a text
        if kind in ("file", "directory") and not self._is_outside(text):
            return
        caller = self.stacks.caller(frame)
        if not _is_python_reading(caller):
            self._note(kind, text, caller, more)

    def _is_outside(self, path: str) -> bool:
        """Whether a path is neither the project's nor Python's, nor was made by the job."""
        if path in self._made or any(path.startswith(f"{one}{os.sep}") for one in self._made):
            return False
        if path.startswith(_NOT_FILES) or path.endswith((".pyc", ".so")):
            return False
        if self.stacks.is_installed(os.path.realpath(path)):
            return False
        return self.stacks.relative(path) is None and self.stacks.relative(f"{path}/x") is None

    def _note_database(self, name: Any, frame: FrameType) -> None:
        text = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
        if text and ":memory:" not in text and "mode=memory" not in text:
            self._note("database", text, self.stacks.caller(frame))

    # What is read of the environment.

    def _watch_environment(self) -> None:
        environment: Any = os.environ
        encode, decode = environment.encodekey, environment.decodekey

        def encodekey(name: Any) -> Any:
            self._quietly(self._note_variable, name, sys._getframe(1))  # noqa: SLF001 - whose code it is
            return encode(name)

        def decodekey(name: Any) -> Any:
            self._quietly(self._note_variable, "", sys._getframe(1))  # noqa: SLF001 - whose code it is
            return decode(name)

        environment.encodekey, environment.decodekey = encodekey, decodekey

    def _note_variable(self, name: Any, frame: FrameType) -> None:
        if frame.f_code.co_name in ("__setitem__", "__delitem__"):
            self._set.add(str(name))
            return
        if name in self._set:
            return
        outer: FrameType | None = frame
        while outer is not None and outer.f_globals.get("__name__") in _MAPPINGS:
            if outer.f_code.co_name in ("__iter__", "items", "copy"):
                name = ""  # all of them
            outer = outer.f_back
        caller = self.stacks.caller(outer)
        if not caller.by_python:
            self._note("variable", str(name) or "all of them", caller)

    # What only a profile function sees.

    def _interesting(self) -> dict[CodeType, Callable[[FrameType], None]]:
        found: dict[CodeType, Callable[[FrameType], None]] = {
            runtime.ReplayAbort.__init__.__code__: self._note_abort,
            threading.Thread.start.__code__: self._note_thread,
            random.Random.seed.__code__: self._note_seeding,
        }
        pools: Any = sys.modules.get("concurrent.futures.thread")
        if pools is not None:
            found[pools.ThreadPoolExecutor.submit.__code__] = self._note_submit
        return found

    def _profiled(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            note = self._calls.get(frame.f_code)
            if note is not None:
                self._quietly(note, frame)
            elif frame.f_code.co_name == "connect":
                self._quietly(self._note_driver, frame, frame.f_globals.get("__name__"))
        elif event == "c_call":
            name = getattr(argument, "__name__", "")
            if name in _NAMES:
                self._quietly(self._note_builtin, frame, name, argument)
            elif name in ("connect", "_connect"):
                self._quietly(self._note_driver, frame, getattr(argument, "__module__", ""))

    def _note_driver(self, frame: FrameType, module: object) -> None:
        top = str(module).partition(".")[0]
        if top in DRIVERS:
            self._note("driver", top, self.stacks.caller(frame))

    def _note_builtin(self, frame: FrameType, name: str, builtin: Any) -> None:
        caller = self.stacks.caller(frame)
        owner = getattr(builtin, "__self__", None)
        if name in ("random", "getrandbits"):
            if owner is random.choice.__self__:  # type: ignore[attr-defined]  # the hidden one
                self._note("random", "random", caller)
        elif type(owner).__module__.startswith("numpy.random"):
            self._note("numpy", "numpy.random", caller)
        elif name == "urandom":
            self._note(*_chance(frame), caller)
        elif caller.place is None:
            return  # what a library asks by itself hardly reaches a result
        elif name in _CLOCK:
            if caller.by_python not in _LINES | {"logging", "asyncio.base_events", "threading"}:
                self._note("clock", _clock(owner, name), caller)
        elif name in _HOST:
            if not caller.by_python:
                self._note("host", f"os.{name}" if name != "gethostname" else "socket.gethostname",
                           caller)  # fmt: skip
        elif name in _STATUS and not _is_python_reading(caller):
            self._note("status", f"os.{name}", caller)

    def _note_seeding(self, frame: FrameType) -> None:
        if frame.f_locals.get("a") is None:
            caller = self.stacks.caller(frame)
            if caller.by_python == "random":
                self._note("unseeded", "random.Random()", caller)

    def _note_abort(self, frame: FrameType) -> None:
        caller = self.stacks.caller(frame.f_back)
        slug, said = frame.f_locals.get("slug", ""), str(frame.f_locals.get("message", ""))
        held = self._left.holding(caller.codes) if self._left is not None else ""
        by = (BY_LIBRARY,) if _is_by_library(frame) else ()
        self._note("abort", f"{slug} {said}", Caller(caller.place, by), held)

    def _note_thread(self, frame: FrameType) -> None:
        target = getattr(frame.f_locals.get("self"), "_target", None)
        self._note_handed("start", target, frame)

    def _note_submit(self, frame: FrameType) -> None:
        self._note_handed("submit", frame.f_locals.get("fn"), frame)

    def _note_handed(self, how: str, function: Any, frame: FrameType) -> None:
        function = getattr(function, "func", function)
        caller = self.stacks.caller(frame)
        if caller.place is not None and type(function) is not _PROPAGATED:
            self._note("thread", how, caller, getattr(function, "__qualname__", ""))


_PROPAGATED = type(propagate(lambda: None))
_NAMES = _CLOCK | _HOST | _STATUS | {"random", "getrandbits", "urandom"} | {
    "random_sample", "rand", "randn", "randint", "normal", "choice", "shuffle", "permutation",
    "uniform", "standard_normal", "poisson", "exponential", "binomial", "integers",
}  # fmt: skip
_AUDITED = frozenset(
    {"open", "sqlite3.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn",
     "pty.spawn", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
     "socket.gethostbyname", "socket.gethostbyaddr", "socket.bind", *_LISTING, *_CHANGING}
)  # fmt: skip


def _is_by_library(frame: FrameType) -> bool:
    """Whether an input is one of the setting ``inputs``, rather than of a decorator."""
    outer: FrameType | None = frame
    while outer is not None:
        name = outer.f_globals.get("__name__") or ""
        if name.startswith(f"{BY_LIBRARY}."):
            return True
        if name.partition(".")[0] != "tracediff":
            return False
        outer = outer.f_back
    return False


def _is_python_reading(caller: Caller) -> bool:
    """Whether Python reads it to import, or to show lines of code."""
    return caller.by_python.partition(".")[0] in _LINES


def _chance(frame: FrameType) -> tuple[str, str]:
    """What the system's randomness was asked for by: the function that the program called."""
    outer: FrameType | None = frame
    found = "secrets", "os.urandom"
    while outer is not None:
        name = outer.f_globals.get("__name__")
        if name in ("uuid", "secrets"):
            found = name, f"{name}.{outer.f_code.co_name}"
        elif name not in ("random", "os"):
            break
        outer = outer.f_back
    return found


@functools.cache
def _clock(owner: Any, name: str) -> str:
    prefix = owner.__name__ if isinstance(owner, type) else "time"
    return f"{prefix}.{name}"
