"""Where traces are kept: an index of small rows and blobs of bytes behind one seam."""

from tracediff.stores.base import Blobs, Capabilities, Index, Store
from tracediff.stores.urls import open_store

__all__ = ["Blobs", "Capabilities", "Index", "Store", "open_store"]
