"""numpy scalars, arrays (object and structured ones too) and dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import InexactError
from tracediff.values.nodeshapes import Shape, Shaper

np: Any = import_module("numpy")

_VIEWS: Final = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f4": "f",
    "f8": "d",
}
"""Kind and size of a native dtype to the format of a memoryview, whose items read as numbers."""


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if cls is np.ndarray:
        return _array
    if issubclass(cls, np.dtype):
        return _dtype
    if issubclass(cls, np.generic) and cls.__module__ == "numpy":
        return _scalar
    return None


def _descr(dtype: Any) -> Any:
    """The description numpy gives of a dtype, if it leads back to the same one."""
    descr = np.lib.format.dtype_to_descr(dtype)
    back = np.lib.format.descr_to_dtype(descr)
    if back != dtype or back.isalignedstruct != dtype.isalignedstruct or dtype.metadata:
        raise InexactError("a dtype that numpy cannot describe")
    return descr


def _dtype(obj: Any) -> Shape:
    return tags.LIBRARY, [b"numpy:dtype", _descr(obj)]


def _scalar(obj: Any) -> Shape:
    """As a Python number where that is exact, else as its bytes."""
    dtype = obj.dtype
    if dtype.hasobject:
        raise InexactError("a numpy scalar that holds objects")
    value: Any = obj.tobytes()
    if dtype.isnative and dtype.kind in "biuf" and dtype.itemsize <= 8:
        item = obj.item()
        if dtype.type(item).tobytes() == value:
            value = item
    return tags.LIBRARY, [b"numpy:scalar", {"dtype": _descr(dtype), "value": value}]


def _array(obj: Any) -> Shape:
    dtype = obj.dtype
    order = "F" if obj.flags.f_contiguous and not obj.flags.c_contiguous else "C"
    if dtype.kind == "O":
        data: Any = obj.ravel().tolist()
    elif dtype.hasobject:
        raise InexactError("a structured array that holds objects")
    else:
        data = obj.tobytes(order)
        view = _VIEWS.get(dtype.str[1:]) if dtype.isnative else None
        if view is not None:
            whole: Any = memoryview(data)
            data = whole.cast(view)
    parts = {"dtype": _descr(dtype), "shape": obj.shape, "order": order, "data": data}
    return tags.LIBRARY, [b"numpy:ndarray", parts]


def _read_dtype(descr: Any) -> Any:
    return np.lib.format.descr_to_dtype(descr)


def _read_scalar(parts: Any) -> Any:
    dtype, value = _read_dtype(parts["dtype"]), parts["value"]
    if dtype.hasobject:
        raise ValueError("a scalar that holds objects")
    if type(value) is bytes:
        return np.frombuffer(value, dtype, count=1)[0] if dtype.itemsize else dtype.type()
    return dtype.type(value)


def _read_array(parts: Any) -> Any:
    dtype, shape, order = _read_dtype(parts["dtype"]), parts["shape"], parts["order"]
    data = parts["data"]
    if dtype.kind == "O":
        flat = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            flat[index] = item
        return flat.reshape(shape)
    if dtype.itemsize == 0 or math.prod(shape) == 0:
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError("an array without its data")
        return np.zeros(shape, dtype, order)
    return np.frombuffer(bytes(data), dtype).reshape(shape, order=order).copy(order)


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "numpy:dtype": _read_dtype,
    "numpy:scalar": _read_scalar,
    "numpy:ndarray": _read_array,
}
"""Kind to what rebuilds it."""
