"""For the authors of store drivers: conformance suites to subclass, and builders of test data.

    from tracediff.testing import StoreConformance

    class TestMyStore(StoreConformance):
        def make_store(self, directory):
            return MyStore(f"mine:{directory.name}")

The suites are plain classes for pytest: their methods ask for its ``tmp_path``, and nothing here
imports it. ``directory`` is fresh for each test; where a driver keeps nothing in files its name
serves as that of a database or prefix. Opening the same directory again must reach the same data
when the driver says it is durable. Optimised bytecode (``python -O``) removes the checks.
"""

from tracediff.testing.blobs import BlobsConformance
from tracediff.testing.builders import make_parts, make_row, make_trace
from tracediff.testing.counting import CountingStoreConformance
from tracediff.testing.index import IndexConformance
from tracediff.testing.live import LiveIndexConformance, LiveStoreConformance
from tracediff.testing.refusal import refused
from tracediff.testing.store import StoreConformance

__all__ = [
    "BlobsConformance",
    "CountingStoreConformance",
    "IndexConformance",
    "LiveIndexConformance",
    "LiveStoreConformance",
    "StoreConformance",
    "make_parts",
    "make_row",
    "make_trace",
    "refused",
]
