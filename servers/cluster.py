"""A Dask cluster on this machine: a scheduler, and workers that come and go.

    with Cluster(directory) as cluster:
        cluster.add_worker(project)
        ...  # cluster.url

Workers run in a project's directory, each under a nanny that starts it anew when it dies, as
``dask worker`` does by default.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from servers.processes import Server, ServerError, end, free_port, launch, wait_until

PATIENCE = 90.0


class DaskWorker:
    """A worker of a cluster, and its nanny.

    Args:
        process: The nanny, or the worker itself where there is none.
        log: What both say.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    @property
    def pid(self) -> int:
        """The process that replays, not its nanny.

        Raises:
            ServerError: There is none at the moment.
        """
        found = [one for one in children(self.process.pid) if b"spawn_main" in command_of(one)]
        if not found and b"--no-nanny" in command_of(self.process.pid):
            return self.process.pid
        if not found:
            raise ServerError("the worker's nanny is just starting it")
        return found[0]

    @property
    def registered(self) -> int:
        """How often a worker took up its work."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return len(re.findall(r"Registered to:", text))

    def kill(self) -> None:
        """End the process that replays as a crash would (SIGKILL); its nanny starts another."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the worker and its nanny in order (SIGTERM)."""
        end(self.process, seconds=20)


class Cluster(Server):
    """A scheduler, and its workers.

    Args:
        directory: Where their logs go; made when it is not there.
        allowed_failures: After how many deaths of its worker a task counts as what kills it.
    """

    name = "the scheduler"
    program = "scheduler"
    to_start = PATIENCE

    def __init__(self, directory: Path, *, allowed_failures: int = 3) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.workers: list[DaskWorker] = []
        self._failures = allowed_failures

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.stop()
        self.kill()

    @property
    def url(self) -> str:
        """Its address, as ``tracediff check --engine`` takes it."""
        return f"dask://127.0.0.1:{self.port}"

    def _launch(self) -> subprocess.Popen[bytes]:
        return launch(
            [
                "/usr/bin/env", f"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES={self._failures}",
                sys.executable, "-m", "distributed.cli.dask_scheduler",
                "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard",
            ],
            self.log,
            directory=self.directory,
        )  # fmt: skip

    def _answers(self) -> bool:
        return "Scheduler at:" in self.log.read_text()

    def add_worker(
        self,
        project: Path,
        *,
        threads: int = 1,
        nanny: bool = True,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> DaskWorker:
        """Start a worker.

        Args:
            project: Where it runs.
            threads: How many batches it replays at a time.
            nanny: Whether it is started anew when it dies.
            environment: What it finds there beside what is there already.
            wait: Whether to wait until it takes work.

        Raises:
            ServerError: It did not in time.
        """
        number = len(self.workers)
        log = self.directory / f"worker{number}.log"
        given = [f"{name}={text}" for name, text in (environment or {}).items()]
        process = launch(
            [
                "/usr/bin/env", *given, sys.executable, "-m", "distributed.cli.dask_worker",
                f"tcp://127.0.0.1:{self.port}", "--nthreads", str(threads), "--no-dashboard",
                "--name", f"worker{number}", "--nanny" if nanny else "--no-nanny",
                "--host", "127.0.0.1",
                "--local-directory", str(self.directory), "--death-timeout", "60",
            ],
            log,
            directory=project,
        )  # fmt: skip
        worker = DaskWorker(process, log)
        self.workers.append(worker)
        if wait:
            wait_until(lambda: worker.registered > 0, "starting a worker", PATIENCE)
        return worker


def children(pid: int) -> list[int]:
    """The processes that a process started and that run still."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:  # it is gone meanwhile
            continue
    return found


def command_of(pid: int) -> bytes:
    """A process's command line, nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it is gone
        return b""
