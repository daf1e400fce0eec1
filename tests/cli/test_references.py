"""Naming a trace on the command line: what every form finds, and what is refused and how."""

from __future__ import annotations


def test_every_form_of_a_reference_finds_its_trace(project, tmp_path):
    pear, apple, last, middle, first = ids = project.ids()
    target, bare = tmp_path / "a.trace.json", tmp_path / "no-ending"
    assert project.run("pull", first, "-o", target).code == 0
    bare.write_bytes(target.read_bytes())
    unique = next(
        last[:size] for size in range(1, 21) if sum(one.startswith(last[:size]) for one in ids) == 1
    )
    wanted = {
        last: last,
        unique: last,
        "@last": pear,
        "@{1}": apple,
        "price@last": last,
        "price/one@last": last,
        "price/one@{0}": last,
        "price/one@{1}": middle,
        "price/one@{2}": first,
        str(target): first,
        str(bare): first,
    }
    found = project.batch(*(["show", reference, "--format", "json"] for reference in wanted))
    assert [done.document["id"] for done in found] == list(wanted.values())


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
    wrong = ("", "[]", "{}", "null", '{"tracediff": 1}', text[: len(text) // 2], "\0", "[" * 9999)
    files = [tmp_path / f"{number}.json" for number in range(len(wrong))]
    for file, content in zip(files, wrong, strict=True):
        file.write_text(content, encoding="utf-8")
    for file, done in zip(files, project.batch(*(["show", file] for file in files)), strict=True):
        assert (done.code, done.out) == (2, ""), (file.read_text()[:20], done)
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err
        assert str(file) in done.err
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
