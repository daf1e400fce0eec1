"""Where the job is now, and how it takes the recorded arguments."""

from __future__ import annotations

import pytest

from tracediff.errors import ReplayError

JOB = """
@td.job("shop/price")
def price(net, rate=2):
    return net * rate
"""


def refused(shop, trace, slug, *said):
    with pytest.raises(ReplayError) as caught:
        shop.replay(trace)
    assert caught.value.slug == slug
    for one in said:
        assert one in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.fixture(scope="module")
def recorded(new_shop):
    made = new_shop()
    made.jobs(JOB)
    return made, made.record("price(3)")


@pytest.fixture
def shop(recorded, tmp_path):
    return recorded[0].copy(tmp_path / "project")


@pytest.fixture
def priced(recorded):
    return recorded[1][0]


def test_a_renamed_function_is_found_by_its_key(shop, priced):
    shop.change("def price", "def cost")
    new = shop.replay(priced)
    assert (shop.result(new), new.job) == (6, "shop.jobs:cost")


def test_a_renamed_key_is_found_by_its_place(shop, priced):
    shop.change("shop/price", "shop/cost")
    new = shop.replay(priced)
    assert (shop.result(new), new.key) == (6, "shop/cost")


@pytest.mark.parametrize("old", ["", None], ids=["emptied", "deleted"])
def test_a_job_that_moved_is_found_by_its_key(shop, priced, old):
    text = (shop.directory / "shop/jobs.py").read_text()
    shop.write("shop/deep/__init__.py", "")
    shop.write("shop/deep/prices.py", text)
    if old is None:
        (shop.directory / "shop/jobs.py").unlink()
    else:
        shop.write("shop/jobs.py", old)
    new = shop.replay(priced)
    assert (shop.result(new), new.job) == (6, "shop.deep.prices:price")


def test_a_job_that_moved_off_its_package_is_found_on_the_allow_list(shop, priced):
    shop.write("market.py", (shop.directory / "shop/jobs.py").read_text())
    (shop.directory / "shop/jobs.py").unlink()
    shop.write("pyproject.toml", '[tool.tracediff]\njobs = ["market"]\n')
    assert shop.replay(priced).job == "market:price"


def test_a_broken_module_beside_the_job_does_no_harm(shop, priced):
    shop.write("shop/aaa.py", "import nowhere")
    shop.write("shop/moved.py", (shop.directory / "shop/jobs.py").read_text())
    (shop.directory / "shop/jobs.py").unlink()
    assert shop.replay(priced).job == "shop.moved:price"


def test_a_job_that_is_gone_is_named_with_a_near_one(shop, priced):
    shop.write("shop/jobs.py", "import tracediff as td\n@td.job('shop/prices')\ndef p(): pass\n")
    assert "shop/prices" in refused(shop, priced, "job-unknown", "shop/price").hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("1 +", "SyntaxError"),
        ("raise RuntimeError('no settings')", "no settings"),
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "refused 127.0.0.1:9"),
        ("@td.output('Save')\ndef save(): open('saved', 'w')\nsave()", "the output 'Save'"),
        ("@td.input('Load')\ndef load(): return 1\nload()", "the input 'Load'"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(shop, priced, text, said):
    shop.write("shop/jobs.py", f"import tracediff as td\n{text}\n{JOB}")
    refused(shop, priced, "job-not-importable", "shop.jobs", said)
    assert not (shop.directory / "saved").exists()


@pytest.mark.parametrize(
    ("last", "said", "hint"),
    [
        ("raise RuntimeError('no settings')", "no settings", "`import shop.jobs` has to work"),
        ("import sys; sys.exit(price(3))", "SystemExit: 6", "__main__"),
        ("@td.input('Load')\ndef load(): return 1\nload()", "the input 'Load'", "__main__"),
    ],
)
def test_a_module_that_fails_below_its_job_is_not_replayed(shop, priced, last, said, hint):
    shop.write("shop/jobs.py", f"import tracediff as td\n{JOB}\n{last}\n")
    assert hint in refused(shop, priced, "job-not-importable", "shop.jobs", said).hint


def test_a_missing_package_says_that_it_is_missing(shop, priced):
    (shop.directory / "shop").rename(shop.directory / "elsewhere")
    assert "pythonpath" in refused(shop, priced, "job-not-importable", "'shop'").hint


@pytest.mark.parametrize(
    ("parameters", "changes"),
    [
        ("net, country, rate=2", ["'country' is new"]),
        ("rate=2", ["'net' is gone"]),
        ("amount, rate=2", ["'amount' is new", "'net' is gone"]),
        ("net", ["'rate' is gone"]),
        ("net, rate=2, *, country", ["'country' is new"]),
    ],
)
def test_another_signature_is_named(shop, priced, parameters, changes):
    shop.change("net, rate=2", parameters)
    shop.change("return net * rate", "return 1")
    refused(shop, priced, "job-signature-changed", *changes)
    assert shop.cli("compare", priced.id).returncode == 2


@pytest.mark.parametrize(
    "parameters",
    [
        "net, rate=2, country='de'",
        "rate, net",
        "*, net, rate",
        "net, /, rate",
        "net, rate=7, **more",
    ],
)
def test_a_signature_that_still_takes_the_arguments_is_fine(shop, priced, parameters):
    shop.change("net, rate=2", parameters)
    assert shop.result(shop.replay(priced)) == 6


def test_every_kind_of_parameter_is_filled_as_it_was(shop):
    shop.jobs("""
        @td.job("shop/kinds")
        def job(a, /, b, *rest, c, d=4, **more):
            return [a, b, rest, c, d, more]
        """)
    [trace] = shop.record("job(1, 2, 3, 4, c=5, e=6)")
    assert shop.result(shop.replay(trace)) == [1, 2, (3, 4), 5, 4, {"e": 6}]


def test_ignored_arguments_get_their_default_or_a_placeholder(shop):
    shop.jobs("""
        @td.job("shop/ignored", ignore=["session", "limit"])
        def job(id, session, limit=10):
            return [id, limit, fetch(session, id)]

        @td.input("Fetch", ignore=["session"])
        def fetch(session, id):
            return session["rows"][id]
        """)
    [trace] = shop.record('job(1, {"rows": {1: "one"}})')
    assert shop.result(shop.replay(trace)) == [1, 10, "one"]
    shop.change("fetch(session, id)]", "session.query(id)]")
    new = shop.replay(trace)
    assert new.state == "error"
    assert "'session' of 'shop/ignored'" in new.steps[0].error.message


def test_a_method_job_needs_a_factory(shop):
    shop.jobs("""
        class Pricer:
            def __init__(self, rate):
                self.rate = rate

            @td.job("shop/method")
            def price(self, net):
                return net * self.rate
        """)
    [trace] = shop.record("Pricer(2).price(5)")
    assert "factory" in refused(shop, trace, "job-needs-factory", "shop/method").hint
    shop.change('"shop/method"', '"shop/method", factory=lambda: Pricer(3)')
    assert shop.result(shop.replay(trace)) == 15
    shop.change("Pricer(3)", "1 / 0")
    refused(shop, trace, "job-factory-failed", "ZeroDivisionError")


def test_class_and_static_method_jobs_run(shop):
    shop.jobs("""
        class Pricer:
            @staticmethod
            @td.job("shop/static")
            def price(net):
                return net * 2
        """)
    [trace] = shop.record("Pricer.price(5)")
    assert shop.result(shop.replay(trace)) == 10


def test_a_coroutine_job_runs(shop):
    shop.jobs("""
        import asyncio

        @td.job("shop/coroutine")
        async def job(n):
            await asyncio.sleep(0)
            return n
        """)
    [trace] = shop.record("asyncio.run(job(4))")
    assert shop.result(shop.replay(trace)) == 4


def test_a_job_in_a_script_is_found_in_its_file(shop):
    shop.write("pyproject.toml", '[tool.tracediff]\njobs = ["run"]\n')
    shop.write(
        "run.py",
        """
        import tracediff as td
        from dataclasses import dataclass

        @dataclass
        class Line:
            net: int

        @td.job("shop/script")
        def job(line):
            return Line(line.net * 2)

        if __name__ == "__main__":
            job(Line(4))
        """,
    )
    done = shop.run("run.py")
    assert done.returncode == 0, done.stderr
    [trace] = shop.recorded()
    assert trace.job == "run:job"
    new = shop.replay(trace)
    assert new.steps[0].result == trace.steps[0].result
    shop.change("* 2", "* 3", "run.py")
    assert shop.cli("compare", trace.id).returncode == 1


def test_what_a_module_calls_while_it_is_imported_is_not_recorded_by_a_replay(shop):
    shop.jobs(JOB + "price(3)\nassert td.flush(20)\n")
    [trace] = shop.record("")
    assert shop.result(shop.replay(trace)) == 6
    assert shop.recorded() == []


def test_a_package_run_as_a_program_is_found(shop):
    shop.write(
        "shop/__main__.py",
        """
        import tracediff as td

        @td.job("shop/main")
        def job(n):
            return n + 1

        if __name__ == "__main__":
            job(1)
        """,
    )
    done = shop.run("-m", "shop")
    assert done.returncode == 0, done.stderr
    [trace] = shop.recorded()
    assert (trace.job, shop.result(shop.replay(trace))) == ("shop.__main__:job", 2)


def test_a_src_layout_is_found(shop):
    shop.write("src/goods/__init__.py", "")
    shop.write(
        "src/goods/jobs.py",
        "import tracediff as td\n@td.job('goods')\ndef job(n):\n    return n\n",
    )
    shop.write("pyproject.toml", '[tool.tracediff]\njobs = ["goods.*"]\n')
    done = shop.run(
        "-c", "import sys; sys.path.insert(0, 'src'); from goods.jobs import job; job(3)"
    )
    assert done.returncode == 0, done.stderr
    [trace] = shop.recorded()
    assert shop.result(shop.replay(trace)) == 3


def test_an_interpreter_that_cannot_be_started_is_an_error(shop, priced):
    shop.settings('python = "/nowhere/python"')
    assert "python" in refused(shop, priced, "replay-python", "/nowhere/python").hint
