"""What a replay gets for a value that was not kept: it may be passed on, never used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from tracediff.errors import ReplayError
from tracediff.values import nodes


class Placeholder:
    """Stands for an opaque or redacted value in a replay.

    It may be passed around, compared by ``is``, and asked for its ``repr``. Anything else raises
    ReplayError ``placeholder-used``, which names the value.
    """

    __slots__ = ("_node",)

    def __init__(self, node: nodes.Opaque | nodes.Redacted | nodes.Deep | nodes.Record) -> None:
        object.__setattr__(self, "_node", node)

    def __repr__(self) -> str:
        return f"<placeholder for {_describe(node_of(self))}>"

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Placeholder
        raise _used(self, f"its attribute {name!r} was read")


def node_of(placeholder: Placeholder) -> Any:
    """The node a placeholder stands for."""
    return _node(placeholder)


_node = Placeholder.__dict__["_node"].__get__


def _describe(node: nodes.Opaque | nodes.Redacted | nodes.Deep | nodes.Record) -> str:
    if isinstance(node, nodes.Record):
        return f"a frame of {node.type.partition(':')[0]} with columns that are redacted"
    if isinstance(node, nodes.Opaque):
        return f"{node.type.replace(':', '.')} {node.text}"
    if isinstance(node, nodes.Redacted):
        return f"a redacted {node.type.partition(':')[2]}"
    return f"{node.type.replace(':', '.')}, which was nested too deep"


Report = Callable[[Any, ReplayError], BaseException]
"""Told of a node whose placeholder was used, and of the error; gives what is raised instead."""

_reports: list[Report] = []


@contextlib.contextmanager
def reported(report: Report) -> Iterator[None]:
    """Tell somebody of each use of a placeholder, process-wide, until the block ends."""
    _reports.append(report)
    try:
        yield
    finally:
        _reports.remove(report)


def _used(placeholder: Placeholder, how: str) -> BaseException:
    node = node_of(placeholder)
    wrap = "wrap the call that uses it in @td.input or @td.output"
    error = ReplayError(
        f"the replay used {_describe(node)}, which has no exact recording: {how}",
        slug="placeholder-used",
        hint=wrap
        if isinstance(node, nodes.Redacted | nodes.Record)
        else f"register an encoder for its type, or {wrap}",
    )
    return refused(node, error)


def refused(node: Any, error: ReplayError) -> BaseException:
    """What to raise where a replay uses what was not kept of a node; whoever listens is told."""
    return _reports[-1](node, error) if _reports else error


def _refusal(name: str) -> Any:
    def refuse(self: Placeholder, *args: Any, **kwargs: Any) -> Any:
        raise _used(self, f"{name} was called on it")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


_REFUSED: Final = """
    __str__ __bytes__ __format__ __lt__ __le__ __eq__ __ne__ __gt__ __ge__ __hash__ __bool__
    __setattr__ __delattr__ __call__ __len__ __length_hint__ __getitem__ __setitem__ __delitem__
    __iter__ __next__ __reversed__ __contains__ __add__ __sub__ __mul__ __matmul__ __truediv__
    __floordiv__ __mod__ __divmod__ __pow__ __lshift__ __rshift__ __and__ __xor__ __or__ __radd__
    __rsub__ __rmul__ __rmatmul__ __rtruediv__ __rfloordiv__ __rmod__ __rdivmod__ __rpow__
    __rlshift__ __rrshift__ __rand__ __rxor__ __ror__ __iadd__ __isub__ __imul__ __itruediv__
    __neg__ __pos__ __abs__ __invert__ __complex__ __int__ __float__ __index__ __round__ __trunc__
    __floor__ __ceil__ __enter__ __exit__ __await__ __aiter__ __anext__ __aenter__ __aexit__
    __fspath__ __reduce__ __reduce_ex__ __copy__ __deepcopy__ __dir__
"""

for _name in _REFUSED.split():
    setattr(Placeholder, _name, _refusal(_name))
