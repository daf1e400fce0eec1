"""A command and its reply as the arguments and the result of a step.

What differs from run to run is left out: sessions and their numbers, times of the cluster. Cursors
are numbered within a trace.
"""

from __future__ import annotations

from typing import Any

import bson

from tracediff import values
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.http.masking import MARK as MARKED
from tracediff.recording.libraries.http.masking import resealed
from tracediff.recording.libraries.mongo.messages import EXACT, Command, documents

NAME = "pymongo"
MARK = MARKED.encode()

_RUN = frozenset(
    """lsid txnNumber autocommit $clusterTime $db $readPreference apiVersion apiStrict
    apiDeprecationErrors maxTimeMS batchSize""".split()
)
"""Fields of a command that do not choose what the answer says."""

_SAID = frozenset(
    """$clusterTime operationTime electionId opTime $gleStats $configTime $topologyTime
    $configServerState lastCommittedOpTime signature topologyVersion""".split()
)
"""Fields of a reply that say when it was, or who answered."""

_TIMES = ("afterClusterTime", "atClusterTime")
_SENSITIVE = frozenset(
    """authenticate saslstart saslcontinue getnonce createuser updateuser copydbgetnonce
    copydbsaslstart copydb""".split()
)
"""Commands that carry passwords."""


class Numbers:
    """The numbers of the cursors of one trace, by the ids that a server gave them."""

    def __init__(self, buffer: Buffer) -> None:
        self._served = buffer.server is not None
        self._known: dict[int, int] = {}

    @classmethod
    def of(cls, buffer: Buffer) -> Numbers:
        """Those of a trace."""
        found: Numbers = buffer.reached.setdefault("pymongo cursors", cls(buffer))
        return found

    def number(self, id_: Any) -> Any:
        """The number of a cursor, in a replay what is its id there."""
        if self._served or not isinstance(id_, int) or not id_:
            return id_
        return bson.Int64(self._known.setdefault(int(id_), len(self._known) + 1))


class Asked(Later):
    """A command, as it was sent.

    Args:
        sent: The command.
        server: Where it goes.
    """

    __slots__ = ("_sent", "_server")

    def __init__(self, sent: Command, server: str) -> None:
        super().__init__()
        self._sent = sent
        self._server = server

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        found = [(name, self._value(name, one, buffer)) for name, one in self.said(buffer).items()]
        return values.encode_map(found)

    def hide(self, buffer: Buffer) -> None:
        """Take its secrets out of the texts of errors, in which servers quote them."""
        document, beside = documents(self._sent)
        _hide({**document, **beside}, False, buffer)

    def said(self, buffer: Buffer) -> dict[str, Any]:
        """The arguments by name."""
        document, beside = documents(self._sent)
        name = next(iter(document))
        first = document.pop(name)
        database = document.get("$db", "")
        kept = {key: one for key, one in document.items() if key not in _RUN}
        concern = kept.pop("readConcern", None)
        if isinstance(concern, dict):
            concern = {key: one for key, one in concern.items() if key not in _TIMES}
        if concern:
            kept["readConcern"] = concern
        if name == "getMore":
            kept = {"cursor": Numbers.of(buffer).number(first), **kept}
        elif isinstance(first, str):
            kept = {"collection": first, **kept}
        elif first != 1:
            kept = {"of": first, **kept}
        kept |= beside
        return {**kept, "database": database, "server": self._server}

    def _value(self, name: str, value: Any, buffer: Buffer) -> bytes:
        if MARK in self._sent.message:
            value = resealed({name: value}, buffer.redactor.secret)[name]
        data = buffer.encoder(name)(value)
        if self._sent.head.name.lower() in _SENSITIVE and name not in ("database", "server"):
            return values.seal(data, buffer.redactor)
        return buffer.seal(name, data)


def _hide(value: Any, secret: bool, buffer: Buffer) -> None:
    if isinstance(value, dict):
        for name, one in value.items():
            _hide(one, secret or buffer.redactor.secret(name), buffer)
    elif isinstance(value, list):
        for one in value:
            _hide(one, secret, buffer)
    elif secret:
        buffer.hide(value)


class Answered(Later):
    """A reply, as it came.

    Args:
        document: The bytes of its document.
    """

    __slots__ = ("_document",)

    def __init__(self, document: bytes | memoryview) -> None:
        super().__init__()
        self._document = document

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict."""
        found = {
            name: one
            for name, one in bson.decode(bytes(self._document), EXACT).items()
            if name not in _SAID and not (name == "ok" and one == 1)
        }
        cursor = found.get("cursor")
        if isinstance(cursor, dict):
            cursor.pop("atClusterTime", None)
            cursor["id"] = Numbers.of(buffer).number(cursor.get("id"))
        _scrub(found, buffer)
        return buffer.encode(found)


def _scrub(found: dict[str, Any], buffer: Buffer) -> None:
    """Take out of what a server says of an error what it quotes of secrets."""
    for one in (found, *_listed(found, "writeErrors"), *_listed(found, "writeConcernErrors")):
        if isinstance(one.get("errmsg"), str):
            one["errmsg"] = buffer.scrub(one["errmsg"])


def _listed(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = found.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def made_up(sent: Command) -> dict[str, Any]:
    """What is answered where nothing is recorded and the replay goes on."""
    document, beside = documents(sent)
    name = sent.head.name
    if name in ("find", "aggregate", "listCollections", "listIndexes", "getMore"):
        place = "nextBatch" if name == "getMore" else "firstBatch"
        space = f"{document.get('$db', '')}.{sent.head.collection or '$cmd'}"
        return {"cursor": {place: [], "id": bson.Int64(0), "ns": space}}
    listed = [one for each in ("documents", "updates", "deletes", "ops")
              for one in beside.get(each) or document.get(each) or ()]  # fmt: skip
    count = len(listed)
    if name == "update":
        return {"n": count, "nModified": count}
    if name == "findAndModify":
        return {"value": None}
    return {"values": []} if name == "distinct" else {"n": count}
