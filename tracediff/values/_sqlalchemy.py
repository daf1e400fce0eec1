"""Instances of classes that SQLAlchemy maps, as they are loaded; its collections and rows.

An instance is written as the attributes that it has, in the mapper's order, and what is not seen in
them: whether it was never saved, its identity where the key is not loaded, which of them the
program has changed. It is read as a detached instance, which says so of what was not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Final

from tracediff.errors import ReplayError
from tracediff.model import MISSING
from tracediff.values import tags
from tracediff.values.cycles import STATE
from tracediff.values.encode import encode
from tracediff.values.graphs import Shared, shells
from tracediff.values.leaves import InexactError
from tracediff.values.nodes import Record
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.placeholder import refused
from tracediff.values.rebuild import changed
from tracediff.values.refs import class_attribute, type_ref

orm: Any = import_module("sqlalchemy.orm")
attributes: Any = import_module("sqlalchemy.orm.attributes")
collections: Any = import_module("sqlalchemy.orm.collections")
result: Any = import_module("sqlalchemy.engine.result")
rows: Any = import_module("sqlalchemy.engine.row")
base: Any = import_module("sqlalchemy.orm.base")

_KIND: Final = tags.KINDS.index("sqlalchemy")
_OWN: Final = ("_sa_", "_AssociationProxy_")
_NO_VALUE: Final = base.NO_VALUE


def encoder(cls: type) -> Callable[[Any], Shape] | None:
    """What writes instances of exactly this class."""
    if cls in _SHAPERS:
        return _SHAPERS[cls]
    manager = class_attribute(cls, "_sa_class_manager")
    if manager is None or manager.class_ is not cls or not manager.is_mapped:
        return None
    mapped = _Mapped(cls, manager)
    return Shared(mapped.shape, mapped.again, mapped.name)


class _Mapped:
    """How instances of one mapped class are written and read."""

    def __init__(self, cls: type, manager: Any) -> None:
        self.cls = cls
        self.manager = manager
        self.ref = type_ref(cls).encode()
        self._known: tuple[tuple[str, ...], tuple[str, ...], frozenset[str]] | None = None

    def known(self) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
        """The names of the attributes in order, of the key's, and of those made of others."""
        if self._known is None:
            mapper = self.manager.mapper
            names = (*mapper.column_attrs.keys(), *mapper.relationships.keys())
            key = (mapper.get_property_by_column(column).key for column in mapper.primary_key)
            self._known = names, tuple(key), frozenset(mapper.composites.keys())
        return self._known

    def name(self, obj: Any) -> bytes | None:
        """The key of an instance that was saved, as canonical bytes."""
        state = obj.__dict__.get(STATE)
        return None if state is None or state.key is None else encode(tuple(state.key[1:]))

    def again(self, obj: Any, number: int | None) -> Shape:
        """What stands for an instance that is in the value before."""
        _, key, _ = self.known()
        found = obj.__dict__
        shown = {name: found[name] for name in key if name in found}
        same = number if number is not None else list(found[STATE].key[1:])
        return tags.RECORD, [self.ref, _KIND, shown, {"same": same}]

    def shape(self, obj: Any, number: int | None) -> Shape:
        """An instance."""
        names, key, composites = self.known()
        found = obj.__dict__
        state = found.get(STATE)
        if state is None:
            raise InexactError("an instance that SQLAlchemy does not know")
        fields = {name: _plain(found[name]) for name in names if name in found}
        for name, value in found.items():
            if name not in fields and name not in composites and not name.startswith(_OWN):
                fields[name] = value
        more = self._more(state, fields, key)
        if number is not None:
            more["number"] = number
        parts: list[Any] = [self.ref, _KIND, fields]
        return tags.RECORD, [*parts, more] if more else parts

    def _more(self, state: Any, fields: dict[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
        """What is not seen in the attributes."""
        more: dict[str, Any] = {}
        if state.key is None:
            more["new"] = True
            return more
        _, values, token = state.key
        if tuple(fields.get(name, MISSING) for name in key) != tuple(values):
            more["key"] = list(values)
        if token is not None:
            more["token"] = token
        if state.modified:
            old = {
                name: value
                for name, value in state.committed_state.items()
                if name in self.manager.mapper.column_attrs
            }
            more["changed"] = {name: one for name, one in old.items() if one is not _NO_VALUE}
            unknown = [name for name, one in old.items() if one is _NO_VALUE]
            if unknown:
                more["set"] = unknown
        return more


def _plain(value: Any) -> Any:
    """A collection as the list or dict of its members; those of a set in an order of their own."""
    adapter = getattr(value, "_sa_adapter", None)
    return value if adapter is None else _contents(value, adapter)


def _contents(value: Any, members: Any) -> Any:
    if isinstance(value, list):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    return sorted(members, key=_order) if isinstance(value, set) else list(members)


def _order(member: Any) -> tuple[str, str]:
    key = getattr(getattr(member, STATE, None), "key", None)
    return type(member).__qualname__, repr(key[1:] if key is not None else "")


# --- reading -------------------------------------------------------------------------------------


def rebuild(allow: Any, kind: str, ref: str, fields: Mapping[str, Any], more: Any) -> Any:
    """The instance, collection or row that was recorded.

    Args:
        allow: Which classes may be made.
        kind: The kind of record; SQLAlchemy has one.
        ref: Its class.
        fields: Its attributes.
        more: What is not seen in them, of a collection its members; MISSING for nothing.
    """
    if ref in _BUILD:
        return _BUILD[ref](fields, more)
    cls = allow.load_class(ref)
    manager = class_attribute(cls, "_sa_class_manager")
    if manager is None or manager.class_ is not cls or not manager.is_mapped:
        raise changed(cls, "it is not mapped any more")
    said = more if type(more) is dict else {}
    made = shells()
    if "same" in said:
        return made.shell(cls, _mark(said["same"]), _empty)
    reading = _Reading(cls, manager, dict(fields), said, made.known)
    obj = made.shell(cls, reading.mark(), _empty)
    obj.__dict__.update(fields)
    made.filled(obj, partial(reading.finish, obj))
    return obj


def _mark(name: Any) -> Any:
    return name if type(name) is int else encode(tuple(name))


def _empty(cls: Any) -> Any:
    obj: Any = object.__new__(cls)
    class_attribute(cls, "_sa_class_manager").setup_instance(obj)
    return obj


class _Reading:
    """One instance that is read."""

    def __init__(
        self,
        cls: type,
        manager: Any,
        fields: dict[str, Any],
        said: dict[str, Any],
        known: dict[Any, Any],
    ) -> None:
        self.manager = manager
        self.known = known
        self.fields = fields
        self.said = said
        self.key: tuple[Any, ...] | None = None
        if "new" not in said:
            names = _plans(cls).known()[1]
            values = said.get("key", [fields.get(name) for name in names])
            self.key = tuple(values), said.get("token")

    def mark(self) -> Any:
        """Its name or number in the value."""
        return self.said["number"] if "number" in self.said else encode(self.key)

    def finish(self, obj: Any) -> None:
        """All instances are there: give it what it is part of, and what the library knows of it."""
        state, found = obj.__dict__[STATE], obj.__dict__
        for name in self.fields:
            known = self.manager.get(name)
            if known is not None and known.impl.collection and name in found:
                members = found.pop(name)
                members = list(members.values()) if type(members) is dict else members
                attributes.set_committed_value(obj, name, members)
        if self.key is None:
            return
        mapper = self.manager.mapper
        state.key = mapper.identity_key_from_primary_key(self.key[0], self.key[1])
        self.known[state.key] = obj
        if "changed" in self.said:
            state.committed_state.update(self.said["changed"])
            state.committed_state.update(dict.fromkeys(self.said.get("set", ()), _NO_VALUE))
            state.modified = True
        state.callables = {
            name: _Unloaded(name, self.known)
            for name in _plans(obj.__class__).known()[0]
            if name not in found and self.manager[name].impl.supports_population
        }


class _Unloaded:
    """Called for an attribute that was not loaded.

    A session loads it, where there is one. The one side of a relationship may be in the value
    itself, as it was in the session of the recording.
    """

    def __init__(self, name: str, known: Mapping[Any, Any]) -> None:
        self.name = name
        self.known = known

    def _is_there(self, state: Any) -> Any:
        """The instance that a foreign key names, where that is in the value; None for none."""
        mapper = state.manager.mapper
        relation = mapper.relationships.get(self.name)
        if relation is None or relation.direction is not orm.MANYTOONE:
            return MISSING
        target = relation.mapper
        by_remote = {remote: local for local, remote in relation.local_remote_pairs}
        if set(by_remote) != set(target.primary_key):
            return MISSING
        keys = [mapper.get_property_by_column(by_remote[one]).key for one in target.primary_key]
        values = tuple(state.dict.get(key, MISSING) for key in keys)
        if all(value is None for value in values):
            return None
        return self.known.get(target.identity_key_from_primary_key(values), MISSING)

    def __call__(self, state: Any, passive: Any) -> Any:
        loads = state.manager[self.name].impl.callable_
        if state.session is not None:
            if loads is not None:
                return loads(state, passive)
            state.expired_attributes.add(self.name)
            return state._load_expired(state, passive)  # noqa: SLF001 - as its own attributes do
        there = self._is_there(state)
        if there is not MISSING:
            return there
        if not passive & base.SQL_OK:
            return base.PASSIVE_NO_RESULT
        ref = type_ref(state.class_)
        error = ReplayError(
            f"{ref.partition(':')[2]}.{self.name} was not loaded when this was recorded",
            slug="attribute-not-loaded",
            hint="load it before (selectinload, undefer, session.refresh) or select it itself: "
            "a replay has no database to load it from",
        )
        raise refused(Record(ref, "sqlalchemy"), error)


@lru_cache(maxsize=512)
def _plans(cls: Any) -> _Mapped:
    return _Mapped(cls, class_attribute(cls, "_sa_class_manager"))


# --- rows and collections ------------------------------------------------------------------------


def _named(kind: type, names: Any, cells: Any) -> Shape:
    """By name, or as a list of pairs where a name comes twice."""
    fields = dict(zip(names, cells, strict=True))
    parts: list[Any] = [type_ref(kind).encode(), _KIND]
    if len(fields) == len(names) and all(type(name) is str for name in fields):
        return tags.RECORD, [*parts, fields]
    return tags.RECORD, [*parts, {}, [list(pair) for pair in zip(names, cells, strict=True)]]


def _row(obj: Any) -> Shape:
    return _named(rows.Row, tuple(map(str, obj._fields)), tuple(obj))


def _mapping(obj: Any) -> Shape:
    return _named(rows.RowMapping, tuple(map(str, obj.keys())), tuple(obj.values()))


def _read_row(fields: Mapping[str, Any], pairs: Any) -> Any:
    found = list(fields.items()) if pairs is MISSING else pairs
    names, cells = [name for name, _ in found], tuple(cell for _, cell in found)
    return result.IteratorResult(result.SimpleResultMetaData(names), iter([cells])).one()


def _read_mapping(fields: Mapping[str, Any], pairs: Any) -> Any:
    return _read_row(fields, pairs)._mapping  # noqa: SLF001 - its public name


def _members(kind: type) -> Shaper:
    ref = type_ref(kind).encode()
    return lambda obj: (tags.RECORD, [ref, _KIND, {}, _contents(obj, obj)])


def _read_list(fields: Mapping[str, Any], members: Any) -> Any:
    return collections.InstrumentedList(members)


def _read_set(fields: Mapping[str, Any], members: Any) -> Any:
    return collections.InstrumentedSet(members)


def _read_dict(fields: Mapping[str, Any], members: Any) -> Any:
    return collections.InstrumentedDict(members)


_SHAPERS: Final[dict[type, Shaper]] = {
    rows.Row: _row,
    rows.RowMapping: _mapping,
    collections.InstrumentedList: _members(collections.InstrumentedList),
    collections.InstrumentedSet: _members(collections.InstrumentedSet),
    collections.InstrumentedDict: _members(collections.InstrumentedDict),
}
_BUILD: Final[dict[str, Callable[[Mapping[str, Any], Any], Any]]] = {
    type_ref(rows.Row): _read_row,
    type_ref(rows.RowMapping): _read_mapping,
    type_ref(collections.InstrumentedList): _read_list,
    type_ref(collections.InstrumentedSet): _read_set,
    type_ref(collections.InstrumentedDict): _read_dict,
}
"""Classes of the library itself, which every trace may name."""
