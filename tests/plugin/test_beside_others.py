"""The plugin beside the other plugins its users have, all in one run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.in_turn

OTHERS = Path(__file__).with_name("others.txt")

TESTS = """\
import asyncio

import pytest
import shop


@pytest.mark.asyncio
async def test_in_a_loop(trace_snapshot):
    await asyncio.sleep(0)
    assert shop.total(5) == trace_snapshot


def test_a_snapshot_of_another_plugin(snapshot, trace_snapshot):
    assert shop.total(6) == trace_snapshot
    assert "text" == snapshot


@pytest.mark.vcr
def test_with_a_cassette(replay_trace):
    assert replay_trace("@last")


@pytest.mark.tracediff(last=2)
def test_chosen(recorded_trace, replay_trace):
    assert recorded_trace == replay_trace()
"""

SETTINGS = """\
SECRET_KEY = "for a test"
DATABASES = {}
INSTALLED_APPS = []
"""


def chosen(*names: str) -> list[str]:
    return [part for name in names for part in ("-p", name)]


@pytest.mark.slow
def test_all_of_them_together(suite, other_plugins):
    suite.write("tests/test_together.py", TESTS)
    suite.write("settings.py", SETTINGS)
    path = os.pathsep.join([suite.environment()["PYTHONPATH"], *other_plugins])
    env = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "settings"}
    plugins = ["syrupy", "pytest_recording.plugin", "pytest_randomly", "pytest_asyncio.plugin",
               "pytest_cov.plugin", "pytest_django.plugin", "xdist"]  # fmt: skip
    run = [
        *chosen(*plugins),
        "--cov=shop",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    ]
    stored = suite.pytest(*run, "--tracediff-update-new-only", "--snapshot-update", **env)
    assert stored.code == 0, stored.out + stored.err
    for parallel in ((), ("-n2",)):
        done = suite.pytest(*run, *parallel, **env)
        assert done.code == 0, done.out + done.err
        done.counts(passed=8)
        assert "8 traces compared" in done.out
        assert "shop.py" in done.out, "what is covered"
    suite.break_it()
    broken = suite.pytest(*run, "-n2", **env)
    assert broken.code == 1
    assert "of 1 cause wait: tracediff review" in broken.out


@pytest.mark.slow
def test_beside_pytest_snapshot_which_excludes_syrupy(suite, other_plugins):
    suite.write(
        "tests/test_together.py",
        "import shop\n\ndef test_both(snapshot, trace_snapshot):\n"
        "    assert shop.total(6) == trace_snapshot\n"
        "    snapshot.assert_match('text', 'name.txt')\n",
    )
    path = os.pathsep.join([suite.environment()["PYTHONPATH"], *other_plugins])
    run = chosen("pytest_snapshot.plugin")
    both = ("--tracediff-update", "--snapshot-update")
    suite.pytest(*run, *both, PYTHONPATH=path)
    suite.pytest(*run, PYTHONPATH=path).counts(passed=4)


@pytest.fixture(scope="session")
def other_plugins() -> list[str]:
    """Where the other plugins are: a directory of their own, so that none loads itself here.

    It stays in the environment, so that only the first run needs the network.
    """
    digest = hashlib.sha256(OTHERS.read_bytes()).hexdigest()[:12]
    directory = Path(sys.prefix) / f"other-plugins-{digest}"
    if not directory.exists():
        partial = Path(tempfile.mkdtemp(prefix="other-plugins-", dir=sys.prefix))
        _install(partial)
        with contextlib.suppress(OSError):  # another process was quicker
            partial.rename(directory)
        shutil.rmtree(partial, ignore_errors=True)
    return [str(directory)]


def _install(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-compile", "--no-deps", "--target", str(directory), "--requirement", str(OTHERS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"the plugins of {OTHERS.name} cannot be installed: {done.stderr}"
