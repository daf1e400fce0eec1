"""The process a replay runs in: ``python -m tracediff.replay.worker FD FD``.

The request comes on standard input, the answer goes to a descriptor of its own, so that a job that
prints cannot spoil it; the other is what it hangs on, see ``replay.ending``. The process then ends
at once, whatever threads the job left behind.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import ormsgpack

from tracediff import codec
from tracediff.config import load_config
from tracediff.errors import TracediffError
from tracediff.replay.bytecode import drop_stale_bytecode
from tracediff.replay.ending import hang_on
from tracediff.replay.engine import replay_here
from tracediff.replay.libraries import serve_told
from tracediff.replay.placing import imports_placed, placed
from tracediff.replay.whatif import WhatIf


def main(reply: int, starter: int) -> None:
    """Answer one request."""
    hang_on(starter)
    own, place = os.getpid(), os.fstat(reply)
    root, on_miss, what_ifs, data, deep = ormsgpack.unpackb(sys.stdin.buffer.read())
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    drop_stale_bytecode()
    serve_told(os.environ)
    try:
        config, moved = load_config(Path(root)), placed(os.environ, Path(root))
        with imports_placed(moved) if moved is not None else nullcontext() as seen:
            trace = replay_here(
                codec.load(data),
                config,
                on_miss=on_miss,
                what_ifs=[WhatIf.unpacked(one) for one in what_ifs],
                deep=deep,
            )
        files = [list(seen.opened), list(seen.strayed)] if seen is not None else [[], []]
        answer = ["trace", codec.dump(trace), *files]
    except TracediffError as error:
        answer = ["error", [error.message, error.slug, error.hint]]
    if os.getpid() != own:  # a child that the job forked and that ran to the job's end
        os._exit(0)
    if not os.path.samestat(os.fstat(reply), place):
        sys.exit("the job closed the replay's own files and opened others in their place")
    with os.fdopen(reply, "wb") as stream:
        stream.write(ormsgpack.packb(answer))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
