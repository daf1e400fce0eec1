"""An index in MongoDB 6.0 or newer: one document a trace, a page of any search from one index.

Importing this package imports pymongo; nothing else of tracediff does.
"""

from tracediff.stores.mongo.index import MongoIndex

__all__ = ["MongoIndex"]
