"""Who gets in: the token, what a browser keeps in its place, and a proxy's word.

Nothing is kept here between requests: a session is a text that only who has the token can make, and
the token of a session's writes is worked out from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from tracediff.errors import UsageError

LIFETIME: Final = 30 * 24 * 3600
"""Seconds after which a browser has to sign in again."""

SHORTEST: Final = 32
"""How many characters a token that somebody chose has at least."""

_LONGEST_NAME: Final = 200
_LONGEST_SESSION: Final = 200
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks.

    ``name`` is what a trusted proxy calls them, None for who came with the token. ``session`` is
    what the token of their writes is bound to.
    """

    name: str | None = None
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What lets a request in.

    Args:
        token: The secret that signs in.
        port: Where the server listens; browsers send a cookie to all ports of a host.
        hosts: What requests may call this server, beside the names of this machine for itself.
        anywhere: Whether the server listens on all addresses, and is called by any of them.
        header: The name of the header in which a trusted proxy says who asks, in lower case.
        proxies: The addresses that are believed.
    """

    token: str = field(repr=False)
    port: int
    hosts: frozenset[str] = frozenset()
    anywhere: bool = False
    header: str | None = None
    proxies: Networks = ()
    _tickets: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds a session."""
        return f"tracediff-{self.port}"

    def ticket(self) -> str:
        """A token that signs in once, for a command line that others can see."""
        made = secrets.token_urlsafe()
        self._tickets.add(made)
        return made

    def knows(self, given: str) -> bool:
        """Whether this is the token, or a ticket that nobody used yet."""
        if _same(given, self.token):
            return True
        with self._lock:
            used = {one for one in self._tickets if _same(given, one)}
            self._tickets.difference_update(used)
        return bool(used)

    def new_session(self) -> str:
        """A session that begins now."""
        begun = f"{int(time.time()):x}.{secrets.token_urlsafe(12)}"
        return f"{begun}.{self._signature('session', begun)}"

    def is_session(self, text: str) -> bool:
        """Whether this is a session of this server that has not ended."""
        begun, _, signature = text[:_LONGEST_SESSION].rpartition(".")
        if not _same(signature, self._signature("session", begun)):
            return False
        return time.time() - int(begun.partition(".")[0], 16) < LIFETIME

    def visitor(self, peer: str, headers: Sequence[tuple[bytes, bytes]], cookie: str | None) -> (
        Visitor | None
    ):  # fmt: skip
        """Who asks, None when nobody can tell.

        Args:
            peer: The address that the connection comes from.
            headers: The request's.
            cookie: What the request has of this server's cookie.

        Raises:
            ValueError: A trusted proxy said something that is no name.
        """
        if (name := self._named(peer, headers)) is not None:
            return Visitor(name=name, session=f"proxy {name}")
        if cookie is not None and self.is_session(cookie):
            return Visitor(session=cookie)
        return None

    def _named(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        if self.header is None or not self.trusts(peer):
            return None
        said = [value for name, value in headers if name == self.header.encode()]
        if not said or said == [b""]:
            return None
        name = said[0].decode("utf-8", "replace").strip()
        if len(said) > 1 or len(name) > _LONGEST_NAME or not name.isprintable() or "\ufffd" in name:
            raise ValueError("the proxy's header says no name")
        return name or None

    def trusts(self, peer: str) -> bool:
        """Whether a connection from this address is a trusted proxy's."""
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:  # no address: a socket of another kind
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(_within(address, network) for network in self.proxies)

    def is_called(self, host: str, own: str) -> bool:
        """Whether a request may call this server so: a name that others chose may lead here too.

        Args:
            host: The request's Host.
            own: The address at which the connection arrived.
        """
        name = _name(host)
        return name in _LOCAL or name in self.hosts or (self.anywhere and name == bracketed(own))

    def csrf(self, visitor: Visitor) -> str:
        """The token of a visitor's writes, another text each time.

        What is compressed together with text that an attacker chose can be guessed by its length;
        a text that is never the same twice cannot.
        """
        wanted = self._digest("write", visitor.session)
        pad = secrets.token_bytes(len(wanted))
        return base64.urlsafe_b64encode(pad + _mixed(pad, wanted)).decode()

    def is_csrf(self, given: str, visitor: Visitor) -> bool:
        """Whether this is a token of this visitor's writes."""
        wanted = self._digest("write", visitor.session)
        try:
            both = base64.b64decode(given.encode("ascii"), b"-_", validate=True)
        except ValueError:  # UnicodeEncodeError is one too
            return False
        pad, mixed = both[: len(wanted)], both[len(wanted) :]
        return len(mixed) == len(wanted) and hmac.compare_digest(_mixed(pad, mixed), wanted)

    def _signature(self, purpose: str, text: str) -> str:
        return self._digest(purpose, text).hex()

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self.token.encode(), f"{purpose}\0{text}".encode(), hashlib.sha256)


def chosen_token(environment: Mapping[str, str]) -> str | None:
    """The token that ``TRACEDIFF_UI_TOKEN`` sets, None when it sets none.

    Raises:
        UsageError: ``ui-token-weak``.
    """
    token = environment.get("TRACEDIFF_UI_TOKEN")
    if token is None:
        return None
    if len(token) < SHORTEST or not all("!" <= letter <= "~" for letter in token):
        raise UsageError(
            f"TRACEDIFF_UI_TOKEN must have {SHORTEST} letters, digits and marks or more",
            slug="ui-token-weak",
            hint="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token


def trusted_networks(texts: Sequence[str]) -> Networks:
    """The networks that ``--trusted-proxy`` names.

    Raises:
        UsageError: ``ui-proxy-invalid``.
    """
    found = []
    for text in texts:
        try:
            network = ip_network(text)
        except ValueError as error:
            raise _no_proxy(str(error)) from None
        if network.prefixlen == 0:
            raise _no_proxy(f"{text} is every address, and whoever asks would be believed")
        found.append(network)
    return tuple(found)


def _no_proxy(why: str) -> UsageError:
    return UsageError(
        f"--trusted-proxy: {why}",
        slug="ui-proxy-invalid",
        hint="name the addresses that only the proxy has, such as 10.0.0.5/32",
    )


def bracketed(address: str) -> str:
    """An address as a URL has it."""
    return f"[{address}]" if ":" in address else address.lower()


def _name(host: str) -> str:
    """What stands before the port of a Host."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower().removesuffix(".")


def _within(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network


def _mixed(some: bytes, others: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(some, others, strict=False))


def _same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
