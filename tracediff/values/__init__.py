"""Python objects as exact canonical bytes, and back.

``encode`` never fails: what has no exact form is kept as an opaque value. ``inert`` reads a value
without importing anything, ``live`` rebuilds the very objects of allowed classes.
"""

from tracediff.values.allow import Allow
from tracediff.values.encode import (
    NUMBERS,
    OPTIONS,
    digest,
    encode,
    encode_map,
    encode_number,
    encode_numbers,
)
from tracediff.values.glimpse import glimpse
from tracediff.values.identity import aliases, identity, without_secrets
from tracediff.values.inert import inert
from tracediff.values.joining import encode_list, encode_tuple, seal
from tracediff.values.live import live
from tracediff.values.nodes import (
    Deep,
    Global,
    Member,
    Members,
    Opaque,
    Pairs,
    Record,
    Redacted,
    Reference,
)
from tracediff.values.placeholder import Placeholder, node_of, reported
from tracediff.values.redaction import Redaction
from tracediff.values.refs import main_file
from tracediff.values.refs import real_module as module_name
from tracediff.values.registry import register
from tracediff.values.scalars import SCALARS, is_scalar
from tracediff.values.tagged import from_json, json_safe, to_json
from tracediff.values.text import text

__all__ = [
    "NUMBERS",
    "OPTIONS",
    "SCALARS",
    "Allow",
    "Deep",
    "Global",
    "Member",
    "Members",
    "Opaque",
    "Pairs",
    "Placeholder",
    "Record",
    "Redacted",
    "Redaction",
    "Reference",
    "aliases",
    "digest",
    "encode",
    "encode_list",
    "encode_map",
    "encode_number",
    "encode_numbers",
    "encode_tuple",
    "from_json",
    "glimpse",
    "identity",
    "inert",
    "is_scalar",
    "json_safe",
    "live",
    "main_file",
    "module_name",
    "node_of",
    "register",
    "reported",
    "seal",
    "text",
    "to_json",
    "without_secrets",
]
