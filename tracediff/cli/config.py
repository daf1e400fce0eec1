"""``tracediff config``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.cli import options
from tracediff.config import load_config
from tracediff.reports.clean import clean


@click.command("config")
@options.store
@options.form
@options.output
def command(store: str | None, form: str, output: Path | None) -> None:
    """Show every setting and where it comes from; credentials are masked."""
    rows = load_config(store=store).as_rows()
    if form == "json":
        found = [
            {"setting": name, "value": value, "origin": origin} for name, value, origin in rows
        ]
        options.emit_json({"schema": "tracediff/config/1", "settings": found}, output)
        return
    wide = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{wide}}  {value or '-':<30}  {origin}" for name, value, origin in rows]
    options.emit("\n".join(map(clean, lines)), output)
