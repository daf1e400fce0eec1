"""What loggers say inside of a job becomes notes; whatever goes wrong stays out of the job."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading

import pytest
import structlog

import tracediff as td
from tracediff.errors import ConfigError
from tracediff.recording import beside
from tracediff.recording.beside import saying

SECRET = "hunter2hunter2"


@pytest.fixture
def log():
    logger = logging.getLogger("shop.orders")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    logger.propagate = True


@pytest.fixture
def notes(recording):
    """The notes of a function run as a job."""
    recording.configure(notes=["logging", "structlog"])

    def notes(function):
        steps = recording.run(function).steps
        return [step.name for step in steps if step.kind == "note"]

    yield notes
    td.configure(store="memory:", notes=[])


@pytest.fixture
def events():
    """structlog, with what it prints in a list."""
    printed: list[str] = []

    def printing(logger, name, event):
        printed.append(event["event"])
        return repr(event)

    structlog.configure(processors=[printing], logger_factory=structlog.ReturnLoggerFactory())
    yield printed
    structlog.reset_defaults()


def test_level_and_name_are_kept_and_lower_levels_left_out(notes, log):
    def work():
        log.debug("not this")
        log.info("begin %s", 3)
        logging.getLogger("shop").warning("low")
        logging.getLogger("shop").info("its level says no")
        log.log(25, "between")

    assert notes(work) == [
        "INFO shop.orders: begin 3",
        "WARNING shop: low",
        "Level 25 shop.orders: between",
    ]


def test_notes_are_where_they_were_logged(recording, log):
    recording.configure(notes=["logging"])

    @td.step("pack")
    def pack():
        log.warning("in the step")

    trace = recording.run(pack)
    note = trace.steps[2]
    assert (note.kind, note.name) == ("note", "WARNING shop.orders: in the step")
    assert trace.steps[note.parent].name == "pack"
    assert note.source.file.endswith("test_notes_loggers.py")
    assert note.source.unit.endswith("pack")
    assert note.source.line == pack.__wrapped__.__code__.co_firstlineno + 2
    assert note.state == "success"


def test_outside_of_a_job_and_without_the_setting_nothing_is_noted(recording, notes, log, caplog):
    log.warning("outside")
    assert logging.Logger.callHandlers.__module__ == "tracediff.recording.beside.logs"
    recording.configure(notes=[])
    assert logging.Logger.callHandlers.__module__ == "logging"
    assert notes.__class__  # the fixture is set up
    steps = recording.run(lambda: log.warning("inside")).steps
    assert len(steps) == 1
    assert [record.message for record in caplog.records][-2:] == ["outside", "inside"]


def test_exceptions_and_secrets(notes, log, recording):
    def work():
        try:
            raise ValueError(f"token={SECRET}")
        except ValueError:
            log.exception("failed with password=%s", SECRET)

    assert notes(work) == [
        "ERROR shop.orders: failed with password=[redacted] (ValueError: token=[redacted])"
    ]


def test_what_fills_a_message_by_a_secret_name_is_taken_out(notes, log):
    given = {"user": "bob", "password": "letmein7"}

    class Braces(logging.LogRecord):
        def getMessage(self):
            return self.msg.format(**self.args)

    def work():
        log.info("login %(user)s with %(password)s", given)
        log.handle(Braces(log.name, logging.INFO, "", 0, "login {user}", (given,), None))

    assert notes(work) == [
        "INFO shop.orders: login bob with [redacted]",
        "INFO shop.orders: login bob",
    ]
    assert given["password"] == "letmein7"


def test_structlog_fills_a_message_by_names(notes):
    structlog.configure(
        processors=[structlog.stdlib.PositionalArgumentsFormatter(), lambda *_: "said"],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.ReturnLoggerFactory(),
    )

    def work():
        structlog.get_logger().info("%(user)s: %(token)s", {"user": "bob", "token": "letmein7"})

    try:
        assert notes(work) == ["INFO structlog: bob: [redacted]"]
    finally:
        structlog.reset_defaults()


def test_values_that_raise_or_log_are_no_fault_of_the_job(notes, log, recording):
    class Loud:
        def __str__(self):
            log.warning("from inside")
            return "loud"

    class Broken:
        def __str__(self):
            raise RuntimeError("broken")

    def work():
        log.propagate = False  # other handlers would read it as well
        log.addHandler(logging.NullHandler())
        log.info("%s", Loud())
        log.info("%s", Broken())
        log.info("%d and %d", 1)  # noqa: PLE1206 - such a line is under test
        log.info("after")

    assert notes(work) == ["INFO shop.orders: loud", "INFO shop.orders: after"]
    trace = recording.traces()[-1]
    assert trace.steps[-1].name == "INFO shop.orders: after"
    assert any("RuntimeError: broken" in one for one in trace.warnings)
    assert trace.state == "success"


def test_records_that_no_logger_made(notes, log):
    def work():
        log.propagate = False
        for name, number in ((None, 40), ("b", 40), ("c", 10)):
            made = {"name": name, "levelno": number, "levelname": None, "msg": "made"}
            log.handle(logging.makeLogRecord(made))
        log.handle(logging.makeLogRecord({"name": "d", "levelno": 40, "exc_info": (None,) * 3}))

    log.addHandler(logging.NullHandler())
    assert notes(work) == ["None None: made", "None b: made", "Level None d: "]


def test_a_handler_that_raises_raises_as_without_us(notes, log):
    class Raising(logging.Handler):
        def handle(self, record):
            raise OSError("disk full")

    def work():
        log.addHandler(Raising())
        with pytest.raises(OSError, match="disk full"):
            log.error("kept all the same")

    assert notes(work) == ["ERROR shop.orders: kept all the same"]


def test_the_volume_is_bounded(notes, log, recording, monkeypatch):
    monkeypatch.setattr(saying, "MAX_RECORDS", 5)

    def work():
        for number in range(20):
            log.info("%s %s", number, "x" * 10_000)

    found = notes(work)
    assert len(found) == 5
    assert all(len(one) == 4_000 for one in found)
    assert "after the first 5" in recording.traces()[-1].warnings[0]


def test_our_own_loggers_and_depth_inputs_make_none(notes, recording):
    assert notes(lambda: logging.getLogger("tracediff.x").error("own")) == []
    recording.configure(notes=["logging"], depth="inputs")
    assert len(recording.run(lambda: logging.getLogger("a").error("x")).steps) == 1


def test_threads_with_and_without_the_job_s_context(notes, log):
    def work():
        def say(text):
            log.info(text)

        for target in (td.propagate(say), say):
            thread = threading.Thread(target=target, args=("in a thread",))
            thread.start()
            thread.join()

    assert notes(work) == ["INFO shop.orders: in a thread"]


def test_structlog_keeps_what_is_bound(notes, events):
    def work():
        bound = structlog.get_logger().bind(order=4, api_token=SECRET)
        bound.debug("not this")
        bound.warning("packed", boxes=[1, 2], db={"password": SECRET})

    (note,) = notes(work)
    assert note.startswith("WARNING structlog: packed order=4 api_token=[redacted] boxes=[1, 2]")
    assert SECRET not in note
    assert events == ["not this", "packed"]


def test_what_structlog_drops_or_cannot_say_is_none(notes, events, recording):
    def drop(logger, name, event):
        raise structlog.DropEvent

    class Broken:
        def __repr__(self):
            raise RuntimeError("broken")

    def work():
        structlog.configure(processors=[drop])
        structlog.get_logger().error("dropped")
        structlog.configure(processors=[lambda logger, name, event: event["event"]])
        structlog.get_logger().error("kept", value=Broken())

    assert notes(work) == []
    assert "RuntimeError: broken" in recording.traces()[-1].warnings[0]


def test_structlog_over_logging_makes_one_note(notes, log):
    def work():
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer()],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        try:
            structlog.get_logger("shop.orders").info("packed %s", 3, boxes=2)
            log.info("plain")
        finally:
            structlog.reset_defaults()

    assert notes(work) == ["INFO shop.orders: packed 3 boxes=2", "INFO shop.orders: plain"]


def test_structlog_in_asyncio(notes, events):
    async def work():
        await structlog.get_logger().ainfo("awaited")

    assert notes(lambda: asyncio.run(work())) == ["INFO structlog: awaited"]


@pytest.mark.in_turn
def test_replayed_notes_are_compared(program):
    program.write(
        """
        import logging

        log = logging.getLogger("shop")

        @td.job("a/b")
        def work(x):
            log.warning("price %s", x)
            return x

        if __name__ == "__main__":
            work(3)
        """,
        "shop.py",
    )
    program.write("import shop\nshop.work(3)\n")
    program.write('[tool.tracediff]\njobs = ["shop"]\nnotes = ["logging"]\n', "pyproject.toml")
    program.run()

    def compared():
        command = [sys.executable, "-m", "tracediff", "compare", "@last"]
        environment = program.environment()
        return subprocess.run(
            command,
            cwd=program.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert " same " in compared().stdout
    text = (program.directory / "shop.py").read_text()
    (program.directory / "shop.py").write_text(text.replace("price %s", "cost %s"))
    changed = compared()
    assert changed.returncode == 0
    assert "cost 3" in changed.stdout


def test_settings_that_are_none(recording):
    with pytest.raises(ConfigError, match="notes"):
        recording.configure(notes=["loguru"])
    with pytest.raises(ConfigError, match="notes_level"):
        recording.configure(notes=["logging"], notes_level="loud")


def test_structlog_that_is_missing_is_said(recording, monkeypatch):
    monkeypatch.setitem(sys.modules, "tracediff.recording.beside.structured", None)
    monkeypatch.setattr(beside._Process, "asked", ((), ""))
    with pytest.raises(ConfigError) as caught:
        recording.configure(notes=["structlog"])
    assert caught.value.slug == "notes-not-installed"
