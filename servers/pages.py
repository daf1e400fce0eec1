"""``tracediff ui`` in a process of its own, as a user starts it.

with Pages(directory_of_a_project) as pages:
    print(pages.url)  # signs in
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from servers.processes import Server, launch

_PRINTED: Final = re.compile(r"^(http://127\.0\.0\.1:\d+)/\?token=\S+$", re.MULTILINE)
_SAID: Final = re.compile(r"http://\S+|Ctrl-C stops it|read-only: .*|interrupted|")


class Pages(Server):
    """The pages of a project.

    Args:
        project: The directory of the project.
        directory: Where the log goes.
        arguments: More arguments of ``tracediff ui``.
        environment: More variables.
    """

    name = "tracediff ui"
    program = "ui"

    def __init__(
        self,
        project: Path,
        directory: Path,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self._project = project
        self._arguments = arguments
        self._environment = environment or {}

    @property
    def url(self) -> str:
        """The printed address, with the token in it."""
        return self._match().group(0)

    @property
    def origin(self) -> str:
        """The server's address."""
        return self._match().group(1)

    @property
    def complaints(self) -> str:
        """What it wrote beyond what it says when all is well."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if not _SAID.fullmatch(line))

    def interrupt(self) -> None:
        """End it as Ctrl-C does."""
        self._end(signal.SIGINT)

    def _match(self) -> re.Match[str]:
        found = _PRINTED.search(self.log.read_text(encoding="utf-8"))
        if found is None:
            raise RuntimeError("it has not started")
        return found

    def _launch(self) -> subprocess.Popen[bytes]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TRACEDIFF_")}
        command = [sys.executable, "-W", "error", "-m", "tracediff", "ui", "--port", "0"]
        return launch(
            [*command, *self._arguments],
            self.log,
            directory=self._project,
            environment=kept | {"PYTHONUNBUFFERED": "1"} | dict(self._environment),
        )

    def _answers(self) -> bool:
        return _PRINTED.search(self.log.read_text(encoding="utf-8")) is not None
