"""Outputs never run in a replay, and a miss cannot be hidden."""

from __future__ import annotations

import pytest

SAVE = """
from pathlib import Path

@td.input("Rate")
def rate(country):
    return 19

@td.output("Save")
def save(total):
    Path("saved").write_text(str(total))
    return f"stored {total}"

@td.job("shop/save")
def job(total):
    return save(total)
"""


@pytest.fixture(scope="module")
def recorded(new_shop):
    made = new_shop()
    made.jobs(SAVE)
    traces = made.record("job(5)")
    (made.directory / "saved").unlink()
    return made, traces


@pytest.fixture
def shop(recorded, tmp_path):
    return recorded[0].copy(tmp_path / "project")


@pytest.fixture
def saved(recorded):
    return recorded[1][0]


def test_an_output_is_answered_from_the_recording_and_not_run(shop, saved):
    assert shop.result(shop.replay(saved)) == "stored 5"
    assert not (shop.directory / "saved").exists()


def test_an_output_with_other_arguments_is_not_run_either(shop, saved):
    shop.change("return save(total)", "return save(total + 1)")
    new = shop.replay(saved)
    assert shop.result(new) == "stored 5"
    assert not (shop.directory / "saved").exists()
    done = shop.cli("compare", saved.id)
    assert done.returncode == 1, "an output's arguments decide the verdict"


@pytest.mark.parametrize("on_miss", ["fail", "nearest", "stub", "live"])
def test_a_new_output_is_not_run_whatever_misses_do(shop, saved, on_miss):
    shop.change("return save(total)", "save(total); save(1); return 7")
    new = shop.replay(saved, on_miss=on_miss)
    assert shop.result(new) == 7
    assert not (shop.directory / "saved").exists()


def test_a_coroutine_output_is_not_run(shop):
    shop.jobs("""
        import asyncio
        from pathlib import Path

        @td.output("Publish")
        async def publish(event):
            await asyncio.sleep(0)
            Path("saved").touch()

        @td.job("shop/publish")
        async def job(event):
            await asyncio.gather(publish(event), publish(event))
        """)
    [trace] = shop.record("asyncio.run(job(1))")
    (shop.directory / "saved").unlink()
    shop.result(shop.replay(trace))
    assert not (shop.directory / "saved").exists()


@pytest.mark.parametrize("call", ["save(total)", "rate('de')"])
def test_a_plain_pool_thread_reaches_nothing(shop, saved, call):
    shop.change(
        "return save(total)",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "    with ThreadPoolExecutor() as pool:\n"
        f"        return pool.submit(lambda: {call}).result()",
    )
    for on_miss in ("live", "fail"):
        new = shop.replay(saved, on_miss=on_miss)
        assert not (shop.directory / "saved").exists()
        assert "tracediff.propagate" in new.replay.misses[0].hint
    assert shop.cli("compare", saved.id).returncode == 1


@pytest.mark.parametrize("shape", ["coroutine", "generator", "async generator"])
def test_other_shapes_reach_nothing_outside_the_job_either(shop, shape):
    body = {
        "coroutine": ("async def save():", "touch()", "asyncio.run(save())"),
        "generator": ("def save():", "yield touch()", "list(save())"),
        "async generator": ("async def save():", "yield touch()", "asyncio.run(drain())"),
    }[shape]
    shop.jobs(f"""
        import asyncio
        import threading
        from pathlib import Path

        def touch():
            Path("saved").touch()

        @td.output("Save")
        {body[0]}
            {body[1]}

        async def drain():
            return [one async for one in save()]

        @td.job("shop/shapes")
        def job():
            thread = threading.Thread(target=lambda: {body[2]})
            thread.start()
            thread.join()
        """)
    [trace] = shop.record("job()")
    (shop.directory / "saved").unlink()
    new = shop.replay(trace)
    assert not (shop.directory / "saved").exists()
    assert [miss.kind for miss in new.replay.misses] == ["output"]


@pytest.mark.parametrize("caught", ["Exception", "BaseException"])
def test_a_miss_that_the_job_swallows_is_shown_all_the_same(shop, caught):
    shop.jobs("""
        @td.input("Rate")
        def rate(country):
            return 19

        @td.job("shop/swallow")
        def job():
            try:
                return rate("de")
            except Exception:
                return 19
        """)
    [trace] = shop.record("job()")
    shop.change('"de"', '"fr"')
    shop.change("except Exception", f"except {caught}")
    new = shop.replay(trace)
    [miss] = new.replay.misses
    assert miss.served == "failed"
    done = shop.cli("compare", trace.id)
    assert done.returncode == 1
    assert "Rate(country='fr')" in done.stdout
    assert shop.cli("replay", trace.id).returncode == 2


def test_an_output_that_raised_raises_again(shop):
    shop.jobs("""
        @td.output("Save")
        def save(total):
            raise PermissionError(13, "read-only")

        @td.job("shop/save")
        def job(total):
            try:
                save(total)
            except PermissionError as error:
                return error.errno
        """)
    [trace] = shop.record("job(5)")
    shop.change('raise PermissionError(13, "read-only")', "pass")
    assert shop.result(shop.replay(trace)) == 13
