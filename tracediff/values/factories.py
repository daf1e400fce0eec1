"""The classes of the standard library that a trace may name without being allowed to."""

from __future__ import annotations

import builtins
import collections
import datetime as dt
import decimal
import fractions
import uuid
from typing import Any, Final

_PLAIN: Final = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    bytearray,
    list,
    tuple,
    dict,
    set,
    frozenset,
    object,
    type(None),
    decimal.Decimal,
    fractions.Fraction,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    dt.timezone,
    uuid.UUID,
    collections.OrderedDict,
    collections.Counter,
    collections.defaultdict,
    collections.deque,
)

FACTORIES: Final[dict[str, Any]] = {f"{cls.__module__}:{cls.__qualname__}": cls for cls in _PLAIN}
"""Reference to class: what may be called to fill a defaultdict, in either decoder."""

EXCEPTIONS: Final[dict[str, type[BaseException]]] = {
    f"builtins:{name}": found
    for name, found in vars(builtins).items()
    if isinstance(found, type) and issubclass(found, BaseException) and found.__name__ == name
}
"""Reference to class of every builtin exception."""

NATIVE_EXCEPTIONS: Final = frozenset(EXCEPTIONS.values())
"""The builtin exception classes."""

DECIMAL_EXCEPTIONS: Final[dict[str, type[BaseException]]] = {
    f"decimal:{name}": found
    for name, found in vars(decimal).items()
    if isinstance(found, type) and issubclass(found, decimal.DecimalException)
}
"""Reference to class of what Decimal arithmetic raises."""

_FUNCTION_NAMES: Final = "abs all any chr divmod hash len max min ord pow round sorted sum"
FUNCTIONS: Final[dict[str, Any]] = {
    f"builtins:{name}": getattr(builtins, name) for name in _FUNCTION_NAMES.split()
}
"""Reference to builtin function: those that can do no harm, whoever calls them."""
