"""Renders a template with everything in it made harmless: no text is markup by accident.

Each text that a template puts out is cleaned, as for a terminal (control characters, marks that
reorder or hide text), and then escaped. What is markup already is ``reports.markup.Markup``.
"""

from __future__ import annotations

import functools
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from tracediff.reports import markup, wording
from tracediff.reports.clean import clean, clean_lines

SERVED: Final = "served.html"
FILE: Final = "file.html"
"""The two layouts that a page extends: with links to the server, or all in one file."""


def render(template: str, /, **given: Any) -> str:
    """Return a template's text.

    Args:
        template: Its file name.
        given: What it may use; a name that it uses and is not given is an error.
    """
    return _environment().get_template(template).render(**given)


def read_all() -> None:
    """Read every template now: what a server shows stays what it was started with."""
    found = _environment()
    for name in found.list_templates():
        found.get_template(name)


@functools.cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("tracediff.reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {
        "lines": _lines,
        "moment": wording.moment,
        "lasted": wording.lasted,
        "many": wording.many,
        "urlencode": _quoted,
    }
    return found


def _cleaned(value: Any) -> Any:
    if type(value) is str or (isinstance(value, str) and not hasattr(value, "__html__")):
        return clean(value)
    return "" if value is None else value


def _quoted(text: str) -> str:
    """A text as a part of an address; also half of a character, which UTF-8 cannot hold."""
    return quote(text, safe="", errors="surrogatepass")


def _lines(text: str) -> markup.Markup:
    """A text of several lines for an element that keeps them: each cleaned, and escaped."""
    return markup.lines(clean_lines(text))
