"""Times with the zones of dateutil that say no place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dateutil.tz import (  # type: ignore[import-untyped]  # it ships no types
    tzlocal,
    tzutc,
)

from tracediff import values

ALLOW = values.Allow([])


@pytest.mark.parametrize("zone", [tzutc(), tzlocal()])
def test_times_come_as_they_were(zone: Any) -> None:
    moment = datetime(2026, 1, 31, 9, 30, 0, 5, tzinfo=zone)
    data = values.encode(moment)
    again: Any = values.live(data, ALLOW)
    assert (again, type(again.tzinfo)) == (moment, type(zone))
    assert values.encode(again) == data
    assert values.from_json(values.to_json(data)) == data


def test_zones_are_told_apart() -> None:
    found = {
        values.encode(datetime(2026, 1, 31, tzinfo=zone)) for zone in (UTC, tzutc(), tzlocal())
    }
    assert len(found) == 3
