"""``tracediff explain``: in a real repository, with changes of two people, in every format."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tracediff.errors import ReplayError
from tracediff.explain.explaining import _field
from tracediff.reports.explanation import explanation_schema

TAXES = """\
RATE = 19


def rounded(amount):
    return amount // 100
"""

JOB = """\
import tracediff as td
from taxes import RATE, rounded


@td.step("VAT")
def vat(net):
    return rounded(net * RATE)


def label(net):
    return "net " + str(net)


@td.job("price/one")
def price(net):
    label(net)
    return {"vat": vat(net), "total": net + vat(net)}
"""


def git(directory: Path, *args: str, author: str = "Ada") -> None:
    name = ("-c", f"user.name={author}", "-c", "user.email=a@example.com")
    subprocess.run(
        ["git", *name, "-c", "commit.gpgsign=false", *args], cwd=directory, check=True,
        capture_output=True,
    )  # fmt: skip


@pytest.fixture
def priced(empty):
    """A repository in which a price was recorded before three commits changed its code."""
    empty.write("pyproject.toml", '[tool.tracediff]\njobs = ["job"]\n')
    empty.write(".gitignore", ".tracediff/\n")
    empty.write("taxes.py", TAXES)
    empty.write("job.py", JOB)
    git(empty.directory, "init", "-q", "-b", "main")
    git(empty.directory, "add", ".")
    git(empty.directory, "commit", "-qm", "Work out prices")
    git(empty.directory, "tag", "recorded")
    assert empty.python("import job; job.price(9999)").code == 0
    for file, old, new, author, subject in (
        ("taxes.py", "RATE = 19", "RATE = 21", "Bea", "Raise the VAT"),
        ("taxes.py", "amount // 100", "-(-amount // 100)", "Cem", "Round up"),
        ("job.py", '"net " + str(net)', 'f"net {net}"', "Dia", "Say it shorter"),
    ):
        empty.change(file, old, new)
        git(empty.directory, "commit", "-qam", subject, author=author)
    return empty


@pytest.mark.slow
def test_each_change_has_its_share_its_line_and_its_commit(priced, tmp_path):
    picture = tmp_path / "why.svg"
    text, machine, page, drawn = priced.batch(
        ["explain", "@last"],
        ["explain", "@last", "--format", "json"],
        ["explain", "@last", "--format", "html"],
        ["explain", "@last", "--field", "result.vat", "--format", "svg", "-o", picture],
    )
    assert [one.code for one in (text, machine, page, drawn)] == [1, 1, 1, 1]
    assert [one.err for one in (text, machine, page, drawn)] == ["", "", "", ""]
    lines = text.out.splitlines()
    assert any("✗ different" in line and "11898 → 12099" in line for line in lines)
    assert any(line.startswith(" ✓ 3/3 steps reproduced at ") for line in lines)
    assert any("1 RATE" in line and "+200" in line and "taxes.py:1" in line for line in lines)
    assert any("2 rounded" in line and "+1 " in line and "taxes.py:5" in line for line in lines)
    assert " ✓ +200 +1 = +201 = 12099 - 11898" in lines
    for who in ("Raise the VAT", "Bea", "Round up", "Cem"):
        assert who in text.out
    assert "1 changed unit ran and changed nothing" in text.out
    assert "job:label" in text.out

    found = machine.document
    assert set(found) == set(explanation_schema()["required"])
    main = found["effects"][found["main"]]
    assert main["path"] == ["result", "total"]
    assert [Fraction(one["exact"]) for one in main["shares"]] == [200, 1]
    names = [cause["units"][0]["name"] for cause in found["causes"]]
    assert names == ["taxes:RATE", "taxes:rounded"]
    assert [one["name"] for one in found["innocent"]] == ["job:label"]

    for shown in ("RATE", "+200", "Raise the VAT", "Bea", "job:label", 'href="#line-1"'):
        assert shown in page.out

    assert drawn.out == ""
    root = ET.fromstring(picture.read_text("ascii"))
    assert root[0].text == "Why result.vat changed from 1899 to 2100"
    assert "RATE +200" in (root[1].text or "")


@pytest.mark.slow
def test_what_did_not_change_needs_no_explanation(priced):
    same, document = priced.batch(
        ["explain", "@last", "--against", "recorded"],
        ["explain", "@last", "--against", "recorded", "--format", "json"],
    )
    assert (same.code, document.code) == (0, 0)
    assert "there is no change to explain" in same.out
    assert document.document["different"] is False
    assert document.document["causes"] == []


@pytest.mark.slow
def test_a_field_that_did_not_change_is_refused(priced):
    done = priced.run("explain", "@last", "--field", "result.nope", "--format", "json")
    assert (done.code, done.out) == (2, "")
    said = json.loads(done.err)
    assert said["slug"] == "field-unknown"
    assert "result.total" in said["error"]


def test_a_field_is_named_by_its_end_where_no_other_ends_so():
    names = ["result.total", "result.tax.total", "output.Saving price.vat"]
    assert [_field(names, one) for one in ("result.total", "total", "tax.total", "vat")] == [
        0, 0, 1, 2,
    ]  # fmt: skip
    with pytest.raises(ReplayError, match="none of those that changed"):
        _field(names, "otal")
    with pytest.raises(ReplayError, match="several fields that changed end in 'vat'"):
        _field(["output.A.vat", "result.tax.vat"], "vat")


def test_the_other_side_is_named_once(project):
    project.refused("explain", "@last", "@last", "--against", "HEAD", slug="usage")
    project.refused("explain", "nothing", slug="trace-unknown")
