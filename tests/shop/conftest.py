"""The example service with its servers, one for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.shop import Shop


@pytest.fixture(scope="session")
def plain_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The service as it is without tracediff, its web and its worker running."""
    directory = tmp_path_factory.mktemp("plain")
    with Shop(directory / "shop", directory / "logs") as shop:
        shop.start_web()
        shop.start_worker()
        yield shop
