"""``tracediff config``."""

from __future__ import annotations

import click

from tracediff.cli import options
from tracediff.config import load_config


@click.command("config")
@options.store
@options.form
def command(store: str | None, form: str) -> None:
    """Show every setting and where it comes from; credentials are masked."""
    rows = load_config(store=store).as_rows()
    if form == "json":
        found = [
            {"setting": name, "value": value, "origin": origin} for name, value, origin in rows
        ]
        options.emit_json({"schema": "tracediff/config/1", "settings": found}, None)
        return
    wide = max(len(name) for name, _, _ in rows)
    options.emit("\n".join(f"{n:<{wide}}  {v or '-':<30}  {o}" for n, v, o in rows), None)
