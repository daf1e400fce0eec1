"""A trace names code to run and classes to build; only the allow-list's are touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff import values
from tracediff.errors import ReplayError
from tracediff.model import Value
from tracediff.values.nodes import Global, Record

EVIL = """
import pathlib
pathlib.Path(__file__).with_name("imported").touch()

class Gadget:
    pass

def run(*args, **kwargs):
    pathlib.Path(__file__).with_name("ran").touch()
"""


@pytest.fixture(scope="module")
def recorded(new_shop):
    shop = new_shop()
    shop.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*", "!shop.vendor.*"]\n')
    shop.write("evil.py", EVIL)
    shop.write("shop/vendor/__init__.py", EVIL)
    shop.write("shop/vendor/evil.py", EVIL)
    shop.write("shopping.py", EVIL)
    shop.jobs("""
        import pathlib

        @td.job("shop/echo")
        def job(value):
            return "ran"

        @td.input("Read")
        def read(value):
            return value

        @td.job("shop/reads")
        def reads():
            return repr(type(read(1)))

        def helper(value):
            pathlib.Path("helper-ran").touch()

        class Price:
            pass
        """)
    return shop, shop.record("job(1); reads()")


@pytest.fixture
def shop(recorded, tmp_path):
    """A project with modules off the allow-list that leave a file when they are imported."""
    copied = recorded[0].copy(tmp_path / "project")
    yield copied
    left = [path for path in copied.directory.rglob("*") if path.name in ("imported", "ran")]
    assert left == [], "a module off the allow-list was imported"
    assert not (copied.directory / "helper-ran").exists()


@pytest.fixture
def guarded(recorded):
    return recorded[1]


@pytest.mark.parametrize(
    ("job", "slug"),
    [
        ("os:system", "job-not-allowed"),
        ("builtins:eval", "job-not-allowed"),
        ("subprocess:run", "job-not-allowed"),
        ("evil:run", "job-not-allowed"),
        ("shopping:run", "job-not-allowed"),
        ("shop.vendor:run", "job-not-allowed"),
        ("shop.vendor.evil:run", "job-not-allowed"),
        ("__main__:run", "job-not-allowed"),
        ("__main__:main", "job-not-allowed"),
        ("tracediff.replay.worker:main", "job-not-allowed"),
        ("", "job-not-allowed"),
        (":run", "job-not-allowed"),
        ("shop.jobs:helper", "job-unknown"),
        ("shop.jobs:pathlib.os.system", "job-unknown"),
        ("shop.jobs.pathlib:Path", "job-not-importable"),
        ("shop.jobs.vendor.evil:run", "job-not-importable"),
        ("shop..evil:run", "job-not-importable"),
        ("shop.*:run", "job-not-importable"),
    ],
)
def test_a_tampered_job_is_refused_and_nothing_is_imported(shop, guarded, job, slug):
    tampered = replace(guarded[0], job=job, key="shop/tampered")
    with pytest.raises(ReplayError) as caught:
        shop.replay(tampered)
    assert caught.value.slug == slug
    assert caught.value.hint


def record_of(ref):
    return Record(ref, "dataclass", fields={})


@pytest.mark.parametrize(
    "value",
    [
        Global("os:system"),
        Global("evil:run"),
        Global("shop.vendor.evil:run"),
        Global("shop.jobs:pathlib.os.system"),
        record_of("evil:Gadget"),
        record_of("shop.vendor.evil:Gadget"),
        record_of("subprocess:Popen"),
        record_of("shop.jobs:td.job"),
        record_of("__main__:Gadget"),
        Record("evil:Gadget", "exception", base=("x",), fields={}),
        Record("evil:Gadget", "subclass", base=1, fields={}),
    ],
    ids=repr,
)
def test_a_tampered_value_is_refused_and_nothing_is_imported(shop, guarded, value):
    trace, reads = guarded
    job = replace(trace.steps[0], args=Value(values.encode({"value": value})))
    with pytest.raises(ReplayError) as caught:
        shop.replay(replace(trace, steps=(job, *trace.steps[1:])))
    assert caught.value.slug in ("class-not-allowed", "class-missing")
    read = replace(reads.steps[1], result=Value(values.encode([value])))
    new = shop.replay(replace(reads, steps=(reads.steps[0], read)))
    assert new.state == "error"
    [miss] = new.replay.misses
    assert "cannot be rebuilt" in new.steps[0].error.message
    assert miss.hint


def test_a_tampered_exception_class_is_not_imported(shop, guarded):
    _, reads = guarded
    from tracediff.model import ErrorInfo

    error = ErrorInfo(type="evil:Gadget", message="m", bases=("shop.vendor.evil:Gadget",))
    read = replace(reads.steps[1], result=None, error=error)
    new = shop.replay(replace(reads, steps=(reads.steps[0], read)))
    assert new.steps[0].error.type == "builtins:Exception"


def test_without_an_allow_list_nothing_is_replayed(shop, guarded):
    shop.write("pyproject.toml", "[tool.tracediff]\n")
    done = shop.cli("replay", guarded[0].id)
    assert done.returncode == 2
    assert 'jobs = ["shop.jobs"]' in done.stderr


def test_looking_for_a_moved_job_does_not_import_what_is_taken_out(shop, guarded):
    shop.write("shop/jobs.py", "")
    shop.write(
        "shop/moved.py", "import tracediff as td\n@td.job('shop/echo')\ndef job(value): pass\n"
    )
    assert shop.replay(guarded[0]).job == "shop.moved:job"
