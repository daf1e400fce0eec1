"""Naming a trace on the command line: what every form finds, and what is refused and how."""

from __future__ import annotations

import json


def shown(project, reference):
    done = project.run("show", reference, "--format", "json")
    assert done.code == 0, done
    return json.loads(done.out)["id"]


def test_every_form_of_a_reference_finds_its_trace(project, tmp_path):
    pear, apple, last, middle, first = project.ids()
    target = tmp_path / "a.trace.json"
    assert project.run("pull", first, "-o", target).code == 0
    renamed = target.rename(tmp_path / "no-ending")
    target.write_bytes(renamed.read_bytes())
    assert shown(project, last) == last
    unique = next(
        last[:n]
        for n in range(1, 21)
        if sum(i.startswith(last[:n]) for i in (pear, apple, last, middle, first)) == 1
    )
    assert shown(project, unique) == last
    assert shown(project, "@last") == pear
    assert shown(project, "@{1}") == apple
    assert shown(project, "price@last") == last
    assert shown(project, "price/one@last") == last
    assert shown(project, "price/one@{0}") == last
    assert shown(project, "price/one@{2}") == first
    assert shown(project, str(target)) == first
    assert shown(project, str(renamed)) == first


def test_a_start_that_several_ids_share_is_refused_with_the_ids(project):
    some = project.ids()
    said = project.refused("show", some[0][:2], slug="trace-ambiguous", words=("type more",))
    assert all(one in said for one in some)


def test_a_reference_to_no_trace_is_refused(project):
    project.refused("show", "zzzz", slug="trace-unknown", words=("zzzz", "tracediff ls"))
    project.refused("show", "price/one@{3}", slug="trace-unknown", words=("3 traces",))
    project.refused("show", "price/two@last", slug="trace-unknown", words=("price/two",))
    project.refused("show", "Not An Id!", slug="reference-invalid", words=("@last",))


def test_a_reference_into_a_store_that_is_not_configured_names_a_near_one(project):
    text = (project.directory / "pyproject.toml").read_text()
    project.write("pyproject.toml", f'{text}[tool.tracediff.stores.prod]\nindex = "prod"\n')
    project.refused(
        "show", "prd:@last", slug="reference-invalid", words=("'prd'", "did you mean 'prod'")
    )
    project.refused("show", "prod:@last", slug="store-missing", words=("prod",))


def test_a_file_that_is_not_there_or_a_directory_is_refused(project, tmp_path):
    project.refused("show", "missing.trace.json", slug="trace-unknown", words=("no file",))
    project.refused("show", tmp_path, slug="trace-unknown", words=("is a directory",))
    (tmp_path / "d.json").mkdir()
    project.refused("show", tmp_path / "d.json", slug="trace-unknown", words=("is a directory",))


def test_a_file_that_is_no_trace_or_a_newer_one_is_refused(project, tmp_path):
    target = tmp_path / "x.json"
    assert project.run("pull", "@last", "-o", target).code == 0
    text = target.read_text(encoding="utf-8")
    for wrong in (
        "",
        "[]",
        "{}",
        "null",
        '{"tracediff": 1}',
        text[: len(text) // 2],
        "\0",
        "[" * 9999,
    ):
        target.write_text(wrong, encoding="utf-8")
        done = project.run("show", target)
        assert (done.code, done.out) == (2, ""), (wrong[:20], done)
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err
        assert str(target) in done.err
    target.write_bytes(b"\xff\xfe\x00")
    project.refused("show", target, slug="trace-unknown", words=("cannot be read",))
    target.write_text("{}", encoding="utf-8")
    project.refused("compare", target, slug="trace-unreadable", words=(str(target),))
    target.write_text(text.replace('"tracediff": 1', '"tracediff": 999', 1), encoding="utf-8")
    project.refused("show", target, slug="schema-newer", words=("999",))


def test_a_step_that_is_not_there_or_not_the_only_one_is_refused(project):
    project.refused(
        "show", "price/one@last", "--step", "VAT rat", slug="step-unknown", words=("VAT rate",)
    )
    project.refused("show", "price/one@last", "--step", "99", slug="step-unknown")
    project.change("orders.py", 'td.step("Round"), td.step("Guard")', 'td.step("Count")')
    assert project.python('import orders; orders.total("apple")').code == 0
    project.refused(
        "show", "@last", "--step", "Count", slug="step-ambiguous", words=("line number",)
    )
