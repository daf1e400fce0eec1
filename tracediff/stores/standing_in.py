"""A process that moves a spool in place of one whose interpreter ends.

From 3.12.0 to 3.12.2 Python starts no thread any more once the main thread is done, not even for
``threading._register_atexit`` (https://github.com/python/cpython/issues/113964), and a client of
MongoDB is nothing without its threads. Processes it does start. Every other Python is left alone.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tracediff.stores import urls
from tracediff.stores.remote import RemoteStore

_PROGRAM = """\
import json, sys
given = json.load(sys.stdin)
sys.path[:] = given.pop("path")
from tracediff.stores.standing_in import stand_in
stand_in(**given)
"""


def needed() -> bool:
    """Whether this process ends and its Python starts no thread until then."""
    if not (3, 12) <= sys.version_info[:3] < (3, 12, 3):
        return False
    try:
        threading.Thread(target=int, daemon=True).start()
    except RuntimeError:  # so Python says it
        return True
    return False


def move(
    directory: Path,
    open_remote: Callable[[], RemoteStore],
    own: Iterable[Path],
    deadline: float | None,
) -> str | None:
    """Have all moved that lies in the spool, in a process of its own that is waited for.

    What the store said against it, or why there is no such process; None where nothing is wrong.

    Args:
        directory: The spool.
        open_remote: Opens the store that it is for.
        own: Segments that are waited for when others are moving them.
        deadline: The seconds to wait; None for as long as it takes.
    """
    import subprocess  # which every recording process would pay for

    command, given = _command(), _described(open_remote)
    if command is None or given is None:
        return "this Python starts no thread while it ends"
    given |= {"directory": str(directory), "own": [str(one) for one in own], "path": _path()}
    try:
        done = subprocess.run(
            command, input=json.dumps(given).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=deadline, check=True,
        )  # fmt: skip
        problem: str | None = json.loads(done.stdout)
    except subprocess.TimeoutExpired:  # what is left is still waiting, as ``drain`` says
        return None
    except (OSError, ValueError, TypeError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: another process could not upload them"
    return problem


def _command() -> list[str] | None:
    """How to start this Python; a server that embeds it is no Python to start."""
    if not os.path.basename(sys.executable or "").startswith("python"):
        return None
    return [sys.executable, "-I", "-S", "-c", _PROGRAM]


def _path() -> list[str]:
    """Where it imports from: as here, and without what ``site`` would start."""
    return [*(str(Path(one).absolute()) for one in sys.path), str(Path(__file__).parents[2])]


def _described(open_remote: Callable[[], RemoteStore]) -> dict[str, Any] | None:
    """The store by its settings; None for one that only this process can open."""
    if not isinstance(open_remote, functools.partial) or open_remote.func is not urls.open_remote:
        return None
    settings = dict(open_remote.keywords)
    root = settings.pop("root", None)
    return {"store": open_remote.args, "root": str(root or Path.cwd()), "settings": settings}


def stand_in(
    *,
    directory: str,
    own: list[str],
    store: tuple[str, str | None],
    root: str,
    settings: dict[str, Any],
) -> None:
    """Move the spool, once, and print what the store said against it: what the process does."""
    from tracediff.stores.shipping import Shipper  # which imports this module

    opened = functools.partial(urls.open_remote, *store, root=Path(root), **settings)
    shipper = Shipper(Path(directory), opened, every=0.0)
    shipper.ship_here([Path(one) for one in own])
    sys.stdout.write(json.dumps(shipper.problem))
