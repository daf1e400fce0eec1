"""The demo recorded once, its pages, and a browser's stand-in that is signed in to them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from servers import chromium
from servers.pages import Pages
from tracediff import demo
from tracediff.api import Project, open_project
from tracediff.model import Trace
from tracediff.stores.local import LocalStore
from tracediff.web.access import Access
from tracediff.web.application import application
from tracediff.web.site import Site

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have httpx2 than httpx
    from starlette.testclient import TestClient

JOBS = 40
ACCESS = Access(token="a token of the tests, long enough", port=8700)
HERE = "http://127.0.0.1:8700"

SignedIn = Callable[[Site], TestClient]


@pytest.fixture(scope="session")
def demo_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with forty recorded jobs and changed code; shared, so not to be written to."""
    return demo.build(tmp_path_factory.mktemp("demo") / "project", jobs=JOBS).directory


@pytest.fixture(scope="session")
def demo_project(demo_directory: Path) -> Iterator[Project]:
    """The shared demo, opened; not to be written to."""
    with open_project(start=demo_directory) as project:
        yield project


@pytest.fixture
def own_demo(demo_directory: Path, tmp_path: Path) -> Iterator[Project]:
    """A copy of the demo, for a test that writes: accepts, changes code, saves traces."""
    directory = tmp_path / "own"
    shutil.copytree(demo_directory, directory)
    with open_project(start=directory) as project:
        yield project


@pytest.fixture(scope="session")
def site() -> Callable[..., Site]:
    """A function that makes the site of a project."""
    return Site


@pytest.fixture(scope="session")
def signed_in() -> Iterator[SignedIn]:
    """A function that makes a client of a site, which is signed in."""
    clients: list[TestClient] = []

    def signed_in(site: Site) -> TestClient:
        client = TestClient(application(site, ACCESS), HERE)
        clients.append(client)
        assert client.get("/", params={"token": ACCESS.token}).status_code == 200
        return client

    yield signed_in
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def stranger() -> Iterator[Callable[..., TestClient]]:
    """A function that makes a client of a site that is not signed in, and follows nothing.

    ``access`` are fields of the server's ``Access``, ``peer`` is where the client connects from.
    """
    clients: list[TestClient] = []

    def stranger(site: Site, *, peer: str = "127.0.0.1", base: str = HERE, **access) -> TestClient:
        app = application(site, replace(ACCESS, **access))
        client = TestClient(app, base, follow_redirects=False, client=(peer, 50_000))
        clients.append(client)
        return client

    yield stranger
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def token() -> str:
    """The token that signs in to the pages of the tests."""
    return ACCESS.token


@pytest.fixture(scope="session")
def client(
    demo_project: Project, site: Callable[..., Site], signed_in: SignedIn
) -> Iterator[TestClient]:
    """A client of the shared demo's pages, which is signed in."""
    with signed_in(site(demo_project)) as client:  # one event loop for all that is asked
        yield client


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """A function that makes a project whose store holds the given traces, and nothing else.

    ``tracediff.testing.make_trace`` builds a trace with any field at will.
    """
    opened: list[Project] = []

    def made(*traces: Trace) -> Project:
        directory = tmp_path / f"made-{len(opened)}"
        directory.mkdir()
        (directory / "pyproject.toml").write_text("[tool.tracediff]\n")
        store = LocalStore(directory / ".tracediff")
        store.save(traces)
        store.close()
        opened.append(open_project(start=directory))
        return opened[-1]

    yield made
    for project in opened:
        project.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium, one for all tests of a process."""
    with chromium.chromium() as found, chromium.aside():  # other tests may use asyncio
        yield found


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pages]]:
    """A function that starts ``tracediff ui`` in a project's directory, once for each."""
    running: dict[object, Pages] = {}

    def served(project: Path, *arguments: str, **environment: str) -> Pages:
        asked = (project, arguments, tuple(environment.items()))
        if asked not in running:
            pages = Pages(project, tmp_path_factory.mktemp("ui"), arguments, environment)
            pages.start()
            running[asked] = pages
        return running[asked]

    yield served
    with ThreadPoolExecutor() as ending:  # each takes its time
        list(ending.map(Pages.interrupt, running.values()))


@pytest.fixture(scope="session")
def visited() -> dict[str, object]:
    """How visitors are signed in, by the address that signs in."""
    return {}


@pytest.fixture
def browse(
    browser: Browser, served: Callable[..., Pages], visited: dict[str, object]
) -> Iterator[Callable[..., chromium.Visitor]]:
    """A function that makes a visitor of a project's pages, signed in by the printed address.

    ``browse(directory)("/", width=390, dark=True)`` opens a page. Whatever goes wrong in a page, or
    in its server, fails the test when it ends, but for what is in the visitor's ``expected``.
    """
    visitors: list[tuple[chromium.Visitor, Pages]] = []

    def browse(project: Path, *arguments: str, **environment: str) -> chromium.Visitor:
        pages = served(project, *arguments, **environment)
        visitor = chromium.Visitor(browser, pages.origin, visited.get(pages.url))
        visitors.append((visitor, pages))
        if pages.url not in visited:
            visited[pages.url] = visitor.sign_in(pages.url)
        return visitor

    with chromium.inside(browser):
        yield browse
        for visitor, _ in visitors:
            visitor.close()
    troubles = [one for visitor, _ in visitors for one in visitor.troubles]
    troubles += [pages.complaints for _, pages in visitors if pages.complaints]
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def read(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens a page in one file from the disk, with no network.

    ``read(file, width=390, dark=True)`` is the open page. Whatever goes wrong in it, and whatever
    it asks for that is not that file, fails the test when it ends.
    """
    visitors: list[chromium.Visitor] = []

    def read(file: Path, **how: Any) -> Page:
        visitors.append(chromium.Visitor(browser, file.as_uri()))
        return visitors[-1]("", offline=True, **how)

    with chromium.inside(browser):
        yield read
        for visitor in visitors:
            visitor.close()
    troubles = [one for visitor in visitors for one in visitor.troubles]
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def visit(browse: Callable[..., chromium.Visitor], demo_directory: Path) -> chromium.Visitor:
    """Opens pages of the shared demo, which are not to be written to; see ``browse``."""
    return browse(demo_directory)
