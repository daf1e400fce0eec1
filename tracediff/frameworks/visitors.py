"""Who sent a Django request: the session and the user, which middleware has put on it.

The session is not recorded, nor what its store reads and writes; a replay that reads from it stops
and says so. The user a job asks for is an input: the fields that the calculation may depend on, as
the tenant or the price group, and not those that say who it is.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from django.utils.functional import SimpleLazyObject

from tracediff import values
from tracediff.frameworks.sessions import Session
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.runtime import current

_STORE = ("load", "save", "create", "delete", "exists")
_STORE_ASYNC = ("aload", "asave", "acreate", "adelete", "aexists")
_FLAGS = ("is_active", "is_staff", "is_superuser")
_PERSONAL = frozenset(
    {"username", "first_name", "last_name", "email", "password", "last_login", "date_joined"}
)


def _user() -> Any:
    """The user's primary key, flags and fields; None of somebody who is not logged in."""


_USER = Reach("input", "request.user", _user)


def hide_visitor(request: Any) -> None:
    """Keep what the session's store does out of the trace, and make the user an input."""
    session = getattr(request, "session", None)
    for names, around in ((_STORE, _unrecorded), (_STORE_ASYNC, _unrecorded_async)):
        for name in names if session is not None else ():
            real = getattr(session, name, None)
            if callable(real):
                with contextlib.suppress(AttributeError, TypeError):  # one of the program's own
                    setattr(session, name, around(real))
    before = request.__dict__.get("user")
    if before is not None:
        request.user = SimpleLazyObject(lambda: _asked(before))
    later = request.__dict__.get("auser")
    if later is not None:
        request.auser = _asking(later)


def _unrecorded(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        token = current.set(None)
        try:
            return real(*args, **kwargs)
        finally:
            current.reset(token)

    return call


def _unrecorded_async(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def call(*args: Any, **kwargs: Any) -> Any:
        token = current.set(None)
        try:
            return await real(*args, **kwargs)
        finally:
            current.reset(token)

    return call


def _asking(real: Callable[[], Any]) -> Callable[[], Any]:
    """``request.auser``: it is found unrecorded, and what is told of it is the input."""

    @functools.wraps(real)
    async def auser() -> Any:
        found = await _unrecorded_async(real)()
        parent = recorded_here()
        if parent is not None:
            _USER(parent, run=lambda: _told(found))
        return found

    return auser


def _asked(before: Any) -> Any:
    found: list[Any] = []

    def run() -> Any:
        found.append(_forced(before))
        return _told(found[0])

    parent = recorded_here()
    if parent is None:
        return _forced(before)
    _USER(parent, run=run)
    return found[0]


def _forced(user: Any) -> Any:
    """The user behind a lazy object."""
    if isinstance(user, SimpleLazyObject):
        bool(user)
        return user.__dict__["_wrapped"]
    return user


def _told(user: Any) -> Any:
    if not getattr(user, "is_authenticated", False):
        return None
    found = {"pk": user.pk, **{name: bool(getattr(user, name, False)) for name in _FLAGS}}
    meta = getattr(user, "_meta", None)
    personal = {getattr(type(user), name, "") for name in ("USERNAME_FIELD", "EMAIL_FIELD")}
    for field in meta.concrete_fields if meta is not None else ():
        name = field.attname
        kept = not field.primary_key and name not in _PERSONAL and field.name not in personal
        if kept and name in user.__dict__:
            found.setdefault(name, user.__dict__[name])
    return found


def furnish(request: Any) -> None:
    """Give a rebuilt request what middleware would have given it."""
    from django.apps import apps
    from django.urls import Resolver404, resolve

    request.session = Session()
    request.csrf_processing_done = True
    request._dont_enforce_csrf_checks = True
    request.META["CSRF_COOKIE"] = "0" * 32
    try:
        request.resolver_match = resolve(request.path_info)
    except Resolver404:  # the view has moved since
        request.resolver_match = None
    if apps.is_installed("django.contrib.auth"):
        request.user = SimpleLazyObject(_served_user)
        request.auser = _served_user_async
    if apps.is_installed("django.contrib.messages"):
        request._messages = _messages(request)


def _served_user() -> Any:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import AnonymousUser

    parent = recorded_here()
    told = _USER(parent) if parent is not None else None
    if not isinstance(told, dict):
        return AnonymousUser()
    model: Any = get_user_model()
    fields = {one.attname for one in model._meta.concrete_fields}
    known = {model._meta.pk.attname: told["pk"]}
    known |= {name: value for name, value in told.items() if name in fields}
    user = model.from_db(None, list(known), list(known.values()))
    # As a value is rebuilt: it says of a field it has not that it was not recorded.
    return values.live(values.encode(user), values.Allow((model.__module__,)))


async def _served_user_async() -> Any:
    return _served_user()


def _messages(request: Any) -> Any:
    from django.contrib.messages.storage.base import BaseStorage

    class Messages(BaseStorage):  # type: ignore[misc]  # Django ships no types
        """Holds what the view adds."""

        def _get(self, *_: Any, **__: Any) -> tuple[list[Any], bool]:
            return [], True

        def _store(self, messages: Any, *_: Any, **__: Any) -> list[Any]:
            return []

    return Messages(request)
