"""The Lambda Runtime API: hands events to a runtime, and keeps what it answers.

    with LambdaRuntime() as service:
        service.invoke({"order": 5})

A runtime is started with ``AWS_LAMBDA_RUNTIME_API`` set to ``service.address``.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from typing import Any

from servers.answering import Answering, Handler

ROOT = "/2018-06-01/runtime"


class LambdaRuntime(Answering):
    """The API on a free port; a context manager.

    Args:
        answered: Called when an answer has come, before the runtime hears of it.
    """

    def __init__(self, answered: Callable[[], object] = lambda: None) -> None:
        self.events: queue.Queue[tuple[str, Any, float]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.answered = answered
        self._count = 0
        super().__init__(_Handler)

    @property
    def address(self) -> str:
        """Where a runtime reaches it."""
        return self.url.removeprefix("http://")

    def invoke(self, event: Any, seconds: float = 3.0, wait: float = 30.0) -> tuple[str, Any]:
        """What becomes of an event: ``response`` or ``error``, and its document.

        Args:
            event: What the function is given.
            seconds: The time it has.
            wait: How long an answer is waited for.

        Raises:
            queue.Empty: None came.
        """
        self._count += 1
        self.events.put((f"request-{self._count}", event, seconds))
        kind, body = self.answers.get(timeout=wait)
        return kind, json.loads(body)


class _Handler(Handler):
    def do_GET(self) -> None:  # noqa: N802 - the base class calls it so
        if self.path != f"{ROOT}/invocation/next":
            self.send_error(404)
            return
        number, event, seconds = self.server.of.events.get()
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", number)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(round((time.time() + seconds) * 1000)))
        self.send_header(
            "Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:orders"
        )
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # noqa: N802 - the base class calls it so
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = self.server.of
        service.answered()
        service.answers.put((self.path.rpartition("/")[2], body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
