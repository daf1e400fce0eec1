"""``tracediff ui``."""

from __future__ import annotations

import os
import re
import secrets
import threading
import webbrowser
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from tracediff.api import open_project
from tracediff.cli import options, streams
from tracediff.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from tracediff.web.access import Access
    from tracediff.web.site import Site

_BROWSER: Final = "tracediff-browser"
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


@click.command("ui")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8700, show_default=True,
    help="0 takes a free one.",
)  # fmt: skip
@click.option("--open", "opened", is_flag=True, help="Open the pages in a browser.")
@click.option("--read-only", is_flag=True, help="Pages run no code and accept nothing.")
@click.option("--writable", is_flag=True, help="They do, though others reach them.")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME",
    help="A name that the server is called by; may be repeated.",
)  # fmt: skip
@click.option("--auth-header", metavar="NAME", help="The header in which a proxy names who asks.")
@click.option(
    "--trusted-proxy", "proxies", multiple=True, metavar="CIDR",
    help="Addresses of that proxy; may be repeated.",
)  # fmt: skip
@options.store
def command(
    host: str,
    port: int,
    opened: bool,
    read_only: bool,
    writable: bool,
    hosts: tuple[str, ...],
    auth_header: str | None,
    proxies: tuple[str, ...],
    store: str | None,
) -> None:
    """Serve the pages: traces, comparisons, explanations, checks."""
    try:
        from tracediff.web import access, serving
        from tracediff.web.application import application
        from tracediff.web.site import Site
    except ImportError as error:
        raise ConfigError(
            f"{error.name or 'a package'} is not installed, which the pages need",
            slug="ui-missing",
            hint='install tracediff-calc with its extra "web"',
        ) from None
    _check(read_only=read_only, writable=writable, header=auth_header, proxies=proxies)
    networks = access.trusted_networks(proxies)
    token = access.chosen_token(os.environ)
    os.environ.pop("TRACEDIFF_UI_TOKEN", None)  # what replays start would have it too
    with open_project(store=store) as project, serving.listen(host, port) as listening:
        shared = serving.reached_by_others(listening) or auth_header is not None
        given = access.Access(
            token=token or secrets.token_urlsafe(),
            port=listening.getsockname()[1],
            hosts=frozenset(access.bracketed(one) for one in (host, *hosts)),
            anywhere=serving.listens_anywhere(listening),
            header=auth_header.lower() if auth_header else None,
            proxies=networks,
        )
        project.store  # noqa: B018 - it is opened: what is wrong with it is said before serving
        site = Site(project, writable=writable or not (read_only or shared))
        app = application(site, given)
        _say(given, _url(host, given), site, secret=token is None)
        if opened:
            _open(f"{_url(host, given)}?token={given.ticket()}")
        with closing(site):
            serving.serve(app, listening)


def _check(
    *, read_only: bool, writable: bool, header: str | None, proxies: tuple[str, ...]
) -> None:
    if read_only and writable:
        raise UsageError(
            "--read-only and --writable exclude each other", slug="usage", hint="leave one out"
        )
    if (header is None) != (not proxies):
        raise UsageError(
            "--auth-header and --trusted-proxy need each other",
            slug="usage",
            hint="name the header, and the addresses from which it is believed",
        )
    if header is not None and not _HEADER.fullmatch(header):
        raise UsageError(
            f"{header!r} is no name of a header",
            slug="usage",
            hint="letters, digits and -, such as X-Auth-Request-User",
        )


def _url(host: str, given: Access) -> str:
    """Where a browser on this machine finds the pages."""
    if given.anywhere:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{given.port}/"


def _say(given: Access, url: str, site: Site, *, secret: bool) -> None:
    """Say where the pages are, and how to stop; the token only if nobody else chose it."""
    streams.write(f"{url}?token={given.token}\n" if secret else f"{url}\n")
    if not secret:
        options.note("sign in with the token of TRACEDIFF_UI_TOKEN")
    if given.anywhere:
        options.note("other machines call it by the address of this one; --allow-host names others")
    if not site.writable:
        options.note("read-only: pages run no code and accept nothing")
    options.note("Ctrl-C stops it")


def _open(url: str) -> None:
    # In a thread: a browser of the terminal, or a slow one, would keep the server from starting.
    threading.Thread(target=webbrowser.open, args=(url,), name=_BROWSER, daemon=True).start()
