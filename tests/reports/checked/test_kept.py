"""A check that was kept is read back whole, or refused; what it holds is believed in nothing."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracediff.check.accepting import entry_of
from tracediff.check.keptcheck import Kept, as_accepted, kept_check, kept_document
from tracediff.checked import Checked, Ran
from tracediff.errors import ExpectationError
from tracediff.reports.check import check_document
from tracediff.reports.pages.checkview import check_html, since_words

Checks = Callable[[str], Checked]
RAN = Ran(at="2026-11-26T15:29:12+00:00", state="243f", commit="0370cd7", dirty=False)


def read(path: Path, document: Any) -> Kept:
    path.write_text(json.dumps(document), encoding="utf-8")
    return kept_check(path)


def test_what_was_kept_is_read_back_as_it_was(
    any_check: Checked, checking: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "last.json"
    if any_check.groups and any_check.groups[0].cause == checking["EVIL"]:
        with pytest.raises(ExpectationError) as caught:  # its causes have no ids
            read(path, kept_document(any_check, RAN))
        assert caught.value.slug == "check-unreadable"
        return
    found = read(path, kept_document(any_check, RAN))
    assert found.ran == RAN
    assert check_document(found.found) == check_document(any_check)
    assert check_html(found.found) == check_html(any_check)
    assert read(path, check_document(any_check)).ran is None


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(document, dict):
        for name, one in document.items():
            yield (*path, name)
            yield from places(one, (*path, name))
    elif isinstance(document, list) and document:
        yield (*path, 0)
        yield from places(document[0], (*path, 0))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
    st.sampled_from([[], {}, [1], [[]], {"a": 1}, {"exact": "1/0"}, {"exact": "9" * 5000}, "1/0"]),
)  # fmt: skip


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_document_with_anything_in_it_is_shown_or_refused(
    data: st.DataObject, checked: Checks, tmp_path: Path
) -> None:
    document = copy.deepcopy(kept_document(checked("everything"), RAN))
    at = data.draw(st.sampled_from(sorted(places(document), key=str)))
    inner: Any = document
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = data.draw(ODD)
    with contextlib.suppress(ExpectationError):  # and nothing else is raised
        check_html(read(tmp_path / "last.json", document).found)


def test_a_cause_is_accepted_as_the_file_says_now(checked: Checks) -> None:
    found = checked("everything")
    first, second = found.groups[:2]
    assert (first.passes, second.passes) == (False, True)
    now = as_accepted(found, [entry_of(first, "as it should be")])
    assert [one.passes for one in now.groups] == [True, False, False, False, False]
    assert now.groups[0].accepted is not None
    assert (now.changed, now.accepted, now.broken) == (
        found.changed, found.accepted, found.broken,
    )  # fmt: skip
    assert since_words(found, now) == (
        "1 of 4 causes that it fails for is accepted since: the next check passes it. "
        "1 cause was accepted then and is not any more: the next check fails for that."
    )
    drifting = replace(entry_of(first, "x"), fields={"result": "up"})
    assert as_accepted(found, [drifting]).groups[0].drift
    assert since_words(found, found) == ""
