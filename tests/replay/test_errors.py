"""Recorded exceptions are raised again: the same class, what it holds, what caused it."""

from __future__ import annotations

import pytest

CALL = """

@td.job("shop/errors")
def job():
    try:
        return ask()
    except BaseException as error:
        return told(error)

KEPT = ("errno", "filename", "filename2", "code", "value", "start", "reason", "name", "path")

def told(error):
    seen = []
    while error is not None:
        holds = {**vars(error), **{one: getattr(error, one, None) for one in KEPT}}
        seen.append([type(error).__name__, str(error), repr(error.args), holds])
        error = error.__cause__
    return seen
"""


@pytest.mark.parametrize(
    "raised",
    [
        "KeyError('de')",
        "ValueError('bad', 3)",
        "FileNotFoundError(2, 'No such file', 'x.csv')",
        "OSError(18, 'Cross-device', 'a', None, 'b')",
        "io.UnsupportedOperation('read')",
        "ImportError('no module', name='x', path='/x.py')",
        "TimeoutError()",
        "UnicodeDecodeError('utf-8', b'x', 0, 1, 'why')",
        "StopIteration(4)",
        "KeyboardInterrupt()",
        "SystemExit(3)",
        "Denied('no', code=7)",
        "Quota(limit=5)",
        "Denied.Worse('nested', code=1)",
        "decimal.InvalidOperation('x')",
        "json.JSONDecodeError('Expecting value', 'x', 0)",
        "sqlite3.OperationalError('locked')",
        "subprocess.CalledProcessError(3, ['ls'], b'out')",
    ],
)
def test_an_exception_comes_again_as_it_was(shop, raised):
    shop.jobs(
        f"""
import decimal, io, json, sqlite3, subprocess

class Denied(Exception):
    def __init__(self, text, *, code):
        super().__init__(text)
        self.code = code

    class Worse(ValueError):
        def __init__(self, text, *, code):
            super().__init__(text)
            self.code = code

class Quota(RuntimeError):
    def __init__(self, limit):
        super().__init__(f"over {{limit}}")
        self.limit = limit

@td.input("Ask")
def ask():
    error = {raised}
    raise error
"""
        + CALL
    )
    [trace] = shop.record("job()")
    shop.change(f"    error = {raised}\n    raise error", "    return 1")
    assert shop.result(shop.replay(trace)) == shop.result(trace)


def test_an_os_error_keeps_its_number_and_file(shop):
    shop.jobs("""
        @td.input("Read")
        def read(path):
            return open(path).read()

        @td.job("shop/read")
        def job(path):
            try:
                return read(path)
            except FileNotFoundError as error:
                return [error.errno, error.strerror, error.filename, str(error)]
        """)
    [trace] = shop.record('job("absent.csv")')
    (shop.directory / "absent.csv").touch()
    new = shop.replay(trace)
    assert shop.result(new) == [2, "No such file or directory", "absent.csv", shop.result(trace)[3]]


def test_causes_and_contexts_come_along(shop):
    shop.jobs("""
        class Missing(Exception):
            pass

        @td.input("Ask")
        def ask():
            try:
                {}["de"]
            except KeyError as error:
                raise Missing("rate") from error

        @td.input("Again")
        def again():
            try:
                {}["fr"]
            except KeyError:
                raise Missing("context")

        @td.job("shop/errors")
        def job():
            seen = []
            for call in (ask, again):
                try:
                    call()
                except Missing as error:
                    cause, context = error.__cause__, error.__context__
                    seen.append([repr(cause), repr(context), error.__suppress_context__])
            return seen
        """)
    [trace] = shop.record("job()")
    assert shop.result(trace) == [
        ["KeyError('de')", "KeyError('de')", True],
        ["None", "KeyError('fr')", False],
    ]
    new = shop.replay(trace)
    assert shop.result(new)[0][0::2] == ["KeyError('de')", True]
    assert shop.result(new)[1] == ["None", "KeyError('fr')", False]


def test_groups_come_again_with_their_members(shop):
    shop.jobs("""
        class Worse(ExceptionGroup):
            def derive(self, members):
                return Worse(self.message, members)

        @td.input("Ask")
        def ask(kind):
            raise kind("both (of them)", [KeyError("a"), ExceptionGroup("in", [ValueError("b")])])

        @td.job("shop/groups")
        def job():
            seen = []
            for kind in (ExceptionGroup, Worse):
                try:
                    ask(kind)
                except* KeyError as group:
                    seen.append([type(group).__name__, repr(group.exceptions)])
                except* ValueError as group:
                    seen.append([group.message, repr(group.exceptions)])
            return seen
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == shop.result(trace)


def test_the_job_can_catch_it_by_a_base_that_the_allow_list_does_not_hold(shop):
    shop.write(
        "client.py",
        """
        import pathlib
        pathlib.Path("client-imported").touch()

        class ClientError(ConnectionError):
            def __init__(self, text):
                super().__init__(text)
                self.retry = 3

        def fetch():
            raise ClientError("down")
        """,
    )
    shop.jobs("""
        @td.input("Fetch")
        def fetch():
            import client
            return client.fetch()

        @td.job("shop/client")
        def job():
            try:
                return fetch()
            except ConnectionError as error:
                return [type(error).__name__, str(error), error.retry]
        """)
    [trace] = shop.record("job()")
    (shop.directory / "client-imported").unlink()
    assert shop.result(shop.replay(trace)) == ["ClientError", "down", 3]
    assert not (shop.directory / "client-imported").exists()


def test_a_class_the_job_imports_itself_is_the_very_class(shop):
    shop.write("client.py", "class ClientError(Exception): pass\n")
    shop.jobs("""
        import client

        @td.input("Fetch")
        def fetch():
            raise client.ClientError("down")

        @td.job("shop/client")
        def job():
            try:
                return fetch()
            except client.ClientError as error:
                return str(error)
        """)
    [trace] = shop.record("job()")
    shop.change('raise client.ClientError("down")', "return 1")
    assert shop.result(shop.replay(trace)) == "down"


def test_an_error_of_an_unchanged_job_compares_as_the_same(shop):
    shop.jobs("""
        @td.input("Fetch")
        def fetch():
            raise LookupError("nothing")

        @td.job("shop/failing")
        def job():
            try:
                return fetch()
            except LookupError as error:
                raise RuntimeError("no price") from error
        """)
    shop.run("-c", "from shop.jobs import *; job()")
    [trace] = shop.recorded()
    new = shop.replay(trace)
    assert (new.state, new.steps[0].error.type) == ("error", "builtins:RuntimeError")
    assert shop.cli("compare", trace.id).returncode == 0
    shop.change("no price", "no rate")
    assert shop.cli("compare", trace.id).returncode == 1
