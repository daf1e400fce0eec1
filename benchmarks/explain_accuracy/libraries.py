"""The published libraries, in a directory of their own beside the interpreter."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class LibrariesError(Exception):
    """The libraries cannot be had."""


def libraries() -> Path:
    """Where the libraries are; only the first call needs the package index.

    Raises:
        LibrariesError: They cannot be installed.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    directory = Path(sys.prefix) / f"explain-accuracy-{digest}"
    if not directory.exists():
        partial = Path(tempfile.mkdtemp(prefix="explain-accuracy-", dir=sys.prefix))
        try:
            _install(partial)
            with contextlib.suppress(OSError):  # another process was quicker
                partial.rename(directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return directory


def _install(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--target", str(directory), "--requirement", str(REQUIREMENTS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LibrariesError(f"{REQUIREMENTS.name} cannot be installed: {done.stderr.strip()}")


def versions() -> list[str]:
    """The libraries as they are pinned."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
