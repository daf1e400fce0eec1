"""pandas frames, series, indexes and scalars, column by column."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import InexactError
from tracediff.values.nodeshapes import Shape, Shaper

np: Any = import_module("numpy")
pd: Any = import_module("pandas")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    return _SHAPERS.get(cls)


def _shaper(key: str, parts: Callable[[Any], Any]) -> Shaper:
    name = f"pandas:{key}".encode()

    def shape(obj: Any) -> Shape:
        return tags.LIBRARY, [name, parts(obj)]

    return shape


def _frame(obj: Any) -> Any:
    arrays = [_array(obj.iloc[:, place].array) for place in range(obj.shape[1])]
    return {"index": obj.index, "columns": obj.columns, "arrays": arrays, "attrs": obj.attrs}


def _series(obj: Any) -> Any:
    return {"index": obj.index, "name": obj.name, "array": _array(obj.array), "attrs": obj.attrs}


def _index(obj: Any) -> Any:
    freq = getattr(obj, "freqstr", None)
    return {"name": obj.name, "array": _array(obj.array), "freq": freq}


def _range(obj: Any) -> Any:
    return {"name": obj.name, "start": obj.start, "stop": obj.stop, "step": obj.step}


def _multi(obj: Any) -> Any:
    codes = [np.asarray(one) for one in obj.codes]
    return {"names": list(obj.names), "levels": list(obj.levels), "codes": codes}


def _array(obj: Any) -> Any:
    """The kind of an array and what it is made of; values under a mask are not data."""
    dtype = obj.dtype
    if isinstance(dtype, pd.StringDtype):
        missing = "nan" if dtype.na_value is not pd.NA else "NA"
        data = [None if pd.isna(item) else item for item in obj]
        return {"kind": "str", "storage": dtype.storage, "missing": missing, "data": data}
    if isinstance(obj, pd.arrays.NumpyExtensionArray):
        return {"kind": "numpy", "data": obj.to_numpy()}
    if isinstance(obj, pd.Categorical):
        codes, ordered = np.asarray(obj.codes), obj.ordered
        return {"kind": "category", "codes": codes, "values": obj.categories, "ordered": ordered}
    if isinstance(obj, pd.arrays.DatetimeArray | pd.arrays.TimedeltaArray):
        zone = getattr(dtype, "tz", None)
        data = np.asarray(obj.tz_convert("UTC").tz_localize(None) if zone else obj)
        return {"kind": "time", "data": data, "zone": zone}
    if isinstance(obj, _MASKED):
        mask = np.asarray(obj.isna())
        data = obj.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.type(0))
        return {"kind": "masked", "data": data, "mask": mask}
    if isinstance(obj, pd.arrays.ArrowExtensionArray):
        return {"kind": "arrow", "data": obj.__arrow_array__()}
    raise InexactError("a column of a type of its own")


def _read_array(parts: Any) -> Any:
    kind = parts["kind"]
    if kind == "numpy":
        return parts["data"]
    if kind == "category":
        return pd.Categorical.from_codes(parts["codes"], parts["values"], parts["ordered"])
    if kind == "time":
        found = pd.array(parts["data"])
        zone = parts["zone"]
        return found if zone is None else found.tz_localize("UTC").tz_convert(zone)
    if kind == "str":
        missing: Any = pd.NA if parts["missing"] == "NA" else np.nan
        return pd.array(parts["data"], dtype=pd.StringDtype(parts["storage"], na_value=missing))
    if kind == "masked":
        by_kind = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
        made = by_kind.get(parts["data"].dtype.kind, pd.arrays.IntegerArray)
        return made(parts["data"], parts["mask"])
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(parts["data"])
    raise ValueError(f"a column of unknown kind {kind!r}")


def _read_series(parts: Any) -> Any:
    found = _column(parts["array"], parts["index"], parts["name"])
    found.attrs.update(parts["attrs"])
    return found


def _column(parts: Any, index: Any, name: Any = None) -> Any:
    array = _read_array(parts)
    return pd.Series(array, index=index, name=name, dtype=array.dtype)


def _read_frame(parts: Any) -> Any:
    index = parts["index"]
    columns = dict(enumerate(_column(one, index) for one in parts["arrays"]))
    found = pd.DataFrame(columns, index=index)
    found.columns = parts["columns"]
    found.attrs.update(parts["attrs"])
    return found


def _read_index(parts: Any) -> Any:
    array = _read_array(parts["array"])
    found = pd.Index(array, name=parts["name"], dtype=array.dtype)
    if parts["freq"] is not None:
        found.freq = parts["freq"]
    return found


def _read_range(parts: Any) -> Any:
    return pd.RangeIndex(parts["start"], parts["stop"], parts["step"], name=parts["name"])


def _read_multi(parts: Any) -> Any:
    return pd.MultiIndex(levels=parts["levels"], codes=parts["codes"], names=parts["names"])


def _stamp(obj: Any) -> Any:
    naive = obj if obj.tz is None else obj.tz_convert("UTC").tz_localize(None)
    number = int(naive.to_datetime64().astype(f"M8[{obj.unit}]").view("i8"))
    return {"value": number, "unit": obj.unit, "zone": obj.tz, "fold": obj.fold}


def _read_stamp(parts: Any) -> Any:
    found = pd.Timestamp(np.datetime64(parts["value"], parts["unit"]))
    zone = parts["zone"]
    return found if zone is None else found.tz_localize("UTC").tz_convert(zone)


def _delta(obj: Any) -> Any:
    number = int(obj.to_timedelta64().astype(f"m8[{obj.unit}]").view("i8"))
    return {"value": number, "unit": obj.unit}


def _read_delta(parts: Any) -> Any:
    return pd.Timedelta(np.timedelta64(parts["value"], parts["unit"]))


_MASKED: Final = (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)
_SHAPERS: Final[dict[type, Shaper]] = {
    pd.DataFrame: _shaper("frame", _frame),
    pd.Series: _shaper("series", _series),
    pd.RangeIndex: _shaper("range", _range),
    pd.MultiIndex: _shaper("multiindex", _multi),
    **dict.fromkeys(
        (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex),
        _shaper("index", _index),
    ),
    pd.Categorical: _shaper("array", _array),
    pd.Timestamp: _shaper("timestamp", _stamp),
    pd.Timedelta: _shaper("timedelta", _delta),
    type(pd.NaT): _shaper("NaT", lambda obj: None),
    type(pd.NA): _shaper("NA", lambda obj: None),
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "pandas:frame": _read_frame,
    "pandas:series": _read_series,
    "pandas:range": _read_range,
    "pandas:multiindex": _read_multi,
    "pandas:index": _read_index,
    "pandas:array": _read_array,
    "pandas:timestamp": _read_stamp,
    "pandas:timedelta": _read_delta,
    "pandas:NaT": lambda parts: pd.NaT,
    "pandas:NA": lambda parts: pd.NA,
}
"""Kind to what rebuilds it."""
