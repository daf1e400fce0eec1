"""A replay beside the work tree imports nothing from it, however it is installed."""

from __future__ import annotations

import _queue
import shutil
import sqlite3
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from editables import EditableProject

from tracediff.demo import git
from tracediff.errors import ReplayError
from tracediff.replay import ignored

JOB = """
    from shop.rates import RATE

    @td.job("price")
    def price(net):
        try:
            import shop.later
        except ImportError:
            return net * RATE
        return -1
    """
ENTRIES = {
    "path": "{source}\n",  # as hatchling and `setup.py develop` do
    "first": "import first_finder\n",  # as meson-python and scikit-build-core do
}
FIRST = """
import sys
from importlib.util import spec_from_file_location

class First:
    def find_spec(self, name, path, target=None):
        if name == "shop":
            return spec_from_file_location(
                name, {source!r} + "/shop/__init__.py",
                submodule_search_locations=[{source!r} + "/shop"])
        return None

sys.meta_path.insert(0, First())
"""


def editable(site: Path, source: Path, kind: str) -> None:
    """Install the package in ``source`` editable, in the way of one build backend."""
    if kind == "finder":
        project = EditableProject("shop", source)
        project.map("shop", "shop")
        files = dict(project.files())
    else:
        files = {"shop.pth": ENTRIES[kind].format(source=source)}
        files["first_finder.py"] = FIRST.format(source=str(source))
    for name, text in files.items():
        (site / name).write_text(text)


@pytest.fixture
def interpreter(tmp_path: Path) -> tuple[str, Path]:
    """A virtual environment that has this one's packages; its Python and its site-packages."""
    where = tmp_path / "environment"
    venv.create(where, symlinks=True)
    (site,) = where.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "packages.pth").write_text("".join(f"{path}\n" for path in here))
    return str(where / "bin/python"), site


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "layout"), [("path", "lib"), ("finder", "lib"), ("first", "src")])
def test_an_editable_installation_does_not_bring_the_new_code(
    kind: str, layout: str, shop: Any, interpreter: tuple[str, Path]
) -> None:
    python, site = interpreter
    source = shop.directory / layout
    source.mkdir()
    shop.settings(f'python = "{python}"\n')
    shop.jobs(JOB)
    shop.write("shop/rates.py", "RATE = 2\n")
    shutil.move(shop.directory / "shop", source / "shop")
    shop.write(".gitignore", ".tracediff/\n__pycache__/\n")
    git(shop.directory, "init", "--quiet", "--template=")
    git(shop.directory, "add", "--all")
    git(shop.directory, "commit", "--quiet", "--message", "rate 2")
    editable(site, source, kind)
    done = subprocess.run(
        [python, "-c", "import shop.jobs; print(shop.jobs.__file__, shop.jobs.price(10))"],
        cwd=shop.directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"{source}/shop/jobs.py 20\n", done.stderr
    (trace,) = shop.recorded()
    shop.write(f"{layout}/shop/rates.py", "RATE = 3\n")
    assert shop.result(shop.replay(trace)) == 30
    shop.write(f"{layout}/shop/later.py", "")
    assert shop.result(shop.replay(trace)) == -1
    again = shop.replayed(trace, against="HEAD")
    assert shop.result(again.trace) == 20
    assert again.trace.code.files == trace.code.files
    assert again.strayed == ()
    assert f"{layout}/shop/rates.py" in again.opened
    (source / "shop/later.py").unlink()
    explained = shop.project().explain(trace.id)
    assert [unit.name for cause in explained.causes for unit in cause.units] == ["shop.rates:RATE"]


def test_files_of_the_work_tree_that_are_read_all_the_same_are_told(shop: Any) -> None:
    shop.jobs(f"""
        import sqlite3
        from pathlib import Path

        @td.job("price")
        def price(net):
            sqlite3.connect("{shop.directory}/rates.sqlite").close()
            return net + int(Path("{shop.directory}/rate.txt").read_text())
        """)
    shop.write("rate.txt", "1")
    sqlite3.connect(shop.directory / "rates.sqlite").close()
    git(shop.directory, "init", "--quiet", "--template=")
    git(shop.directory, "add", "--all")
    git(shop.directory, "commit", "--quiet", "--message", "absolute")
    trace = shop.record("price(10)")[0]
    assert set(shop.replayed(trace, against="HEAD").strayed) == {"rate.txt", "rates.sqlite"}
    assert shop.replayed(trace).strayed == ()


def test_a_built_extension_is_laid_over_or_told(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Path(_queue.__file__)
    shop.jobs("""
        from shop import _queue

        @td.job("price")
        def price(net):
            return net + _queue.SimpleQueue().qsize()
        """)
    shutil.copy(built, shop.directory / "shop")
    shop.write(".gitignore", "*.so\n.tracediff/\n__pycache__/\n")
    git(shop.directory, "init", "--quiet", "--template=")
    git(shop.directory, "add", "--all")
    git(shop.directory, "commit", "--quiet", "--message", "built")
    trace = shop.record("price(10)")[0]
    done = shop.replayed(trace, against="HEAD")
    assert f"shop/{built.name}" in done.opened
    assert done.strayed == ()
    # Nothing but the project's own directory leads to it once there is no room for it.
    monkeypatch.setattr(ignored, "MAX_BYTES", 0)
    shop.settings(f'pythonpath = [".", "{shop.directory}"]\n')
    git(shop.directory, "commit", "--quiet", "--all", "--message", "a whole path")
    with pytest.raises(ReplayError, match="_queue"):
        shop.replayed(trace, against="HEAD")
