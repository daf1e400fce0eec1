"""What a replay may reach for real: the grammar of the setting ``replay_allow``.

"socket"                  any network
"socket:HOST"             one host, any port; HOST may hold * and ?
"socket:HOST:PORT"        one host and port; an IPv6 address goes in brackets
"socket:/path"            one Unix socket
"subprocess"              any program
"subprocess:NAME"         one program, by its path or its last component
"inputs"                  anything, from within an input that runs for real (on a miss, "live")
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from tracediff.errors import ConfigError

HARMLESS_PROGRAMS = frozenset({"ldconfig", "uname"})
"""Programs the standard library itself asks about the machine (ctypes, platform)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One parsed entry. ``target`` None means any; ``port`` None means any."""

    scope: str
    target: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All entries of one setting."""

    entries: tuple[Permission, ...] = ()

    @property
    def inputs(self) -> bool:
        """Whether an input that runs for real may reach anything."""
        return any(entry.scope == "inputs" for entry in self.entries)

    def program(self, name: str) -> bool:
        """Whether this program may be started."""
        short = name.rsplit("/", 1)[-1]
        if short in HARMLESS_PROGRAMS:
            return True
        return any(
            entry.target is None or entry.target in (name, short)
            for entry in self.entries
            if entry.scope == "subprocess"
        )

    def host(self, host: str, port: int | None) -> bool:
        """Whether this host may be looked up and connected to; port None asks for any port."""
        return any(
            entry.target is None
            or (
                fnmatch.fnmatchcase(host, entry.target)
                and (entry.port is None or port is None or entry.port == port)
            )
            for entry in self.entries
            if entry.scope == "socket"
        )

    def names(self, port: int | None) -> list[str]:
        """The host names without wildcards that may be connected to on this port."""
        return [
            entry.target
            for entry in self.entries
            if entry.scope == "socket"
            and entry.target is not None
            and not set(entry.target) & set("*?[/")
            and (entry.port is None or port is None or entry.port == port)
        ]


def parse_permissions(texts: Iterable[str]) -> Permissions:
    """Read the entries of ``replay_allow``; raises ConfigError ``replay-allow-invalid``."""
    return Permissions(entries=tuple(_parse(text) for text in texts))


def _parse(text: str) -> Permission:
    scope, colon, rest = text.partition(":")
    if scope not in ("socket", "subprocess", "inputs"):
        raise _invalid(text, f"{scope!r} is none of socket, subprocess and inputs")
    if not colon:
        return Permission(scope=scope)
    if not rest:
        raise _invalid(text, "nothing follows the colon")
    if scope == "inputs":
        raise _invalid(text, "inputs takes nothing after it")
    if scope == "subprocess" or rest.startswith("/"):
        return Permission(scope=scope, target=rest)
    host, port = _split_port(text, rest)
    return Permission(scope=scope, target=host, port=port)


def _split_port(text: str, rest: str) -> tuple[str, int | None]:
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise _invalid(text, "the bracket is not closed before the port")
        colon, port = tail[:1], tail[1:]
    else:
        host, colon, port = rest.partition(":")
        if ":" in port:
            raise _invalid(text, "an IPv6 address goes in brackets")
    if not host:
        raise _invalid(text, "the host is empty")
    if not colon:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _invalid(text, f"{port!r} is not a port")
    return host, int(port)


def _invalid(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"replay_allow has an entry that cannot be read, {text!r}: {why}",
        slug="replay-allow-invalid",
        hint='write "socket", "socket:HOST", "socket:HOST:PORT", "socket:/path", "subprocess", '
        '"subprocess:NAME" or "inputs"',
    )
