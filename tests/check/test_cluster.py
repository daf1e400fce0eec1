"""The cluster engine: against a real scheduler and real workers, which are killed."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from servers.cluster import Cluster
from servers.processes import free_port, wait_until
from tracediff import demo
from tracediff.api import Project, open_project
from tracediff.check import cluster as engine
from tracediff.check.batches import Head, Place, Versions, head_of, pack, pack_row, unpack
from tracediff.check.cluster import ClusterEngine, address_of
from tracediff.check.engines import LocalEngine
from tracediff.check.hosting import Host, _same, _store
from tracediff.check.results import Work, unpack_result
from tracediff.checked import Result
from tracediff.cli import exits, group
from tracediff.config import Config, StoreSettings, load_config
from tracediff.demo import git
from tracediff.errors import ReplayError, TracediffError
from tracediff.model import Query, Row, Tolerance

pytestmark = pytest.mark.in_turn

KILL_THE_WORKER = """
        if number == 5:  # the runner, its keeper, the cluster's worker
            keeper = int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
            os.kill(keeper, 9)"""


@pytest.fixture
def project(stall: Any) -> Iterator[Project]:
    with open_project(start=stall.directory) as found:
        yield found


def rows_of(project: Project) -> list[Row]:
    return list(project.store.search(Query(limit=1000)).rows)


def ran(project: Project, url: str, **options: Any) -> list[Result]:
    return list(ClusterEngine(project.config, Work(), url, **options).run(rows_of(project)))


def slug_of(project: Project, url: str, **options: Any) -> str:
    with pytest.raises(TracediffError) as caught:
        ran(project, url, **options)
    assert caught.value.hint
    return caught.value.slug


def gone(stall: Any, seconds: float = 15.0) -> None:
    wait_until(lambda: not stall.processes(), "the end of what replays", seconds)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("dask://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("dask://scheduler.internal:1/", "tcp://scheduler.internal:1"),
        ("dask+tls://[::1]:65535", "tls://[::1]:65535"),
    ],
)
def test_an_engine_is_the_address_of_a_scheduler(given: str, address: str) -> None:
    assert address_of(given) == address


@pytest.mark.parametrize(
    "given",
    [
        *("", "dask", "dask://", "dask://host", "dask://host:0", "dask://host:65536", "tcp://h:1"),
        *("dask://user:secret@host:1", "dask://host:1/path", "dask://host:1?a=b", "ray://host:1"),
        *("dask://host:1\n", "dask://::1:8786", "DASK://host:1", "dask://host:¹"),
    ],
)
def test_any_other_engine_is_an_error(given: str) -> None:
    with pytest.raises(TracediffError) as caught:
        address_of(given)
    assert caught.value.slug == "engine-invalid"


def test_without_the_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    run = ClusterEngine(load_config(tmp_path), Work(), "dask://127.0.0.1:1").run([])
    with pytest.raises(TracediffError) as caught:
        next(run)
    assert caught.value.slug == "engine-missing"
    assert "extra" in str(caught.value.hint)


def test_nothing_but_an_engine_imports_the_library() -> None:
    code = "import sys, tracediff.api, tracediff.check.cluster; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_cluster_finds_what_this_machine_finds(
    stall: Any, project: Project, shared_cluster: Cluster
) -> None:
    stall.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    stall.endanger("if number == 7: os._exit(3)")
    work, rows = Work(), rows_of(project)
    local = list(LocalEngine(project.config, project.store, work, workers=1).run(rows))
    found = list(ClusterEngine(project.config, work, shared_cluster.url).run(rows))
    assert len(found) == 40
    assert sorted(map(repr, found)) == sorted(map(repr, local))
    assert {one.slug for one in found if one.kind == "failed"} == {"replay-died"}


def test_the_work_is_told_to_every_worker(project: Project, shared_cluster: Cluster) -> None:
    Path(project.config.root, "shop/rates.py").write_text("RATE = 3\nFEE = 4\n")
    rules = (Tolerance(path="**", abs=1000.0),)
    work = Work(rules=rules)
    found = list(ClusterEngine(project.config, work, shared_cluster.url).run(rows_of(project)))
    assert [one.kind for one in found] == ["same"] * 40


def test_rows_are_taken_as_they_are_needed_and_nothing_is_left_behind(
    stall: Any, project: Project, shared_cluster: Cluster
) -> None:
    taken = 0

    def rows() -> Iterator[Row]:
        nonlocal taken
        for row in itertools.cycle(rows_of(project)):
            taken += 1
            yield row

    run = ClusterEngine(project.config, Work(), shared_cluster.url, batch=5).run(rows())
    found = [next(run) for _ in range(60)]
    assert {one.kind for one in found} == {"same"}
    out = engine.AHEAD * 2 * 5
    assert taken <= 60 + 5 + out
    assert stall.processes()
    run.close()
    gone(stall)


def test_batches_take_about_as_long_as_they_should() -> None:
    run = engine._Run(crew=None, out=None, rows=iter(()), most=1000)
    assert run._size == engine.FIRST
    run._pace(8, 0.004)
    assert run._size == 32  # not a thousand at once: the next ones may take longer
    run._pace(32, 64 * engine.SECONDS)
    assert run._size == 1
    for _ in range(9):
        run._pace(run._size, 0.001)
    assert run._size == 1000


def test_an_interrupted_check_leaves_no_process_behind(
    stall: Any, project: Project, shared_cluster: Cluster
) -> None:
    stall.endanger("if number == 5: time.sleep(600)")
    run = ClusterEngine(project.config, Work(), shared_cluster.url).run(rows_of(project))
    next(run)
    assert stall.processes()
    with pytest.raises(KeyboardInterrupt):
        run.throw(KeyboardInterrupt)
    gone(stall)


ASKING = """
import sys
from pathlib import Path
from tracediff.api import open_project
from tracediff.check.cluster import ClusterEngine
from tracediff.check.results import Work, unpack_result
from tracediff.model import Query

with open_project(start=Path(sys.argv[1])) as project:
    rows = project.store.search(Query(limit=1000)).rows
    for result in ClusterEngine(project.config, Work(), sys.argv[2], idle=1).run(rows):
        print(result.id, flush=True)
"""


@pytest.mark.slow
def test_a_check_that_is_killed_leaves_no_process_behind(
    stall: Any, shared_cluster: Cluster
) -> None:
    stall.endanger("if number == 5: time.sleep(600)")
    command = [sys.executable, "-c", ASKING, str(stall.directory), shared_cluster.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        assert stall.processes()
        asking.kill()
    gone(stall)


def test_what_a_worker_keeps_ends_when_it_is_idle(stall: Any, project: Project) -> None:
    host = Host()
    told = batch_of(project, idle=0.5)
    assert host.answer(told, where="w", wanted=lambda: True)[0] == "done"
    assert stall.processes()
    gone(stall)
    assert host.answer(told, where="w", wanted=lambda: True)[0] == "done"  # it starts anew
    host.end("check")
    assert not stall.processes()


def batch_of(project: Project, *, work: Work | None = None, **options: Any) -> bytes:
    head = head_of(
        project.config, work or Work(), **{"check": "check", "store": None, "idle": 30.0} | options
    )
    return pack(head.packed(), [pack_row(one) for one in rows_of(project)])


def test_a_batch_that_nobody_wants_any_more_is_stopped(stall: Any, project: Project) -> None:
    stall.endanger("if number == 5: time.sleep(600)")
    host = Host()
    waited = iter([True] * 5)
    found = host.answer(batch_of(project), where="w", wanted=lambda: next(waited, False))
    assert found == ["stopped"]
    assert not stall.processes()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_no_trace_and_doubles_none(
    stall: Any, project: Project, cluster: Cluster
) -> None:
    stall.endanger("time.sleep(0.05)")
    workers = [cluster.add_worker(stall.directory) for _ in range(2)]
    rows = rows_of(project)
    found = []
    for at, one in enumerate(ClusterEngine(project.config, Work(), cluster.url, batch=4).run(rows)):
        found.append(one)
        if at in (3, 20):
            workers[at > 3].kill()
    assert sorted(one.id for one in found) == sorted(one.id for one in rows)
    assert {one.kind for one in found} == {"same"}
    gone(stall)


@pytest.mark.slow(28)
def test_a_trace_that_kills_every_worker_fails_alone(
    stall: Any, project: Project, cluster: Cluster
) -> None:
    stall.endanger(KILL_THE_WORKER)
    cluster.add_worker(stall.directory)
    found = ran(project, cluster.url)
    assert len({one.id for one in found}) == len(found) == 40
    (bad,) = [one for one in found if one.kind != "same"]
    assert (bad.kind, bad.slug, bad.key) == ("failed", "replay-died", "shop/price")
    assert bad.hint


def test_a_scheduler_that_is_not_there_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT", 0.5)
    assert slug_of(project, f"dask://127.0.0.1:{free_port()}") == "engine-unreachable"


def test_a_server_of_another_kind_is_an_error_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert slug_of(project, f"dask://127.0.0.1:{server.getsockname()[1]}") == (
            "engine-unreachable"
        )


def test_a_cluster_without_workers_is_waited_for_and_then_an_error(
    project: Project, cluster: Cluster
) -> None:
    said: list[str] = []
    assert slug_of(project, cluster.url, patience=0.3, say=said.append) == "engine-without-workers"
    assert len(said) == 1
    assert "waiting" in said[0]


@pytest.mark.slow
def test_workers_that_come_later_are_used(stall: Any, project: Project, cluster: Cluster) -> None:
    found = ran(project, cluster.url, say=lambda text: cluster.add_worker(stall.directory))
    assert [one.kind for one in found] == ["same"] * 40


@pytest.mark.slow
def test_a_scheduler_killed_in_the_middle_ends_the_check_and_it_can_be_resumed(
    stall: Any,
    project: Project,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stall.endanger("time.sleep(0.1)")
    cluster.add_worker(stall.directory)
    run = ClusterEngine(project.config, Work(), cluster.url, batch=2).run(rows_of(project))
    before = [next(run) for _ in range(4)]
    cluster.kill()
    with pytest.raises(ReplayError) as caught:
        before.extend(run)
    assert caught.value.slug == "engine-lost"
    assert "--resume" in str(caught.value.hint)
    assert 4 <= len(before) < 40
    gone(stall)


def answered(told: bytes) -> list[Any]:
    host = Host()
    try:
        return host.answer(told, where="tcp://10.0.0.7:4321", wanted=lambda: True)
    finally:
        host.close()


@pytest.fixture
def copy(stall: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another checkout of the project, which a worker has."""
    git(tmp_path, "clone", "--quiet", str(stall.directory), "copy")
    monkeypatch.setenv("TRACEDIFF_PROJECT", str(tmp_path / "copy"))
    return tmp_path / "copy"


def test_a_worker_replays_in_its_own_checkout_of_the_same_code(
    stall: Any, project: Project, copy: Path
) -> None:
    kind, _, results = answered(batch_of(project))
    assert (kind, len(results)) == ("done", 40)
    assert {one[0][2] for one in results} == {"same"}
    # What is not committed counts too: here, and there.
    stall.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    assert answered(batch_of(project))[0] == "refused"
    (copy / "shop/rates.py").write_text("RATE = 3\nFEE = 4\n")
    kind, _, results = answered(batch_of(project))
    assert (kind, {one[0][2] for one in results}) == ("done", {"same", "changed"})


def test_a_worker_with_other_code_refuses_and_is_named(
    stall: Any, project: Project, copy: Path
) -> None:
    stall.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    git(stall.directory, "commit", "--all", "--quiet", "--message", "second")
    kind, _, message, slug, hint = answered(batch_of(project))
    assert (kind, slug) == ("refused", "check-worker-code")
    assert message.startswith("worker tcp://10.0.0.7:4321: its project in ")
    assert Versions.of(stall.directory).commit[:12] in message
    assert Versions.of(copy).commit[:12] in message
    assert "commit" in hint


@pytest.mark.parametrize("name", ["python", "tracediff"])
def test_a_worker_of_another_version_refuses(project: Project, name: str) -> None:
    own = Versions.of(project.config.root)
    _same(own, project.config.root)
    with pytest.raises(ReplayError) as caught:
        _same(replace(own, **{name: "2.7"}), project.config.root)
    assert caught.value.slug == "check-worker-code"
    assert "2.7" in caught.value.message


def test_an_image_without_git_is_trusted_when_it_names_the_commit(
    stall: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    shutil.copytree(stall.directory, image, ignore=shutil.ignore_patterns(".git", ".tracediff"))
    asked = Versions.of(stall.directory)
    with pytest.raises(ReplayError):
        _same(asked, image)
    monkeypatch.setenv("TRACEDIFF_CODE_VERSION", asked.commit)
    _same(asked, image)
    stall.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    with pytest.raises(ReplayError):  # it has not what is not committed
        _same(Versions.of(stall.directory), image)


def test_a_worker_without_the_project_refuses(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("TRACEDIFF_PROJECT", str(tmp_path / "empty"))
    kind, _, _, slug, hint = answered(batch_of(project))
    assert (kind, slug) == ("refused", "check-worker-code")
    assert "TRACEDIFF_PROJECT" in hint


def test_a_store_that_is_not_there_is_refused_and_not_made(stall: Any, project: Project) -> None:
    told = batch_of(project)
    (stall.directory / ".tracediff").rename(stall.directory.parent / "moved")
    kind, which, _, slug, _ = answered(told)
    assert (kind, which, slug) == ("refused", "store", "check-worker-store")
    assert not (stall.directory / ".tracediff").exists()


def test_a_store_in_memory_cannot_be_checked_by_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(TracediffError) as caught:
        Place.of(load_config(tmp_path, store="memory:here"), None)
    assert caught.value.slug == "check-worker-store"


def test_credentials_do_not_travel_and_a_worker_takes_its_own(tmp_path: Path) -> None:
    def having(who: str, blobs: str) -> Config:
        prod = StoreSettings(index=f"mongodb://{who}mongo.internal/traces", blobs=blobs)
        return replace(load_config(tmp_path), store="prod", stores={"prod": prod})

    config = having("reader:opensesame@", "s3://bucket/prefix")
    told = head_of(config, Work(), check="c", store=None, idle=1.0).packed()
    assert b"opensesame" not in told
    assert b"reader" not in told
    place = Head.unpacked(told).place
    store = _store(having("other:hunter2@", "s3://bucket/prefix"), place)
    assert store.url == "mongodb://***@mongo.internal/traces + s3://bucket/prefix"
    store.close()
    others = load_config(tmp_path), having("", "s3://bucket/prefix"), having("a:b@", "s3://b/c")
    for other in others:
        with pytest.raises(TracediffError) as caught:
            _store(other, place)
        assert caught.value.slug == "check-worker-store"


def test_what_is_told_arrives_as_it_was(project: Project) -> None:
    rules = (Tolerance(path="**/weight", rel=1e-9),)
    work = Work(rules=rules, against="abc", executed=True)
    head = head_of(project.config, work, check="c", store=None, idle=2)
    assert Head.unpacked(head.packed()) == head
    rows = rows_of(project)
    data, found = unpack(pack(head.packed(), [pack_row(one) for one in rows]))
    assert (Head.unpacked(data), list(found)) == (head, rows)


def test_a_worker_that_says_too_much_or_too_little_is_not_believed() -> None:
    rows = [
        Row(id=name, key="k", state="success", started_at=1, duration=1, steps=1) for name in "ab"
    ]
    batch = engine._Batch([pack_row(one) for one in rows])
    a, b, c = (Result(id=name, key="k", kind="same") for name in "abc")
    assert [one.id for one in engine._once(batch, [a, c, a, b, b])] == ["a", "b"]
    with pytest.raises(ReplayError) as caught:
        list(engine._once(batch, [a, a]))
    assert caught.value.slug == "engine-failed"


def test_two_threads_of_a_worker_replay_beside_each_other(project: Project) -> None:
    host, told = Host(), batch_of(project)
    with ThreadPoolExecutor(2) as both:
        found = list(
            both.map(lambda _: host.answer(told, where="w", wanted=lambda: True), range(2))
        )
    host.close()
    assert [(one[0], len(one[2])) for one in found] == [("done", 40)] * 2


@pytest.mark.slow
def test_a_whole_check_of_the_example_finds_on_a_cluster_what_it_finds_here(
    tmp_path: Path,
    shared_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(demo.build(tmp_path / "prices", jobs=12).directory)
    found = []
    for chosen in ("local", shared_cluster.url):
        command = ["check", "--engine", chosen, "--format", "json", "--explain", "all"]
        assert exits.run(group, command) == exits.DIFFERENT
        found.append({**json.loads(capsys.readouterr().out), "seconds": 0})
    assert found[0] == found[1]
    assert found[0]["changed"] == found[0]["explained"] > 0
    assert found[0]["totals"]

    monkeypatch.delenv("CI", raising=False)  # nothing is accepted there
    assert exits.run(group, ["accept", "--all-causes", "--reason", "the plan for May"]) == 0
    cluster = ["check", "--engine", shared_cluster.url, "--format", "json"]
    capsys.readouterr()
    assert exits.run(group, cluster) == exits.SAME
    passing = json.loads(capsys.readouterr().out)
    assert passing["accepted"] == passing["changed"] == found[1]["changed"]
    weights = Path("pricing/weights.py")
    weights.write_text(weights.read_text("utf-8").replace("6000", "4000"))
    assert exits.run(group, cluster) == exits.DIFFERENT
    again = json.loads(capsys.readouterr().out)
    (new,) = [one for one in again["groups"] if not one["passes"]]
    assert new["change"]["units"] == ["pricing.weights:VOLUMETRIC_DIVISOR"]


def test_the_old_side_may_be_a_revision_that_the_worker_lays_out_itself(
    stall: Any, project: Project, copy: Path
) -> None:
    stall.write("shop/rates.py", "RATE = 3\nFEE = 10\n")
    git(stall.directory, "commit", "--all", "--quiet", "--message", "second")
    git(copy, "pull", "--quiet")
    kinds = []
    for against in ("", Versions.of(copy).commit):
        kind, _, results = answered(batch_of(project, work=Work(against=against)))
        assert kind == "done"
        kinds.append(Counter(unpack_result(one).kind for one in results))
    assert kinds == [{"changed": 39, "same": 1}, {"same": 40}]
    assert len(git(copy, "worktree", "list").splitlines()) == 1  # it has no other of it left


def test_a_wrong_engine_is_an_error_of_the_command(
    stall: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(stall.directory)
    assert exits.run(group, ["check", "--engine", "dask://nowhere"]) == exits.ERROR
    assert "dask://HOST:PORT" in capsys.readouterr().err
