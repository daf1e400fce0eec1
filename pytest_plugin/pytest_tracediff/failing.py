"""How a failure is shown. The one module that knows pytest's own classes for it.

They are private, and the only form that carries a place of its own through xdist, into JUnit and
into annotations.
"""

from __future__ import annotations

from _pytest._code.code import (
    ExceptionChainRepr,
    ReprEntryNative,
    ReprFileLocation,
    ReprTraceback,
)


def failure(
    lines: list[str], path: str, line: int, message: str, sections: list[tuple[str, str]]
) -> ExceptionChainRepr:
    """A failure at a line of a file, with the lines that explain it.

    Args:
        lines: What is shown.
        path: The file.
        line: The line, from 1.
        message: What is said of it in one line.
        sections: More text, each with its title.
    """
    body = [f"{text}\n" for text in (*lines, "")]
    entry = ReprEntryNative([*body, f"{path}:{line}: {message}\n"])
    crash = ReprFileLocation(path, line, message)
    shown = ExceptionChainRepr([(ReprTraceback([entry], None, "native"), crash, None)])
    for title, text in sections:
        shown.addsection(title, text)
    return shown
