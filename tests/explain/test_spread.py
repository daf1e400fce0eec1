"""Which of many changed fields are looked at: some of each column, each row and each name."""

from __future__ import annotations

from tracediff.explain.attribution import spread


def test_some_of_each_column_of_each_frame() -> None:
    cells = [("result", frame, column, f"S{at}")
             for frame, columns in (("a", ("x", "y")), ("b", ("z",)))
             for column in columns for at in range(500)]  # fmt: skip
    paths = [*cells, ("result", "total")]
    chosen = spread(paths, 90)
    assert len(chosen) == 90
    assert chosen == [one for one in paths if one in set(chosen)]
    counted = [sum(one[1:3] == place for one in chosen) for place in (("a", "x"), ("a", "y"))]
    assert min(counted) >= 29
    assert sum(one[1] == "b" for one in chosen) >= 29
    assert ("result", "total") in chosen


def test_each_name_of_many_rows() -> None:
    paths = [("result", at, name) for at in range(500) for name in ("net", "tax", "total")]
    chosen = spread(paths, 60)
    assert {one[2] for one in chosen} == {"net", "tax", "total"}
    assert spread(paths, 5_000) == paths
    assert spread([], 5) == []
