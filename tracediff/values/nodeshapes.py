"""Nodes as shapes: an inert value encodes to the very bytes it was read from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ormsgpack import Ext

from tracediff.model import MISSING
from tracediff.values import nodes, tags
from tracediff.values.leaves import PATHS, datetime_bytes, time_bytes
from tracediff.values.placeholder import Placeholder, node_of

Parts = tuple[int, list[Any]]
Shape = Ext | Parts
Shaper = Callable[[Any], Shape]

_KIND: Final = {name: number for number, name in enumerate(tags.KINDS)}


def reference(levels: int) -> Ext:
    """A cycle back to the container this many levels above."""
    return Ext(tags.REFERENCE, levels.to_bytes(4, "big"))


def _record_node(obj: nodes.Record) -> Shape:
    if obj.kind == "library":
        return tags.LIBRARY, [obj.type.encode(), obj.base]
    if obj.kind == "stdlib":
        return _stdlib_node(obj)
    parts = [obj.type.encode(), _KIND[obj.kind], dict(obj.fields)]
    return tags.RECORD, parts if obj.base is MISSING else [*parts, obj.base]


def _stdlib_node(obj: nodes.Record) -> Shape:
    """What only a record can stand for on a machine without its zone, its path class, its keys."""
    if obj.type == "zoneinfo:ZoneInfo":
        return Ext(tags.ZONEINFO, obj.base.encode())
    if obj.type == "datetime:datetime":
        return tags.AWARE_DATETIME, [datetime_bytes(obj.fields["wall"]), obj.fields["tzinfo"]]
    if obj.type == "datetime:time":
        return tags.AWARE_TIME, [time_bytes(obj.fields["wall"]), obj.fields["tzinfo"]]
    if obj.type == "collections:defaultdict":
        return tags.DEFAULTDICT, [obj.fields["default_factory"], obj.base]
    if obj.type in _MAPPINGS:
        return _MAPPINGS[obj.type], [obj.base]
    kind = next(number for number, one in enumerate(PATHS) if obj.type == f"pathlib:{one.__name__}")
    return Ext(tags.PATH, bytes((kind,)) + obj.base.encode("utf-8", "surrogatepass"))


_MAPPINGS: Final = {
    "collections:OrderedDict": tags.ORDERED,
    "collections:Counter": tags.COUNTER,
    "types:MappingProxyType": tags.PROXY,
}


def _member_node(obj: nodes.Member) -> Shape:
    return tags.MEMBER, [obj.type.encode(), obj.name and obj.name.encode(), obj.value]


def _opaque_node(obj: nodes.Opaque) -> Shape:
    return tags.OPAQUE, [obj.type.encode(), obj.text.encode(), obj.digest]


def _redacted_node(obj: nodes.Redacted) -> Shape:
    return tags.REDACTED, [obj.type.encode(), obj.key_id.encode(), obj.digest]


def _pairs_node(obj: nodes.Pairs) -> Shape:
    return tags.PAIRS, [side for pair in obj.items for side in pair]


def _members_node(obj: nodes.Members) -> Shape:
    return tags.FROZENSET if obj.frozen else tags.SET, list(obj.items)


def _reference_node(obj: nodes.Reference) -> Shape:
    return reference(obj.levels)


def _global_node(obj: nodes.Global) -> Shape:
    if obj.ref.endswith(":"):
        return Ext(tags.MODULE, obj.ref[:-1].encode())
    return Ext(tags.GLOBAL, obj.ref.encode())


def _deep_node(obj: nodes.Deep) -> Shape:
    return Ext(tags.DEEP, obj.type.encode())


NODE_SHAPES: Final[dict[type, Shaper]] = {
    nodes.Record: _record_node,
    nodes.Member: _member_node,
    nodes.Opaque: _opaque_node,
    nodes.Redacted: _redacted_node,
    nodes.Pairs: _pairs_node,
    nodes.Members: _members_node,
    nodes.Reference: _reference_node,
    nodes.Global: _global_node,
    nodes.Deep: _deep_node,
}
"""Class of node to its shape."""


def _placeholder(obj: Placeholder) -> Shape:
    """What a replay passes on is written as what was recorded."""
    node = node_of(obj)
    return NODE_SHAPES[type(node)](node)


NODE_SHAPES[Placeholder] = _placeholder
