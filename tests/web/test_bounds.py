"""Pages stay small and quick, however much of anything one trace has: a trace is untrusted."""

from __future__ import annotations

import pytest

from tracediff.model import Artifact, Autotracing, Code, Cut, Miss, ReplayInfo, Source, Step
from tracediff.testing import make_trace

LONG = "x" * 200_000
SMALL = 400_000
"""Characters of a page, more than any of these needs."""


def job(**given):
    return Step(**({"parent": -1, "kind": "job", "name": "price"} | given))


def miss():
    return Miss(kind="input", name=LONG, args=None, path=(LONG,), hint=LONG)


EXTREME = {
    "a key of many parts": {"key": "/".join(["k"] * 20_000)},
    "a long key": {"key": LONG},
    "many tags": {"tags": tuple(f"t{at}" for at in range(10_000))},
    "a long tag": {"tags": (LONG,)},
    "many fields": {"context": {f"c{at}": at for at in range(10_000)}},
    "a long field": {"context": {LONG: LONG}},
    "long warnings": {"warnings": (LONG,) * 50},
    "many artifacts": {
        "artifacts": tuple(Artifact(name="a", sha256="0" * 64, size=1) for _ in range(5_000))
    },
    "long autotracing": {
        "autotracing": Autotracing(patterns=(LONG,), cuts=(Cut(unit=LONG, by="calls", calls=1),))
    },
    "long misses": {"replay": ReplayInfo(of=LONG, misses=(miss(),) * 20)},
    "long surroundings": {"job": LONG, "code": Code(python=LONG)},
    "many arguments changed": {"steps": (job(mutated=("m",) * 100_000),)},
    "a long source": {"steps": (job(source=Source(LONG, 1, LONG)),)},
}


@pytest.mark.parametrize("extreme", EXTREME.values(), ids=EXTREME)
def test_the_page_of_a_trace_stays_small(made, site, signed_in, extreme):
    client = signed_in(site(made(make_trace("abc", **extreme))))
    for path in ("/trace/abc", "/trace/abc/step/0", "/compare/abc", "/explain/abc"):
        found = client.get(path)
        assert found.status_code == 200
        assert len(found.text) < SMALL


def test_others_of_a_key_are_told_in_short_before_a_comparison(made, site, signed_in):
    one, other = make_trace("abc", meta=LONG), make_trace("abd", meta=LONG)
    found = signed_in(site(made(one, other))).get("/compare/abc").text
    assert "/compare/abc/abd" in found or "/compare/abd/abc" in found
    assert len(found) < 20_000


def test_a_step_below_very_many_names_the_last_of_them(made, site, signed_in):
    steps = (job(), *(Step(parent=at, kind="step", name=f"s{at}-") for at in range(2_000)))
    client = signed_in(site(made(make_trace("abc", steps=steps))))
    found = client.get("/trace/abc/step/2000").text
    assert "s1999-" in found
    assert "s1900-" not in found


def test_a_trace_with_no_step_is_refused_as_one_that_cannot_be_read(made, site, signed_in):
    client = signed_in(site(made(make_trace("abc", steps=()))))
    for path in ("/trace/abc", "/trace/abc/lines", "/compare/abc/abc"):
        found = client.get(path)
        assert found.status_code == 422
        assert "has no steps" in found.text


def test_a_key_of_very_many_parts_completes_as_far_as_an_address_goes(made, site, signed_in):
    client = signed_in(site(made(make_trace("abc", key="/".join(["key"] * 5_000)))))
    found = client.get("/list/complete", params={"q": "key"}).text
    assert found.count("data-href") == 6


@pytest.mark.parametrize("number", ["x", "-1", "\u0661", "9" * 5_000])
def test_what_is_no_number_of_a_line_is_refused(made, site, signed_in, number):
    client = signed_in(site(made(make_trace("abc"))))
    assert client.get(f"/compare/abc/abc/pair/{number}").status_code == 400
    assert client.get(f"/trace/abc/step/{number}").status_code == 400


def test_a_key_of_very_many_parts_has_some_chips_and_one_of_the_rest(made, site, signed_in):
    key = "/".join(["k"] * 1_500)
    found = signed_in(site(made(make_trace("abc", key=key)))).get("/", params={"key": key}).text
    assert found.count('class="chip of-key"') == 41
    assert len(found) < SMALL
