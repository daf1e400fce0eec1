"""Commands of Redis and their replies as the arguments and results of steps.

Replies are kept as the server sent them; whether they are texts or bytes is a client's setting, so
that a replay gives what its client asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions

from tracediff import values
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.http.masking import MARK, STAND_IN, Masks, sealed_text, stand_in
from tracediff.recording.libraries.keyvalue.commands import (
    in_turns,
    name_of,
    rest_of,
    secret_reply,
    secret_words,
    shown_key,
    unordered_from,
)
from tracediff.values.placeholder import Placeholder

NAME = "redis"

_FAILED = "error"
_STATES = frozenset({"OK", "QUEUED", "PONG", ""})
_is_fixed = frozenset({str, bytes, int, float}).issuperset
_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})

Command = tuple[Any, ...]


def kept(words: Sequence[Any]) -> Command:
    """A command as it is now."""
    if _is_fixed(map(type, words)):
        return tuple(words)
    return tuple(bytes(one) if isinstance(one, bytearray | memoryview) else one for one in words)


def copied(reply: Any) -> Any:
    """A reply as it is now; the program may get it, and change it."""
    kind = type(reply)
    if kind in _PLAIN:
        return reply
    if kind is list:
        return [one if type(one) in _PLAIN else copied(one) for one in reply]
    if kind is dict:
        return {copied(name): copied(one) for name, one in reply.items()}
    if isinstance(reply, Exception):  # to which redis-py adds the command
        return _FAILED, kind.__name__, str(reply)
    return set(reply) if kind is set else reply


class Asked(Later):
    """One command, or those of a pipeline.

    Args:
        commands: As they were given.
        single: Whether it is one command, outside of a pipeline.
        database: The number of the database.
    """

    __slots__ = ("_database", "_single", "commands")

    def __init__(self, commands: Sequence[Command], single: bool, database: Any) -> None:
        super().__init__()
        self.commands = commands
        self._single = single
        self._database = database

    def hide(self, buffer: Buffer) -> None:
        """Take the secret words out of the texts of errors too."""
        for one in self.commands:
            words = [_text(word) for word in rest_of(one)]
            for at in secret_words(name_of(one), words, buffer.redactor.secret):
                if at < len(words):
                    buffer.hide(words[at])

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        masks = Masks.of(buffer)
        if self._single:
            found = {"arguments": _words(self.commands[0], masks, buffer.encode)}
        else:
            found = {
                "commands": [
                    [name_of(one).replace(":", " "), *_words(one, masks, buffer.encode)]
                    for one in self.commands
                ]
            }
        parts = [(name, buffer.encoder(name)(value)) for name, value in found.items()]
        return values.encode_map([*parts, ("database", buffer.encode(self._database))])


def _words(command: Command, masks: Masks, encode: Callable[[Any], bytes]) -> list[Any]:
    name, words = name_of(command), [_text(one) for one in rest_of(command)]
    secret = secret_words(name, words, masks.is_secret)
    found = [
        _sealed(one, masks) if at in secret else _shown(one, masks) for at, one in enumerate(words)
    ]
    first = unordered_from(name)
    if first is not None:  # again, for what stands for a secret is sent on in a replay
        found[first:] = sorted(
            found[first:], key=lambda one: one.encode() if type(one) is str else encode(one)
        )
    return found


def _text(word: Any) -> Any:
    """A word as it goes over the wire: a text where it is one."""
    if isinstance(word, bytes):
        try:
            return word.decode()
        except UnicodeDecodeError:
            return word
    if isinstance(word, float):
        return repr(float(word))
    return word if isinstance(word, str) else str(word)


def _shown(word: Any, masks: Masks) -> Any:
    return _clean(word, masks) if type(word) is str else word


def _clean(text: str, masks: Masks) -> str:
    """A text without the secrets that it names; keys are in many places, and in replies."""
    if ":" in text:
        text = shown_key(text, masks.is_secret, lambda one: sealed_text(one, masks.redactor))
    return masks.text(masks.url(text)) if '"' in text or "=" in text or "://" in text else text


def _sealed(word: Any, masks: Masks) -> Any:
    if type(word) is str:
        found = STAND_IN.fullmatch(word) if MARK in word else None
        if found is not None:
            kind, key, digest = found.groups()
            node = values.Redacted(f"builtins:{kind or 'str'}", key, bytes.fromhex(digest))
            return Placeholder(node)
    return masks.node(word)


class Replies(Later):
    """What the server said to one command, or to those of a pipeline.

    Args:
        asked: The commands.
        single: Whether it is one command.
    """

    __slots__ = ("_single", "asked", "noted")

    def __init__(self, asked: Asked, single: bool) -> None:
        super().__init__()
        self.asked = asked
        self._single = single
        self.noted: list[Any] = []

    def made(self, buffer: Buffer) -> bytes:
        """The canonical reply, or the list of them."""
        masks = Masks.of(buffer)
        noted = list(self.noted)
        if self._single:
            return buffer.encode(_said(self.asked.commands[0], noted[-1], masks, buffer))
        commands = self.asked.commands
        found: list[Any] = []
        for at, one in enumerate(noted):
            last = at == len(noted) - 1 and len(noted) != len(commands)
            if last and type(one) is list and len(one) == len(commands):  # what EXEC says
                each = zip(commands, one, strict=True)
                found.append([_said(command, said, masks, buffer) for command, said in each])
            elif len(noted) == len(commands):
                found.append(_said(commands[at], one, masks, buffer))
            else:
                found.append(_plain(one, masks, buffer))
        return buffer.encode(found)


def _said(command: Command, reply: Any, masks: Masks, buffer: Buffer) -> Any:
    """One reply, without secrets."""
    name = name_of(command)
    found = _plain(reply, masks, buffer)
    if type(found) is tuple:  # an error
        return found
    words = [_text(one) for one in rest_of(command)]
    secret = secret_reply(name, words, masks.is_secret)
    if secret is True:
        return _hidden(found, masks)
    if isinstance(secret, list) and type(found) is list:
        return [_hidden(one, masks) if hidden else one
                for hidden, one in zip(secret, found, strict=False)]  # fmt: skip
    return _named(found, masks) if in_turns(name) else found


def _plain(reply: Any, masks: Masks, buffer: Buffer) -> Any:
    """A reply of texts, where it was bytes that are texts."""
    if isinstance(reply, bytes):
        reply = _text(reply)
    kind = type(reply)
    if kind is str:
        return _clean(reply, masks)
    if kind is tuple and reply[:1] == (_FAILED,):
        return (*reply[:2], buffer.scrub(reply[2]))
    if kind is list or kind is tuple:
        return [_plain(one, masks, buffer) for one in reply]
    if kind is dict:
        return {_plain(name, masks, buffer): _plain(one, masks, buffer)
                for name, one in reply.items()}  # fmt: skip
    if kind is set:
        return {_plain(one, masks, buffer) for one in reply}
    return reply


def _hidden(value: Any, masks: Masks) -> Any:
    """All texts of a value sealed; what only counts is none."""
    if type(value) in (str, bytes):
        return value if value in _STATES else masks.node(value)
    if type(value) is list:
        return [_hidden(one, masks) for one in value]
    if type(value) is dict:
        return {name: _hidden(one, masks) for name, one in value.items()}
    return value


def _named(value: Any, masks: Masks) -> Any:
    """A reply in which what stands after a secret name is sealed."""
    if type(value) is dict:  # streams by their names, in RESP3
        return {name: _named(one, masks) for name, one in value.items()}
    if type(value) is not list:
        return value
    found = [_named(one, masks) for one in value]
    for at in range(len(found) - 1):
        name = found[at]
        if type(name) is str and len(name) <= 100 and masks.is_secret(name):
            found[at + 1] = _hidden(found[at + 1], masks)
    return found


def wire(value: Any, decodes: bool, encoding: str, errors: str) -> Any:
    """A recorded reply as a client reads it: an exception where it was one.

    Args:
        value: The reply, as the trace has it.
        decodes: Whether the client decodes replies.
        encoding: Its encoding.
        errors: What it does with bytes that are no text.
    """
    if isinstance(value, Placeholder):
        value = stand_in(value)
    kind = type(value)
    if kind is str:
        return value if decodes else value.encode(errors="surrogateescape")
    if kind is bytes:
        return value.decode(encoding, errors) if decodes else value
    if kind is list:
        return [wire(one, decodes, encoding, errors) for one in value]
    if kind is dict:
        return {wire(name, decodes, encoding, errors): wire(one, decodes, encoding, errors)
                for name, one in value.items()}  # fmt: skip
    if kind is set:
        return {wire(one, decodes, encoding, errors) for one in value}
    if kind is tuple and value[:1] == (_FAILED,):
        return failed(value)
    return value


def failed(said: tuple[str, str, str]) -> Exception:
    """The error that a server answered with."""
    _, name, text = said
    found = getattr(exceptions, name, exceptions.ResponseError)
    known = isinstance(found, type) and issubclass(found, exceptions.RedisError)
    return found(text) if known else exceptions.ResponseError(text)
