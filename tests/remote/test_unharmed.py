"""A job's result and exceptions are the same with the recorder on, off and failing."""

from __future__ import annotations

import json

import pytest

from servers.processes import free_port

JOBS = """
    def bad(*args, **kwargs):
        raise RuntimeError("of the recording's user")

    {settings}

    class Own(Exception):
        pass

    @td.job("unharmed", {options})
    def unharmed(n):
        if n == 3:
            raise Own(n, "as it was")
        with td.step("half"):
            return read(n).__class__(b"x") * n

    seen = []
    for n in range(5):
        try:
            seen.append(repr(unharmed(n)))
        except BaseException as error:
            seen.append([type(error).__name__, repr(error.args), repr(error.__cause__),
                         repr(error.__context__), type(error) is Own])
    import json
    print(json.dumps(seen))
"""
EXPECTED = ["b''", "b'x'", "b'xx'", ["Own", "(3, 'as it was')", "None", "None", True], "b'xxxx'"]
CALLBACKS = "on_start=bad, on_end=bad, on_ack=bad, on_loss=bad, on_error=bad"

WAYS = {
    "on": ("", "", {}),
    "off": ("", "", {"TRACEDIFF_ENABLED": "0"}),
    "wrong URL": ("", "", {"TRACEDIFF_STORE": "mongodb://::wrong::/?x"}),
    "unknown host": ("", "", {"TRACEDIFF_STORE": "GONE"}),
    "wrong credentials": ("", "", {"AWS_ACCESS_KEY_ID": "nobody"}),
    "missing bucket": ("", "", {"TRACEDIFF_STORE": "BUCKET"}),
    "unwritable spool": ("", "", {"TRACEDIFF_SPOOL": "/proc/nowhere"}),
    "wrong settings": ("", "", {"TRACEDIFF_SAMPLE": "many"}),
    "raising callbacks": (f"td.configure({CALLBACKS})", "", {}),
    "raising callbacks of a failing store": (
        f"td.configure({CALLBACKS})", "", {"TRACEDIFF_SPOOL": "/proc/nowhere"}
    ),
    "raising meta and context": ("", "meta=bad, context=bad", {}),
    "raising retention": ("", "retention=bad", {}),
    "impossible retention": ("", "retention=lambda trace: 'long'", {}),
    "wrong redaction rule": ("", "", {"TRACEDIFF_REDACT": "re:["}),
}  # fmt: skip


FAST = ("on", "off", "wrong URL", "unwritable spool", "raising callbacks")


@pytest.mark.parametrize(
    "way", [one if one in FAST else pytest.param(one, marks=pytest.mark.slow) for one in WAYS]
)
def test_a_job_is_the_same_whatever_befalls_its_recording(production, way):
    settings, options, variables = WAYS[way]
    urls = {
        "GONE": production.url(mongo=free_port(), serverSelectionTimeoutMS=300),
        "BUCKET": production.url().replace("traces-a", "no-such-bucket"),
    }
    more = {name: urls.get(value, value) for name, value in variables.items()}
    production.write(JOBS.format(settings=settings, options=options))
    out, _ = production.run(**more)
    assert json.loads(out) == EXPECTED
    rows = len(production.stored().rows)
    arrives = not variables
    assert rows == (5 if arrives else 0)
