"""Replaying traces on a Dask cluster: the one place that knows ``distributed``.

Batches of rows go out as bytes, a bounded number of them at a time, and results come back as plain
lists. Dask recomputes what a worker that died held, so no trace is lost, and a batch counts once,
so none is doubled. A batch whose worker dies again and again is run with no other beside it, so
that none other is blamed, and split until the trace that does it is found.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import queue
import re
import socket
import threading
import time
import uuid
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tracediff.check.batches import Packed, head_of, pack, pack_row, split, unpack_row
from tracediff.check.hosting import HOST
from tracediff.check.judging import failed
from tracediff.check.results import Work, unpack_result
from tracediff.checked import Result
from tracediff.config import Config
from tracediff.errors import ConfigError, ReplayError, StoreError, TracediffError
from tracediff.model import Row

SCHEMES = {"dask": "tcp", "dask+tls": "tls"}
FIRST = 8
"""Traces in a batch while it is not known how long they take."""
MOST = 1_000
SECONDS = 2.0
"""How long a batch should take."""
AHEAD = 2
"""Batches out for each thread of a worker, so that none waits for the next."""
MOST_OUT = 200_000
"""Traces out at a time, which bounds what the asker keeps."""
PARTS = 10
CONNECT = 8.0
PATIENCE = 60.0
LOOK = 1.0
"""Seconds between two looks at which workers there are, while nothing comes."""

_ADDRESS = re.compile(
    r"(?P<scheme>[a-z+]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})/?"
)


def address_of(engine: str) -> str:
    """The address that Dask knows a scheduler by, of ``dask://HOST:PORT`` or ``dask+tls://…``.

    Raises:
        ConfigError: ``engine-invalid``: it has another form.
    """
    found = _ADDRESS.fullmatch(engine)
    if found is None or found["scheme"] not in SCHEMES or not 0 < int(found["port"]) < 1 << 16:
        raise ConfigError(
            f"{engine!r} is no engine",
            slug="engine-invalid",
            hint="use local, dask://HOST:PORT, or dask+tls://HOST:PORT",
        )
    return f"{SCHEMES[found['scheme']]}://{found['host']}:{found['port']}"


def replayed(told: bytes) -> list[Any]:
    """Replay a batch in a worker of the cluster; see ``Host.answer``."""
    worker = _library().get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    where = f"{worker.address} ({socket.gethostname()})"
    return HOST.answer(told, where=where, wanted=wanted)


def ended(check: str) -> None:
    """End what a worker of the cluster keeps for a check."""
    HOST.end(check)


class ClusterEngine:
    """Processes of a Dask cluster, each of which replays in a warm process of its own.

    Args:
        config: The project's settings.
        work: What each worker is told.
        address: ``dask://HOST:PORT``.
        store: The name or URL of the store; the configured one for None.
        batch: How many traces a batch has at most; while they take long it has fewer.
        patience: Seconds to wait for workers where there are none.
        idle: Seconds after which a worker ends what it keeps for the next batch.
        say: Told what is waited for.

    Raises:
        ConfigError: ``engine-invalid``.
    """

    def __init__(
        self,
        config: Config,
        work: Work,
        address: str,
        *,
        store: str | None = None,
        batch: int = MOST,
        patience: float = PATIENCE,
        idle: float = 30.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._config, self._work, self._store = config, work, store
        self._address = address_of(address)
        self._batch, self._patience, self._idle = batch, patience, idle
        self._say = say or (lambda text: None)

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """As ``Engine.run``, with batches of which a bounded number is out at a time.

        Raises:
            ConfigError: ``engine-missing``, ``check-worker-store``.
            ReplayError: ``engine-unreachable``, ``engine-lost``, ``engine-without-workers``,
                ``engine-failed``, or ``check-worker-code``: a worker would run other code.
            StoreError: A worker cannot read the store.
        """
        check = uuid.uuid4().hex
        head = head_of(
            self._config, self._work, check=check, store=self._store, idle=self._idle
        ).packed()
        with _quiet(), _connected(self._address) as client:
            crew = _Crew(client, self._address, self._patience, self._say)
            out = _Out(client, check, head)
            try:
                yield from _Run(crew, out, map(pack_row, rows), self._batch).results()
            finally:
                out.close()


@dataclass(eq=False, slots=True)
class _Batch:
    rows: Sequence[Packed]
    alone: bool = False
    future: Any = None


class _Run:
    """One check's way through the cluster."""

    def __init__(self, crew: _Crew, out: _Out, rows: Iterator[Packed], most: int) -> None:
        self._crew, self._out, self._rows, self._most = crew, out, rows, most
        self._size = min(FIRST, most)
        self._again: deque[_Batch] = deque()
        self._suspects: deque[_Batch] = deque()

    def results(self) -> Iterator[Result]:
        """What came of each trace, as it comes."""
        while self._fill():
            batch = self._out.landed(LOOK)
            if batch is None:
                self._crew.look()
            else:
                yield from self._taken(batch)

    def _fill(self) -> bool:
        """Send what may be out at a time; whether anything is."""
        out, room = self._out, AHEAD * self._crew.threads()
        if self._suspects:  # no other batch is out beside one: what dies then is its own doing
            if not out.batches:
                out.send(self._suspects.popleft())
        elif not any(one.alone for one in out.batches):
            while len(out.batches) < room and (batch := self._next(room)) is not None:
                out.send(batch)
        return bool(out.batches)

    def _next(self, room: int) -> _Batch | None:
        if self._again:
            return self._again.popleft()
        rows = list(islice(self._rows, max(1, min(self._size, MOST_OUT // room))))
        return _Batch(rows) if rows else None

    def _taken(self, batch: _Batch) -> Iterator[Result]:
        answer = self._answer(batch)
        if answer is None:
            return
        batch.future.release()
        if answer[0] == "refused":
            _, kind, message, slug, hint = answer
            raise (StoreError if kind == "store" else ReplayError)(message, slug=slug, hint=hint)
        if answer[0] == "killed":
            yield from self._killed(batch)
        elif answer[0] == "stopped":
            self._later(batch.rows, alone=batch.alone)
        else:
            _, seconds, results = answer
            self._pace(len(batch.rows), seconds)
            yield from _once(batch, map(unpack_result, results))

    def _answer(self, batch: _Batch) -> list[Any] | None:
        """What came of a batch; None where the worker that held it is gone and it is made again."""
        library = _library()
        if batch.future.status == "cancelled":
            raise self._crew.lost()
        try:
            error = batch.future.exception(timeout=LOOK)
            if error is None:
                answer: list[Any] = batch.future.result(timeout=self._crew.patience)
                return answer
        except library.CancelledError:
            raise self._crew.lost() from None
        except (library.TimeoutError, library.KilledWorker):
            self._out.follow(batch)
            return None
        if isinstance(error, library.KilledWorker):
            return ["killed"]
        raise _told(error) from error

    def _later(self, rows: Sequence[Packed], *, alone: bool) -> None:
        (self._suspects if alone else self._again).append(_Batch(rows, alone))

    def _pace(self, count: int, seconds: float) -> None:
        """Let batches take about as long as they should; never many times the last one's size."""
        fitting = int(count * SECONDS / max(seconds, 1e-6))
        self._size = max(1, min(fitting, 4 * count, self._most))

    def _killed(self, batch: _Batch) -> Iterator[Result]:
        if not batch.alone:
            self._later(batch.rows, alone=True)
        elif len(batch.rows) > 1:
            parts = split(batch.rows, PARTS)
            self._suspects.extendleft(_Batch(part, alone=True) for part in parts)
        else:
            yield failed(
                unpack_row(batch.rows[0]),
                ReplayError(
                    "every worker of the cluster that replayed it died",
                    slug="replay-died",
                    hint="replay it by itself to see why: `tracediff replay ID`",
                ),
            )


class _Out:
    """The batches that are out."""

    def __init__(self, client: Any, check: str, head: bytes) -> None:
        self._client, self._check, self._head = client, check, head
        self._sent = 0
        self._landed: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self.batches: set[_Batch] = set()

    def send(self, batch: _Batch) -> None:
        """Have a batch replayed."""
        self._sent += 1
        batch.future = self._client.submit(
            replayed, pack(self._head, batch.rows),
            key=f"tracediff-{self._check}-{self._sent}", pure=False,
        )  # fmt: skip
        self.batches.add(batch)
        self.follow(batch)

    def follow(self, batch: _Batch) -> None:
        """Have it land when it is done."""
        self.batches.add(batch)
        batch.future.add_done_callback(lambda future: self._landed.put(batch))

    def landed(self, timeout: float) -> _Batch | None:
        """A batch that is done, None where there is none for so long."""
        try:
            batch = self._landed.get(timeout=timeout)
        except queue.Empty:
            return None
        self.batches.discard(batch)
        return batch

    def close(self) -> None:
        """Take back what is out, and end what workers keep."""
        left = [one.future for one in self.batches]
        self.batches.clear()
        if self._client.status != "running":
            return

        def tell() -> None:
            with contextlib.suppress(Exception):  # they notice by themselves, later
                if left:
                    self._client.cancel(left)
                self._client.run(ended, self._check, on_error="ignore")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        teller.join(CONNECT)


class _Crew:
    """The cluster's workers."""

    def __init__(
        self, client: Any, address: str, patience: float, say: Callable[[str], None]
    ) -> None:
        self._client, self._address, self._say = client, address, say
        self.patience = patience
        self._threads, self._looked = 0, 0.0

    def threads(self) -> int:
        """How many there are, at least one; waits for the first.

        Raises:
            ReplayError: ``engine-without-workers``, ``engine-lost``.
        """
        if time.monotonic() - self._looked > AHEAD * LOOK:
            self.look()
        return self._threads

    def look(self) -> None:
        """See how many there are; raises as ``threads``."""
        start, said = time.monotonic(), False
        while not (count := self._count()):
            if time.monotonic() - start > self.patience:
                raise ReplayError(
                    f"the cluster at {self._address} has no workers",
                    slug="engine-without-workers",
                    hint=f"start some: `dask worker {self._address} --nthreads 1`",
                )
            if not said:
                self._say(f"waiting for workers at {self._address}")
                said = True
            time.sleep(LOOK / 5)
        self._threads, self._looked = count, time.monotonic()

    def lost(self) -> ReplayError:
        """The error of a scheduler that is gone."""
        return ReplayError(
            f"the cluster's scheduler at {self._address} is gone",
            slug="engine-lost",
            hint="start it again; `tracediff check --resume` goes on where the check stopped",
        )

    def _count(self) -> int:
        if self._client.status != "running":
            raise self.lost()
        try:
            return sum(self._client.nthreads().values())
        except (OSError, _library().CancelledError):
            raise self.lost() from None


def _once(batch: _Batch, results: Iterable[Result]) -> Iterator[Result]:
    """One result of each trace of a batch, whatever a worker says."""
    due = Counter(unpack_row(one).id for one in batch.rows)
    for result in results:
        if due[result.id]:
            due[result.id] -= 1
            yield result
    missing = +due
    if missing:
        raise ReplayError(
            f"a worker gave no result of {missing.total():,} traces, as {next(iter(missing))}",
            slug="engine-failed",
            hint="`tracediff check --resume` asks again; the worker's own log may say more",
        )


def _told(error: BaseException) -> TracediffError:
    """What a task's own failure is told as."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        return ReplayError(
            f"a worker of the cluster cannot import what it needs: {text}",
            slug="check-worker-code",
            hint='install tracediff-calc with its extra "dask" where the workers run',
        )
    return ReplayError(
        f"a worker of the cluster failed: {text}",
        slug="engine-failed",
        hint="the worker's own log says more; `tracediff check --resume` goes on",
    )


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    library = _library()
    with warnings.catch_warnings():
        # Versions of what does not matter here; what does is compared by the workers.
        warnings.simplefilter("ignore", library.versions.VersionMismatchWarning)
        try:
            _greet(library, address)
            client = library.Client(address, timeout=CONNECT, set_as_default=False, name="check")
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise ReplayError(
                f"no scheduler answers at {address}: {str(error) or type(error).__name__}",
                slug="engine-unreachable",
                hint="start one: `dask scheduler --host HOST --port PORT`",
            ) from None
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # it is gone already
            client.close(timeout=CONNECT)


def _greet(library: Any, address: str) -> None:
    """Shake hands within a time: a client waits for ever for a server that says nothing."""
    if library.config.get("distributed", {}).get("client", {}).get("security-loader"):
        return  # only a client can call it

    async def greeting() -> None:
        secured = library.Security().get_connection_args("client")
        comm = await asyncio.wait_for(
            library.connect(address, timeout=CONNECT, **secured), 2 * CONNECT
        )
        comm.abort()

    # In a thread: the caller's may have a loop of its own.
    with concurrent.futures.ThreadPoolExecutor(1) as one:
        one.submit(asyncio.run, greeting()).result()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own messages, which repeat what an error here says."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _library() -> Any:
    try:
        import distributed  # where a cluster is used
    except ImportError as error:
        raise ConfigError(
            f"{error.name or 'distributed'} is not installed, which a cluster needs",
            slug="engine-missing",
            hint='install tracediff-calc with its extra "dask"',
        ) from None
    return distributed
