"""``redis`` as a library of ``inputs``: recorded on a Redis, replayed where it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from servers.redis import Redis
from tracediff.model import Trace

pytestmark = pytest.mark.slow  # what they share takes a second or two to be recorded

JOBS = """
    import asyncio
    import base64
    import os
    import threading
    import uuid

    import celery
    import redis
    import tracediff.celery
    from redis import asyncio as aioredis
    from redis.exceptions import ConnectionError, ResponseError, TimeoutError, WatchError
    from redis.retry import Retry
    from redis.backoff import NoBackoff

    URL = os.environ.get("SHOP_REDIS", "redis://127.0.0.1:1/0")
    DECODES = False
    client = redis.Redis.from_url(URL, decode_responses=DECODES)
    texts = redis.Redis.from_url(URL, decode_responses=True)
    RATE = 1.1

    @td.step("price")
    def price(key):
        return float(client.get(key)) * RATE

    def read():
        return ([price(f"price:{n}") for n in (1, 2)], client.get("none"),
                client.mget("price:1", "none"),
                client.hgetall("item"), client.hget("item", "name"), client.lrange("list", 0, -1),
                sorted(client.smembers("set")), client.zrange("sorted", 0, -1, withscores=True),
                client.exists("price:1", "none"), client.ttl("price:1"), client.type("list"),
                sorted(client.scan_iter("price:*", count=2)), client.get("bytes"),
                texts.hgetall("item"), texts.zscore("sorted", "a"), client.strlen("bytes"),
                client.info("server")["redis_mode"], client.ping(), client.xrange("stream"))

    def write():
        lock = client.lock("lock", timeout=5)
        with lock:
            held = client.get("lock") is not None
        script = client.register_script("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
        return (client.set("a", "1"), client.set("a", "2", nx=True), client.incrby("a", 4),
                client.set("f", 2.5, ex=100), client.hset("h", mapping={"x": 1, "y": b"\\xff"}),
                client.rpush("queue", "one", "two"), client.blpop(["queue"], timeout=1),
                client.blpop("queue", timeout=1), client.blpop("queue", timeout=0.05), held,
                client.sadd("letters", *{"x", "y", "z", "w"}), client.delete("a", "f"),
                client.publish("news", "hello"), script(keys=["counter"], args=["v"]),
                client.getdel("counter"), client.eval("return redis.status_reply('FINE')", 0))

    def pipelines():
        with client.pipeline() as pipe:
            first = pipe.set("p", "1").incr("p").get("p").hgetall("item").execute()
        with client.pipeline(transaction=False) as pipe:
            second = pipe.get("p").lpush("p", "x").get("none").execute(raise_on_error=False)
        said = []
        try:
            with client.pipeline() as pipe:
                pipe.get("p").lpush("p", "x").execute()
        except ResponseError as error:
            said.append(str(error))
        with client.pipeline() as pipe:
            while True:
                try:
                    pipe.watch("p")
                    value = int(pipe.get("p"))
                    pipe.multi()
                    pipe.set("p", value * 2)
                    said.append(pipe.execute())
                    break
                except WatchError:
                    continue
        with client.pipeline() as pipe:
            pipe.watch("p")
            client.set("p", "other")
            pipe.multi()
            pipe.set("p", "lost")
            try:
                pipe.execute()
            except WatchError as error:
                said.append(type(error).__name__)
        with client.pipeline() as pipe:
            pipe.watch("p")
        reads = client.pipeline(transaction=False)
        third = reads.get("price:1").hget("item", "name").execute()
        return first, [type(one).__name__ for one in second], second[0], said, third

    def refused():
        said = []
        try:
            client.lpush("price:1", "x")
        except ResponseError as error:
            said.append((type(error).__name__, str(error)))
        try:
            client.evalsha("0" * 40, 0)
        except ResponseError as error:
            said.append(type(error).__name__)
        return said

    @td.job("reads")
    def reads():
        return read()

    @td.job("writes")
    def writes():
        return {"write": write(), "pipelines": pipelines(), "refused": refused()}

    @td.job("secrets")
    def secrets(encoded):
        given = base64.b64decode(encoded).decode()
        client.set("user:1:password", given)
        client.hset("user:1", mapping={"name": "ann", "api_key": given + "-key"})
        client.set("document", '{"name": "ann", "password": "' + given + '"}')
        client.set("token:" + given + "2222222222", "1")
        client.config_set("requirepass", given)
        client.config_set("requirepass", "")
        found = client.get("user:1:password")
        client.hset("user:2", "password", found)
        ann = client.hgetall("user:1")
        try:
            client.pipeline().set("user:3:token", given).lpush("user:3:token", given).execute()
        except ResponseError as error:
            assert "LPUSH" in str(error)
        try:
            redis.Redis.from_url(URL.replace("redis://", f"redis://ann:{given}@")).ping()
        except redis.AuthenticationError as error:
            wrong = type(error).__name__
        return ann[b"name"], client.hget("user:1", "api_key") == ann[b"api_key"], wrong

    @td.job("several")
    def several(encoded):
        given = base64.b64decode(encoded).decode()
        client.rpush("api_token", given, given)
        client.rpoplpush("api_token", "moved")
        client.blpop(["none", "api_token"], 1)
        client.sadd("saved:token", given)
        client.sunion("none", "saved:token")
        client.xadd("events", {"token": given, "n": 1})
        (read,) = client.xread({"events": "0"}, count=1)
        keys = [f"session_token:{given}{at}2222222222" for at in (1, 2)]
        client.mset(dict.fromkeys(keys, "1"))
        found = list(client.scan_iter("session_token:*", count=100))
        return len(client.mget(found)), client.exists(*found), client.delete(*found), len(read)

    @td.job("raises")
    def raises(encoded):
        given = base64.b64decode(encoded).decode()
        client.pipeline().set("user:4:token", given).lpush("user:4:token", given).execute()

    @td.job("missing")
    def missing(encoded):
        given = base64.b64decode(encoded).decode()
        url = f"redis://:{given}@127.0.0.1:1/0"
        nowhere = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1))
        said = []
        for _ in range(2):
            try:
                nowhere.get("a")
            except ConnectionError as error:
                said.append(str(error))
        slow = redis.Redis.from_url(URL, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
        try:
            slow.blpop("nothing", timeout=3)
        except TimeoutError as error:
            said.append(str(error))
        return said

    @td.job("threads")
    def threads():
        said = []
        one = lambda n: said.append(price(f"price:{n}"))
        all_ = [threading.Thread(target=td.propagate(one), args=(n,)) for n in (1, 2)]
        [t.start() for t in all_]
        [t.join() for t in all_]
        return sorted(said)

    @td.job("async")
    async def run_async():
        async with aioredis.from_url(URL) as other:
            found = await asyncio.gather(*(other.get(f"price:{n}") for n in (2, 1)))
            async with other.pipeline(transaction=True) as pipe:
                made = await pipe.set("as", "1").incr("as").execute()
            keys = sorted([key async for key in other.scan_iter("price:*")])
            async with other.lock("async lock", timeout=3):
                held = await other.exists("async lock")
            try:
                await other.lpush("price:1", 1)
            except ResponseError as error:
                wrong = str(error)
            waits = asyncio.create_task(other.blpop("nothing", timeout=5))
            await asyncio.sleep(0.2)
            waits.cancel()
            try:
                await waits
            except asyncio.CancelledError:
                cancelled = True
            return found, made, keys, held, wrong, cancelled

    @td.job("subscribes")
    def subscribes():
        subscription = client.pubsub()
        subscription.subscribe("news")
        return subscription.get_message(timeout=1)["type"]

    @td.input("price of an input")
    def of_input():
        return client.get("price:1")

    app = celery.Celery("shop", broker=URL, backend=URL)

    @app.task
    def total(n):
        return n

    @td.job("sends")
    def sends():
        sent = total.delay(5)
        return client.get("price:1"), sent.ready()

    OTHERS = {
        "resp3": redis.Redis.from_url(URL, protocol=3),
        "single": redis.Redis.from_url(URL, single_connection_client=False),
        "blocking": redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(URL)),
        "latin": redis.Redis.from_url(URL, encoding="latin-1", decode_responses=True),
    }

    @td.job("others")
    def others():
        said = {}
        for name, one in OTHERS.items():
            key = f"of {name}"
            one.set(key, "caf\u00e9")
            one.hset(key + "h", mapping={"a": 1, "b": 2})
            one.zadd(key + "z", {"a": 1.5})
            said[name] = (one.get(key), one.hgetall(key + "h"), one.zscore(key + "z", "a"),
                          one.zrange(key + "z", 0, -1, withscores=True), one.exists(key),
                          one.config_get("maxmemory"))
        with redis.Redis.from_url(URL, single_connection_client=True) as alone:
            said["first"] = alone.pipeline().set("first", 1).get("first").execute()
            alone.set("large", bytes(range(256)) * 20_000)
            said["large"] = len(alone.get("large"))
        return said

    NEW = False

    def added():
        new = client.pipeline().incr("new").set("b", 1).execute()
        kept = client.hset("h", "new", 1), client.lpop("new"), client.set("new", 2)
        read = list(client.scan_iter("new")), client.hgetall("new"), client.mget("x", "y")
        return new, kept, read

    @td.job("plain")
    def plain():
        return added() if NEW else (client.get("price:1"), client.hgetall("item"))

    @td.job("loose")
    def loose():
        said = []

        def one():
            try:
                said.append(client.get("price:1"))
            except BaseException as error:
                said.append(type(error).__name__)

        thread = threading.Thread(target=one)
        thread.start()
        thread.join()
        return said if "ReplayAbort" in said else len(said)

    @td.job("once")
    def once():
        return of_input()
"""

RUN = """
    client.mset({"price:1": "10", "price:2": "20.5", "bytes": b"\\x00\\xff\\xfe"})
    client.hset("item", mapping={"name": "table", "n": 5})
    client.rpush("list", "a", "b")
    client.sadd("set", "x", "y")
    client.zadd("sorted", {"a": 1.5, "b": 2})
    client.xadd("stream", {"name": "ann"}, id="1-1")
    reads(); writes(); secrets("aHVudGVyMjI="); several("aHVudGVyMjI="); missing("aHVudGVyMjI=")
    threads(); loose(); once()
    plain(); sends(); others()
    subscribes()
    try:
        raises("aHVudGVyMjI=")
    except ResponseError:
        pass
    asyncio.run(run_async())
"""


@pytest.fixture(scope="session")
def recorded(
    new_shop: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, dict[str, Trace]]:
    project = new_shop()
    project.settings('inputs = ["redis", "uuid", "random"]\n')
    project.jobs(JOBS)
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        found = project.record(RUN, SHOP_REDIS=server.url)
    return project, {one.key: one for one in found}


SOME = ("reads", "missing", "threads", "others", "sends")


def in_turn(key: str) -> Any:
    """A parameter that a run of CI takes every third of."""
    return pytest.param(key, marks=pytest.mark.in_turn)


def check(project: Any, trace: Trace, *, same_order: bool = True) -> Trace:
    """It replays exactly."""
    new: Trace = project.replay(trace)
    assert not new.replay.misses, new.replay.misses
    assert new.steps[0].error == trace.steps[0].error
    both = [[(one.kind, one.name, one.args, one.result) for one in side.steps]
            for side in (new, trace)]  # fmt: skip
    if not same_order:
        both = [sorted(side, key=repr) for side in both]
    assert both[0] == both[1]
    return new


@pytest.mark.parametrize("key", ["writes", "async", *map(in_turn, SOME)])
def test_it_replays_without_the_server(recorded: Any, key: str) -> None:
    project, traces = recorded
    check(project, traces[key], same_order=key not in ("threads", "async"))


def test_replies_are_what_the_client_makes_of_them(recorded: Any) -> None:
    project, traces = recorded
    found = project.result(traces["reads"])
    assert found[0] == [11.0, 22.55]
    assert found[3] == {b"name": b"table", b"n": b"5"}
    assert found[12:15] == (b"\x00\xff\xfe", {"name": "table", "n": "5"}, 1.5)
    written = project.result(traces["writes"])
    assert written["write"][:6] == (True, None, 5, True, 2, 2)
    first, kinds, _, said, third = written["pipelines"]
    assert first == [True, 2, b"2", {b"name": b"table", b"n": b"5"}]
    assert kinds == ["bytes", "ResponseError", "NoneType"]
    assert said[1:] == [[True], "WatchError"]
    assert third == [b"10", b"table"]


def test_what_reads_is_an_input_and_what_writes_an_output(recorded: Any) -> None:
    _, traces = recorded
    kinds = {(one.kind, one.name) for trace in traces.values() for one in trace.steps}
    for name in ("GET", "HGETALL", "SCAN", "WATCH", "pipeline", "lock token"):
        assert ("input", f"redis {name}") in kinds
    for name in ("SET", "BLPOP", "MULTI", "pipeline", "EVALSHA", "PUBLISH", "SCRIPT LOAD"):
        assert ("output", f"redis {name}") in kinds
    assert not any(name.startswith(("uuid", "random")) for _, name in kinds)


@pytest.mark.in_turn
def test_new_commands_are_answered_as_if_all_went_well(recorded: Any) -> None:
    project, traces = recorded
    project.change("NEW = False", "NEW = True")
    try:
        new = project.replay(traces["plain"], on_miss="stub")
    finally:
        project.change("NEW = True", "NEW = False")
    assert project.result(new) == ([1, True], (1, None, True), ([], {}, [None, None]))
    assert any("redis MULTI" in one for one in new.warnings)


@pytest.mark.in_turn
def test_a_thread_without_the_jobs_context_is_recorded_nowhere_and_refused(recorded: Any) -> None:
    project, traces = recorded
    assert len(traces["loose"].steps) == 1
    assert project.result(project.replay(traces["loose"])) == ["ReplayAbort"]


@pytest.mark.in_turn
def test_a_client_that_decodes_now_gets_texts_of_recorded_bytes(recorded: Any) -> None:
    project, traces = recorded
    project.change("DECODES = False", "DECODES = True")
    try:
        new = project.replay(traces["plain"])
    finally:
        project.change("DECODES = True", "DECODES = False")
    assert not new.replay.misses
    assert project.result(traces["plain"]) == (b"10", {b"name": b"table", b"n": b"5"})
    assert project.result(new) == ("10", {"name": "table", "n": "5"})


def test_a_changed_command_is_seen(recorded: Any) -> None:
    project, traces = recorded
    project.change('client.incrby("a", 4)', 'client.incrby("a", 5)')
    try:
        said = project.cli("compare", traces["writes"].id)
    finally:
        project.change('client.incrby("a", 5)', 'client.incrby("a", 4)')
    assert said.returncode == 1
    assert "redis INCRBY" in said.stdout
    assert "arguments[1]" in said.stdout


def test_what_an_input_of_the_program_reads_is_not_recorded_again(recorded: Any) -> None:
    _, traces = recorded
    assert [one.name for one in traces["once"].steps] == ["once", "price of an input"]


def test_what_celery_does_with_redis_is_celerys_output_alone(recorded: Any) -> None:
    _, traces = recorded
    assert [one.name for one in traces["sends"].steps[1:]] == [
        "celery send", "redis GET", "celery result state"]  # fmt: skip


@pytest.mark.in_turn
def test_subscriptions_are_plain_and_a_replay_refuses_them(recorded: Any) -> None:
    project, traces = recorded
    trace = traces["subscribes"]
    assert project.result(trace) == "subscribe"
    assert trace.warnings == ("what redis-py's subscriptions receive is not recorded",)
    error = project.replay(trace).steps[0].error
    assert "not recorded" in error.message


def test_no_secret_is_stored(recorded: Any) -> None:
    project, traces = recorded
    assert project.result(traces["secrets"]) == (b"ann", True, "AuthenticationError")
    check(project, traces["secrets"])
    check(project, traces["several"])
    assert "LPUSH user:4:token" in traces["raises"].steps[0].error.message
    assert b"hunter22" not in project.stored()
    assert b"user:1:password" in project.stored()
