"""Opening a store by its URL."""

from __future__ import annotations

import sys
import textwrap

import pytest

from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores import Store, open_store
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryStore
from tracediff.testing import make_trace, refused


@pytest.fixture
def opened():
    """open_store, with what it opened closed at the end."""
    stores: list[Store] = []

    def opened(url: str, **options) -> Store:
        stores.append(open_store(url, **options))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def ids(store: Store) -> list[str]:
    return [row.id for row in store.search(Query()).rows]


def test_memory_is_fresh_each_time(opened):
    one, two = opened("memory:"), opened("memory:")
    one.save([make_trace("a")])
    assert isinstance(one, MemoryStore)
    assert ids(one) == ["a"]
    assert ids(two) == []


def test_named_memory_is_shared_within_the_process(opened):
    one, two = opened("memory:shared-by-name"), opened("MEMORY:shared-by-name")
    one.save([make_trace("a")])
    one.close()
    assert ids(two) == ["a"]
    assert ids(opened("memory:another-name")) == []
    assert ids(opened("memory:shared-by-name")) == ["a"]


def test_a_directory_is_relative_to_the_root(opened, tmp_path, monkeypatch):
    opened("sub/traces", root=tmp_path).save([make_trace("a")])
    assert (tmp_path / "sub/traces/index.sqlite").is_file()
    monkeypatch.chdir(tmp_path)
    assert ids(opened("sub/traces")) == ["a"]
    assert ids(opened("./sub/traces/")) == ["a"]
    assert ids(opened(str(tmp_path / "sub" / "traces"))) == ["a"]
    monkeypatch.chdir("/")
    assert ids(opened("traces", root=tmp_path / "sub")) == ["a"]


@pytest.mark.parametrize("name", ["plain", "with blank", "100%", "ключ", "a#b?c", "C", "x:y"])
def test_a_file_url_is_the_directory_it_names(opened, tmp_path, name):
    directory = tmp_path / name
    store = opened(directory.as_uri())
    assert isinstance(store, LocalStore)
    assert store.directory == directory
    store.save([make_trace("a")])
    assert ids(opened(f"FILE://localhost{directory.as_uri().removeprefix('file://')}")) == ["a"]


def test_a_file_url_with_a_relative_path_is_relative_to_the_root(opened, tmp_path):
    assert opened("file:traces", root=tmp_path).directory == tmp_path / "traces"


@pytest.mark.parametrize(
    "url", ["file://traces", "file://host/traces", "file:", "file://", "file:///a?b", "file:///a#b",
            "file://[x"]
)  # fmt: skip
def test_a_file_url_that_names_no_directory_here_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("store-unknown"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", " ", "\t\n"])
def test_nothing_names_no_store(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("store-unknown"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["redis://user:secret@host/0", "nosuch:x", "mem:", "files:///a"])
def test_a_kind_that_no_driver_knows_is_refused_without_its_secrets(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.slug == "store-unknown"
    assert url.partition(":")[0] in caught.value.message
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_durability_is_one_of_two(tmp_path):
    with refused("store-option-invalid"):
        open_store(str(tmp_path / "s"), durability="disk")
    assert not (tmp_path / "s").exists()


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """An installed distribution with an entry point of ours, as pip leaves it."""
    name = f"{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_").lower()
    site = tmp_path / "site"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[tracediff.stores]\nshelf = {name}:open_shelf\n"
        f"shelf+tls = {name}:open_shelf\nbroken = {name}_nowhere:open\ngone = {name}:nothing\n"
    )
    (site / f"{name}.py").write_text(
        textwrap.dedent("""
        from tracediff.stores.memory import MemoryStore
        from tracediff.errors import StoreError

        def open_shelf(url, root):
            if "refuse" in url:
                raise StoreError("no shelf", slug="shelf-gone", hint="buy one")
            store = MemoryStore(url)
            store.root = root
            return store
        """)
    )
    monkeypatch.syspath_prepend(site)
    yield name
    sys.modules.pop(name, None)


def test_an_installed_driver_opens_its_kind(driver, opened, tmp_path):
    store = opened("shelf://host/books", root=tmp_path)
    assert store.url == "shelf://host/books"
    assert store.root == tmp_path
    assert type(store).__module__ == "tracediff.stores.memory"
    assert driver in sys.modules
    store.save([make_trace("a")])
    assert ids(store) == ["a"]
    assert opened("SHELF+tls:x").root is None


def test_what_an_installed_driver_raises_comes_through(driver):
    with refused("shelf-gone"):
        open_store("shelf://refuse")


def test_a_driver_that_cannot_be_loaded_is_named(driver):
    for kind in ("broken", "gone"):
        with pytest.raises(StoreError) as caught:
            open_store(f"{kind}://user:secret@host")
        assert caught.value.slug == "store-driver"
        assert driver in (caught.value.hint or "")
        assert "secret" not in f"{caught.value.message} {caught.value.hint}"
