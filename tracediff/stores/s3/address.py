"""The URL of blobs in S3: ``s3://BUCKET[,BUCKET…][/PREFIX][?OPTION=VALUE&…]``.

    endpoint       the server's URL, when it is not Amazon's
    region         the region to sign for
    path_style     true or false: buckets in the path or in the host's name; true with an endpoint
    sse            AES256 or aws:kms: the server encrypts what is put
    kms_key        with sse=aws:kms, the key's id
    storage_class  the class of what is put: STANDARD_IA, …

Credentials never stand in it: they come from the environment or from boto3's own chain.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tracediff.errors import StoreError
from tracediff.stores.keys import is_key

PREFIX = "tracediff"
"""The prefix of a URL that names none, so that nothing foreign is ever among the blobs."""

_OPTIONS = ("endpoint", "kms_key", "path_style", "region", "sse", "storage_class")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECRET = re.compile(r"key|secret|token|password|credential|signature|user", re.IGNORECASE)
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_FORMS = {
    "kms_key": re.compile(r"[A-Za-z0-9:/_.-]{1,2048}"),
    "region": re.compile(r"[a-z0-9-]{1,64}"),
    "sse": re.compile(r"AES256|aws:kms"),
    "storage_class": re.compile(r"[A-Z][A-Z0-9_]{0,63}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where blobs are kept, and how what is put there is stored."""

    buckets: tuple[str, ...]
    prefix: str = PREFIX
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    sse: str | None = None
    kms_key: str | None = None
    storage_class: str | None = None

    @property
    def sorts(self) -> bool:
        """Whether listings come sorted: Amazon's do, but not those of directory buckets."""
        return self.endpoint is None and not any(one.endswith("--x-s3") for one in self.buckets)


def read_address(url: str) -> Address:
    """What the URL says.

    Raises:
        StoreError: ``store-url-invalid``. Its text holds nothing that could be a secret.
    """
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _invalid("it cannot be read as a URL", "write s3://BUCKET/PREFIX") from None
    if "@" in parts.netloc:
        raise _credentials()
    if parts.scheme != "s3" or parts.fragment:
        raise _invalid("it does not have the form s3://BUCKET/PREFIX?OPTION=VALUE", _FORM)
    options = _options(given)
    endpoint = _endpoint(options.get("endpoint"))
    if "kms_key" in options and options.get("sse") != "aws:kms":
        raise _invalid("kms_key needs sse=aws:kms", "add sse=aws:kms, or leave kms_key out")
    return Address(
        buckets=_buckets(parts.netloc),
        prefix=_prefix(unquote(parts.path).strip("/")),
        endpoint=endpoint,
        region=options.get("region"),
        path_style=_boolean(options.get("path_style"), default=endpoint is not None),
        sse=options.get("sse"),
        kms_key=options.get("kms_key"),
        storage_class=options.get("storage_class"),
    )


_FORM = "write s3://BUCKET,BUCKET/PREFIX?OPTION=VALUE with the options " + ", ".join(_OPTIONS)


def _options(given: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given:
        if name not in _OPTIONS:
            raise _unknown(name)
        if name in found:
            raise _invalid(f"{name} is given twice", "give each option once")
        if name in _FORMS and not _FORMS[name].fullmatch(value):
            raise _invalid(f"{name} cannot have this value", _FORM)
        found[name] = value
    return found


def _unknown(name: str) -> StoreError:
    near = difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.6)
    if not near and _SECRET.search(name):
        return _credentials()
    shown = name if re.fullmatch(r"[A-Za-z_-]{1,30}", name) else "of this name"
    meant = f"did you mean {near[0]}? " if near else ""
    return _invalid(f"there is no option {shown}", f"{meant}the options are {', '.join(_OPTIONS)}")


def _buckets(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if not _BUCKET.fullmatch(name):
            shown = repr(name) if re.fullmatch(r"[a-z0-9._-]{1,70}", name) else "it"
            raise _invalid(
                f"{shown} cannot be a bucket's name",
                "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens; "
                "several are joined by commas",
            )
    if len(set(names)) < len(names):
        raise _invalid("a bucket is named twice", "name each bucket once")
    return names


def _prefix(text: str) -> str:
    if not text:
        return PREFIX
    if not is_key(text) or len(text.encode()) > 200:
        raise _invalid(
            "its prefix cannot begin the key of an object",
            "a prefix is path segments joined by slashes, none of them '.' or '..', of at most "
            "200 bytes",
        )
    return text


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise _credentials()
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise _invalid(
            "its endpoint is no URL of a server", "write endpoint=https://HOST or http://HOST:PORT"
        )
    return text.rstrip("/")


def _boolean(text: str | None, *, default: bool) -> bool:
    if text is None:
        return default
    if text.lower() not in _BOOLEANS:
        raise _invalid("path_style is neither true nor false", "write path_style=true or false")
    return _BOOLEANS[text.lower()]


def _credentials() -> StoreError:
    return _invalid(
        "credentials do not belong in it",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile or role; and change "
        "those that stood in the URL",
    )


def _invalid(why: str, hint: str) -> StoreError:
    return StoreError(
        f"the URL of the blobs in S3 cannot be used: {why}", slug="store-url-invalid", hint=hint
    )
