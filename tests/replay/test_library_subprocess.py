"""``subprocess`` as a library of ``inputs``: programs that a replay answers for and never runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracediff import values
from tracediff.model import Trace

JOBS = """
    import asyncio, os, platform, subprocess, sys, time
    from subprocess import PIPE, Popen, run

    def raised(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except (OSError, ValueError, TypeError, AttributeError,
                subprocess.SubprocessError) as error:
            return (type(error).__name__, str(error), getattr(error, "output", None),
                    getattr(error, "stderr", None), getattr(error, "returncode", None),
                    getattr(error, "filename", None))

    def python(code):
        return [sys.executable, "-S", "-c", code]

    BOTH = "import sys; print('größe'); print('wrong', file=sys.stderr); sys.exit(3)"
    ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"

    @td.job("simple")
    def simple():
        done = run(["date", "+%N"], capture_output=True, text=True)
        both = run(python(BOTH), capture_output=True, encoding="utf-8")
        merged = run(python("print(1)"), stdout=PIPE, stderr=subprocess.STDOUT)
        return [done.stdout, both.stdout, both.stderr, both.returncode, both.args[1:],
                merged.stdout, merged.stderr,
                subprocess.check_output("echo $((6*7)) | cat", shell=True),
                subprocess.getoutput("echo out; echo err >&2"), subprocess.call(["true"]),
                run(["printf", r"\\\\377\\\\0"], stdout=PIPE).stdout,
                run(["date", "+%N"], stdout=PIPE, cwd="/", env={"PATH": os.environ["PATH"]}).stdout,
                os.system("exit 3"), os.popen("date +%N").read(),
                run(["true"], stdout=subprocess.DEVNULL).stdout]

    @td.job("given")
    def given():
        found = [run(python(ECHO), input=b"abc\\xff", stdout=PIPE).stdout,
                 run(["cat"], input="one\\r\\ntwo", text=True, capture_output=True).stdout]
        with Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as process:
            process.stdin.write("first\\n")
            process.stdin.flush()
            found.append(process.stdout.readline())
            process.stdin.write("second\\n")
            process.stdin.close()
            found.append(process.stdout.read())
        return [*found, process.returncode]

    @td.job("errors")
    def errors():
        return [raised(run, ["no-such-program"]), raised(run, ["no-such-program"], input=b"x"),
                raised(run, ["/"]), raised(run, ["true"], cwd="/no/such"),
                raised(run, ["false"], check=True),
                raised(run, "echo out; echo err >&2; exit 4", shell=True, check=True,
                       capture_output=True, text=True),
                raised(run, "echo early; exec sleep 9", shell=True, timeout=0.3, stdout=PIPE),
                raised(run, ["true"], input=b"x", stdin=PIPE),
                raised(run, ["cat"], input="text", stdout=PIPE),
                raised(run, ["cat"], input=5, stdout=PIPE),
                raised(run, ["true"], input="text"),
                raised(run, ["true"], input=b"bytes", text=True)]

    @td.job("popen")
    def popen():
        found = []
        with Popen("echo 1; echo 2; echo 3", shell=True, stdout=PIPE, text=True) as process:
            for line in process.stdout:
                found.append(line)
        process = Popen(["sleep", "0.2"])
        while process.poll() is None:
            found.append("runs")
            time.sleep(0.05)
        found += [process.poll(), process.wait(), process.returncode]
        process = Popen(["sleep", "9"])
        found.append(raised(process.wait, timeout=0.1))
        process.terminate()
        found.append(process.wait())
        process = Popen(["true"], stdout=PIPE)
        process.stdout.read()
        time.sleep(0.1)  # it has ended when it is told to
        process.terminate()
        found.append(process.wait())
        process = Popen("echo a; sleep 0.4; echo b", shell=True, stdout=PIPE, stderr=PIPE)
        found.append(raised(process.communicate, timeout=0.15))
        found.append(process.communicate())
        return found

    @td.job("half")
    def half():
        with Popen(["yes"], stdout=PIPE, bufsize=0) as process:
            found = process.stdout.read(READ)
            process.kill()
        return found

    READ = 10

    @td.job("together")
    async def together():
        process = await asyncio.create_subprocess_exec(
            *python(ECHO), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        found = [await process.communicate(b"abc"), process.returncode]
        process = await asyncio.create_subprocess_shell("echo 1; echo 2; exit 5", stdout=PIPE)
        found += [one async for one in process.stdout]
        found.append(await process.wait())
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        process.stdin.write(b"x\\n")
        await process.stdin.drain()
        found.append(await process.stdout.readline())
        process.stdin.close()
        found += [await process.stdout.read(), await process.wait()]
        process = await asyncio.create_subprocess_exec("sleep", "9")
        try:
            await asyncio.wait_for(process.wait(), 0.1)
        except TimeoutError:
            process.kill()
        found.append(await process.wait())
        try:
            await asyncio.create_subprocess_exec("no-such-program")
        except FileNotFoundError as error:
            found.append(str(error))
        many = [await one.communicate() for one in await asyncio.gather(*(
            asyncio.create_subprocess_exec("echo", str(n), stdout=PIPE) for n in range(3)))]
        return [*found, many]

    def in_a_loop():
        return asyncio.run(together())

    @td.job("everything")
    def everything():
        return [simple(), given(), errors(), popen(), half(), in_a_loop()]

    @td.job("own")
    def own():
        platform.processor()
        return 1

    @td.job("secret")
    def secret():
        os.environ["API_TOKEN"] = "sesame-in-the-environment"
        run(["true", "--password", "sesame-flag", "--api-key=sesame-pair"])
        run("TOKEN=sesame-assigned true --secret sesame-shell", shell=True)
        run("PGPASSWORD=sesame-libpq true", shell=True)
        run(["env", "PGPASSWORD=sesame-libpq-word", "true"])
        run(["true", "https://ada:sesame-url@host/", "Authorization: Bearer sesame-header"])
        raised(run, ["false", "--password", "sesame-raised"], check=True)
        printed = run(["printenv", "NO_SUCH"], stdout=PIPE)
        told = run(["echo", '{"password": "sesame-printed"}'], stdout=PIPE)
        return len(told.stdout) > 3, printed.returncode
"""


NAMES = "simple given errors popen half together".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any]) -> tuple[Any, dict[str, Trace]]:
    shop = new_shop()
    shop.settings('inputs = ["subprocess"]\n')
    shop.jobs(JOBS)
    found = shop.record("everything(); simple(); given(); half(); own(); secret()")
    return shop, {one.key: one for one in found}


@pytest.fixture(scope="module")
def again(traces: tuple[Any, dict[str, Trace]], repeats: Callable[..., Any]) -> dict[str, Any]:
    """What each job gave, which one replay of them all gave as well."""
    shop, by_key = traces
    repeats(shop, by_key["everything"])
    assert not by_key["everything"].warnings
    return dict(zip(NAMES, shop.result(by_key["everything"]), strict=True))


def test_programs_are_answered_for(again: dict[str, Any]) -> None:
    assert again["given"][2:] == ["first\n", "second\n", 0]
    assert again["errors"][6][2] == b"early\n"
    assert [one[:2] for one in again["errors"][8:]] == [
        ("TypeError", "memoryview: a bytes-like object is required, not 'str'"),
        ("TypeError", "memoryview: a bytes-like object is required, not 'int'"),
        ("TypeError", "a bytes-like object is required, not 'str'"),
        ("TypeError", "write() argument must be str, not bytes"),
    ]
    assert again["popen"][-1] == (b"a\nb\n", b"")
    assert again["half"] == b"y\n" * 5
    assert again["together"][0] == (b"cba", b"")


def test_a_program_is_one_input_with_all_that_it_said(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    _, by_key = traces
    second = by_key["simple"].steps[2]
    assert (second.kind, second.name) == ("input", "subprocess python")
    assert values.inert(second.result) == {"returncode": 3, "stdout": "größe\n",
                                           "stderr": "wrong\n"}  # fmt: skip
    given = by_key["given"].steps[1:3]
    assert [values.inert(one.args)["stdin"] for one in given] == [b"abc\xff", "one\r\ntwo"]


def test_what_python_starts_for_itself_is_no_input(traces: tuple[Any, dict[str, Trace]]) -> None:
    assert len(traces[1]["own"].steps) == 1


def test_new_code_that_reads_on_or_starts_another_program_is_told(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    shop, by_key = traces
    shop = shop.copy(shop.directory.with_name("reads-on"))
    shop.change("READ = 10", "READ = 10 ** 5")
    shop.change('["date", "+%N"], capture', '["date", "+%s"], capture')
    shop.change('input="one', 'input="other')
    more, other, given = map(shop.replay, (by_key["half"], by_key["simple"], by_key["given"]))
    assert more.replay.misses or shop.result(more) == shop.result(by_key["half"])
    assert [one.name for one in other.replay.misses] == ["subprocess date"]
    assert [one.name for one in given.replay.misses] == ["subprocess cat"]


def test_no_secret_of_a_command_or_its_environment_is_kept(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    shop, by_key = traces
    stored = shop.stored()
    kept = {
        stored[at - 60 : at + 30] for at in range(len(stored)) if stored[at : at + 6] == b"sesame"
    }
    assert not kept
    new = shop.replay(by_key["secret"])
    assert not new.replay.misses
    assert shop.result(new) == (True, 1)
