"""What is answered in a replay that goes on although nothing of a command is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracediff.recording.libraries.keyvalue.commands import name_of, reads

_DONE = frozenset(
    """SET SETEX PSETEX MSET HMSET RENAME LSET LTRIM FLUSHDB FLUSHALL SELECT SWAPDB RESTORE
    XGROUP:CREATE XGROUP:SETID CONFIG:SET JSON.SET JSON.MSET PFMERGE WATCH UNWATCH""".split()
)
_TAKES = ("POP", "EVAL", "FCALL", "GETDEL", "GETEX", "GETSET", "LMOVE", "BRPOPLPUSH", "RPOPLPUSH")
_CONDITIONED = frozenset({"SET", "ZADD", "XADD", "XGROUP:CREATE"})
_CONDITIONS = frozenset({"NX", "XX", "GET", "INCR", "NOMKSTREAM", "IFEQ", "IFNE"})
_CURSORS = ("SCAN", "HSCAN", "SSCAN", "ZSCAN")
_LISTS = frozenset(
    """KEYS LRANGE SMEMBERS SINTER SUNION SDIFF HKEYS HVALS ZRANGE ZREVRANGE ZRANGEBYSCORE
    ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZINTER ZUNION ZDIFF XRANGE XREVRANGE""".split()
)
_COUNTS = frozenset(
    """EXISTS STRLEN LLEN SCARD HLEN ZCARD ZCOUNT ZLEXCOUNT XLEN BITCOUNT GETBIT SISMEMBER HEXISTS
    HSTRLEN DBSIZE PFCOUNT SINTERCARD""".split()
)
_EACH = frozenset({"MGET", "HMGET", "SMISMEMBER", "ZMSCORE"})


def made_up(commands: Sequence[Sequence[Any]], *, transaction: bool) -> list[Any]:
    """Replies as if every read found nothing and every write went well.

    Args:
        commands: One, or those of a pipeline.
        transaction: Whether they are one of ``MULTI``.
    """
    each = [_reply(one) for one in commands]
    return ["OK", *("QUEUED" for _ in each), each] if transaction else each


def may_be_none(words: Sequence[Any]) -> bool:
    """Whether a server may say nothing to a command, so that this may be what is recorded."""
    if name_of(words) in _CONDITIONED:
        return any(str(one).upper() in _CONDITIONS for one in words[2:])
    return _reply(words) is None


def _reply(words: Sequence[Any]) -> Any:
    name = name_of(words)
    if name in _DONE:
        return "OK"
    if name in _CURSORS:
        return ["0", []]
    if name in ("HGETALL", "CONFIG:GET"):
        return {}
    if name in _LISTS:
        return []
    if name in _EACH:
        return [None] * (len(words) - 1 - (name != "MGET"))
    if name in ("TTL", "PTTL"):
        return -2  # there is no such key
    if name in _COUNTS:
        return 0
    return None if reads(words) or any(one in name for one in _TAKES) else 1
