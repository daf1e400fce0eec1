"""Traces that are too large, too many-labelled or that an index refuses: the others arrive."""

from __future__ import annotations

import pytest

KEYS = ["../../up", "a/../b", "nul\0in", "line\nbreak", "..", "bell\a", "é/ü/\U0001f4a5"]


def test_keys_and_tags_of_any_form_arrive_or_are_cut(production):
    production.write(f"""
        td.configure(on_ack=ledger("a"))
        for key in {KEYS!r}:
            @td.job(key)
            def one():
                td.tag(key)
            one()

        @td.job("tags")
        def many():
            td.tag(*(f"t{{n}}" for n in range(10_000)))
        many()

        @td.job("long")
        def long():
            td.tag("x" * 1_000_000)
        long()
    """)
    assert production.run() == ("", "")
    found = production.verify()
    assert len(found.rows) == len(production.acknowledged()) == len(KEYS) + 2
    assert {frame.row["key"] for frame in found.frames} == {*KEYS, "tags", "long"}
    assert all(len(tag) <= 200 for frame in found.frames for tag in frame.row["tags"])
    assert all(len(frame.row["tags"]) <= 256 for frame in found.frames)


def test_a_trace_whose_row_the_index_refuses_is_set_aside_and_the_others_arrive(production):
    """Its context is more than a row may have; what it holds is in S3 and in the spool."""
    production.write("""
        td.configure(on_ack=ledger("a"))

        @td.job("poisoned", context=lambda: {f"field {n}": "x" * 900 for n in range(100)})
        def poisoned():
            return 1

        job("before")
        assert poisoned() == 1
        job("after")
        assert td.flush(50, upload=True)
    """)
    _, err = production.run()
    assert "tracediff keeps trace" in err
    assert len(production.acknowledged()) == 3
    found = production.verify(rejected=1)
    assert {"before", "after"} <= found.jobs.keys()
    (aside,) = production.spools[0].glob("rejected/*")
    assert aside.name.removesuffix(".seg") in production.acknowledged()
    said = [one["what"] for one in production.doctor() if not one["ok"]]
    assert any("1 traces lie in" in one for one in said), said


@pytest.mark.slow
def test_a_trace_of_more_than_a_hundred_megabytes_arrives_whole(production):
    production.write("""
        td.configure(on_ack=ledger("a"))

        @td.job("large")
        def large():
            td.tag("large")
            return os.urandom(110_000_000)

        job("before")
        assert len(large()) == 110_000_000
        assert td.flush(50)  # it alone is more than may wait in memory: the next would be dropped
        job("after")
        sys.exit(not td.flush(50, upload=True))
    """)
    assert production.run() == ("", "")
    assert set(production.verify().jobs) == {"before", "large", "after"}
