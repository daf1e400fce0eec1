"""``store.json``: which schema a local store has, told beside its index.

The index can be lost, and is then made again from the segments. What a newer tracediff wrote there
must not be indexed by an older one, which would leave out what it does not know.
"""

from __future__ import annotations

import json
from pathlib import Path

from tracediff.stores.files import write_whole

FILE = "store.json"
_LONGEST = 4096


def read_version(directory: Path) -> int | None:
    """The schema that the store says it has; None where it says nothing that can be read.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        with (directory / FILE).open("rb") as file:
            said = json.loads(file.read(_LONGEST))
    except (FileNotFoundError, IsADirectoryError):  # an older tracediff made the store
        return None
    except (ValueError, RecursionError):  # the index says it, too
        return None
    found = said.get("schema") if isinstance(said, dict) else None
    return found if type(found) is int and found > 0 else None


def write_version(directory: Path, schema: int, *, sync: bool = False) -> None:
    """Say which schema the store has.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({"schema": schema, "by": "tracediff"})
    write_whole(directory / FILE, f"{text}\n".encode("ascii"), sync=sync)
