"""Instances of Django's models, and query sets: as their fields and their rows, never by a query.

An instance is written with the fields that it has loaded and the related objects that it has
cached. A query set is written as its rows where it has been evaluated; else nobody knows them, and
it is not evaluated to find out. Nothing here imports Django where the program has not.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, NoReturn

from ormsgpack import Ext, packb

from tracediff.errors import ReplayError
from tracediff.model import MISSING
from tracediff.values import nodes, placeholder, tags
from tracediff.values.allow import Allow
from tracediff.values.encode import encode
from tracediff.values.graphs import Shared, shells
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.rebuild import changed, set_fields
from tracediff.values.refs import class_attribute, mro, type_ref
from tracediff.values.shapes import attributes

_INSTANCE: Final = tags.KINDS.index("django")
_QUERYSET: Final = tags.KINDS.index("queryset")
_DEFAULT: Final = "default"


def answering() -> bool:
    """Whether a recording answers queries here; replaced by the library that records them."""
    return False


# --- writing -------------------------------------------------------------------------------------


def encoder(cls: type) -> Shaper | None:
    """What writes instances of this class, if it is one of those known here."""
    bases = mro(cls)
    for module, name, make in _KNOWN:
        found = vars(sys.modules[module]).get(name) if module in sys.modules else None
        if found is not None and found in bases:
            return make(cls)
    return None


def _instance(cls: type) -> Shaper:
    written = _Instances(cls)
    return Shared(written.shape, written.again, written.name)


def _options(model: type) -> Any:
    return class_attribute(model, "_meta")


class _Instances:
    """How the instances of one model are written; one that comes again in a value is only named."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.ref = type_ref(cls).encode()
        self.read = attributes(cls)
        self.file = import_module("django.db.models.fields.files").FieldFile
        self.names: tuple[str, ...] = ()

    def name(self, obj: Any) -> bytes | None:
        """The primary key, where it has one."""
        found = vars(obj).get(_options(self.cls).pk.attname)
        return None if found is None else encode(found)

    def again(self, obj: Any, number: int | None) -> Shape:
        """What stands for one that is in the value before."""
        name = _options(self.cls).pk.attname
        key = vars(obj).get(name)
        base = {"same": [key] if number is None else number}
        return tags.RECORD, [self.ref, _INSTANCE, {name: key}, base]

    def shape(self, obj: Any, number: int | None) -> Shape:
        """Its loaded fields in the model's order, what it has beside them, and its state."""
        if not self.names:  # a model is whole only when its app is
            self.names = tuple(one.attname for one in _options(self.cls).concrete_fields)
        own = self.read(obj)
        state = own.pop("_state", None)
        fields = {name: own.pop(name) for name in self.names if name in own}
        fields.update(own)
        for name, value in fields.items():
            if isinstance(value, self.file):
                fields[name] = value.name  # of which the field's descriptor makes it again
        base = _state(state, fields)
        if number is not None:
            base["number"] = number
        return tags.RECORD, [self.ref, _INSTANCE, fields, *([base] if base else [])]


def _state(state: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """What is unusual of an instance's state; what it has cached joins its fields."""
    cached = dict(getattr(state, "fields_cache", {}))
    base: dict[str, Any] = {}
    if getattr(state, "adding", True):
        base["adding"] = True
    if getattr(state, "db", None) != _DEFAULT:
        base["db"] = getattr(state, "db", None)
    if cached:
        base["cached"] = sorted(cached)
        fields.update((name, cached[name]) for name in base["cached"])
    return base


def _queryset(cls: type) -> Shaper:
    ref, read = type_ref(cls).encode(), attributes(cls)

    def shape(obj: Any) -> Shape:
        own = read(obj)
        fields: dict[str, Any] = {"model": type_ref(own["model"])}
        rows, query = own["_result_cache"], own.get("_query")
        if rows is None and query is not None and not own["_deferred_filter"] and query.is_empty():
            rows = []  # of none()
        if own.get("_fields") is not None:
            fields["values"] = list(own["_fields"])
        if own["_db"] is not None:
            fields["db"] = own["_db"]
        if rows is not None and getattr(obj, "ordered", False):
            fields["ordered"] = True
        return tags.RECORD, [ref, _QUERYSET, fields, None if rows is None else list(rows)]

    return shape


def _text(cls: type) -> Shaper:
    return lambda obj: (tags.LIBRARY, [b"django:safe", str.__str__(obj)])


def _lazy(cls: type) -> Shaper:
    """An object that is made when it is first used: as that object, if it was."""
    read = attributes(cls)
    empty = sys.modules["django.utils.functional"].empty

    def shape(obj: Any) -> Shape:
        found = read(obj).get("_wrapped", empty)
        if found is empty:
            return _opaque(type_ref(cls), f"<{cls.__name__}, which was not used>")
        return tags.LIBRARY, [b"django:lazy", found]

    return shape


def _page(cls: type) -> Shaper:
    """Its own repr would count the rows."""
    return lambda obj: _opaque(type_ref(cls), f"<page {obj.number}>")


def _opaque(ref: str, text: str) -> Ext:
    return Ext(tags.OPAQUE, packb([ref.encode(), text.encode(), None]))


_KNOWN: Final[tuple[tuple[str, str, Callable[[type], Shaper]], ...]] = (
    ("django.db.models.base", "Model", _instance),
    ("django.db.models.query", "QuerySet", _queryset),
    ("django.db.models.query", "RawQuerySet", _queryset),
    ("django.utils.safestring", "SafeString", _text),
    ("django.utils.functional", "LazyObject", _lazy),
    ("django.core.paginator", "Page", _page),
)


# --- reading -------------------------------------------------------------------------------------


def rebuild(allow: Allow, kind: str, ref: str, fields: dict[str, Any], base: Any) -> Any:
    """The very instance or query set, without any constructor, signal or query."""
    cls = _class(ref, allow)
    _watch()
    if kind == "queryset":
        return _rebuilt_queryset(allow, cls, fields, base)
    given: Mapping[str, Any] = {} if base is MISSING else base
    mark = given.get("same", given.get("number"))
    if type(mark) is not int:
        key = mark[0] if mark is not None else fields.get(_options(cls).pk.attname)
        mark = encode(key)
    waiting, read = shells().known.setdefault(__name__, ({}, {}))
    if "same" in given:
        found = read.get((cls, mark))
        return waiting.setdefault((cls, mark), object.__new__(cls)) if found is None else found
    obj = waiting.pop((cls, mark), None)  # one that its own fields lead back to
    if obj is None:  # values that were written apart, as arguments, may have the name twice
        obj = object.__new__(cls)
    read[cls, mark] = obj
    state = _recorded_state()()
    state.adding = given.get("adding", False)
    state.db = given.get("db", _DEFAULT)
    cached = given.get("cached", ())
    state.fields_cache = {name: fields[name] for name in cached}
    own = {name: value for name, value in fields.items() if name not in cached}
    return set_fields(obj, {"_state": state, **own})


def _class(ref: str, allow: Allow) -> type:
    """A class that is allowed, or a model of Django's own that the project has installed."""
    permitted = allow.permits(ref)
    if permitted:
        try:
            return allow.load_class(ref)
        except ReplayError as error:
            if error.slug != "class-missing":
                raise
    if permitted or ref.startswith("django."):
        for known in _installed():
            if type_ref(known) == ref:  # one of Django's, or that Django made for a relation
                return known
    return allow.load_class(ref)  # which raises


def _installed() -> Iterator[type]:
    """Django's query sets, and the models of the project's apps."""
    query, apps = import_module("django.db.models.query"), import_module("django.apps").apps
    yield from (query.QuerySet, query.RawQuerySet)
    if apps.ready:
        for models in apps.all_models.values():
            yield from models.values()


def _rebuilt_queryset(allow: Allow, cls: type, fields: dict[str, Any], rows: Any) -> Any:
    model = fields["model"]
    if rows is not None and type(rows) is not list:
        raise changed(cls, "its rows are no list")
    query = _RecordedQuery(model, ordered=bool(fields.get("ordered")), evaluated=rows is not None)
    return set_fields(
        object.__new__(cls),
        {
            "model": _class(model, allow),
            "_db": fields.get("db"),
            "_hints": {},
            "_query": query,
            "query": query,  # of a raw one; others have a property
            "_result_cache": rows,
            "_sticky_filter": False,
            "_for_write": False,
            "_prefetch_related_lookups": (),
            "_prefetch_done": True,
            "_known_related_objects": {},
            "_iterable_class": query.refuse,
            "_fields": None if fields.get("values") is None else tuple(fields["values"]),
            "_defer_next_filter": False,
            "_deferred_filter": None,
        },
    )


class _RecordedQuery:
    """In the place of a recorded query set's query, which is not known: all it can do is refuse."""

    extra_order_by = ()
    default_ordering = False
    values_select = ()
    combinator = None

    def __init__(self, model: str, *, ordered: bool, evaluated: bool) -> None:
        self._model = model
        self._evaluated = evaluated
        self.order_by = ("recorded",) if ordered else ()

    def is_empty(self) -> bool:
        """It is no ``none()``."""
        return False

    def refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise: it is asked for what only the database knows."""
        name = self._model.replace(":", ".")
        why = "cannot be asked for anything but its rows"
        hint = "filter and order it where it is made, or work with list(…) of it"
        if not self._evaluated:
            why = "was not evaluated when it was recorded, so that nobody knows its rows"
            hint = "give the job list(…) of it, or what to filter by; evaluate it in the input"
        text = f"the recorded query set of {name} {why}"
        raise _told(self._model, text, slug="queryset-recorded", hint=hint)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.refuse()


def _told(ref: str, message: str, *, slug: str, hint: str) -> BaseException:
    error = ReplayError(message, slug=slug, hint=hint)
    return placeholder.refused(nodes.Opaque(ref, f"<{message}>", None), error)


@functools.cache
def _recorded_state() -> Any:
    """The state of an instance that comes from a recording."""
    base = import_module("django.db.models.base").ModelState
    return type("RecordedState", (base,), {"__module__": __name__})


# --- fields that were not loaded -----------------------------------------------------------------


@functools.cache
def _watch() -> None:
    """From now on, say it where an instance of a recording is asked for what it has not."""
    deferred = import_module("django.db.models.query_utils").DeferredAttribute
    router = import_module("django.db.utils").ConnectionRouter
    deferred.__get__ = _loading(deferred.__get__)
    router.db_for_read = _routing(router.db_for_read)


def _is_recorded(instance: Any) -> bool:
    return type(vars(instance).get("_state")) is _recorded_state()


def _loading(real: Any) -> Any:
    @functools.wraps(real)
    def __get__(self: Any, instance: Any, cls: Any = None) -> Any:  # noqa: N807 - it stands for that method
        if instance is None or self.field.attname in vars(instance) or not _is_recorded(instance):
            return real(self, instance, cls)
        name = type_ref(type(instance)).replace(":", ".")
        said = f"the field {self.field.attname!r} of a recorded {name} was not loaded"
        try:
            return real(self, instance, cls)
        except _UnansweredError:
            hint = (
                "load it before (no only() or defer() that leaves it out), or let its query be "
                'recorded: inputs = ["django.db"]'
            )
            raise _told(
                type_ref(type(instance)), said, slug="field-not-loaded", hint=hint
            ) from None
        except BaseException as error:
            if getattr(error, "slug", None) == "input-not-recorded":
                error.args = (f"{said}, and {error}",)
            raise

    return __get__


class _UnansweredError(Exception):
    """A query would go to a real database, for an instance of a recording."""


def _routing(real: Any) -> Any:
    @functools.wraps(real)
    def db_for_read(self: Any, model: Any, **hints: Any) -> Any:
        instance = hints.get("instance")
        if instance is None or answering() or not _is_recorded(instance):
            return real(self, model, **hints)
        if model is type(instance) or issubclass(type(instance), model):
            raise _UnansweredError
        ref = type_ref(type(instance))
        name, other = ref.replace(":", "."), model.__name__
        said = f"a recorded {name} was asked for {other}, which was not loaded with it"
        hint = (
            "load it before (select_related, prefetch_related), or let its query be recorded: "
            'inputs = ["django.db"]'
        )
        raise _told(ref, said, slug="field-not-loaded", hint=hint)

    return db_for_read


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "django:safe": lambda text: import_module("django.utils.safestring").SafeString(text),
    "django:lazy": lambda found: found,
}
"""Kind to what rebuilds it."""
