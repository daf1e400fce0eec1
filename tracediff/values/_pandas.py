"""pandas frames, series, indexes and scalars, column by column."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone
from importlib import import_module
from typing import Any, Final
from zoneinfo import ZoneInfo

from tracediff.values import tags
from tracediff.values.framed import Framed
from tracediff.values.leaves import SaidError
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.refs import module_of

np: Any = import_module("numpy")
pd: Any = import_module("pandas")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    found = _SHAPERS.get(cls)
    if found is not None or module_of(cls).partition(".")[0] != "pandas":
        return found
    if issubclass(cls, pd.api.extensions.ExtensionArray):
        return _EXTENSION
    if issubclass(cls, pd.api.extensions.ExtensionDtype):
        return _DTYPE
    if issubclass(cls, pd.offsets.BaseOffset):
        return _OFFSET
    return None


def _shaper(key: str, parts: Callable[[Any], Any]) -> Shaper:
    name = f"pandas:{key}".encode()

    def shape(obj: Any) -> Shape:
        return tags.LIBRARY, [name, parts(obj)]

    return shape


def _frame(obj: Any) -> Any:
    _exact_index(obj.index)
    _exact_index(obj.columns)
    arrays = [_array(obj.iloc[:, place].array) for place in range(obj.shape[1])]
    parts = {"index": obj.index, "columns": obj.columns, "arrays": arrays, "attrs": obj.attrs}
    return parts if obj.flags.allows_duplicate_labels else {**parts, "flags": _UNIQUE}


def _series(obj: Any) -> Any:
    _exact_index(obj.index)
    parts = {"index": obj.index, "name": obj.name, "array": _array(obj.array), "attrs": obj.attrs}
    return parts if obj.flags.allows_duplicate_labels else {**parts, "flags": _UNIQUE}


def _exact_index(obj: Any) -> None:
    """What cannot be written of an index cannot be written of what it belongs to."""
    if type(obj) not in _SHAPERS:
        raise SaidError("an index of a class of its own")
    for level in obj.levels if isinstance(obj, pd.MultiIndex) else (obj,):
        freq = getattr(level, "freq", None)
        if freq is not None and not _is_named(freq):
            raise SaidError("the frequency of its index has no name")
        if isinstance(level, pd.CategoricalIndex):
            _exact_index(level.categories)


def _is_named(offset: Any) -> bool:
    """Whether an offset's name leads back to it."""
    try:
        back = pd.tseries.frequencies.to_offset(offset.freqstr)
    except (ValueError, TypeError):
        return False
    return type(back) is type(offset) and bool(back == offset)


def _index(obj: Any) -> Any:
    _exact_index(obj)
    freq = None if isinstance(obj, pd.PeriodIndex) else getattr(obj, "freqstr", None)
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
        data = obj.to_numpy(dtype=object, na_value=None).tolist()
        return {"kind": "str", "storage": dtype.storage, "missing": missing, "data": data}
    if isinstance(obj, pd.arrays.NumpyExtensionArray):
        return {"kind": "numpy", "data": obj.to_numpy()}
    if isinstance(obj, pd.Categorical):
        codes, ordered = np.asarray(obj.codes), obj.ordered
        return {"kind": "category", "codes": codes, "values": obj.categories, "ordered": ordered}
    if isinstance(obj, pd.arrays.DatetimeArray | pd.arrays.TimedeltaArray):
        zone = getattr(dtype, "tz", None)
        if zone is not None and type(zone) not in _ZONES:
            raise SaidError("a time zone of a class of its own")
        data = np.asarray(obj.tz_convert("UTC").tz_localize(None) if zone else obj)
        return {"kind": "time", "data": data, "zone": zone}
    if isinstance(obj, _MASKED):
        mask = np.asarray(obj.isna())
        data = obj.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.type(0))
        return {"kind": "masked", "data": data, "mask": mask}
    if isinstance(obj, pd.arrays.ArrowExtensionArray):
        return {"kind": "arrow", "data": obj.__arrow_array__()}
    if isinstance(obj, pd.arrays.PeriodArray):
        if not _is_named(obj.freq):
            raise SaidError("periods of a frequency that has no name")
        return {"kind": "period", "freq": obj.freqstr, "data": obj.asi8}
    if isinstance(obj, pd.arrays.IntervalArray):
        return {"kind": "interval", "closed": obj.closed, "left": obj.left, "right": obj.right}
    if isinstance(obj, pd.arrays.SparseArray):
        return _sparse(obj)
    raise SaidError("a column of a type of its own")


def _sparse(obj: Any) -> Any:
    places = obj.sp_index.to_int_index().indices
    return {"kind": "sparse", "size": len(obj), "fill": obj.fill_value, "form": obj.kind,
            "data": obj.sp_values, "places": places}  # fmt: skip


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
    if kind == "period":
        return pd.arrays.PeriodArray(parts["data"], dtype=pd.PeriodDtype(parts["freq"]))
    if kind == "interval":
        left, right = parts["left"], parts["right"]
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=parts["closed"])
    if kind == "sparse":
        return _read_sparse(parts)
    raise ValueError(f"a column of unknown kind {kind!r}")


def _read_sparse(parts: Any) -> Any:
    data, places, size, fill = (parts[name] for name in ("data", "places", "size", "fill"))
    if len(places) != len(data):
        raise ValueError("a sparse column without its cells")
    make = getattr(pd.arrays.SparseArray, "from_indices", None)
    if make is not None:
        return make(data, places, size, fill, parts["form"], data.dtype)
    index = _INT_INDEX(size, places, check_integrity=True)
    index = index.to_block_index() if parts["form"] == "block" else index
    return pd.arrays.SparseArray(data, sparse_index=index, dtype=pd.SparseDtype(data.dtype, fill))


def _read_series(parts: Any) -> Any:
    found = _column(parts["array"], parts["index"], parts["name"])
    found.attrs.update(parts["attrs"])
    return _flagged(found, parts)


def _flagged(found: Any, parts: Any) -> Any:
    if parts.get("flags") == _UNIQUE:
        found.flags.allows_duplicate_labels = False
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
    return _flagged(found, parts)


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


def _extension(obj: Any) -> Any:
    if type(obj) is pd.arrays.NumpyExtensionArray:
        return {"kind": "extension", "data": obj.to_numpy()}
    return _array(obj)


def _read_extension(parts: Any) -> Any:
    if parts["kind"] == "extension":
        return pd.arrays.NumpyExtensionArray(parts["data"])
    return _read_array(parts)


def _dtype(obj: Any) -> Any:
    """By an empty array of it, which says all there is to say of a type."""
    empty = pd.array([], dtype=obj)
    if type(empty.dtype) is not type(obj) or empty.dtype != obj:
        raise SaidError("a type that no array has")
    return _array(empty)


def _read_dtype(parts: Any) -> Any:
    return _read_array(parts).dtype


def _period(obj: Any) -> Any:
    if not _is_named(obj.freq):
        raise SaidError("a period of a frequency that has no name")
    return {"ordinal": obj.ordinal, "freq": obj.freqstr}


def _interval(obj: Any) -> Any:
    return {"left": obj.left, "right": obj.right, "closed": obj.closed}


def _offset(obj: Any) -> Any:
    if not _is_named(obj):
        raise SaidError("an offset that has no name")
    return obj.freqstr


_UNIQUE: Final = {"allows_duplicate_labels": False}
_INT_INDEX: Final = type(pd.arrays.SparseArray([0]).sp_index)
_ZONES: Final = (ZoneInfo, timezone)
_EXTENSION: Final = _shaper("array", _extension)
_DTYPE: Final = _shaper("dtype", _dtype)
_OFFSET: Final = _shaper("offset", _offset)
_MASKED: Final = (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)


def _names(obj: Any) -> tuple[list[Any], list[Any]]:
    return list(obj.columns), [*obj.index.names, *obj.columns.names]


def _without(obj: Any, places: set[int]) -> Any:
    return obj.iloc[:, [at for at in range(obj.shape[1]) if at not in places]]


def _read_sealed(parts: Any) -> Any:
    """The frame with stand-ins in the columns that are sealed."""
    found = parts["frame"]
    sealed = iter(parts["sealed"])
    for at, name in enumerate(parts["names"]):
        if at < found.shape[1] and found.columns[at] == name:
            continue
        _, stand_in = next(sealed)
        cells = np.empty(len(found), dtype=object)
        for row in range(len(found)):  # to give all of them at once would look into them
            cells[row] = stand_in
        column = pd.Series(cells, index=found.index, dtype=object)
        found.insert(at, name, column, allow_duplicates=True)
    return found


_SHAPERS: Final[dict[type, Shaper]] = {
    pd.DataFrame: Framed(
        "pandas:sealed",
        _shaper("frame", _frame),
        _names,
        lambda obj, at: obj.iloc[:, at],
        _without,
    ),
    pd.Series: Framed(
        "pandas:sealed",
        _shaper("series", _series),
        lambda obj: ((), [obj.name, *obj.index.names]),
        lambda obj, at: obj,
        lambda obj, places: obj,
    ),
    pd.RangeIndex: _shaper("range", _range),
    pd.MultiIndex: _shaper("multiindex", _multi),
    **dict.fromkeys(
        (
            pd.Index,
            pd.DatetimeIndex,
            pd.TimedeltaIndex,
            pd.CategoricalIndex,
            pd.PeriodIndex,
            pd.IntervalIndex,
        ),
        _shaper("index", _index),
    ),
    pd.Categorical: _shaper("array", _array),
    pd.Timestamp: _shaper("timestamp", _stamp),
    pd.Period: _shaper("period", _period),
    pd.Interval: _shaper("interval", _interval),
    pd.Timedelta: _shaper("timedelta", _delta),
    type(pd.NaT): _shaper("NaT", lambda obj: None),
    type(pd.NA): _shaper("NA", lambda obj: None),
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "pandas:frame": _read_frame,
    "pandas:sealed": _read_sealed,
    "pandas:series": _read_series,
    "pandas:range": _read_range,
    "pandas:multiindex": _read_multi,
    "pandas:index": _read_index,
    "pandas:array": _read_extension,
    "pandas:dtype": _read_dtype,
    "pandas:period": lambda parts: pd.Period(ordinal=parts["ordinal"], freq=parts["freq"]),
    "pandas:interval": lambda parts: pd.Interval(parts["left"], parts["right"], parts["closed"]),
    "pandas:offset": pd.tseries.frequencies.to_offset,
    "pandas:timestamp": _read_stamp,
    "pandas:timedelta": _read_delta,
    "pandas:NaT": lambda parts: pd.NaT,
    "pandas:NA": lambda parts: pd.NA,
}
"""Kind to what rebuilds it."""
