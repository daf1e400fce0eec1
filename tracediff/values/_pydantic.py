"""pydantic's own values: addresses, and secrets, which are sealed. Models are records."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import SaidError
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.refs import class_attribute, module_of

networks: Any = import_module("pydantic.networks")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if class_attribute(cls, "__pydantic_fields__") is not None:
        return None
    if module_of(cls) == networks.__name__:
        if issubclass(cls, networks._BaseUrl | networks._BaseMultiHostUrl):  # noqa: SLF001 - no public name has them all
            return _url
        if cls is networks.NameEmail:
            return _email
    return None


def _url(obj: Any) -> Shape:
    hosts = obj.hosts() if hasattr(obj, "hosts") else [{"password": obj.password}]
    if any(one["password"] for one in hosts):
        raise SaidError("an address with a password")
    written = str(obj)
    if type(obj)(written) != obj:
        raise SaidError("an address that its text does not lead back to")
    return tags.LIBRARY, [b"pydantic:url", {"class": type(obj).__name__, "url": written}]


def _email(obj: Any) -> Shape:
    return tags.LIBRARY, [b"pydantic:email", {"name": obj.name, "email": obj.email}]


def _read_url(parts: Any) -> Any:
    cls = vars(networks)[parts["class"]]
    if encoder(cls) is not _url:
        raise TypeError("no class of addresses")
    return cls(parts["url"])


def _read_email(parts: Any) -> Any:
    return networks.NameEmail(name=parts["name"], email=parts["email"])


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "pydantic:url": _read_url,
    "pydantic:email": _read_email,
}
"""Kind to what rebuilds it."""
