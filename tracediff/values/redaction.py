"""How secrets are kept out of what is encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ormsgpack import Ext, packb

from tracediff.values import tags
from tracediff.values.nodes import Redacted
from tracediff.values.placeholder import Placeholder, node_of
from tracediff.values.refs import module_of, mro, type_ref


class Redaction(Protocol):
    """What is secret, and how a secret is sealed.

    ``safe`` holds the names that are known not to be secret: the fast check of a dict is
    ``keys <= safe``. ``types`` are classes whose instances are secret, ``path_rule`` tells whether
    the value at a path is (None keeps the walk fast). ``scrub`` cleans text: the reprs of opaque
    values always, every str only with ``scrub_values``.
    """

    safe: set[str]
    types: tuple[type, ...]
    scrub_values: bool
    path_rule: Callable[[tuple[str | int, ...]], bool] | None

    @property
    def scrub(self) -> Callable[[str], str] | None:
        """Takes secrets out of a text."""
        ...

    def secret(self, name: str) -> bool:
        """Whether a field of this name is secret; a name that is not is added to ``safe``."""
        ...

    def seal(self, data: bytes) -> tuple[str, bytes]:
        """The id of the key and the keyed digest of a secret's canonical bytes."""
        ...


def seals_itself(cls: type) -> bool:
    """Whether a class is one of pydantic's for secrets: its instances are sealed by any name."""
    known = _sealing.get(id(cls))
    if known is None:
        if len(_sealing) > _MOST_KNOWN:
            _sealing.clear()
        found = any(
            module_of(base) == "pydantic.types" and type_ref(base).rpartition(":")[2] in _SECRETS
            for base in mro(cls)
        )
        known = _sealing[id(cls)] = (cls, found)
    return known[1]


_SECRETS = frozenset({"SecretStr", "SecretBytes", "Secret", "_SecretBase"})
_MOST_KNOWN = 4_096
_sealing: dict[int, tuple[type, bool]] = {}
"""By the id of the class, which may not be hashable; the class is kept so that no other gets it."""

FLAGS = frozenset({bool, type(None)})
"""Types whose values say whether there is a secret at most: under its name they are kept."""


def sealed(obj: Any, data: bytes, redaction: Redaction) -> Ext:
    """What is written in place of a secret whose canonical bytes are ``data``."""
    name = type_ref(type(obj))
    if type(obj) is Placeholder or type(obj) is Redacted:
        node = node_of(obj) if type(obj) is Placeholder else obj
        if isinstance(node, Redacted):  # sealed when it was recorded; a replay hands it on
            parts = [node.type.encode(), node.key_id.encode(), node.digest]
            return Ext(tags.REDACTED, packb(parts, None, tags.OPTIONS))
        name = node.type
    key_id, digest = redaction.seal(data)
    parts = [name.encode(), key_id.encode(), digest]
    return Ext(tags.REDACTED, packb(parts, None, tags.OPTIONS))


def secret_names(pairs: Mapping[Any, Any], redaction: Redaction) -> list[str]:
    """The keys of a dict that are secret."""
    return [
        key
        for key in pairs
        if type(key) is str
        and key not in redaction.safe
        and redaction.secret(key)
        and type(pairs[key]) not in FLAGS
    ]
