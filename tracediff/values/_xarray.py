"""xarray's variables, arrays, datasets and trees, as the numpy arrays and names they are made of.

Only what is in memory: to record an array that a file or a task graph stands for would be to read
or compute it, so that is opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import SaidError
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.refs import module_of

np: Any = import_module("numpy")
pd: Any = import_module("pandas")
xr: Any = import_module("xarray")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    return _SHAPERS.get(cls)


def _shaper(key: str, parts: Callable[[Any], Any]) -> Shaper:
    name = f"xarray:{key}".encode()

    def shape(obj: Any) -> Shape:
        return tags.LIBRARY, [name, parts(obj)]

    return shape


def _variable(obj: Any) -> Any:
    raw = obj._data  # noqa: SLF001 - to ask for the data would compute it
    if not isinstance(obj.dtype, np.dtype):
        raise SaidError(f"its data is of pandas' type {obj.dtype}")
    library = module_of(type(raw)).partition(".")[0]
    if library == "dask" or not _is_loaded(raw):
        raise SaidError("not loaded: to record it would be to compute it")
    if type(raw) is not np.ndarray and type(raw).__name__ != _OF_INDEX:
        raise SaidError(f"its data is a {type(raw).__name__} of {library}")
    data = raw if type(raw) is np.ndarray else obj.values
    parts = {"dims": obj.dims, "data": data, "attrs": dict(obj.attrs)}
    return {**parts, "encoding": dict(obj.encoding)} if obj.encoding else parts


def _is_loaded(raw: Any) -> bool:
    """Whether an array is in memory: xarray wraps what a file holds in classes of its own."""
    own = module_of(type(raw)).startswith("xarray.")
    return not own or type(raw).__name__ == _OF_INDEX


def _around(obj: Any) -> Any:
    """The coordinates, and which of them have which index."""
    indexes: dict[Any, Any] = {}
    several: list[Any] = []
    for index, names in obj.xindexes.group_by_index():
        if type(index) is xr.indexes.PandasMultiIndex:
            several.append({"dim": index.dim, "index": index.index})
            indexes.update(dict.fromkeys(names, False))
        elif type(index) is xr.indexes.PandasIndex and set(names) == {index.dim}:
            indexes.update(dict.fromkeys(names, True))
        else:
            raise SaidError("an index of a class of its own")
    coords = {name: _variable(one.variable) for name, one in obj.coords.items()
              if indexes.get(name, True)}  # fmt: skip
    plain = [name for name in coords if name not in indexes and coords[name]["dims"] == (name,)]
    return {"coords": coords, "several": several, "plain": plain, "order": list(obj.coords)}


def _array(obj: Any) -> Any:
    return {"name": obj.name, "variable": _variable(obj.variable), **_around(obj)}


def _dataset(obj: Any) -> Any:
    variables = {name: _variable(one.variable) for name, one in obj.data_vars.items()}
    parts = {"variables": variables, "attrs": dict(obj.attrs), **_around(obj)}
    return {**parts, "encoding": dict(obj.encoding)} if obj.encoding else parts


def _tree(obj: Any) -> Any:
    if obj.parent is not None:
        raise SaidError("a branch of a tree")
    nodes = {node.path: _dataset(node.to_dataset(inherit=False)) for node in obj.subtree}
    return {"name": obj.name, "nodes": nodes}


def _read_variable(parts: Any) -> Any:
    return _made(xr.Variable, parts)


def _made(cls: Any, parts: Any) -> Any:
    if type(parts["data"]) is not np.ndarray:
        raise TypeError("a variable without an array")
    return cls(parts["dims"], parts["data"], parts["attrs"], parts.get("encoding"))


def _coordinates(parts: Any) -> Any:
    found: dict[Any, Any] = {}
    indexes: dict[Any, Any] = {}
    for name, one in parts["coords"].items():
        variable = _read_variable(one)
        if variable.dims == (name,) and name not in parts["plain"]:
            indexes[name] = xr.indexes.PandasIndex.from_variables({name: variable}, options={})
            made = indexes[name].create_variables({name: variable})
            found.update(made)
        else:
            found[name] = variable
    coords = xr.Coordinates(found, indexes=indexes)
    for one in parts["several"]:
        if not isinstance(one["index"], pd.MultiIndex):
            raise TypeError("levels without an index")
        levels = xr.Coordinates.from_pandas_multiindex(one["index"], one["dim"])
        coords = coords.merge(levels).coords
    ordered = {name: coords.variables[name] for name in parts["order"]}
    return xr.Coordinates(ordered, indexes=dict(coords.xindexes))


def _read_array(parts: Any) -> Any:
    variable = _read_variable(parts["variable"])
    found = xr.DataArray(
        variable.data, _coordinates(parts), variable.dims, parts["name"], variable.attrs
    )
    found.encoding = variable.encoding
    return found


def _read_dataset(parts: Any) -> Any:
    variables = {name: _read_variable(one) for name, one in parts["variables"].items()}
    found = xr.Dataset(variables, _coordinates(parts), parts["attrs"])
    if "encoding" in parts:
        found.encoding = parts["encoding"]
    return found


def _read_tree(parts: Any) -> Any:
    nodes = {path: _read_dataset(one) for path, one in parts["nodes"].items()}
    return xr.DataTree.from_dict(nodes, name=parts["name"])


_OF_INDEX: Final = "PandasIndexingAdapter"
_SHAPERS: Final[dict[type, Shaper]] = {
    xr.Variable: _shaper("variable", _variable),
    xr.IndexVariable: _shaper("indexvariable", _variable),
    xr.DataArray: _shaper("array", _array),
    xr.Dataset: _shaper("dataset", _dataset),
    xr.DataTree: _shaper("tree", _tree),
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "xarray:variable": _read_variable,
    "xarray:indexvariable": lambda parts: _made(xr.IndexVariable, parts),
    "xarray:array": _read_array,
    "xarray:dataset": _read_dataset,
    "xarray:tree": _read_tree,
}
"""Kind to what rebuilds it."""
