"""Adding up a check: sums of causes and sums of all, spread, gates, what acceptances let pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tracediff.check.moving import MOST_TRACES, with_traces
from tracediff.check.sums import Sum
from tracediff.check.tallying import Draw, Gates, Tally
from tracediff.checked import Acceptance, Change, Checked, Group, Moved, Result, Shares

CHANGES = tuple(
    Change(id=f"{at:08x}", units=(f"m:{name}",), kind="constant", file="m.py", line=at + 1)
    for at, name in enumerate("ABC")
)
amounts = st.fractions(max_denominator=1000).filter(bool)


def changed(name: str, moved: dict[str, Fraction | None], cause: str = "told") -> Result:
    return Result(
        id=name, key="k", kind="changed", size=len(name), cause=cause, label=f"label {cause}",
        moved=tuple(Moved(field=it, old="a", new="b", change=by) for it, by in moved.items()),
    )  # fmt: skip


def checked(
    results: Sequence[Result],
    shares: Sequence[Shares] = (),
    *,
    noise: frozenset[tuple[str, str]] = frozenset(),
    gates: Gates | None = None,
    accepted: Sequence[str] = (),
    ways: str = "up and down and other",
    covered: frozenset[str] = frozenset(),
) -> Checked:
    tally = Tally({one.id: one for one in shares}, noise, covered=covered)
    for one in results:
        tally.add(one)
    given_ = [
        Acceptance(cause=one, label="", reason="because", fields={"result": ways})
        for one in accepted
    ]
    return with_traces(tally.checked(gates or Gates(), given_), results, tally)


def moved_by(group: Group, field: str) -> Fraction:
    return next((one.change for one in group.totals if one.field == field), Fraction(0))


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[Result], list[Shares]]:
    results, shares = [], []
    for number in range(draw(st.integers(1, 12))):
        name = f"t{number}"
        split = draw(st.lists(amounts, min_size=1, max_size=3))
        fields = {f"result.lines[{at}].net": split for at in range(draw(st.integers(1, 3)))}
        results.append(changed(name, {at: sum(them, Fraction(0)) for at, them in fields.items()}))
        if draw(st.booleans()):
            numbers = {at: tuple(them) for at, them in fields.items()}
            shares.append(Shares(id=name, changes=CHANGES[: len(split)], numbers=numbers))
    return results, shares


@given(traces())
def test_the_sums_of_all_causes_are_the_sums_of_all_traces(
    given_: tuple[list[Result], list[Shares]],
) -> None:
    results, shares = given_
    found = checked(results, shares)
    every = sum((one.change or Fraction(0) for it in results for one in it.moved), Fraction(0))
    assert [one.field for one in found.totals] == ["result.lines[].net"]
    assert found.totals[0].change == every
    assert sum(moved_by(group, "result.lines[].net") for group in found.groups) == every
    for group in found.groups:
        own = [one.change or Fraction(0) for one in group.traces]
        assert (len(own), sum(own)) == (group.count, moved_by(group, "result.lines[].net"))
        assert [*map(abs, own)] == sorted(map(abs, own), reverse=True)
    assert found.explained == len(shares)
    assert found.changed == len(results)


def test_shares_that_do_not_add_up_are_not_used() -> None:
    shares = Shares(id="a", changes=CHANGES[:1], numbers={"result": (Fraction(2),)})
    found = checked([changed("a", {"result": Fraction(3)})], [shares])
    assert (found.explained, [one.cause for one in found.groups]) == (0, ["told"])
    assert found.groups[0].totals[0].change == 3


def test_a_trace_with_two_causes_counts_in_both_and_once_in_all() -> None:
    shares = Shares(
        id="a", changes=CHANGES[:2], numbers={"result": (Fraction(5), Fraction(-2))},
        others={"state": (1,)},
    )  # fmt: skip
    found = checked([changed("a", {"result": Fraction(3), "state": None})], [shares])
    assert [(one.cause, one.count, moved_by(one, "result")) for one in found.groups] == [
        (CHANGES[0].id, 1, Fraction(5)), (CHANGES[1].id, 1, Fraction(-2)),
    ]  # fmt: skip
    assert [one.others for one in found.groups] == [{}, {"state": 1}]
    assert (found.changed, found.main) == (1, "result")


def test_a_cause_names_the_traces_that_it_moved_most_and_by_how_much() -> None:
    shares = Shares(
        id="c", changes=CHANGES[:2], numbers={"result": (Fraction(5), Fraction(-9))},
    )  # fmt: skip
    results = [
        changed("a", {"result": Fraction(3)}), changed("b", {"result": None, "x": Fraction(1)}),
        changed("c", {"result": Fraction(-4)}), changed("d", {"result": Fraction(-8)}),
        replace(changed("e", {}), kind="failed", moved=()), changed("f", {"at": Fraction(1)}),
    ]  # fmt: skip
    found = checked(results, [shares], noise=frozenset({("k", "at")}))
    told = {
        one.cause: [(it.id, it.change, it.old, it.new) for it in one.traces] for one in found.groups
    }
    assert told == {
        CHANGES[0].id: [("c", Fraction(5), "a", "b")],
        CHANGES[1].id: [("c", Fraction(-9), "a", "b")],
        "told": [("d", Fraction(-8), "a", "b"), ("a", Fraction(3), "a", "b"),
                 ("b", None, "a", "b")],
    }  # fmt: skip


def test_so_many_traces_of_a_cause_are_named_and_no_more() -> None:
    count = 3 * MOST_TRACES
    found = checked([changed(f"{at:06}", {"result": Fraction(at)}) for at in range(1, count)])
    (group,) = found.groups
    assert group.count == count - 1
    assert [one.change for one in group.traces] == list(range(count - 1, 2 * MOST_TRACES - 1, -1))


def test_noise_is_shown_apart_and_breaks_nothing() -> None:
    some = [
        changed("a", {"result.at": Fraction(7)}),
        changed("bb", {"result.at": Fraction(1), "result.net": Fraction(2)}),
    ]
    found = checked(some, noise=frozenset({("k", "result.at")}), gates=Gates(max_changed=1))
    assert (found.same, found.changed, found.broken) == (1, 1, ())
    assert [(one.field, one.count, one.example) for one in found.noise] == [("result.at", 2, "a")]
    assert [one.field for one in found.totals] == ["result.net"]
    other_key = checked(some, noise=frozenset({("other", "result.at")}))
    assert other_key.changed == 2


def test_noise_of_one_trace_is_that_of_no_other() -> None:
    some = [changed(name, {"result": Fraction(7)}) for name in ("a", "b")]
    noise = Shares(id="a", noise=("result",), unproven=("result",))
    found = checked(some, [noise])
    assert (found.same, found.changed, [one.count for one in found.noise]) == (1, 1, [1])
    upgraded = [replace(one, surroundings="numpy 1 → 2") for one in some]
    assert checked(upgraded, [noise]).changed == 2
    assert checked(upgraded, [replace(noise, unproven=())]).changed == 1
    assert checked(some, [replace(noise, refused="the recorded code gives another")]).changed == 2


def test_accepted_causes_let_pass_what_they_explain_whole_and_nothing_else() -> None:
    first, second, third = (one.id for one in CHANGES)
    both = {"result": (Fraction(1), Fraction(1))}
    results = [changed(name, {"result": Fraction(2)}) for name in ("a", "b")]
    results += [changed("c", {"result": Fraction(4)})]
    shares = [
        Shares(id="a", changes=CHANGES[:2], numbers=both),
        Shares(id="b", changes=CHANGES[1:], numbers=both),
        Shares(id="c", changes=CHANGES[:1], numbers={"result": (Fraction(4),)}),
    ]
    found = checked(results, shares, accepted=[first, second])
    assert (found.changed, found.accepted) == (3, 2)
    assert found.broken == ("1 trace differs, and at most 0 may",)
    assert checked(results, shares, accepted=[first, second, third]).broken == ()
    drifting = checked(results, shares, accepted=[first, second, third], ways="down")
    assert (drifting.accepted, drifting.broken) == (0, ("3 traces differ, and at most 0 may",))
    assert all(group.drift and not group.passes for group in drifting.groups)
    total = Gates(max_changed=9, max_total=Fraction(2))
    assert checked(results, shares, gates=total).broken == (
        "result moves by +8.00 in all, and may by at most 2.00",
    )
    assert checked(results, shares, gates=total, accepted=[first]).broken == (
        "result moves by +3.00 in all, and may by at most 2.00",
    )


@given(st.lists(amounts, min_size=1, max_size=40))
def test_the_spread_of_a_sum_holds_every_amount_near_where_it_is(some: list[Fraction]) -> None:
    total = Sum()
    for one in some:
        total.add(one)
    found = total.total("f")
    assert (found.change, found.least, found.most) == (sum(some), min(some), max(some))
    assert sum(one.count for one in found.bins) == len(some)
    width = found.bins[0].high - found.bins[0].low
    for edge in found.bins:
        below = sum(one.count for one in found.bins if one.high <= edge.high)
        slack = abs(edge.high) * 0.06 + 1e-9
        assert sum(float(one) <= edge.high - slack for one in some) <= below
        assert below <= sum(float(one) <= edge.high + slack for one in some)
        assert edge.high - edge.low <= width * 1.000001 + 1e-9


def test_amounts_beyond_floats_are_added_exactly() -> None:
    total = Sum()
    for one in (Fraction(10**400), Fraction(-(10**400)), Fraction(1, 3)):
        total.add(one)
    found = total.total("f")
    assert found.change == Fraction(1, 3)
    assert sum(one.count for one in found.bins) == 3


def test_all_are_explained_while_they_are_few_and_then_some_of_each_group() -> None:
    some = [changed(f"{number:03}", {}, cause="common") for number in range(50)]
    some += [changed("x", {}, cause="rare"), changed("1", {}, cause="common")]

    def drawn(most: int | None, results: Sequence[Result]) -> list[str]:
        draw = Draw(most)
        for one in results:
            draw.add(one)
        return draw.ids()

    assert len(set(drawn(None, some))) == 52
    assert drawn(3, some)[:2] == ["1", "x"]
    assert len(drawn(10, some)) == 10
    assert drawn(10, some) == drawn(10, some[::-1])


def test_what_accepted_causes_alone_explain_passes_though_it_is_not_told_apart() -> None:
    some = [changed(name, {"result": Fraction(2)}) for name in ("a", "b", "c")]
    covered = frozenset({"a", "c"})
    found = checked(some, covered=covered, accepted=["0badcafe"])
    assert (found.changed, found.accepted) == (3, 2)
    assert [(one.label, one.count, one.passes) for one in found.groups] == [
        ("accepted causes together", 2, True), ("label told", 1, False),
    ]  # fmt: skip
    assert sum(moved_by(group, "result") for group in found.groups) == 6
    lowered = checked(some, covered=covered, accepted=["0badcafe"], ways="down")
    assert (lowered.accepted, len(lowered.broken)) == (0, 1)


def test_noise_of_a_job_hides_no_change_that_is_explained() -> None:
    some = [changed(name, {"result": Fraction(2)}) for name in ("a", "b")]
    shares = Shares(id="a", changes=CHANGES[:1], numbers={"result": (Fraction(2),)})
    found = checked(some, [shares], noise=frozenset({("k", "result")}))
    assert (found.same, found.changed, found.explained) == (1, 1, 1)


def test_a_sum_of_a_result_is_told_before_that_of_its_lines() -> None:
    some = [changed("a", {"result.lines[0].net": Fraction(9), "result.total": Fraction(8)})]
    assert checked(some).main == "result.total"
