"""``boto3``: what botocore sends for an operation of any AWS service, its retries included.

The client's own work runs in a replay as well: checked parameters, paginators, waiters, transfers,
events, and the errors that it makes of answers. Only the request itself is recorded and served, so
that who replays needs no credentials.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

import botocore.awsrequest  # type: ignore[import-untyped]  # it ships no types
import botocore.client  # type: ignore[import-untyped]  # it ships no types
import botocore.credentials  # type: ignore[import-untyped]  # it ships no types
import botocore.response  # type: ignore[import-untyped]  # it ships no types
import botocore.waiter  # type: ignore[import-untyped]  # it ships no types
import s3transfer.tasks  # type: ignore[import-untyped]  # it ships no types

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.faults import brief
from tracediff.recording.libraries.boto3_bodies import Served
from tracediff.recording.libraries.boto3_calls import Operation, Rules
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here, refuse_input, refuse_output
from tracediff.recording.spans import Span
from tracediff.runtime import ReplayAbort, current

_sending: ContextVar[bool] = ContextVar("tracediff.sending", default=False)
_CONTEXT = "_tracediff_context"
_PARAMETERS = "tracediff parameters"


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    client, task = botocore.client.BaseClient, s3transfer.tasks.Task
    resolver = botocore.credentials.CredentialResolver
    converts = client._convert_to_request_dict  # noqa: SLF001 - the client's only hook for all services
    yield Patch(client, "_convert_to_request_dict", _converting(converts))
    yield Patch(client, "_make_request", _requesting(client._make_request, Rules(config)))  # noqa: SLF001 - as above
    yield Patch(task, "__init__", _beginning(task.__init__))
    yield Patch(task, "__call__", _running(task.__call__))
    yield Patch(resolver, "load_credentials", _loading(resolver.load_credentials))
    yield Patch(botocore.waiter, "time", SimpleNamespace(sleep=_sleep))


def _converting(real: Any) -> Any:
    """Keep an operation's parameters beside the request that is made of them."""

    @functools.wraps(real)
    def _convert_to_request_dict(self: Any, api_params: Any, *args: Any, **kwargs: Any) -> Any:
        request = real(self, api_params, *args, **kwargs)
        if current.get() is not None and isinstance(request.get("context"), dict):
            request["context"][_PARAMETERS] = api_params
        return request

    return _convert_to_request_dict


def _requesting(real: Any, rules: Rules) -> Any:
    @functools.wraps(real)
    def _make_request(self: Any, model: Any, request: Any, context: Any) -> Any:
        send = functools.partial(real, self, model, request, context)
        parent = recorded_here()
        if parent is None and (runtime.guard is None or runtime.is_aside()):
            return send()
        if parent is None or model.has_event_stream_output or model.has_event_stream_input:
            return _plainly(send, rules, parent, model)
        given = context.pop(_PARAMETERS, None)
        try:
            operation = Operation(parent, rules, model, self.meta.endpoint_url, given)
        except Exception as error:  # an event's handler may give anything
            parent.buffer.warn(f"a value could not be recorded: {brief(error)}")
            return send()
        if operation.replayed:
            found = operation.served()
            if found is not None:
                operation.send_nowhere(given)
                return _answer(operation, found, request["url"])
        sending = _sending.set(True)
        try:
            with operation:
                http, parsed = send()
        finally:
            _sending.reset(sending)
        operation.note(parsed)
        return http, parsed

    return _make_request


def _plainly(send: Callable[[], Any], rules: Rules, parent: Span | None, model: Any) -> Any:
    """Send what is not recorded; in a replay none that writes, and what reads only if it may."""
    mark = rules.mark(model)
    if parent is not None and parent.buffer.server is not None:
        raise ReplayAbort(
            f"{mark.name} streams events, which are not recorded",
            slug="input-not-recorded",
            hint="wrap what reads them in @td.input or @td.output",
        )
    if parent is not None:
        parent.buffer.warn(f"a stream of events is not recorded: {mark.name}")
    if mark.kind == "output":
        refuse_output(mark.name)
    try:
        return send()
    except ReplayAbort:
        refuse_input(mark.name)
        raise


def _answer(operation: Operation, found: dict[str, Any], url: str) -> tuple[Any, Any]:
    """A recorded answer as the endpoint's: the one of HTTP, and what is in it."""
    parsed = found["answer"]
    said = parsed["ResponseMetadata"] = {"RetryAttempts": 0, **_dict(parsed, "ResponseMetadata")}
    headers = said["HTTPHeaders"] = _dict(said, "HTTPHeaders")
    status = said.get("HTTPStatusCode")
    status = said["HTTPStatusCode"] = status if type(status) is int else 200
    body = Served(operation, found)
    name = operation.body_name
    if name is not None and status < 300:
        parsed[name] = botocore.response.StreamingBody(body, body.length(headers))
    http = botocore.awsrequest.AWSResponse(url, status, headers, body)
    return http, parsed


def _dict(found: dict[str, Any], name: str) -> dict[str, Any]:
    """A dict in a recorded one; a trace is untrusted, whatever it says gives an answer."""
    value = found.get(name)
    return value if type(value) is dict else {}


def _beginning(real: Any) -> Any:
    """A task of a transfer has the context of what began it."""

    @functools.wraps(real)
    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        if current.get() is not None:
            setattr(self, _CONTEXT, copy_context())

    return begin


def _running(real: Any) -> Any:
    """Threads of a transfer run a task in its context."""

    @functools.wraps(real)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        context = vars(self).pop(_CONTEXT, None)
        if context is None:
            return real(self, *args, **kwargs)
        return context.run(real, self, *args, **kwargs)

    return run


def _loading(real: Any) -> Any:
    @functools.wraps(real)
    def load_credentials(self: Any) -> Any:
        if runtime.guard is None or runtime.is_aside():
            return real(self)
        return _Nobody(functools.partial(real, self))

    return load_credentials


class _Nobody(botocore.credentials.Credentials):  # type: ignore[misc]  # it ships no types
    """Credentials in a replay: the real ones are looked for only if a request is sent after all.

    Args:
        load: Looks for them, in files and in the network.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        super().__init__("replayed", "replayed", method="replayed")
        self._load = load

    def get_frozen_credentials(self) -> Any:
        """The keys to sign with."""
        if not _sending.get():
            return super().get_frozen_credentials()
        found = self._load()
        return None if found is None else found.get_frozen_credentials()


def _sleep(seconds: float) -> None:
    """Wait between the questions of a waiter: not where they are answered from a recording."""
    span = recorded_here()
    if span is None or span.buffer.server is None:
        time.sleep(seconds)
