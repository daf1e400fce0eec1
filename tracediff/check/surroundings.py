"""What a replay depends on beside its trace, as units that can be looked at again at any time.

A unit is a file (relative to the project where it lies in it), what is meant of it, and its digest:

    ("shop/rates.py", "code ", …)         what importing a module runs
    ("shop/rates.py", "code price", …)    the body of one of its functions
    ("shop/rates.py", "lines", …)         its code with line numbers
    ("rates.json", "data", …)             a file's bytes; "" where there is none
    ("shop/plugins", "list", …)           which names a directory holds
    ("shop", "names a=module b=", …)      what imports of these names find in it
    ("flag", "kind", "file")              whether there is a file or a directory
    ("", "environment HOME LANG", …)      variables as the process was started with them
    ("", "python" | "tracediff" | "distributions" | "settings", …)
"""

from __future__ import annotations

import functools
import os
import stat
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import xxhash

from tracediff.check.codeunits import LINES, ModuleCode, read_module
from tracediff.config import Config
from tracediff.recording.distributions import installed

Unit = tuple[str, str, str]

CODE = "code "
LIST = "list"
DATA = "data"
KIND = "kind"
NAMES = "names "
ENVIRONMENT = "environment "

UNREADABLE = "?"
"""The digest of what cannot be looked at: it is never what it was."""

_MOST_BYTES = 1 << 26
_PASSING = ("__pycache__", ".tracediff", ".tracediff-tests", ".git")
_OWN = Path(__file__).parents[1]


class Places:
    """Which files are the project's: neither Python's own nor an installed distribution's.

    Args:
        root: The project's directory, to which names are relative.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._standard = tuple(
            f"{os.path.realpath(sysconfig.get_path(one))}{os.sep}"
            for one in ("stdlib", "platstdlib")
        )
        self._known: dict[str, str | None] = {}
        self._tops: dict[tuple[str, ...], frozenset[str]] = {}

    def ours(self, path: str) -> str | None:
        """The full path of a file of the project's; None for another's, and for devices."""
        full = os.path.abspath(path)  # noqa: PTH100 - links stay as the job wrote them
        if full not in self._known:
            self._known[full] = full if self._is_ours(full) else None
        return self._known[full]

    def _is_ours(self, full: str) -> bool:
        real = os.path.realpath(full) + os.sep  # a directory itself is as what lies in it
        if real.startswith((f"{_OWN}{os.sep}", "/dev/", "/proc/self/", f"/proc/{os.getpid()}/")):
            return False
        for marker in ("site-packages", "dist-packages"):
            before, inside, below = real.rpartition(f"{os.sep}{marker}{os.sep}")
            if inside:
                return not self._owned(f"{before}{os.sep}{marker}", below)
        return not real.startswith(self._standard)

    def _owned(self, place: str, below: str) -> bool:
        top = below.partition(os.sep)[0]
        if (place,) not in self._tops:
            self._tops[place,] = frozenset(
                one for _, _, tops in installed((place,)) for one in tops
            )
        return (
            top.endswith((".dist-info", ".egg-info", ".pth"))
            or top in ("", "__pycache__")
            or top.partition(".")[0] in self._tops[place,]
        )

    def short(self, full: str) -> str:
        """A path as units name it."""
        prefix = self.root + os.sep
        if full == self.root:
            return "."
        return full.removeprefix(prefix)

    def full(self, short: str) -> str:
        """The path that a unit names."""
        return os.path.normpath(os.path.join(self.root, short))  # noqa: PTH118 - a text


class Current:
    """The digests of units as things are now; each is found once.

    Args:
        config: The project's settings.
        environment: The variables that count.
    """

    def __init__(self, config: Config, environment: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._places = Places(config.root)
        self._environment = dict(os.environ if environment is None else environment)
        self._known: dict[tuple[str, str], str] = {}
        self._modules: dict[str, ModuleCode | None] = {}

    def digest(self, file: str, name: str) -> str:
        """The digest that a unit has now; "?" where nobody can tell."""
        if (file, name) not in self._known:
            try:
                self._known[file, name] = self._digest(file, name)
            except (ValueError, RecursionError, MemoryError):  # a path with NUL
                self._known[file, name] = UNREADABLE
        return self._known[file, name]

    def _digest(self, file: str, name: str) -> str:
        if not file:
            return self._surrounding(name)
        path = self._places.full(file)
        if name == DATA:
            return data_digest(path)
        if name == LIST:
            return listing_digest(path)
        if name == KIND:
            return kind_of(path)
        if name.startswith(NAMES):
            names = [one.partition("=")[0] for one in name[len(NAMES) :].split(" ")]
            return "" if names_in(path, names) == name else UNREADABLE
        module = self._module(path)
        if module is None:
            return UNREADABLE
        if name.startswith(CODE):
            return module.digest(name[len(CODE) :])
        return module.digest(LINES) if name == LINES else UNREADABLE

    def _module(self, path: str) -> ModuleCode | None:
        if path not in self._modules:
            self._modules[path] = read_module(Path(path))
        return self._modules[path]

    def _surrounding(self, name: str) -> str:
        if name.startswith(ENVIRONMENT):
            return environment_digest(name[len(ENVIRONMENT) :].split(" "), self._environment)
        found = dict(surroundings(self._config))
        return found.get(name, UNREADABLE)


def data_digest(path: str) -> str:
    """The digest of a file's bytes: "" where there is no file, "?" where it cannot be taken."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a text
        if stat.S_ISDIR(found.st_mode):
            return "directory"
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            return UNREADABLE
        with open(path, "rb") as stream:  # noqa: PTH123 - a text
            data = stream.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return UNREADABLE
    return xxhash.xxh3_128_hexdigest(data) if len(data) <= _MOST_BYTES else UNREADABLE


def listing_digest(path: str) -> str:
    """The digest of the names in a directory, without those that a replay itself makes."""
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - a text
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return UNREADABLE
    kept = [one for one in names if one not in _PASSING]
    return xxhash.xxh3_128_hexdigest("\0".join(kept).encode("utf-8", "surrogateescape"))


def kind_of(path: str) -> str:
    """Whether there is a file, a directory or nothing."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a text
    except OSError:
        return ""
    return "directory" if stat.S_ISDIR(mode) else "file"


def names_in(directory: str, names: Iterable[str]) -> str:
    """What imports of some names find in a directory, as a unit's name."""
    try:
        there = frozenset(os.listdir(directory))  # noqa: PTH208 - a text
    except OSError:
        there = frozenset()
    said = " ".join(f"{one}={_found(directory, one, there)}" for one in sorted(set(names)))
    return f"{NAMES}{said}"


def _found(directory: str, name: str, there: frozenset[str]) -> str:
    """As Python's own finder looks: a package first, then extensions, sources, bytecode."""
    if name in there:
        inside = os.path.join(directory, name)  # noqa: PTH118 - a text
        for suffix in (*EXTENSION_SUFFIXES, ".py", ".pyc"):
            if os.path.isfile(os.path.join(inside, f"__init__{suffix}")):  # noqa: PTH113, PTH118 - a text
                return f"package{suffix}"
    for suffix in (*EXTENSION_SUFFIXES, ".py", ".pyc"):
        if f"{name}{suffix}" in there:
            return f"module{suffix}"
    return "directory" if name in there else ""


def environment_digest(names: Iterable[str], environment: Mapping[str, str]) -> str:
    """One digest of variables and their values, so that none can be told from it."""
    digest = xxhash.xxh3_64()
    for name in sorted(names):
        said = f"{name}={environment[name]}" if name in environment else name
        digest.update(said.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def surroundings(config: Config) -> list[tuple[str, str]]:
    """The digests of what holds for all replays of a project, by name."""
    return [
        ("python", _python()),
        ("tracediff", own_digest()),
        ("distributions", distributions_digest(tuple(
            one for one in sys.path if Path(one).name in ("site-packages", "dist-packages")
        ))),
        ("settings", settings_digest(config)),
    ]  # fmt: skip


def _python() -> str:
    flags = sys.flags
    said = f"{flags.optimize} {flags.utf8_mode} {flags.int_max_str_digits} {flags.no_site}"
    path = os.environ.get("PYTHONPATH", "")
    return _digest(sys.version, sys.platform, MAGIC_NUMBER.hex(), said, path)


def _digest(*parts: str) -> str:
    return xxhash.xxh3_128_hexdigest("\0".join(parts).encode("utf-8", "surrogateescape"))


@functools.cache
def own_digest() -> str:
    """The digest of tracediff's own sources."""
    digest = xxhash.xxh3_128()
    for path in sorted(_OWN.rglob("*.py")):
        digest.update(f"{path.relative_to(_OWN)}\0".encode())
        digest.update(xxhash.xxh3_128_digest(path.read_bytes()))
    return digest.hexdigest()


@functools.cache
def distributions_digest(places: tuple[str, ...]) -> str:
    """The digest of what is installed: of what pip noted of each file, and of the path's files."""
    digest = xxhash.xxh3_128()
    for place in places:
        try:
            entries = sorted(os.listdir(place))  # noqa: PTH208 - a text
        except OSError:
            continue
        for entry in entries:
            inside = Path(place) / entry
            if entry.endswith((".dist-info", ".egg-info")):
                # Of what is installed otherwise there is a version, and no list of files.
                for name in ("METADATA", "PKG-INFO", "RECORD"):
                    _feed(digest, entry, inside / name)
            elif entry.endswith(".pth"):
                _feed(digest, entry, inside)
    return digest.hexdigest()


def _feed(digest: xxhash.xxh3_128, entry: str, path: Path) -> None:
    try:
        data = path.read_bytes()
    except OSError:
        return
    digest.update(f"{entry}/{path.name}\0".encode("utf-8", "surrogateescape"))
    digest.update(xxhash.xxh3_128_digest(data))


def settings_digest(config: Config) -> str:
    """The digest of the settings that a replay depends on."""
    places = [os.path.relpath(one, config.root) for one in config.pythonpath]
    told = (
        config.jobs, places, config.autotrace, config.inputs, config.redact, config.replay_allow,
        config.depth, config.strict, config.rules, config.tolerances,
    )  # fmt: skip
    return _digest(repr(told))
