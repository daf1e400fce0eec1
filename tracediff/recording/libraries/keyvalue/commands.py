"""Commands of Redis: which of them read, and which of their words are secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

READS = frozenset(
    """GET MGET STRLEN GETRANGE SUBSTR EXISTS TTL PTTL EXPIRETIME PEXPIRETIME TYPE KEYS SCAN
    RANDOMKEY DBSIZE HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD HTTL
    HPTTL HEXPIRETIME HPEXPIRETIME LRANGE LLEN LINDEX LPOS SMEMBERS SISMEMBER SMISMEMBER SCARD
    SRANDMEMBER SINTER SUNION SDIFF SINTERCARD SSCAN ZRANGE ZRANGEBYSCORE ZREVRANGE
    ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK
    ZREVRANK ZSCAN ZINTER ZUNION ZDIFF ZINTERCARD ZRANDMEMBER BITCOUNT BITPOS GETBIT BITFIELD_RO
    XRANGE XREVRANGE XLEN XREAD XPENDING GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO
    GEORADIUSBYMEMBER_RO PFCOUNT DUMP INFO PING ECHO TIME LASTSAVE EVAL_RO EVALSHA_RO FCALL_RO
    SORT_RO LCS WATCH UNWATCH JSON.GET JSON.MGET JSON.TYPE JSON.STRLEN JSON.OBJKEYS JSON.OBJLEN
    JSON.ARRLEN JSON.ARRINDEX JSON.RESP FT.SEARCH FT.AGGREGATE FT.INFO FT.EXPLAIN FT._LIST TS.GET
    TS.MGET TS.RANGE TS.REVRANGE TS.MRANGE TS.MREVRANGE TS.INFO TS.QUERYINDEX BF.EXISTS
    BF.MEXISTS BF.INFO BF.CARD CF.EXISTS CF.COUNT CF.INFO CMS.QUERY TOPK.QUERY TOPK.LIST
    VSIM VCARD VDIM VEMB VINFO VLINKS VRANDMEMBER VGETATTR""".split()
)
"""The commands of one word that read; all others may write."""

_READ_PAIRS = frozenset(
    """CONFIG:GET CLIENT:LIST CLIENT:GETNAME CLIENT:ID CLIENT:INFO SCRIPT:EXISTS MEMORY:USAGE
    MEMORY:STATS XINFO:STREAM XINFO:GROUPS XINFO:CONSUMERS OBJECT:ENCODING OBJECT:FREQ
    OBJECT:IDLETIME OBJECT:REFCOUNT COMMAND:COUNT COMMAND:INFO COMMAND:DOCS COMMAND:LIST
    PUBSUB:CHANNELS PUBSUB:NUMSUB PUBSUB:NUMPAT SLOWLOG:GET SLOWLOG:LEN LATENCY:LATEST
    CLUSTER:SLOTS CLUSTER:SHARDS CLUSTER:NODES CLUSTER:INFO CLUSTER:KEYSLOT CLUSTER:MYID
    FUNCTION:LIST MODULE:LIST ACL:WHOAMI ACL:CAT""".split()
)
CONTAINERS = frozenset(one.partition(":")[0] for one in _READ_PAIRS) | {"XGROUP", "ACL", "DEBUG"}
"""Families of commands, whose second word says which it is."""
_SETS = frozenset("SADD SREM HDEL ZREM DEL UNLINK EXISTS TOUCH".split())
"""Commands whose words have no order: a program may take them from a set."""

_KEYS = {"MSET": (0, 2), "MSETNX": (0, 2), "MSETEX": (1, 2), "JSON.MSET": (0, 3)}
"""Commands of keys with their values: where the first key is, and how far the next one."""
_FIELDS = frozenset("HSET HMSET HSETNX XADD".split())
_POPS = frozenset("BLPOP BRPOP BZPOPMIN BZPOPMAX LMPOP BLMPOP ZMPOP BZMPOP".split())
"""Commands of several keys whose reply says which of them it is of."""
_MOVES = frozenset("LMOVE BLMOVE RPOPLPUSH BRPOPLPUSH SMOVE".split())
_TOGETHER = frozenset("SUNION SINTER SDIFF ZUNION ZINTER ZDIFF LCS".split()) | _MOVES
"""Commands of several keys whose reply may come from each."""
_FLAT = _POPS | frozenset(
    """HGETALL HSCAN HRANDFIELD XRANGE XREVRANGE XREAD XREADGROUP XCLAIM XAUTOCLAIM
    CONFIG:GET""".split()
)
"""Commands whose replies have names and values in turns."""

_ALL_SECRET = frozenset({"AUTH", "HELLO", "MIGRATE", "ACL:SETUSER", "ACL:GENPASS", "ACL:GETUSER"})
_PASSWORDS = frozenset({"requirepass", "masterauth", "tls-key-file-pass"})
_NAME = re.compile(r"[\w.:{}@#|/+-]{1,200}")
_TOKEN = re.compile(r"[\w.~+/=-]{16,4000}")

Words = Sequence[Any]
IsSecret = Callable[[str], bool]


def name_of(words: Words) -> str:
    """The command's name: "GET", and of those that are families "CONFIG:GET"."""
    first = _upper(words[0]) if words else ""
    head, _, rest = first.partition(" ")
    if not rest and head in CONTAINERS and len(words) > 1:
        rest = _upper(words[1])
    return f"{head}:{rest}" if rest else head


def _upper(word: Any) -> str:
    return (word.decode(errors="replace") if isinstance(word, bytes) else str(word)).upper()


def reads(words: Words) -> bool:
    """Whether a command changes nothing."""
    if words and words[0] in READS:  # as clients write them
        return True
    name = name_of(words)
    return name in _READ_PAIRS if ":" in name else name in READS


def rest_of(words: Words) -> list[Any]:
    """The words after the name, which may be one word or two; in order where they have none."""
    name = name_of(words)
    rest = list(words[1:] if ":" not in name or " " in _upper(words[0]) else words[2:])
    first = unordered_from(name)
    if first is None:
        return rest
    return rest[:first] + sorted(rest[first:], key=lambda one: (type(one).__name__, one))


def unordered_from(name: str) -> int | None:
    """From which place on the words after a command's name have no order; None where all have."""
    if name not in _SETS:
        return None
    return 0 if name in ("DEL", "UNLINK", "EXISTS", "TOUCH") else 1


def secret_words(name: str, words: Words, is_secret: IsSecret) -> set[int]:
    """Which of the words after the name are secret, by their places.

    Args:
        name: What ``name_of`` gave.
        words: The texts after it.
        is_secret: Whether what has such a name is secret.
    """
    if name in _ALL_SECRET:
        return set(range(len(words)))
    if name == "CONFIG:SET":
        return {
            at + 1
            for at in range(0, len(words) - 1, 2)
            if str(words[at]).lower() in _PASSWORDS or _named(words[at], is_secret)
        }
    if name in _KEYS:
        return _of_keys(*_KEYS[name], words, is_secret)
    if name.startswith(("EVAL", "FCALL")):
        count = int(words[1]) if len(words) > 1 and str(words[1]).isdigit() else 0
        keys = words[2 : 2 + count]
        whole = any(_named(one, is_secret) for one in keys)
        return set(range(2 + count, len(words))) if whole else set()
    if name == "SMOVE":
        return {2} if any(_named(one, is_secret) for one in words[:2]) else set()
    if name in READS or name in _POPS or name in _MOVES or not words:
        return set()
    if _named(words[0], is_secret) and name not in ("DEL", "UNLINK", "EXPIRE", "PEXPIRE", "TOUCH"):
        return set(range(1, len(words)))
    if name == "HSETEX":
        return _of_keys(_fields(words), 2, words, is_secret)
    if name in _FIELDS:  # of a stream after options, which may be one word or two
        return {at + 1 for at in range(1, len(words) - 1) if _named(words[at], is_secret)}
    return set()


def _of_keys(first: int, size: int, words: Words, is_secret: IsSecret) -> set[int]:
    """The places of the values whose names, each ``size`` words after the last, are secret."""
    places = range(first, len(words) - size + 1, size)
    return {at + size - 1 for at in places if _named(words[at], is_secret)}


def _fields(words: Words) -> int:
    """Where the names of a hash's fields begin, in commands that count them."""
    return next(
        (at + 2 for at, one in enumerate(words) if at and str(one).upper() == "FIELDS"), len(words)
    )


def _named(word: Any, is_secret: IsSecret) -> bool:
    return isinstance(word, str) and _NAME.fullmatch(word) is not None and is_secret(word)


def secret_reply(name: str, words: Words, is_secret: IsSecret) -> bool | list[bool]:
    """Whether a reply is secret: as a whole, or which of its parts are."""
    if name in _ALL_SECRET:
        return True
    if name in ("MGET", "JSON.MGET"):
        return [_named(one, is_secret) for one in words]
    if name in ("HMGET", "HGET") and words and not _named(words[0], is_secret):
        parts = [_named(one, is_secret) for one in words[1:]]
        return parts if name == "HMGET" else any(parts)
    if name in ("HGETEX", "HGETDEL") and words and not _named(words[0], is_secret):
        return [_named(one, is_secret) for one in words[_fields(words) :]]
    if name in _POPS:
        return False  # by the key in it
    if name in _TOGETHER:
        return any(_named(one, is_secret) for one in words)
    if name.startswith(("EVAL", "FCALL")):
        count = int(words[1]) if len(words) > 1 and str(words[1]).isdigit() else 0
        return any(_named(one, is_secret) for one in words[2 : 2 + count])
    return bool(words) and _named(words[0], is_secret)


def in_turns(name: str) -> bool:
    """Whether a reply has names and values in turns."""
    return name in _FLAT


def shown_key(key: str, is_secret: IsSecret, seal: Callable[[str], str]) -> str:
    """A key in which what stands after a secret name, and looks like a token, is sealed.

    Keys such as ``session_token:3f9c…`` have the secret in them.
    """
    head, sep, rest = key.rpartition(":")
    if not sep or _TOKEN.fullmatch(rest) is None or not any(map(str.isdigit, rest)):
        return key
    return f"{head}:{seal(rest)}" if is_secret(head) else key
