"""Which code behind a step differs: the step's own definition and all that it leads to.

From a step's function the names it mentions are followed through the project's files, up to
functions that are steps themselves: what those do is seen at them. A method is found by its name
alone, whatever it is called on, so a change may be named that the step did not reach; none that it
reached through plain names is left out. What is assembled at run time (``getattr``, a registry)
is not seen.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tracediff.compare.definitions import Definition, Import, Module, read_module
from tracediff.model import CodeChange, Source, Trace

Load = Callable[[str, str], str | None]
"""The text of a source file, by path and git blob id; None when it is not to be had."""

Place = tuple[str, str]
"""A definition: the file's path and the name in it."""

_MAX_PLACES = 2_000
_MAX_LINES = 12


class UnknownCodeError(Exception):
    """A file whose text is needed is not to be had."""


_parsed = lru_cache(maxsize=64)(read_module)
"""Of many traces the same few files are read, and nobody changes what was made of them."""


@dataclass(slots=True)
class _Side:
    """The code of one trace, its files read when they are needed."""

    files: Mapping[str, str]
    load: Load
    modules: dict[str, Module]

    def module(self, path: str) -> Module:
        if path not in self.modules:
            text = self.load(path, self.files[path]) if path in self.files else None
            read = _parsed(text, dotted(path)) if text is not None else None
            if read is None:
                raise UnknownCodeError(path)
            self.modules[path] = read
        return self.modules[path]

    def find(self, place: Place) -> Definition | None:
        path, name = place
        return self.module(path).definitions.get(name) if path in self.files else None


class CodeChanges:
    """Compares the code behind steps of two traces.

    Args:
        old: The recorded trace.
        new: The other one.
        load: Reads source files.
    """

    def __init__(self, old: Trace, new: Trace, load: Load) -> None:
        self._sides = (_Side(old.code.files, load, {}), _Side(new.code.files, load, {}))
        self._stops = {
            _place(step.source)
            for trace in (old, new)
            for step in trace.steps
            # A block's source is the function around it, which is no step for that.
            if step.source is not None and step.args is not None and step.kind != "job"
        }
        self._libraries = dict(_changed_libraries(old, new))
        self._paths = {
            path
            for path in {*old.code.files, *new.code.files}
            if old.code.files.get(path) != new.code.files.get(path)
        }
        ran = {step.source.file for one in (old, new) for step in one.steps if step.source}
        both = old.code.files.keys() & new.code.files.keys()
        # Of what one process alone has loaded nothing is known to have changed.
        self._guessed = self._paths & (both | ran)
        self._methods: dict[str, set[Place]] | None = None
        self._known: dict[tuple[Place | None, Place | None], tuple[CodeChange, ...] | None] = {}

    def behind(self, old: Source | None, new: Source | None) -> tuple[CodeChange, ...] | None:
        """The definitions behind a step that differ, its own first; None when nobody can tell."""
        before = _place(old) if old is not None else None
        after = _place(new) if new is not None else None
        if before is None or after is None:
            return None
        if (before, after) not in self._known:
            try:
                found: tuple[CodeChange, ...] | None = tuple(self._differing(before, after))
            except UnknownCodeError:
                found = None
            self._known[before, after] = found
        return self._known[before, after]

    def _differing(self, before: Place, after: Place) -> Iterator[CodeChange]:
        left, right = self._sides
        if not self._paths and not self._libraries:
            return
        own = (left.find(before), right.find(after))
        if own == (None, None):
            raise UnknownCodeError(before[0])
        if changed(*own):
            yield _change(after[0], *own)
        reached, libraries = self._reach(0, before)
        more, others = self._reach(1, after)
        for place in sorted((reached | more) - {before, after}):
            if place[0] in self._paths:
                pair = (left.find(place), right.find(place))
                if changed(*pair):
                    yield _change(place[0], *pair)
        for name in sorted(libraries | others):
            yield CodeChange(file="", line=0, name=self._libraries[name])

    def _reach(self, at: int, start: Place) -> tuple[set[Place], set[str]]:
        side = self._sides[at]
        seen, libraries, queue = {start}, set[str](), [start]
        while queue and len(seen) < _MAX_PLACES:
            place = queue.pop()
            definition = side.find(place)
            if definition is None:
                continue
            for target in self._mentioned(side, place[0], definition, libraries):
                if target not in seen and target not in self._stops:
                    seen.add(target)
                    queue.append(target)
        return seen, libraries

    def _mentioned(
        self, side: _Side, path: str, definition: Definition, libraries: set[str]
    ) -> Iterator[Place]:
        module = side.module(path)
        for name in definition.names:
            if name in module.definitions:
                yield path, name
                yield from _members(module, path, name)
            elif name in module.imports:
                yield from self._imported(side, module.imports[name], definition, libraries)
        for name in definition.attributes:
            yield from self._changed_methods().get(name, ())

    def _imported(
        self, side: _Side, what: Import, definition: Definition, libraries: set[str]
    ) -> Iterator[Place]:
        top = what.module.partition(".")[0]
        if _plain(top) in self._libraries:
            libraries.add(_plain(top))
        if what.name is not None:
            inner = file_of(side.files, f"{what.module}.{what.name}")
            path = file_of(side.files, what.module)
            if path is not None and what.name in (module := side.module(path)).definitions:
                yield path, what.name
                yield from _members(module, path, what.name)
            if path is not None and what.name in (module := side.module(path)).imports:
                again = module.imports[what.name]
                if again != what:
                    yield from self._imported(side, again, definition, libraries)
        else:
            inner = file_of(side.files, what.module)
        if inner is not None:
            for name in definition.attributes & side.module(inner).definitions.keys():
                yield inner, name

    def _changed_methods(self) -> dict[str, set[Place]]:
        """The methods that differ, by bare name: what an attribute may lead to."""
        if self._methods is None:
            self._methods = {}
            left, right = self._sides
            for path in self._guessed:
                names = {
                    name
                    for side in (left, right)
                    if path in side.files
                    for name in side.module(path).definitions
                    if "." in name
                }
                for name in names:
                    if changed(left.find((path, name)), right.find((path, name))):
                        bare = name.rpartition(".")[2]
                        self._methods.setdefault(bare, set()).add((path, name))
        return self._methods


def changed(old: Definition | None, new: Definition | None) -> bool:
    """Whether two definitions differ, or only one of them is there."""
    if old is None or new is None:
        return old is not new
    return old.digest != new.digest


def file_of(files: Iterable[str], module: str) -> str | None:
    """The path of a module among the project's files, whatever root it is imported from."""
    tail = module.replace(".", "/")
    for path in files:
        for ending in (f"{tail}.py", f"{tail}/__init__.py"):
            if path == ending or path.endswith(f"/{ending}"):
                return path
    return None


def dotted(path: str) -> str:
    """A path as a dotted name, for relative imports."""
    return path.removesuffix(".py").replace("/", ".")


def _members(module: Module, path: str, name: str) -> Iterator[Place]:
    """Who mentions a class may call any of its methods."""
    for other in module.definitions:
        if other.startswith(f"{name}."):
            yield path, other


def _place(source: Source) -> Place:
    """The definition a step's source lies in; what is local to a function belongs to it."""
    return source.file, source.unit.partition(":")[2].partition(".<locals>")[0]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _changed_libraries(old: Trace, new: Trace) -> Iterator[tuple[str, str]]:
    before, after = old.code.distributions, new.code.distributions
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield _plain(name), f"{name} {before[name]} → {after[name]}"


def _change(path: str, old: Definition | None, new: Definition | None) -> CodeChange:
    """The change of one definition, with the lines that differ and the first one's number."""
    before, after = old.lines if old else (), new.lines if new else ()
    removed: list[str] = []
    added: list[str] = []
    at: int | None = None
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag != "equal":
            removed += before[i:i_end]
            added += after[j:j_end]
            at = j if at is None else at
    known = new or old
    return CodeChange(
        file=path,
        line=(known.line if known else 0) + ((at or 0) if new else 0),
        name=known.name if known else "",
        removed=tuple(removed[:_MAX_LINES]),
        added=tuple(added[:_MAX_LINES]),
    )
