"""Environments for packages that do not go together with those of the tests: Airflow and Prefect.

Each is made when a test first asks for it, beside the packages that the tests run with, and kept.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent


def environment(name: str) -> Path:
    """The interpreter of an environment with the packages of ``servers/NAME.txt``.

    Raises:
        RuntimeError: They cannot be installed.
    """
    wanted = Path(__file__).with_name(f"{name}.txt")
    directory = Path(sys.prefix) / "environments" / name
    python, stamp = directory / "bin" / "python", directory / "made-of"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it, the others wait
        made_of = f"{crc32(wanted.read_bytes())} {sys.version}"
        if not stamp.is_file() or stamp.read_text() != made_of:
            _run(sys.executable, "-m", "venv", "--clear", str(directory))
            _run(
                str(python), "-m", "pip", "install", "-q", "--no-compile", "--no-deps",
                "--disable-pip-version-check", "-r", str(wanted),
            )  # fmt: skip
            stamp.write_text(made_of)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)  # noqa: PLW1510 - told below
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
