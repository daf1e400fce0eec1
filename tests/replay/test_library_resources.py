"""``importlib.resources`` as a library of ``inputs``: packages that are gone in the replay."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff import values
from tracediff.model import Trace

JOBS = """
    import sys
    sys.path[:0] = [OUTSIDE, OUTSIDE + "/packed.zip"]
    import importlib.resources as resources
    from importlib.resources import as_file, files
    from pathlib import Path

    def lines(file):
        with file:
            return list(file)

    def raised(call, *args):
        try:
            call(*args)
        except (OSError, ImportError, ValueError, TypeError) as error:
            return type(error).__name__, str(error)

    def reading(package):
        at = files(package)
        found = [at.joinpath("rates.csv").read_text(encoding="utf-8"),
                 (at / "deep" / "raw.bin").read_bytes(),
                 lines((at / "rates.csv").open("r", encoding="utf-8", newline="")),
                 lines((at / "deep/raw.bin").open("rb")),
                 sorted(one.name for one in at.iterdir()),
                 [(one.is_file(), one.is_dir()) for one in (at, at / "rates.csv", at / "none")],
                 raised((at / "none.txt").read_bytes)]
        with as_file(at / "rates.csv") as path:
            found.append(path.read_text(encoding="utf-8"))
        return found

    @td.job("directory")
    def directory():
        at = files("rates_data")
        with as_file(at / "deep") as path:
            inside = {one.name: one.read_bytes() for one in sorted(path.iterdir())}
        with td.step("passed on") as step:
            step.result = at / "rates.csv"
        return [reading("rates_data"), str(at.name), isinstance(at, Path), inside,
                (at / "rates.csv").exists(), (at / "none").exists(), given(at / "deep")]

    @td.input("given")
    def given(path):
        return path

    @td.job("zipped")
    def zipped():
        return [reading("zipped_data"), str(files("zipped_data") / "x")]

    @td.job("functions")
    def functions():
        import warnings
        warnings.simplefilter("ignore")
        with resources.path("rates_data", "rates.csv") as path:
            inside = path.read_bytes()
        return [resources.read_text("rates_data", "rates.csv", encoding="utf-8"),
                resources.read_binary("rates_data", "rates.csv"),
                lines(resources.open_binary("rates_data", "rates.csv")),
                lines(resources.open_text("rates_data", "rates.csv", encoding="utf-8")),
                resources.is_resource("rates_data", "rates.csv"),
                sorted(resources.contents("rates_data")), inside]

    @td.job("missing")
    def missing():
        return [raised(files, "no_such_package"), raised(files, "rates_data.module"),
                raised((files("rates_data") / "latin.txt").read_text, "utf-8")]

    @td.job("own")
    def own():
        import json, zoneinfo
        zoneinfo.ZoneInfo("Asia/Tokyo")
        return [(files("shop") / "own.txt").read_text(), (files(json) / "__init__.py").is_file()]

    @td.job("everything")
    def everything():
        return [directory(), zipped(), functions(), missing(), own()]

    @td.job("secret")
    def secret():
        return len((files("rates_data") / "api_token").read_text()) > 3 if LOOK else True

    LOOK = True
"""


NAMES = "directory zipped functions missing own".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any]) -> tuple[Any, dict[str, Trace]]:
    shop = new_shop()
    shop.settings('inputs = ["importlib.resources"]\n')
    outside = shop.directory.parent / "outside"
    package = outside / "rates_data"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text("")
    (package / "rates.csv").write_bytes("größe;1\r\nb;2\n".encode())
    (package / "latin.txt").write_bytes(b"\xff")
    (package / "api_token").write_text("sesame-open-7781")
    (package / "deep" / "raw.bin").write_bytes(bytes(range(256)))
    with zipfile.ZipFile(outside / "packed.zip", "w") as file:
        for path in sorted(package.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                file.write(path, Path("zipped_data") / path.relative_to(package))
    shop.write("shop/own.txt", "the project's own")
    shop.jobs(JOBS.replace("OUTSIDE", repr(str(outside))))
    found = shop.record("everything(); zipped(); own(); secret()")
    shutil.rmtree(outside)
    return shop, {one.key: one for one in found}


@pytest.fixture(scope="module")
def again(traces: tuple[Any, dict[str, Trace]], repeats: Callable[..., Any]) -> dict[str, Any]:
    """What each job gave, which one replay of them all gave as well."""
    shop, by_key = traces
    repeats(shop, by_key["everything"])
    assert not by_key["everything"].warnings
    return dict(zip(NAMES, shop.result(by_key["everything"]), strict=True))


def test_resources_are_served_where_the_packages_are_gone(again: dict[str, Any]) -> None:
    assert again["directory"][0][0] == "größe;1\nb;2\n"
    assert again["directory"][0][2] == ["größe;1\r\n", "b;2\n"]
    assert again["directory"][2]
    assert again["missing"][0][0] == "ModuleNotFoundError"


def test_the_project_s_and_python_s_own_are_no_inputs(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    assert len(traces[1]["own"].steps) == 1


def test_what_is_read_is_told_by_package_and_name(traces: tuple[Any, dict[str, Trace]]) -> None:
    _, by_key = traces
    first = next(one for one in by_key["zipped"].steps if one.name.endswith(" read"))
    assert values.inert(first.result) == "größe;1\r\nb;2\n"


def test_a_resource_with_a_secret_name_is_sealed(traces: tuple[Any, dict[str, Trace]]) -> None:
    shop, by_key = traces
    assert b"sesame" not in shop.stored()
    (miss,) = shop.replay(by_key["secret"]).replay.misses
    assert "no exact recording" in (miss.hint or "")
