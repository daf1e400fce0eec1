"""``grpc`` as a library of ``inputs``: recorded with a server, replayed without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from servers.grpc_service import GrpcService, generate
from tracediff import values
from tracediff.model import Trace

JOBS = """
    import asyncio, threading, time
    from concurrent.futures import ThreadPoolExecutor
    import grpc
    import pricing_pb2 as pb
    from pricing_pb2_grpc import RatesStub

    CHANNEL = grpc.insecure_channel(ADDRESS)  # before recording starts
    EARLY = RatesStub(CHANNEL)

    def ask(product, count=2, **more):
        return pb.Query(product=product, count=count, **more)

    def raised(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except grpc.RpcError as error:
            return (type(error).__name__, error.code().name, error.details(), str(error),
                    [tuple(one) for one in error.trailing_metadata() or () if one[0] == "cost"],
                    isinstance(error, grpc.Call))

    def plain(rate):
        return (rate.product, rate.price, [one.name for one in rate.parts],
                sorted(rate.labels.items()),
                {key: one.price for key, one in rate.by_number.items()}, rate.WhichOneof("more"),
                rate.note, rate.asked,
                rate.HasField("asked"), rate.kind, rate.raw,
                list(rate.numbers), rate.SerializeToString(deterministic=True)
                if not rate.session_token else len(rate.session_token) > 5)

    @td.job("unary")
    def unary():
        found = [plain(EARLY.GetRate(ask("tea", raw=b"\\xff\\x00"))),
                 plain(EARLY.GetRate(ask("tea", raw=b"\\xff\\x00"))),
                 plain(EARLY.Convert(ask("coffee"))), plain(EARLY.Order(ask("milk")))]
        rate, call = EARLY.GetRate.with_call(ask("rice"), metadata=[("authorization", "sesame-in")])
        cost = [tuple(one) for one in call.trailing_metadata() if one[0] in ("cost", "raw-bin")]
        found += [plain(rate), cost, call.code().name]
        future = EARLY.GetRate.future(ask("oats"))
        seen = []
        future.add_done_callback(lambda one: seen.append(one.code().name))
        found += [plain(future.result()), future.done(), future.exception()]
        time.sleep(0.05)
        with td.step("passed") as step:
            step.result = rate
        return [*found, seen]

    @td.job("errors")
    def errors():
        found = [raised(EARLY.GetRate, ask("missing")), raised(EARLY.GetRate, ask("broken")),
                 raised(EARLY.GetRate, ask("slow"), timeout=0.2)]
        future = EARLY.GetRate.future(ask("missing"))
        found += [raised(future.result), future.exception().code().name]
        with grpc.insecure_channel("127.0.0.1:9") as channel:
            found.append(raised(RatesStub(channel).GetRate, ask("none")))
        return found

    @td.job("streams")
    def streams():
        call = EARLY.ListRates(ask("tea", 3))
        found = [[plain(one) for one in call], call.code().name,
                 [tuple(one) for one in call.initial_metadata() if one[0] == "page"]]
        call = EARLY.ListRates(ask("endless", 4))
        found.append([plain(next(call)) for _ in range(READ)])
        call.cancel()
        call = EARLY.ListRates(ask("broken", 2))
        taken = []
        found += [raised(lambda: taken.extend(call)), [plain(one) for one in taken]]
        found.append(plain(EARLY.PutRates(ask(name) for name in ("a", "b", "c"))))
        found += [plain(one) for one in EARLY.Talk(ask(name) for name in ("x", "y"))]
        half = EARLY.ListRates(ask("half", 5))
        found.append(plain(next(half)))
        return found

    READ = 2

    class Interceptor(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            request.count += 1
            return continuation(details, request)

    @td.job("channels")
    def channels():
        with grpc.insecure_channel(ADDRESS) as channel, ThreadPoolExecutor(3) as pool:
            grpc.channel_ready_future(channel).result(5)
            stub = RatesStub(grpc.intercept_channel(channel, Interceptor()))
            rate = td.propagate(lambda number: stub.GetRate(ask("n", number)).price)
            return sorted(pool.map(rate, range(6)))

    class AioInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            request.count += 1
            return await continuation(details, request)

    @td.job("together")
    async def together():
        async with grpc.aio.insecure_channel(ADDRESS) as channel:
            await channel.channel_ready()
            stub = RatesStub(channel)
            found = [plain(await stub.GetRate(ask("tea")))]
            call = stub.GetRate(ask("rice"))
            found += [plain(await call), (await call.code()).name,
                      [one for one in await call.trailing_metadata() if one[0] == "cost"]]
            for product in ("missing", "broken"):
                try:
                    await stub.GetRate(ask(product))
                except grpc.aio.AioRpcError as error:
                    found.append((error.code().name, error.details(), str(error)))
            try:
                await stub.GetRate(ask("slow"), timeout=0.2)
            except grpc.aio.AioRpcError as error:
                found.append(error.code().name)
            try:
                await asyncio.wait_for(stub.GetRate(ask("slow")), 0.2)
            except TimeoutError:
                found.append("late")
            found.append([plain(one) async for one in stub.ListRates(ask("tea", 3))])
            call = stub.ListRates(ask("endless", 3))
            found.append(plain(await call.read()))
            call.cancel()
            async def queries():
                yield ask("a")
                yield ask("b")
            found.append(plain(await stub.PutRates(queries())))
            found.append([plain(one) async for one in stub.Talk(queries())])
            call = stub.Talk()
            for name in ("x", "y"):
                await call.write(ask(name))
                found.append(plain(await call.read()))
            await call.done_writing()
            found.append(await call.read() is grpc.aio.EOF)
            many = await asyncio.gather(*(stub.GetRate(ask("n", n)) for n in range(4)))
            found.append([one.price for one in many])
        async with grpc.aio.insecure_channel(ADDRESS, interceptors=[AioInterceptor()]) as channel:
            found.append(plain(await RatesStub(channel).GetRate(ask("in", 1))))
        return found

    def in_a_loop():
        return asyncio.run(together())

    @td.job("everything")
    def everything():
        return [unary(), errors(), streams(), channels(), in_a_loop()]

    @td.job("lost")
    def lost():
        found = []
        def run():
            try:
                found.append(EARLY.GetRate(ask("tea")).price)
            except BaseException as error:
                found.append(type(error).__name__)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return len(found)

    @td.job("secret")
    def secret():
        rate = EARLY.GetRate(ask("tea", api_token="sesame-in-a-query"))
        again = EARLY.GetRate(ask("tea", api_token=rate.session_token))
        return len(again.session_token) > 5
"""


NAMES = "unary errors streams channels together".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any]) -> Any:
    shop = new_shop()
    shop.settings('inputs = ["grpc"]\n')
    generate(shop.directory)
    with GrpcService() as service:
        shop.jobs(JOBS.replace("ADDRESS", repr(service.address)))
        found = shop.record("everything(); unary(); streams(); lost(); secret()")
    return shop, {one.key: one for one in found}


@pytest.fixture(scope="module")
def again(traces: tuple[Any, dict[str, Trace]], repeats: Callable[..., Any]) -> dict[str, Any]:
    """What each job gave, which one replay of them all gave as well."""
    shop, by_key = traces
    repeats(shop, by_key["everything"])
    assert not by_key["everything"].warnings
    return dict(zip(NAMES, shop.result(by_key["everything"]), strict=True))


def test_calls_are_answered_without_the_server(again: dict[str, Any]) -> None:
    assert [one[1] for one in again["errors"][:3]] == ["NOT_FOUND", "UNKNOWN", "DEADLINE_EXCEEDED"]
    assert again["streams"][1] == "OK"
    assert again["channels"] == [1.5 * number for number in range(1, 7)]
    assert "late" in again["together"]


def test_calls_are_told_by_method_and_message(traces: tuple[Any, dict[str, Trace]]) -> None:
    _, by_key = traces
    steps = by_key["unary"].steps[1:5]
    assert [(one.kind, one.name) for one in steps] == [
        ("input", "grpc pricing.Rates/GetRate"), ("input", "grpc pricing.Rates/GetRate"),
        ("input", "grpc pricing.Rates/Convert"), ("output", "grpc pricing.Rates/Order"),
    ]  # fmt: skip
    asked = values.inert(steps[0].args)["request"]
    assert asked.type == "google:pricing.Query"
    assert asked.base == {"product": "tea", "count": 2, "raw": b"\xff\x00"}
    answered = values.inert(steps[0].result)
    assert answered["code"] == "OK"
    assert answered["response"].base["note"] == "größe"


def test_no_secret_of_a_message_or_its_metadata_is_kept(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    shop, by_key = traces
    stored = shop.stored()
    kept = {stored[at : at + 25] for at in range(len(stored)) if stored[at : at + 6] == b"sesame"}
    assert not kept
    new = shop.replay(by_key["secret"])
    assert not new.replay.misses
    assert shop.result(new) is True


def test_a_thread_without_context_is_refused(traces: tuple[Any, dict[str, Trace]]) -> None:
    shop, by_key = traces
    assert len(by_key["lost"].steps) == 1
    new = shop.replay(by_key["lost"])
    assert [one.hint for one in new.replay.misses] != [None]
    assert new.replay.misses


def test_new_code_that_asks_or_reads_something_else_is_told(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    shop, by_key = traces
    shop = shop.copy(shop.directory.with_name("other-calls"))
    shop.change("READ = 2", "READ = 4")
    shop.change('EARLY.Convert(ask("coffee"))', 'EARLY.Convert(ask("cocoa"))')
    shop.change('EARLY.Order(ask("milk"))', 'EARLY.Order(ask("cream"))')
    (more,) = shop.replay(by_key["streams"]).replay.misses
    (other,) = shop.replay(by_key["unary"]).replay.misses
    assert more.name == "grpc messages that were not read"
    assert other.name == "grpc pricing.Rates/Convert"


HOSTILE = """
    import contextlib, os, signal

    @td.job("bytes")
    def raw_bytes():
        call = CHANNEL.unary_unary("/pricing.Rates/GetRate")
        stream = CHANNEL.unary_stream("/pricing.Rates/ListRates",
                                      request_serializer=pb.Query.SerializeToString)
        found = pb.Rate.FromString(call(ask("tea").SerializeToString())).product
        return [found, [pb.Rate.FromString(one).product for one in stream(ask("x", 2))]]

    @td.job("large")
    def large():
        options = [("grpc.max_receive_message_length", 1 << 27)]
        with grpc.insecure_channel(ADDRESS, options=options) as channel:
            rate = RatesStub(channel).GetRate(ask("tea", raw=bytes(3 << 20)))
        return len(rate.raw), raised(EARLY.GetRate, ask("tea", raw=bytes(5 << 20)))[1]

    @td.job("changed")
    def changed():
        query = ask("tea")
        first = EARLY.GetRate(query).product
        query.product = "milk"
        return first, EARLY.GetRate(query).product

    @td.job("loops")
    def loops():
        async def one(number):
            async with grpc.aio.insecure_channel(ADDRESS) as channel:
                call = RatesStub(channel).ListRates(ask("endless", 2))
                async for rate in call:
                    return rate.product
        return [asyncio.run(one(1)), asyncio.run(one(2))]

    @td.job("talking")
    def talking():
        import queue
        waiting = queue.Queue()
        waiting.put(ask("first"))
        found = []
        for rate in EARLY.Talk(iter(waiting.get, None)):
            found.append(rate.product)
            waiting.put(ask(f"next {len(found)}") if len(found) < 4 else None)
        return found

    @td.job("dying")
    def dying():
        call = EARLY.ListRates(ask("endless", 2))
        found = [next(call).product]
        with contextlib.suppress(ProcessLookupError):
            os.kill(PID, signal.SIGKILL)
        return [*found, raised(lambda: list(call))[1], raised(EARLY.GetRate, ask("tea"))[1]]

    @td.job("hostile")
    def hostile():
        return [raw_bytes(), large(), changed(), loops(), talking(), dying()]
"""


@pytest.mark.in_turn
def test_a_server_that_dies_and_messages_of_every_kind(
    new_shop: Callable[[], Any], repeats: Callable[..., Any]
) -> None:
    shop = new_shop()
    shop.settings('inputs = ["grpc", "!grpc pricing.Rates/Get*", "grpc pricing.Rates/Order"]\n')
    generate(shop.directory)
    with GrpcService() as service:
        code = (JOBS + HOSTILE).replace("ADDRESS", repr(service.address))
        shop.jobs(code.replace("PID", str(service.pid)))
        found = shop.record("hostile()")
    (trace,) = found
    assert not trace.warnings
    repeats(shop, trace)
    found = shop.result(trace)
    assert found[1] == (3 << 20, "RESOURCE_EXHAUSTED")
    assert found[2] == ("tea", "milk")
    assert found[4] == ["first", "next 1", "next 2", "next 3"]
    assert found[5][1:] == ["UNAVAILABLE", "UNAVAILABLE"]
    assert {one.kind for one in trace.steps if one.name.endswith("/GetRate")} == {"output"}
