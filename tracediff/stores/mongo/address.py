"""What a MongoDB URL says, and how it is named where no password may be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from tracediff.errors import StoreError

COLLECTION = "traces"
_OWN = ("collection",)
_FIXED = {"w": ("majority",), "journal": ("true",), "fsync": ()}
"""Options that decide what an acknowledgement is worth, and the values that leave it as it is."""

_NAME = 120
_BAD_DATABASE = frozenset('/\\. "$*<>:|?\0')


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A collection of a database.

    ``url`` is for the client alone: it has the password in it. ``shown`` has none.
    """

    url: str = field(repr=False)
    database: str
    collection: str = COLLECTION
    shown: str
    options: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def masked(self, text: str) -> str:
        """The text without anything of the credentials, however it is spelled."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_address(url: str) -> Address:
    """Read ``mongodb://host/database?collection=traces&…`` or ``mongodb+srv://…``.

    Raises:
        StoreError: ``store-url-invalid``: it names no database. ``store-option-invalid``: it has an
            option that there is none of, or one that would acknowledge what may be lost.
    """
    scheme, _, rest = url.partition("://")
    before, _, query = rest.partition("?")
    place, _, database = before.rpartition("/") if "/" in before else (before, "", "")
    who, at, hosts = place.rpartition("@")
    if "/" in place or "@" in who or "@" in database:
        raise _unknown("a character of the password or the database is not escaped")
    options = [piece.partition("=")[::2] for piece in query.split("&") if piece]
    own = {name: unquote(value) for name, value in options if name in _OWN}
    others = [(name, value) for name, value in options if name not in _OWN]  # as they are spelled
    name = check_name(unquote(database), database=True)
    collection = check_name(own.get("collection", COLLECTION))
    _check_options(others)
    plain = f"{scheme}://{place}/{database}"
    address = Address(
        url=f"{plain}?{_joined(others)}" if others else plain,
        database=name,
        collection=collection,
        shown=f"{scheme}://{hosts}/{name}",
        options=frozenset(option.lower() for option, _ in others),
        secrets=tuple(sorted(_secrets(who, others), key=len, reverse=True)) if at or others else (),
    )
    _check_hosts(address)
    return address


def check_name(name: str, *, database: bool = False) -> str:
    """The name itself, if a database or a collection can have it.

    Raises:
        StoreError: ``store-url-invalid``.
    """
    what = "database" if database else "collection"
    bad = _BAD_DATABASE if database else frozenset("$\0")
    odd = not database and (name.startswith((".", "system.")) or name.endswith("."))
    if not name:
        raise _unknown(f"it names no {what}")
    if odd or bad & set(name) or len(name.encode("utf-8", "replace")) > (63 if database else _NAME):
        raise _unknown(f"no {what} can have that name")
    return name


def _check_options(options: list[tuple[str, str]]) -> None:
    for name, value in options:
        allowed = _FIXED.get(name.lower())
        if allowed is not None and value.lower() not in allowed:
            raise _bad_option(
                name, "leave it out: a trace is acknowledged when a majority has it on disk"
            )
    if _readable(f"mongodb://host/?{_joined(options)}"):
        return
    alone = (name for name, value in options if not _readable(f"mongodb://host/?{name}={value}"))
    raise _bad_option(
        next(alone, options[0][0]),
        "use collection=…, or an option of MongoDB's connection strings with a value it can have",
    )


def _joined(options: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in options)


def _readable(url: str) -> bool:
    """Whether pymongo takes this URL. What it says of one that it does not take may quote it."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    try:
        parse_uri(url, validate=True, warn=False)
    except (PyMongoError, ValueError, OSError):  # OSError: a file of certificates
        return False
    return True


def _check_hosts(address: Address) -> None:
    # Reading mongodb+srv: asks a name server: connecting does.
    if not address.url.startswith("mongodb+srv://") and not _readable(address.url):
        raise _unknown("its hosts cannot be read")


def _secrets(who: str, options: list[tuple[str, str]]) -> Iterator[str]:
    user, _, password = who.partition(":")
    for text in (who, password, *_option_secrets(options)):
        yield from {text, unquote(text), unquote_plus(text)} - {"", user}


def _option_secrets(options: list[tuple[str, str]]) -> Iterator[str]:
    for name, value in options:
        if name.lower() == "tlscertificatekeyfilepassword":
            yield value
        if name.lower() == "authmechanismproperties" and "TOKEN:" in value:
            yield value.partition("TOKEN:")[2]


def _unknown(why: str) -> StoreError:
    return StoreError(
        f"the MongoDB URL names no store: {why}",
        slug="store-url-invalid",
        hint="write mongodb://host/database?collection=traces, with %40 for @ and %2F for / in a "
        "password",
    )


def _bad_option(name: str, hint: str) -> StoreError:
    return StoreError(
        f"a MongoDB URL cannot have the option {name[:60]!r} with that value",
        slug="store-option-invalid",
        hint=hint,
    )


Options = dict[str, Any]
DEFAULTS: Options = {
    "appname": "tracediff",
    "serverSelectionTimeoutMS": 5_000,
    "heartbeatFrequencyMS": 2_000,  # a server that is back is seen before the next call gives up
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "waitQueueTimeoutMS": 20_000,
    "maxPoolSize": 16,
    "retryWrites": True,
    "retryReads": True,
}
"""How the client is made where the URL says nothing: it gives up soon, callers try again."""


def client_options(address: Address) -> Options:
    """The defaults that the URL does not replace."""
    return {name: value for name, value in DEFAULTS.items() if name.lower() not in address.options}
