"""What a trace ran with: its code, its libraries, its time; and which traces are asked for."""

from __future__ import annotations

import shutil

import pytest

from tracediff.demo import git

pytestmark = pytest.mark.slow

PRICE = """
    import tracediff as td

    @td.job("price")
    def price(net):
        return net * 2
    """
LIBRARY = """
    import tracediff as td
    import rates_of_vat

    @td.job("price")
    def price(net):
        return net * rates_of_vat.RATE
    """
SLOW = """
    import time
    import tracediff as td

    @td.job("price")
    def price(net):
        time.sleep(2)
        return net
    """
WEIGHT = """
    from pathlib import Path
    import tracediff as td

    @td.job("price")
    def price(path):
        return int(Path(path).read_text())
    """
RECORD = "from shop.jobs import price; price(10)"


def test_the_recorded_code_is_replayed_though_todays_gives_something_else(project):
    project.write("shop/jobs.py", PRICE)
    project.write(".gitignore", ".tracediff/\n")
    git(project.directory, "init", "--quiet", "--template=")
    git(project.directory, "add", "--all")
    git(project.directory, "commit", "--quiet", "--message", "first")
    project.record("-c", RECORD)
    project.change("shop/jobs.py", "net * 2", "net * 3")
    told = project.doctor("price")
    assert (told.code, told.document["reasons"]) == (0, [])


def test_code_that_is_not_to_be_had_is_told(project):
    project.write("shop/jobs.py", PRICE)
    project.record("-c", RECORD)
    project.change("shop/jobs.py", "net * 2", "net * 3")
    shutil.rmtree(project.directory / ".tracediff" / "sources")
    reason = project.doctor("price").reason("code-missing")
    assert "does not say on which commit" in reason["subjects"][0]
    assert "TRACEDIFF_CODE_VERSION" in reason["remedies"][0]["lines"][0]


def test_other_versions_of_libraries_are_told_and_the_recorded_ones_mend_it(project, tmp_path):
    for version, rate in (("1.0", 2), ("2.0", 3)):
        place = tmp_path / version
        (place / f"rates_of_vat-{version}.dist-info").mkdir(parents=True)
        (place / "rates_of_vat.py").write_text(f"RATE = {rate}\n")
        head = f"Metadata-Version: 2.1\nName: rates-of-vat\nVersion: {version}\n"
        (place / f"rates_of_vat-{version}.dist-info" / "METADATA").write_text(head)
        (place / f"rates_of_vat-{version}.dist-info" / "RECORD").write_text("rates_of_vat.py,,\n")
    project.write("shop/jobs.py", LIBRARY)
    project.record("-c", RECORD, PYTHONPATH=str(tmp_path / "1.0"))
    told = project.doctor("price", PYTHONPATH=str(tmp_path / "2.0"))
    reason = told.reason("libraries-differ")
    assert reason["subjects"] == ["rates-of-vat 1.0 → 2.0"]
    get, use = reason["remedies"]
    assert get["lines"] == ["pip install --target .recorded rates-of-vat==1.0"]
    shutil.copytree(tmp_path / "1.0", project.directory / ".recorded")
    project.paste(use["lines"])
    told = project.doctor("price", PYTHONPATH=str(tmp_path / "2.0"))
    assert (told.code, told.document["reasons"]) == (0, [])


def test_a_replay_that_takes_too_long_is_told_with_the_limit_that_mends_it(project):
    project.write("shop/jobs.py", SLOW)
    project.paste(["replay_timeout = 1"])
    project.record("-c", RECORD)
    told = project.doctor("price")
    (remedy,) = told.reason("replay-timeout")["remedies"]
    assert remedy["settings"]["replay_timeout"] >= 4
    assert told.document["settings"] == remedy["lines"]
    project.paste(remedy["lines"])
    assert project.doctor("price").code == 0


def test_a_job_that_was_renamed_is_told_with_the_near_key(project):
    project.write("shop/jobs.py", PRICE)
    project.record("-c", RECORD)
    project.write("shop/jobs.py", PRICE.replace('"price"', '"prices"').replace("price(", "gross("))
    shutil.rmtree(project.directory / ".tracediff" / "sources")
    reasons = project.doctor("price").document["reasons"]
    renamed = next(one for one in reasons if one["kind"] == "job-unknown")
    assert renamed["remedies"][0]["said"] == "did you mean 'prices'?"
    assert renamed["remedies"][1]["lines"] == ['entry = ["shop.jobs:price"]']


def test_a_trace_from_before_its_library_was_an_input_needs_nothing_but_another(project, tmp_path):
    project.write("shop/jobs.py", WEIGHT)
    weight = tmp_path / "weight.txt"
    weight.write_text("3")
    project.record("-c", f"from shop.jobs import price; price({str(weight)!r})")
    project.paste(['inputs = ["open"]'])
    told = project.doctor("price")
    (remedy,) = told.reason("recorded-before")["remedies"]
    assert (remedy["done"], remedy["lines"]) == (True, [])
    assert told.document["settings"] == []


def test_a_key_without_traces_is_an_error(project):
    told = project.doctor("nothing")
    assert told.code == 2
    assert "nothing-selected" in told.err
