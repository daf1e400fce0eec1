"""A trace whose every text attacks who looks at it: each page shows what it says, and no more."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from servers import chromium
from servers.chromium import too_wide
from tracediff import values
from tracediff.cli import exits, group
from tracediff.compare import compare
from tracediff.model import (
    Artifact,
    Autotracing,
    Code,
    Cut,
    Environment,
    ErrorInfo,
    Source,
    Step,
    Value,
)
from tracediff.reports.pages.onecomparison import comparison_html
from tracediff.reports.pages.onetrace import trace_html
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]

SCRIPT = "<script>window.pwned=1</script>"
ATTACKS = " ".join((
    '"><img src=x onerror=window.pwned=2>',
    "'><svg/onload=window.pwned=3>",
    "<img src=http://evil.example/a.png>",
    "javascript:window.pwned=4",
    "{{7*7}} {% for %} ${7*7} &lt;b&gt;",
    '<a hx-get="/stolen" hx-trigger="load" hx-on::load="window.pwned=5">a</a>',
    "</textarea></title></style></template></script><script>window.pwned=6</script>",
    "<!-- ]]> <base href=http://evil.example/><link rel=stylesheet href=//evil.example/a.css>",
    "\x00\x07\x08\x1b[31m\x9b0m\r",
    "\u202etxet eht snrut\u202c \u2066\u200f\ufeff",
    "\ud800 \udfff\ud83d",
    "z" + "\u0316\u0317\u0338" * 60,
    "\u0e47" * 60,
))  # fmt: skip
LONG = "W" * 100_000

HTML = b"<!doctype html><script>window.pwned=7;alert(7)</script><h1>taken over</h1>"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="window.pwned=8">'
    b"<script>window.pwned=9</script><image href='http://evil.example/b.png'/></svg>"
)


def text(name):
    """Begins with what must be seen of it."""
    return f"{name}{SCRIPT} {ATTACKS}"


def named(name):
    """As a class may be called."""
    return text(name).encode(errors="ignore").decode().replace("\0", "")


def value(obj):
    return Value(values.encode(obj))


def made_of(nth):
    kind = type("Kind", (), {"__repr__": lambda self: text("repr")})
    kind.__qualname__, kind.__module__ = named("type"), named("module")
    record = dataclasses.make_dataclass("Record", ["field"])
    record.__qualname__ = named("record")
    return {
        text("dict key"): text("string"),
        "kind": kind(),
        "record": record(text("field")),
        "long": LONG,
        "list": [text("member")] * 3,
        "nested": [[[[{text("deep"): {text("set member")}}]]]],
        "lines": "\n".join([text("line")] * 5),
        "price": nth,
    }


def error(depth=1):
    return ErrorInfo(
        type=text("error type"),
        message=text("message"),
        bases=(text("base"),),
        traceback="\n".join([text("traceback"), f'  File "{text("traced")}", line 1', LONG]),
        value=value(((text("error argument"),), {})),
        cause=error(0) if depth else None,
        members=(error(0),) if depth else (),
    )


def steps(nth):
    at = Source(text("source"), 12, text("unit"))
    given = value({text("argument"): text("given"), "nth": nth})
    return (
        Step(parent=-1, kind="job", name=text("job"), args=given, result=value(made_of(nth)),
             source=at, state="error"),
        Step(parent=0, kind="input", name=text("input"), args=given, result=value(nth), source=at),
        Step(parent=0, kind="step", name=text("failing"), state="error", error=error(),
             key=value(text("step key")), mutated=(text("mutated"),), start=10, duration=5),
        Step(parent=2, kind="note", name=text("head"), head=True),
        Step(parent=2, kind="note", name=text("note")),
        Step(parent=0, kind="step", name=LONG, result=value(LONG + str(nth))),
        Step(parent=0, kind="output", name=text("output"), args=value(made_of(nth))),
        Step(parent=0, kind="artifact", name=text("kept")),
    )  # fmt: skip


def kept(name, data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, sha256=digest, size=len(data), media_type=media_type, data=data)


def hostile(trace_id, nth):
    return make_trace(
        trace_id,
        key=f"{text('key').replace('/', '∕')}/{text('part').replace('/', '∕')}",
        job=text("code"),
        steps=steps(nth),
        state="error",
        depth="full",
        tags=(text("tag"), "ok:1", LONG[:2000]),
        meta=text("meta"),
        context={text("context"): text("context value"), "long": LONG[:2000], "number": nth},
        code=Code(
            commit=text("commit"),
            files={text("file"): text("blob")},
            distributions={text("distribution"): text("version")},
            python=text("python"),
            platform=text("platform"),
        ),
        environment=Environment(timezone=text("zone"), locale=text("locale")),
        artifacts=(
            kept(text("artifact"), b"%PDF-1.4", text("media")),
            kept("page.png", HTML, "image/png"),
            kept("drawing.png", SVG, "image/png"),
            kept("page.html", HTML, "text/html"),
            kept("drawing.svg", SVG, "image/svg+xml"),
        ),
        warnings=(text("warning"),),
        autotracing=Autotracing(
            patterns=(text("pattern"),), cuts=(Cut(unit=text("cut"), by="calls", calls=3),)
        ),
    )


# What no recorded text may become.
TAKEN_OVER = """() => {
  const bad = window.pwned === undefined ? [] : ["pwned " + window.pwned];
  const made = "base, iframe, object, embed, svg svg, svg script, svg image, template template, " +
    "img:not([src^='/trace/']):not([src^='data:image/png']), [hx-get='/stolen']";
  const away = /^\\s*(javascript|https?:|\\/\\/)/i;
  for (const one of document.querySelectorAll("*")) {
    if (one.matches(made)) bad.push(one.outerHTML.slice(0, 200));
    for (const { name, value } of one.attributes) {
      const leads = /^(href|src|action|formaction|xlink:href)$/.test(name) && away.test(value);
      if (leads || /^on|^(data-)?hx-on/.test(name)) bad.push(name + "=" + value.slice(0, 200));
    }
  }
  for (const one of document.scripts) {
    const own = one.src ? one.src.startsWith(location.origin + "/static/")
      : !one.textContent.includes("pwned");
    if (!own) bad.push(one.outerHTML.slice(0, 200));
  }
  return bad;
}"""

# Texts, also those that are read aloud or copied, with marks that turn or hide what follows.
STEERING = r"""() => {
  const steers = RegExp("[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u200e\\u200f" +
    "\\u2028-\\u202e\\u2060-\\u206f\\ufeff]");
  const texts = [document.title, document.body.innerText];
  for (const name of ["title", "aria-label", "alt", "data-copy", "value"])
    for (const one of document.querySelectorAll(`[${name}]`)) texts.push(one.getAttribute(name));
  return texts.filter((one) => steers.test(one)).map((one) => one.slice(one.search(steers), 100));
}"""

OPEN = """async () => {
  const lines = document.querySelector(".viewer")?.lines;
  for (const row of document.querySelectorAll(".line[data-open], .line[data-open-island]"))
    await lines.open(Number(row.id.slice(5)));
}"""

# Opens what is shut until there is nothing more, all the way down.
OPENED = """() => {
  const shut = [...document.querySelectorAll("details:not([open])")];
  for (const one of shut) one.open = true;
  const waits = [...document.querySelectorAll(".inside")].some((one) => one.textContent === "…");
  return !waits && !shut.length;
}"""

SHOWN = {
    "/": ("key", "part", "meta", "tag"),
    "/trace/h0": (
        *("key", "part", "meta", "tag", "context", "context value", "warning", "pattern", "cut"),
        *("artifact", "job", "input", "failing", "head", "note", "output", "kept", "code"),
        *("dict key", "string", "member", "deep", "set member", "line", "field", "argument"),
        *("given", "message", "traced", "error argument", "step key", "mutated"),
    ),
    "/compare/h0/h1": ("key", "job", "input", "output", "dict key"),
    "/compare/h0": ("key",),
    "/explain/h0": ("key",),
}
"""What each page has to show of the trace."""


def test_a_trace_whose_every_text_attacks_is_shown_inertly(made, browse):
    visit = browse(made(hostile("h0", 1), hostile("h1", 2)).config.root)
    for path, shown in SHOWN.items():
        page = visit(path)
        unharmed(page)
        start = page.locator("form.start button.primary")
        if start.count():  # refused: no setting allows the trace's job
            start.click()
            page.locator("[role=alert]").wait_for()
        page.evaluate(OPEN)
        page.wait_for_function(OPENED)
        unharmed(page)
        text = page.locator("body").inner_text().replace("∕", "/")
        missing = [name for name in shown if f"{name}{SCRIPT}" not in text]
        assert (path, missing) == (path, [])
        page.close()


def test_such_a_trace_in_one_file_is_shown_inertly(made, read, tmp_path, monkeypatch):
    monkeypatch.chdir(made(hostile("h0", 1), hostile("h1", 2)).config.root)
    for command in (["show", "h0"], ["compare", "h0", "h1"]):
        file = tmp_path / f"{command[0]}.html"
        exits.run(group, [*command, "--format", "html", "-o", str(file)])
        page = read(file)
        page.evaluate(OPEN)
        page.wait_for_function(OPENED)
        unharmed(page)
        assert f"dict key{SCRIPT}" in page.locator("body").inner_text()
        page.close()


def test_files_of_such_traces_are_inert_too(browser, tmp_path):
    old, new = hostile("h0", 1), hostile("h1", 2)
    files = {
        "/trace/h0": trace_html(old, now=0),
        "/compare/h0/h1": comparison_html(compare(old, new), now=0),
    }
    visit = chromium.Visitor(browser, f"file://{tmp_path}")
    with chromium.inside(browser):
        for path, text in files.items():
            (tmp_path / "page.html").write_text(text, "ascii")
            page = visit("/page.html")
            unharmed(page)
            page.evaluate(OPEN)
            page.wait_for_function(OPENED)
            unharmed(page)
            said = page.locator("body").inner_text().replace("∕", "/")
            missing = [name for name in SHOWN[path] if f"{name}{SCRIPT}" not in said]
            assert (path, missing) == (path, [])
        visit.close()
    assert visit.troubles == []


def unharmed(page):
    assert page.evaluate(TAKEN_OVER) == []
    assert page.evaluate(STEERING) == []
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert too_wide(page) == [], (page.url, width)


def test_an_artifact_that_is_a_page_is_never_one(made, browse):
    visit = browse(made(hostile("h0", 1)).config.root)
    page = visit("/trace/h0")
    for at in range(1, 5):
        with page.expect_download() as kept:
            page.evaluate("(to) => { location.href = to; }", f"/trace/h0/artifact/{at}")
        assert kept.value.path().read_bytes() in {HTML, SVG}
        answer = page.request.get(f"{visit.origin}/trace/h0/artifact/{at}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
    assert page.evaluate("window.pwned") is None
    for at in range(2, 5):  # nor where it is asked for as what it says it is
        page.set_content(f"<img src='{visit.origin}/trace/h0/artifact/{at}'>")
        assert page.evaluate("document.images[0].naturalWidth") == 0
