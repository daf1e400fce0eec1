"""``--format html``: a page in one file, with the exit codes that the text has."""

from __future__ import annotations

import json
import re


def test_a_trace_and_a_comparison_are_written_as_pages(project, tmp_path):
    project.change("prices.py", "return 19", "return 20")
    show, compared = tmp_path / "trace.html", tmp_path / "compare.html"
    trace, printed, page, plain, other = project.batch(
        ["show", "price/one@last", "--format", "html", "-o", show],
        ["show", "price/one@last", "--format", "html"],
        ["compare", "price/one@last", "--format", "html", "-o", compared, "--rel-tol", "1e-9"],
        ["compare", "price/one@last", "--format", "text"],
        ["compare", "price/one@{2}", "price/one@{1}", "--format", "html"],
    )
    assert (trace.code, trace.out, trace.err) == (0, "", "")
    assert printed.out == show.read_text("ascii")
    assert re.search(r"<title>[^<]*price/one &#183; tracediff</title>", printed.out)
    assert (page.code, page.out) == (plain.code, "") == (1, "")
    written = compared.read_text("ascii")
    assert "different" in written
    assert "VAT rate" in written
    assert "rel 1e-09" in written
    assert other.code == 1
    assert other.out.startswith("<!doctype html>")


def test_a_page_is_of_all_steps(project):
    done = project.run("show", "@last", "--step", "1", "--format", "html")
    assert (done.code, done.out) == (2, "")
    assert "leave --step out" in done.err


def test_only_a_page_needs_templates(project):
    code = (
        "import json, sys\n"
        "from tracediff.cli import exits, group\n"
        "for form in 'text', 'json', 'html':\n"
        "    exits.run(group, ['show', '@last', '--format', form])\n"
        "    sys.stderr.write(json.dumps('jinja2' in sys.modules) + '\\n')\n"
    )
    said = project.python(code).err.split()
    assert [json.loads(one) for one in said] == [False, False, True]
