"""The MongoDB index against the conformance suite, on a real server."""

from __future__ import annotations

import pytest

from tracediff.testing import IndexConformance, LiveIndexConformance


class TestIndex(IndexConformance):
    @pytest.fixture(autouse=True)
    def _place(self, open_index):
        self.make_index = open_index


class TestLiveIndex(LiveIndexConformance):
    @pytest.fixture(autouse=True)
    def _place(self, open_index):
        self.make_index = open_index
