"""What is secret, and how it is kept out of traces: at capture, before anything leaves the process.

A value is secret by the name of its field or argument, by a path, by its type; inside texts
(errors, notes, reprs) by shape. A sealed value keeps a keyed digest, so that two traces sealed with
one key can still be compared.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from typing import Any

from tracediff import values
from tracediff.errors import ConfigError

WORDS = frozenset(
    """password passwd pwd passphrase passcode secret secrets token authorization auth apikey
    credential credentials cookie cookies jwt bearer cvv cvc""".split()
)
"""A name that contains one of these words is secret, unless it only counts or describes it."""

PAIRS = frozenset(
    {
        ("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key"),
        ("signing", "key"), ("encryption", "key"), ("session", "id"), ("session", "key"),
        ("card", "number"), ("set", "cookie"), ("client", "secret"),
    }
)  # fmt: skip
"""Pairs of words that are secret when they follow each other."""

HARMLESS_ENDS = frozenset({"count", "counts", "type", "length", "len", "expiry", "policy", "ttl"})
"""``token_count`` is a number, not a token."""

NO_SECRET_ENDS = frozenset({"url", "uri", "file", "path", "dir", "name", "domain", "host", "sock"})
"""``TOKEN_URL`` in the environment says where a token comes from."""

_ENDS = frozenset({"pass", "pw"})
_WHOLE_ENDS = ("password", "passwd", "passphrase")
"""``SMTP_PASS`` and ``PGPASSWORD``, as variables of the environment are called."""

MIN_SECRET = 8
"""Shorter values of environment variables are not looked for in texts: they are words."""

MAX_LEARNED = 100
"""Secrets found in what a job does that are looked for in texts; the oldest are forgotten."""

MAX_SAFE = 10_000
"""Names remembered as harmless; keys may come from outside, so there is a bound."""

REDACTED = "[redacted]"
_OWN_KEYS = ("TRACEDIFF_ENCRYPTION_KEYS", "TRACEDIFF_REDACTION_KEY")
"""Variables of tracediff itself that hold secrets."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_QUOTED = r"""(?: "(?:[^"\\\n]|\\.){0,2000}" | '(?:[^'\\\n]|\\.){0,2000}' )"""
_NAMED = re.compile(
    rf"""(?ix) (?P<name> (?: passw(?:or)?d | pwd | passphrase | passcode | secret | token
        | authorization | (?<![a-z]) auth (?![a-z]) | credential | cookie | jwt | cvv | cvc
        | (?: api | access | private | signing | encryption | session ) [_-]? key
        | session [_-]? id | card [_-]? number )
        [\w-]{{0,20}} \\?["']? \s{{0,3}} (?: [:=] | => ) \s{{0,3}} )
        (?! \[redacted\] ) (?P<value> b? {_QUOTED} | \\["'] [^"'\\\n]{{0,2000}} \\["']
        | (?: (?: bearer | basic | digest | token ) \s{{1,3}} )? [^\s,;&"')}}\]]{{1,2000}} )"""
)
_HEADER = re.compile(
    r"""(?ix) (?: (?P<name> \b authorization: \s{0,3} ) digest \s [^\n]{0,4000}
    | (?P<cookie> \b cookie: \s{0,3} ) [^\s"'] [^\n"']{0,4000} )"""
)
_OPTION = re.compile(
    r"""(?ix) (?P<name> (?<!\S) --? [\w-]{0,40}
    (?: password | passwd | passphrase | secret | token | api-?key | access-?key ) \s{1,3} )
    (?! - ) [^\s"']{1,2000} """
)
HINTS = (
    "pass", "pwd", "secret", "token", "auth", "credential", "cookie", "jwt", "cvv", "cvc", "key",
    "session", "card", "bearer", "basic", "eyj", "akia", "asia",
)  # fmt: skip
"""Lower-case pieces, one of which stands in every text that the patterns here match."""

_SHAPES = (
    re.compile(r"(?i)\b(?:bearer|basic)\s{1,3}[A-Za-z0-9._~+/=-]{8,4000}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{0,4000}"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,8000}-----END [A-Z ]{0,40}-----"),
)
_URL = re.compile(r"(?P<scheme>://)[^/@\s]{1,400}@")
_SIGNED = re.compile(
    r"""(?i)(?P<name>[?&](?:amp;)?(?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId
    |Signature)=)[^&\s"'<>#]{1,8000}""",
    re.VERBOSE,
)
_SIGNS = ("X-Amz-", "AWSAccessKeyId=")
_SIGNS_BYTES = tuple(sign.encode() for sign in _SIGNS)
"""What stands in each URL that is signed for whoever has it."""
_ERROR_BYTES = re.compile(rb"[a-z]:[\w.<>]*(?:Error|Exception)")
_STAND_IN_BYTES = re.compile(rb"redacted-(?:\w{1,20}-)?([0-9a-f]{8})-([0-9a-f]{32})")
_URL_BYTES = re.compile(rb"://[^/@\s]{1,400}@")


TEXT_SHAPES = (
    ("an authorization or cookie header", _HEADER),
    ("NAME=VALUE of a secret name", _NAMED),
    ("an option of a secret name", _OPTION),
    ("bearer or basic credentials", _SHAPES[0]),
    ("a JSON web token", _SHAPES[1]),
    ("an AWS key id", _SHAPES[2]),
    ("a private key", _SHAPES[3]),
)
"""What secrets look like in texts that are no values, and what each is called."""

URL_CREDENTIALS = ("user and password in a URL", _URL)
"""Taken out of values too."""


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is secret: by whole words, in any common spelling."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in HARMLESS_ENDS:
        return False
    if "".join(words) in WORDS or not WORDS.isdisjoint(words):
        return True
    return any(pair in PAIRS for pair in pairwise(words))


@dataclass(slots=True, kw_only=True)
class Rules:
    """One way to apply a redactor's rules; what ``tracediff.values`` asks while it encodes."""

    safe: set[str]
    types: tuple[type, ...]
    scrub: Callable[[str], str]
    scrub_values: bool
    path_rule: Callable[[tuple[str | int, ...]], bool] | None
    secret: Callable[[str], bool]
    seal: Callable[[bytes], tuple[str, bytes]]


class Redactor:
    """The redaction rules of one configuration.

    Args:
        patterns: ``*.name`` or ``name`` (a field at any depth), a path such as
            ``customer.address.*``, ``type:module.Class``, or ``re:PATTERN`` for texts.
        key: Gives the secret key of the digests; called when the first value is sealed.
    """

    def __init__(self, patterns: Iterable[str], key: Callable[[], bytes]) -> None:
        self.safe: set[str] = set()
        self.types: tuple[type, ...] = ()
        self.scrub_values = False
        self.path_rule: Callable[[tuple[str | int, ...]], bool] | None = None
        self._make_key = key
        self._key: tuple[str, bytes] | None = None
        self._names: list[str] = []
        self._texts: list[re.Pattern[str]] = []
        self._variables = -1
        self._known: tuple[str, ...] = ()
        self._learned: dict[str, None] = {}
        paths: list[str] = []
        for pattern in patterns:
            self._add(pattern, paths)
        if paths:
            self.path_rule = _path_rule(paths)

    def _add(self, pattern: str, paths: list[str]) -> None:
        if pattern.startswith("re:"):
            try:
                self._texts.append(re.compile(pattern[3:]))
            except re.error as error:
                raise ConfigError(
                    f"redact: {pattern!r} is not a regular expression: {error}",
                    slug="config-invalid",
                    hint="correct the pattern; it follows Python's re module",
                ) from None
            self.scrub_values = True
        elif pattern.startswith("type:"):
            self.types = (*self.types, _load_type(pattern))
        elif pattern.startswith("*.") and "." not in pattern[2:]:
            self._names.append(pattern[2:])
        elif "." not in pattern:
            self._names.append(pattern)
        else:
            paths.append(pattern)

    def secret(self, name: str) -> bool:
        """Whether a field of this name is secret; harmless names are remembered in ``safe``."""
        if name in self.safe:
            return False
        if is_secret_name(name) or any(fnmatchcase(name, one) for one in self._names):
            return True
        if len(self.safe) < MAX_SAFE and len(name) < 200:
            self.safe.add(name)
        return False

    def seal(self, data: bytes) -> tuple[str, bytes]:
        """The key's id and the keyed digest of a secret's canonical bytes.

        The word that stands in a replay for a value that was sealed is sealed as that value.
        """
        found = _STAND_IN_BYTES.search(data) if len(data) < 200 else None
        if found is not None and data == values.encode(found[0].decode()):
            return found[1].decode(), bytes.fromhex(found[2].decode())
        if self._key is None:
            key = self._make_key()
            key_id = hashlib.sha256(b"tracediff key id" + key).hexdigest()[:8]
            self._key = (key_id, hashlib.sha256(key).digest())
        key_id, secret = self._key
        return key_id, hashlib.blake2b(data, key=secret, digest_size=16).digest()

    def scrub(self, text: str) -> str:
        """The text with everything taken out that looks like a secret; in linear time."""
        for secret in self.environment():
            text = text.replace(secret, REDACTED)
        if "://" in text:
            text = _URL.sub(rf"\g<scheme>{REDACTED}@", text)
            if any(sign in text for sign in _SIGNS):
                text = _SIGNED.sub(rf"\g<name>{REDACTED}", text)
        if self._texts or _hinted(text):
            text = self._scrub_shapes(text)
        return text

    def _scrub_also(self, secrets: tuple[str, ...], text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, REDACTED)
        return self.scrub(text)

    def _scrub_shapes(self, text: str) -> str:
        text = _HEADER.sub(rf"\g<name>\g<cookie>{REDACTED}", text)
        text = _NAMED.sub(rf"\g<name>{REDACTED}", text)
        text = _OPTION.sub(rf"\g<name>{REDACTED}", text)
        for shape in _SHAPES:
            text = shape.sub(REDACTED, text)
        for pattern in self._texts:
            text = pattern.sub(REDACTED, text)
        return text

    def rules(
        self, *, scrub_values: bool = True, under: str | None = None, secrets: tuple[str, ...] = ()
    ) -> Rules:
        """These rules, applied in another way.

        Args:
            scrub_values: Whether every text in a value is scrubbed.
            under: The argument that the value is: its paths begin with this name.
            secrets: More texts that are secret, longest first.
        """
        rule = self.path_rule
        if rule is not None and under is not None:
            rule = _below(rule, under)
        return Rules(
            safe=self.safe,
            types=self.types,
            scrub=partial(self._scrub_also, secrets) if secrets else self.scrub,
            scrub_values=scrub_values or self.scrub_values,
            path_rule=rule,
            secret=self.secret,
            seal=self.seal,
        )

    def _in_bytes(self, error: BaseException) -> bool:
        """Whether an exception holds bytes with a secret, as the output of a command."""
        try:
            held = [*error.args, *vars(error).values()]
            texts = [one.decode("latin-1") for one in held if type(one) is bytes]
            return any(self.scrub(text) != text for text in texts)
        except Exception:  # foreign code
            return True

    def learn(self, secret: str) -> bool:
        """Look for a secret in texts from now on; whether it is a new one, and long enough."""
        if len(secret) < MIN_SECRET or secret in self._learned:
            return False
        while len(self._learned) >= MAX_LEARNED:
            self._learned.pop(next(iter(self._learned)), None)
        self._learned[secret] = None
        self._variables = -1
        return True

    def environment(self) -> tuple[str, ...]:
        """The secrets of this process's environment, and those it was told of, longest first."""
        if len(os.environ) != self._variables:
            self._variables = len(os.environ)
            found = {
                value
                for name, value in list(os.environ.items())
                if len(value) >= MIN_SECRET and self.names_secret(name, value)
            }
            found.update(one for one in _own_secrets() if len(one) >= MIN_SECRET)
            found.update(list(self._learned))
            self._known = tuple(sorted(found, key=len, reverse=True))
        return self._known

    def names_secret(self, name: str, value: str) -> bool:
        """Whether an environment variable is a secret: not by a path or address that it names."""
        last = name.lower().rpartition("_")[2]
        if last in NO_SECRET_ENDS or name.startswith("TRACEDIFF_"):
            return False
        named = last in _ENDS or last.endswith(_WHOLE_ENDS) or self.secret(name)
        return named and not os.path.exists(value)

    def plain_types(self) -> frozenset[type]:
        """The types whose objects are secret by their name at most, whatever they are part of."""
        special = self.types or self.scrub_values or self.path_rule is not None
        return frozenset() if special or self.environment() else values.NUMBERS

    def encoder(
        self,
        warn: Callable[[str], None],
        *,
        under: str | None = None,
        texts: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> Callable[[Any], bytes]:
        """What turns a value into canonical bytes, its secrets sealed.

        Values are kept exactly, the texts in them too: only those with a URL's credentials, a
        secret of the environment or an exception in them are scrubbed after all.

        Args:
            warn: Called when something of a value could not be kept.
            under: The name of the argument that the values are, where paths are secret.
            texts: Scrub every text, as in exceptions.
            secrets: More texts that are secret, longest first.
        """
        known = tuple(os.fsencode(secret) for secret in self.environment())
        known += tuple(secret.encode(errors="surrogatepass") for secret in secrets)
        plain = under is None and not texts
        rules = self if plain else self.rules(scrub_values=texts, under=under, secrets=secrets)
        exactly = partial(values.encode, redaction=rules, warn=warn)
        strict = self.rules(under=under, secrets=secrets)
        scrubbed = partial(values.encode, redaction=strict, warn=warn)
        quick = self.plain_types() if plain else frozenset()
        number = values.encode_number

        def encode(value: Any) -> bytes:
            if type(value) in quick:
                return number(value)
            data = exactly(value)
            if not known and b"://" not in data and b"Error" not in data and b"Exc" not in data:
                return data
            if not isinstance(value, BaseException) and not _suspicious(data, known):
                return data
            data = scrubbed(value)
            in_bytes = isinstance(value, BaseException) and self._in_bytes(value)
            if in_bytes or any(secret in data for secret in known):  # or in the keys of a dict
                return values.seal(data, self)
            return data

        return encode


def _own_secrets() -> Iterator[str]:
    """The keys that tracediff itself has of the environment: whole, and each of several."""
    for name in _OWN_KEYS:
        text = os.environ.get(name, "")
        yield text
        for entry in text.split(","):
            key = entry.partition("=")[2].strip()
            yield from (key, key.rstrip("="))


def _suspicious(data: bytes, known: Iterable[bytes]) -> bool:
    return (
        any(secret in data for secret in known)
        or _URL_BYTES.search(data) is not None
        or any(sign in data for sign in _SIGNS_BYTES)
        or _ERROR_BYTES.search(data) is not None
    )


def _hinted(text: str) -> bool:
    """Whether a text holds a word that all texts with a secret hold: much faster than to look."""
    lowered = text.lower()
    return any(hint in lowered for hint in HINTS)


PathRule = Callable[[tuple[str | int, ...]], bool]


def _below(rule: PathRule, name: str) -> PathRule:
    return lambda path: rule((name, *path))


def _path_rule(paths: list[str]) -> Callable[[tuple[str | int, ...]], bool]:
    def matches(path: tuple[str | int, ...]) -> bool:
        text = ".".join(map(str, path))
        return any(fnmatchcase(text, one) or fnmatchcase(text, f"*.{one}") for one in paths)

    return matches


def _load_type(pattern: str) -> type:
    import importlib  # only for a rule that names a type

    module, _, name = pattern[5:].rpartition(".")
    # Importing the script that runs would run it again and give another class of the same name.
    module = "__main__" if module == values.module_name("__main__") else module
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not isinstance(found, type):
        raise ConfigError(
            f"redact: {pattern!r} names no class",
            slug="config-invalid",
            hint="write it as type:package.module.Class",
        )
    return found
