"""A real Chromium without a window, whose pages tell of everything that goes wrong in them.

    with chromium() as browser:
        visit = Visitor(browser, "http://127.0.0.1:8700")
        page = visit("/?token=…", width=390, dark=True)

It is the machine's own browser: Playwright steers it and brings none.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from servers.processes import ServerError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
"""What the browser is called, as scripts/bootstrap.sh looks for it."""

_ARGUMENTS: Final = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_INERT: Final = ("data", "blob", "about")


def program() -> str:
    """Where the browser is.

    Raises:
        ServerError: There is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise ServerError(
        "there is no Chromium: run `make setup` as root, or "
        "`apt-get update && apt-get install -y chromium fonts-dejavu-core`"
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Whoever else uses asyncio in this thread meanwhile does so in ``aside``."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's refuses to be root's
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program(), args=[*_ARGUMENTS, *root], handle_sigint=False
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def aside() -> Iterator[None]:
    """Let others use asyncio in this thread, where the browser's event loop seems to run."""
    loop = asyncio.get_running_loop()
    _set_running(None)
    try:
        yield
    finally:
        _set_running(loop)


@contextmanager
def inside(browser: Browser) -> Iterator[None]:
    """Use the browser where others may use asyncio, inside of ``aside``."""
    _set_running(browser._loop)  # noqa: SLF001 - Playwright has no public name for it
    try:
        yield
    finally:
        _set_running(None)


def _set_running(loop: asyncio.AbstractEventLoop | None) -> None:
    asyncio._set_running_loop(loop)  # noqa: SLF001 - what Playwright itself does, for loops' makers


_TOO_WIDE: Final = """() => {
  const clips = (e) => e && e !== document.body && e !== document.documentElement &&
    (getComputedStyle(e).overflowX !== "visible" || clips(e.parentElement));
  const over = document.documentElement.scrollWidth - innerWidth;
  return over <= 0 ? [] : [`${over} px`, ...[...document.body.querySelectorAll("*")].filter((e) =>
    e.getBoundingClientRect().right > innerWidth + 1 && !clips(e.parentElement)
  ).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))];
}"""


def too_wide(page: Page) -> list[str]:
    """By how much a page is wider than its window, and because of which elements; or nothing."""
    found: list[str] = page.evaluate(_TOO_WIDE)
    return found


class Visitor:
    """Opens pages of one server, in one browser, and notes what goes wrong in them.

    Args:
        browser: The browser.
        origin: The server's address, or that of one file on the disk. What is asked of another one
            is noted.
        signed_in: What ``sign_in`` of another visitor of the server returned.

    Attributes:
        troubles: Errors of scripts and of the console, refusals of the content security policy,
            failed and foreign requests, dialogs.
        expected: Words; what has one of them in it is no trouble.
        foreign: Requests of other servers alone.
    """

    def __init__(self, browser: Browser, origin: str, signed_in: Any = None) -> None:
        self.origin = origin.rstrip("/")
        self.expected: list[str] = []
        self.foreign: list[str] = []
        self._browser = browser
        self._noted: list[str] = []
        self._contexts: list[BrowserContext] = []
        self._state = signed_in

    @property
    def troubles(self) -> list[str]:
        """What went wrong so far and was not expected."""
        noted = [*self._noted, *(f"asked another server: {one}" for one in self.foreign)]
        return [one for one in noted if not any(word in one for word in self.expected)]

    def sign_in(self, url: str) -> Any:
        """Open an address that signs in; pages opened later are signed in too."""
        page = self(url)
        self._state = page.context.storage_state()
        page.close()
        return self._state

    def __call__(
        self,
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        script: bool = True,
        **context: Any,
    ) -> Page:
        """A page in a window of its own.

        Args:
            path: What to open: a path of the server, or a whole address.
            width: The window's width.
            height: Its height.
            dark: Whether the user likes it dark.
            script: Whether scripts run.
            context: More of Playwright's settings of a context.

        ``page.wait_for_function`` takes a function there, ``() => …``: the policy of the pages
        refuses to evaluate a text more than once.
        """
        made = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            reduced_motion="reduce",
            storage_state=self._state,
            **context,
        )
        self._contexts.append(made)
        made.set_default_timeout(20_000)
        page = made.new_page()
        self._watch(page)
        page.goto(path if "://" in path else self.origin + path)
        return page

    def close(self) -> None:
        """Close all windows."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _watch(self, page: Page) -> None:
        page.on("console", lambda said: self._said(said.type, said.text, said.location))
        page.on("pageerror", lambda error: self._noted.append(f"script: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("crash", lambda _: self._noted.append("the page crashed"))

        def dialog(shown: Any) -> None:
            self._noted.append(f"dialog: {shown.type} {shown.message}")
            shown.dismiss()

        page.on("dialog", dialog)
        page.on("popup", self._watch)

    def _said(self, kind: str, text: str, place: Any) -> None:
        if kind in {"error", "warning", "assert"}:
            self._noted.append(f"console {kind}: {text} ({place.get('url', '')})")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in _INERT and not self._is_own(request.url):
            self.foreign.append(request.url)

    def _failed(self, request: Request) -> None:
        # Aborted: by the page that is left, or because it is a download.
        if request.failure != "net::ERR_ABORTED":
            self._noted.append(f"{request.failure}: {request.url}")

    def _is_own(self, url: str) -> bool:
        return url == self.origin or url.startswith(tuple(f"{self.origin}{one}" for one in "/?#"))
