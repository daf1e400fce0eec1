"""Tasks of Airflow and Prefect as jobs, run by the real ones in environments of their own.

The environments are made by the first test that asks for them, which takes a minute each.
"""

from __future__ import annotations

import os
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.environments import environment
from tracediff import values
from tracediff.api import open_project
from tracediff.model import Query, Trace

pytestmark = [pytest.mark.in_turn(6), pytest.mark.slow(90), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
RATES = """
    def vat(net):
        return net * 119 // 100
"""
FLOWS = """
    import asyncio
    from prefect import flow, get_run_logger, task
    from shop.rates import vat

    @task
    def price(net, token=None):
        get_run_logger().info("pricing")
        return vat(net)

    @task(retries=1, tags=["often"])
    def tried(path):
        with open(path, "a+") as file:
            file.write("x")
            file.seek(0)
            if file.read() == "x":
                raise ValueError("first")
        return 5

    @task
    async def awaited(net):
        get_run_logger().info("pricing")
        return vat(net)

    @task
    def failing():
        raise LookupError("no rate")

    @task
    def numbers(n):
        yield from range(n)

    @flow
    def total():
        many = price.map([1, 2]).result()
        failing(return_state=True)
        both = price(100, token="verysecret1") + price.submit(200).result()
        return both + tried("attempts") + sum(many) + sum(numbers(3)) + price.fn(1)

    @flow
    async def atotal():
        return await awaited(300)
"""
RUN = """
    import asyncio
    from shop.flows import atotal, total

    if __name__ == "__main__":
        print("results", total(), asyncio.run(atotal()))
"""
DAG = """
    from datetime import datetime, timedelta
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import dag, task
    from shop.rates import vat

    @task
    def price(net, token=None):
        return vat(net)

    @task
    def where(data_interval_start=None, ti=None, params=None, **context):
        moment = data_interval_start.in_timezone("Europe/Berlin")
        return moment.timezone_name, ti.dag_id, context["ds"] == moment.strftime("%Y-%m-%d")

    @task(retries=1, retry_delay=timedelta(0))
    def tried(ti=None):
        if ti.try_number == 1:
            raise ValueError("first")
        return ti.try_number

    @task
    async def awaited(net):
        return vat(net)

    @task
    def failing():
        raise LookupError("no rate")

    def plain(net, **context):
        return net + 1

    @dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
    def total():
        price(price(100, token="verysecret1"))
        where()
        tried()
        awaited(50)
        failing()
        price.override(task_id="many").partial(token=None).expand(net=[1, 2])
        PythonOperator(task_id="plain", python_callable=plain, op_args=[3])

    made = total()

    if __name__ == "__main__":
        print("ended", made.test().state)
"""


@dataclass(frozen=True)
class Recorded:
    """A project whose tasks have run, and the interpreter that ran them."""

    directory: Path
    python: Path

    def run(self, *command: object, status: int = 0, **more: str) -> str:
        left_out = (
            "TRACEDIFF_",
            "COV_",
            "PYTHONDONTWRITEBYTECODE",
        )  # they import thousands of files
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        done = subprocess.run(
            [str(self.python), *map(str, command)], cwd=self.directory, text=True,
            env={**kept, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", **HOMES, **more},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-5000:]
        return done.stdout

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def traces(self, key: str) -> list[Trace]:
        """The traces of a key, oldest first."""
        with open_project(start=self.directory) as project:
            rows = project.search(Query(key=key, limit=1000)).rows
            return [project.resolve(row.id) for row in rows][::-1]

    def same(self, reference: str) -> None:
        assert "✓ same" in self.run("-m", "tracediff", "compare", reference)


def prices_of(traces: list[Trace]) -> list[Any]:
    return [values.inert(one.steps[0].result) for one in traces]


HOMES = {
    "PREFECT_HOME": "home", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "200",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
}  # fmt: skip


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    made = Recorded(tmp_path_factory.mktemp("prefect"), environment("prefect"))
    settings = '[tool.tracediff]\njobs = ["shop.*"]\nautotrace = ["shop.*"]\ndepth = "full"\n'
    made.write("pyproject.toml", settings)
    made.write("shop/__init__.py", "")
    made.write("shop/rates.py", RATES)
    made.write("shop/flows.py", FLOWS)
    made.write("run.py", RUN)
    said = made.run("-m", "tracediff", "record", "--", made.python, "run.py")
    assert "results 369 357" in said
    return made


def test_prefect_tasks_are_traces_that_replay_without_its_server(prefect: Recorded) -> None:
    prices = prefect.traces("shop/flows/price")
    assert sorted(prices_of(prices)) == [1, 2, 119, 238]
    assert all([step.name for step in one.steps[1:]] == ["vat"] for one in prices)
    assert b"verysecret1" not in b"".join(
        path.read_bytes() for path in (prefect.directory / ".tracediff" / "segments").iterdir()
    )
    (awaited,) = prefect.traces("shop/flows/awaited")
    assert awaited.context["attempt"] == 1
    assert awaited.tags == (f"task:{awaited.context['task_id']}",)
    first, second = prefect.traces("shop/flows/tried")
    assert (first.state, second.state) == ("warning", "success")
    assert (first.context["attempt"], second.context["attempt"]) == (1, 2)
    assert "often" in first.tags
    (failed,) = prefect.traces("shop/flows/failing")
    assert failed.state == "error"
    assert prefect.traces("shop/flows/numbers") == []

    for key in ("price", "awaited", "failing"):
        prefect.same(f"shop/flows/{key}@last")
    prefect.write("shop/rates.py", RATES.replace("119", "107"))
    told = prefect.run("-m", "tracediff", "compare", "shop/flows/awaited@last", status=1)
    assert "357 → 321" in told
    prefect.write("shop/rates.py", RATES)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    made = Recorded(tmp_path_factory.mktemp("airflow"), environment("airflow"))
    made.write(
        "pyproject.toml",
        '[tool.tracediff]\njobs = ["prices", "shop.*"]\nautotrace = ["shop.*"]\ndepth = "full"\n'
        'pythonpath = ["dags"]\nreplay_allow = ["subprocess:file"]\n',
    )
    made.write("dags/shop/__init__.py", "")
    made.write("dags/shop/rates.py", RATES)
    made.write("dags/prices.py", DAG)
    homes = {
        "AIRFLOW_HOME": str(made.directory / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(made.directory / "dags"),
    }
    made.run("-m", "airflow", "db", "migrate", **homes)
    made.run("-m", "airflow", "dags", "reserialize", **homes)
    said = made.run("-m", "tracediff", "record", "--", made.python, "dags/prices.py", **homes)
    assert "ended failed" in said
    return made


def test_airflow_tasks_are_traces_that_replay_without_its_database(
    airflow: Recorded,
) -> None:
    prices = airflow.traces("prices/price")
    assert sorted(prices_of(prices)) == [1, 2, 119, 141]
    assert {one.context.get("map_index") for one in prices} == {None, 0, 1}
    assert all(one.tags[0] == "dag:total" for one in prices)
    assert b"verysecret1" not in b"".join(
        path.read_bytes() for path in (airflow.directory / ".tracediff" / "segments").iterdir()
    )
    first, second = airflow.traces("prices/tried")
    assert (first.state, second.state) == ("warning", "success")
    assert values.inert(second.steps[0].result) == 2
    (failed,) = airflow.traces("prices/failing")
    assert failed.state == "error"
    (where,) = airflow.traces("prices/where")
    assert values.inert(where.steps[0].result) == ("Europe/Berlin", "total", True)
    (awaited,) = airflow.traces("prices/awaited")
    assert [step.name for step in awaited.steps] == ["prices/awaited", "vat"]

    for key in ("price", "where", "tried", "awaited", "failing", "plain"):
        airflow.same(f"prices/{key}@last")
    airflow.write("dags/shop/rates.py", RATES.replace("119", "107"))
    told = airflow.run("-m", "tracediff", "compare", "prices/awaited@last", status=1)
    assert "59 → 53" in told
    airflow.write("dags/shop/rates.py", RATES)
