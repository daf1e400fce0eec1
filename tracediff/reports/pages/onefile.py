"""A page as one file that opens from disk: style and script are in it, and nothing is loaded.

Its policy lets a browser apply that style and run that script, known by their hashes, and load and
send nothing. It is written in ASCII, which means the same in any encoding.
"""

from __future__ import annotations

from typing import Any

from tracediff.reports.markup import Markup
from tracediff.reports.pages.assets import STYLE, VIEWER, asset, policy_hash
from tracediff.reports.pages.templating import FILE, render


def one_file(template: str, /, *, scripted: bool = True, **given: Any) -> str:
    """Return a page in ASCII.

    Args:
        template: The file name of its template.
        scripted: Whether it needs the viewer's script.
        given: What the template uses.
    """
    style = _in_ascii(asset(STYLE).decode().strip())
    script = _script_in_ascii(asset(VIEWER).decode().strip()) if scripted else ""
    allowed = policy_hash(script) if scripted else "'none'"
    policy = (
        f"default-src 'none'; style-src {policy_hash(style)}; script-src {allowed}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = render(
        template,
        layout=FILE,
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
        **given,
    )
    safe = text.replace("##[", "##&#91;")  # GitHub Actions would take that for a command in a log
    return safe.encode("ascii", "xmlcharrefreplace").decode()


def _in_ascii(style: str) -> str:
    """The same style in ASCII, so that its hash holds in whatever encoding a page is written."""
    return "".join(one if one.isascii() else f"\\{ord(one):x} " for one in style)


def _script_in_ascii(script: str) -> str:
    """The same, of a script in whose texts alone are other letters."""
    return "".join(one if one.isascii() else f"\\u{{{ord(one):x}}}" for one in script)
