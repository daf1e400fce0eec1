"""What a process runs and reads, seen by Python's own hooks.

Functions that are called are noticed by stamps in their code; modules that are run, files that are
opened and what nobody can follow by an audit hook; names that are imported by a finder that finds
nothing; variables by the one function that all readings of the environment go through. An audit
hook cannot be removed: this is for processes that end.
"""

from __future__ import annotations

import collections.abc
import functools
import os
import posix
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from tracediff.check.stamping import Stamps
from tracediff.check.surroundings import UNREADABLE, Places, data_digest, kind_of, listing_digest
from tracediff.explain.coverage import READING, used

MOST_FILES = 10_000

_OWN = str(Path(__file__).parents[1]) + os.sep
_READS_SOURCES = tuple(
    f"{_OWN}recording{os.sep}{one}.py" for one in ("codeversion", "distributions", "faults")
)
_IMPORTS = "<frozen importlib"
_HARMLESS = frozenset({"ldconfig", "uname"})  # as the guard of replays lets pass
_BEYOND = {
    "subprocess.Popen": "it starts a program", "os.system": "it starts a program",
    "os.exec": "it becomes another program", "os.posix_spawn": "it starts a program",
    "os.fork": "it forks", "os.forkpty": "it forks", "pty.spawn": "it starts a program",
    "socket.connect": "it uses the network", "socket.sendto": "it uses the network",
    "socket.sendmsg": "it uses the network", "socket.bind": "it uses the network",
    "socket.getaddrinfo": "it uses the network", "socket.gethostbyname": "it uses the network",
}  # fmt: skip
_SEEN = frozenset(
    {*READING, *_BEYOND, "exec", "import", "object.__getattr__", "sqlite3.connect",
     "ctypes.dlopen"}
)  # fmt: skip
_PASSING = frozenset(
    {"PWD", "OLDPWD", "SHLVL", "_", "TERM", "COLUMNS", "LINES", "PYTEST_CURRENT_TEST"}
)
_PASSING_BEGIN = ("TRACEDIFF_", "_TRACEDIFF_", "GITHUB_", "RUNNER_", "CI_", "BUILD_", "SSH_")


class Noticing:
    """Notices, as a context that can be entered again, what runs and what is read.

    What was noticed stays noticed: what one replay leaves behind in a process, such as a filled
    cache, is a part of the next.

    Args:
        places: Which files are the project's.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.modules: dict[str, list[CodeType]] = {}
        """What was run of each file as a module."""
        self.whole: set[int] = set()
        """Of these, the ``id`` of those whose functions cannot be told apart."""
        self.stamps = Stamps()
        self.data: dict[str, str] = {}
        """The digest of each file that was opened, as it was then."""
        self.listed: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        """Whether a file was there, of each that somebody asked that of."""
        self.asked: dict[tuple[str, str], None] = {}
        """Directory and name of each import that looked there."""
        self.variables: dict[str, None] = {}
        self.read: dict[int, CodeType] = {}
        """Code of functions that something has looked into."""
        self.doubt = ""
        """What cannot be followed; "" for nothing."""
        self.environment = dict(os.environ)
        self._made: set[str] = set()
        self._states: dict[str, tuple[int, ...]] = {}
        self._active = 0
        self._inside = threading.local()
        self._iterated: set[str] = set()
        self._listen()
        sys.meta_path.insert(0, _Asked(self))
        self._watch_environment()
        self._watch_status()
        self._stamp_imports()

    def __enter__(self) -> None:
        self._active += 1

    def __exit__(self, *_: object) -> None:
        self._active -= 1

    def _stamp_imports(self) -> None:
        known = SourceFileLoader.get_code

        @functools.wraps(known)
        def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
            code = known(loader, fullname)
            if code is None or self.places.ours(str(loader.path)) is None:
                return code
            return self.stamps.stamped(code)

        setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010 - it has an odd type

    def _doubt(self, why: str) -> None:
        self.doubt = self.doubt or why

    def _listen(self) -> None:
        seen, audited = _SEEN, self._audited

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # Called a thousand times in a replay, nearly always for nothing.
            if event in seen and (event != "object.__getattr__" or arguments[1] == "__code__"):
                audited(event, arguments)

        sys.addaudithook(hook)

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._inside, "on", False) or not (self._active or event == "exec"):
            return
        self._inside.on = True
        try:
            self._note(event, arguments, sys._getframe(2))  # noqa: SLF001 - who reads tells why
        except Exception as error:  # noqa: BLE001 - none of it may reach the job
            self._doubt(f"{type(error).__name__} at {event}")
        finally:
            self._inside.on = False

    def _note(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        if event in READING:
            self._note_reading(event, arguments, frame)
        elif event == "exec":
            self._note_exec(arguments[0])
        elif event == "object.__getattr__":
            self._note_look(arguments[0], frame)
        elif event == "sqlite3.connect":
            self._note_database(arguments[0])
        elif event in _BEYOND:
            if not _is_harmless(event, arguments):
                self._doubt(_BEYOND[event])
        else:
            file = arguments[1 if event == "import" else 0]
            if isinstance(file, str) and os.sep in file:
                self._note_use(file, "read")

    def _note_reading(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        path, use = used(event, arguments)
        if path is not None:
            if not _is_import(path, event, frame):
                self._note_use(path, use)
        elif event != "open" and "shutil" not in frame.f_code.co_filename:
            self._doubt("it lists a directory by its descriptor")

    def _note_use(self, path: str, use: str) -> None:
        full = self.places.ours(path)
        if full is None or full in self._made or use == "add":
            return
        if use == "make":
            if full not in self.data:
                self._made.add(full)
            return
        known, digest = (self.listed, listing_digest) if use == "list" else (self.data, data_digest)
        state = _state(full)
        if full in known and self._states.get(full) == state:
            return
        self._states[full] = state
        found = digest(full)
        if known.setdefault(full, found) != found or found == UNREADABLE:
            self._doubt("it reads what changes meanwhile, or is too large")
        if self._full():
            self._doubt("it reads too many files")

    def note_file(self, full: str) -> None:
        """Code of a file ran that was never run as a module."""
        self._inside.on = True
        try:
            self._note_use(full, "read")
        finally:
            self._inside.on = False

    def note_name(self, name: str, places: Sequence[object]) -> None:
        """A module is looked for in some directories."""
        self._inside.on = True
        try:
            for place in places:
                if isinstance(place, str):
                    full = self.places.ours(place or os.getcwd())  # noqa: PTH109 - a text
                    if full is not None:
                        self.asked.setdefault((full, name))
        finally:
            self._inside.on = False

    def _full(self) -> bool:
        return len(self.data) + len(self.listed) + len(self.kinds) >= MOST_FILES

    def _note_exec(self, code: object) -> None:
        if not isinstance(code, CodeType) or code.co_name != "<module>":
            return
        full = self.places.ours(code.co_filename)
        if full is not None and code.co_filename.endswith(".py") and os.path.exists(full):  # noqa: PTH110 - a text
            original = self.stamps.original(code)
            known = self.modules.setdefault(full, [])
            if not any((original or code) is one for one in known):
                known.append(original or code)
            if original is None:
                self.whole.add(id(code))

    def _note_look(self, function: object, frame: FrameType) -> None:
        """Somebody looks into a function, and may make something of it that runs unseen.

        They are given what it is without a stamp: the value is read after this.
        """
        who = frame.f_code.co_filename
        if who.startswith((_OWN, _STANDARD)) and "site-packages" not in who:
            return
        if isinstance(function, FunctionType):
            code = function.__code__
            original = self.stamps.original(code)
            if original is not None:
                function.__code__ = original
            self.read[id(original or code)] = original or code

    def _note_database(self, name: object) -> None:
        text = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
        if text.startswith("file:"):
            text = text[5:].partition("?")[0]
            if text.startswith("//"):
                text = "/" + text[2:].partition("/")[2]
        if text and text != ":memory:":
            for one in (text, f"{text}-wal"):
                self._note_use(one, "read")

    def _watch_environment(self) -> None:
        environment: Any = os.environ
        encode, decode = environment.encodekey, environment.decodekey

        def encodekey(name: Any) -> Any:
            if self._active and isinstance(name, str) and not _is_own_reading():
                self._note_variable(name)
            return encode(name)

        def decodekey(name: Any) -> Any:
            found = decode(name)
            if self._active and not _is_own_reading():
                self._iterated.add(found)
            return found

        environment.encodekey, environment.decodekey = encodekey, decodekey

    def _watch_status(self) -> None:
        """Asking whether a file is there is no audit event."""
        supported = (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks,
                     os.supports_effective_ids)  # fmt: skip
        for name in ("stat", "lstat", "access"):
            asked = self._asking(getattr(posix, name))
            for those in supported:
                if getattr(posix, name) in those:
                    those.add(asked)
            setattr(os, name, asked)

    def _asking(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(ask)
        def asked(path: Any, *args: Any, **kwargs: Any) -> Any:
            if self._active and type(path) is not int and not getattr(self._inside, "on", False):
                self._note_kind(path, sys._getframe(1))  # noqa: SLF001 - as in the audit hook
            return ask(path, *args, **kwargs)

        return asked

    def _note_kind(self, path: Any, frame: FrameType) -> None:
        self._inside.on = True
        try:
            if frame.f_code.co_filename.startswith(_OWN):
                return
            full = self.places.ours(os.fsdecode(path))
            if full is None or full in self._made or "__pycache__" in full:
                return
            if f"{self.places.root}/".startswith(f"{full}/"):
                return  # the project is there
            if full not in self.kinds and full not in self.data:
                self.kinds[full] = kind_of(full)
                if self._full():
                    self._doubt("it reads too many files")
        except Exception:  # noqa: BLE001 - whoever asked hears what is wrong with the path
            return
        finally:
            self._inside.on = False

    def _note_variable(self, name: str) -> None:
        """Who reads all variables does not mean those that are others in every run."""
        iterated = name in self._iterated
        self._iterated.discard(name)
        if name.startswith(_PASSING_BEGIN[:2]):
            return
        if iterated and (name in _PASSING or name.startswith(_PASSING_BEGIN)):
            return
        self.variables.setdefault(name)


def _is_own_reading() -> bool:
    """Whether tracediff itself reads the environment."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - who reads tells why
    while frame is not None and frame.f_code.co_filename in _OF_MAPPINGS:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_OWN)


_STANDARD = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - a text
_OF_MAPPINGS = frozenset({os.__file__, str(collections.abc.__file__), "<frozen os>",
                          "<frozen _collections_abc>"})  # fmt: skip
_OF_LINES = tuple(f"{os.sep}{one}.py" for one in ("linecache", "tokenize", "traceback"))


class _Asked:
    """Notes where imports look for names, and finds nothing."""

    def __init__(self, noticing: Noticing) -> None:
        self._noticing = noticing

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> None:
        noticing = self._noticing
        tail = name.rpartition(".")[2]
        if " " in tail or "=" in tail:
            return
        noticing.note_name(tail, list(sys.path) if path is None else list(path))


def _is_import(path: str, event: str, frame: FrameType) -> bool:
    """Whether the import system reads it, or tracediff to tell which code it was."""
    if path.endswith(".pyc") and "__pycache__" not in path:
        return False  # a module without a source
    who = frame.f_code.co_filename
    if who.startswith(_IMPORTS) or who.startswith(_READS_SOURCES):
        return True
    if event != "open":
        return "importlib" in who  # it looks for distributions, which count in any case
    place: FrameType | None = frame
    while place is not None and place.f_code.co_filename.endswith(_OF_LINES):
        place = place.f_back
    return place is not None and place.f_code.co_filename.startswith(_READS_SOURCES)


def _is_harmless(event: str, arguments: tuple[Any, ...]) -> bool:
    return event == "subprocess.Popen" and _program(arguments) in _HARMLESS


def _state(path: str) -> tuple[int, ...]:
    try:
        found = posix.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _program(arguments: tuple[Any, ...]) -> str:
    first = arguments[0] if arguments[0] is not None else arguments[1]
    if isinstance(first, (list, tuple)) and first:
        first = first[0]
    return os.fsdecode(first).rsplit("/", 1)[-1] if isinstance(first, (str, bytes)) else ""
