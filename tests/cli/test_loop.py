"""The daily loop in a project of ten lines: every command, its exit code and its document."""

from __future__ import annotations

import json
import re

import pytest


def test_compare_exits_0_on_unchanged_code(project):
    done = project.run("compare", "price/one@last")
    assert (done.code, done.err) == (0, "")
    assert "same" in done.out


def test_compare_exits_1_on_a_changed_constant_and_names_the_step(project):
    project.change("prices.py", "return 19", "return 20")
    done = project.run("compare", "price/one@last")
    assert (done.code, done.err) == (1, "")
    for word in ("VAT rate", "357", "360", "19", "20", "prices.py", "different"):
        assert word in done.out


def test_compare_exits_2_on_nonsense(project):
    project.refused("compare", "nonsense", slug="trace-unknown", words=("nonsense",))


def test_compare_exits_0_when_only_steps_differ_and_1_with_strict_steps(project):
    project.change("prices.py", "return 19", "return 19.0")
    project.change("prices.py", "net * (100", "int(net) * (100")
    project.change("prices.py", "// 100", "// 100 and 357")
    assert project.run("compare", "price/one@last").code == 0
    assert project.run("compare", "price/one@last", "--strict-steps").code == 1


@pytest.mark.parametrize(
    "accepting",
    [["--rel-tol", "0.01"], ["--abs-tol", "3"], ["--ignore", "result", "--ignore", "VAT rate"]],
    ids=lambda some: some[0],
)
def test_compare_accepts_what_a_tolerance_on_the_command_line_covers(project, accepting):
    project.change("prices.py", "return 19", "return 20")
    assert project.run("compare", "price/one@last", "--abs-tol", "0.5").code == 1
    done = project.run("compare", "price/one@last", *accepting, "--format", "json")
    assert done.code == 0, done


def test_a_comparison_as_json_is_the_same_verdict_with_the_first_divergence(project):
    project.change("prices.py", "return 19", "return 20")
    done = project.run("compare", "price/one@last", "--format", "json")
    found = done.document
    assert (done.code, done.err) == (1, "")
    assert found["schema"] == "tracediff/compare/1"
    assert found["different"] is True
    assert (found["key"], found["old"]["result"], found["new"]["result"]) == ("price/one", 357, 360)
    assert found["first"]["path"] == ["VAT rate"]
    assert found["first"]["label"] == "origin"
    assert found["first"]["changes"]["result"][0]["delta"] == "1"


def test_two_traces_are_compared_without_running_anything(project):
    (project.directory / "prices.py").unlink()
    newest, middle, _ = project.ids("price")
    assert project.run("compare", newest, middle).code == 1
    assert project.run("compare", newest, newest).code == 0


def test_compare_writes_its_report_to_a_file_and_keeps_its_exit_code(project, tmp_path):
    project.change("prices.py", "return 19", "return 20")
    target = tmp_path / "new" / "report.txt"
    done = project.run("compare", "price/one@last", "-o", target)
    assert (done.code, done.out) == (1, "")
    assert "VAT rate" in target.read_text(encoding="utf-8")
    done = project.run("compare", "price/one@last", "-o", target, "--format", "json")
    assert json.loads(target.read_text(encoding="utf-8"))["different"] is True


def test_ls_lists_the_newest_first_and_filters(project):
    rows = project.run("ls", "--format", "json").document["traces"]
    assert [row["key"] for row in rows] == ["order/total"] * 2 + ["price/one"] * 3
    assert [row["started_at"] for row in rows] == sorted(
        (row["started_at"] for row in rows), reverse=True
    )
    assert len(project.ids("price")) == len(project.ids("price/one")) == 3
    assert project.ids("pri") == []
    assert project.ids("--tag", "item:pear") == [rows[0]["id"]]
    assert project.ids("--tag", "item:pear", "--tag", "item:apple") == [r["id"] for r in rows[:2]]
    assert project.ids("--state", "error") == [rows[0]["id"]]
    assert len(project.ids("--since", "1h")) == 5
    assert project.ids("--since", "2999-01-01") == []
    assert project.ids("--limit", "2") == [row["id"] for row in rows[:2]]


def test_ls_goes_on_where_the_page_before_ended(project):
    whole = project.ids()
    first = project.run("ls", "--limit", "2", "--format", "json").document
    again = project.run("ls", "--limit", "2", "--cursor", first["cursor"], "--format", "json")
    assert [row["id"] for row in again.document["traces"]] == whole[2:4]
    text = project.run("ls", "--limit", "2")
    assert first["cursor"] in text.out
    assert whole[0] in text.out
    assert whole[2] not in text.out


def test_ls_of_an_empty_project_says_so_on_stderr_and_makes_nothing(empty):
    done = empty.run("ls")
    assert (done.code, done.out) == (0, "")
    assert "no traces" in done.err
    assert empty.run("ls", "--format", "json").document["traces"] == []
    assert not (empty.directory / ".tracediff").exists()


def test_show_shows_a_trace_and_one_step_of_it(project):
    done = project.run("show", "price/one@last")
    assert (done.code, done.err) == (0, "")
    for word in ("price", "one", "net=300", "VAT rate", "357", "success"):
        assert word in done.out
    step = project.run("show", "price/one@last", "--step", "VAT rate")
    assert "19" in step.out
    assert "DE" in step.out
    assert "357" not in step.out


def test_show_as_json_is_a_trace_file_and_of_a_step_that_step(project, tmp_path):
    target = tmp_path / "shown.json"
    assert project.run("show", "price/one@last", "--format", "json", "-o", target).code == 0
    assert project.run("compare", target, "price/one@last").code == 0
    step = project.run("show", "price/one@last", "--step", "1", "--format", "json").document
    assert (step["schema"], step["path"], step["result"]) == ("tracediff/step/1", ["VAT rate"], 19)


def test_pull_writes_one_file_or_many_and_names_them_on_stdout(project, tmp_path):
    done = project.run("pull", "price/one@last", "price/one@{1}", "-o", tmp_path / "traces")
    files = done.out.splitlines()
    assert (done.code, done.err, len(files)) == (0, "", 2)
    assert all(project.run("compare", one, one).code == 0 for one in files)
    one = project.run("pull", "@last", "-o", tmp_path / "one.json", "--format", "json").document
    assert one == {"schema": "tracediff/pull/1", "files": [str(tmp_path / "one.json")]}
    here = project.run(
        "pull", "@last", cwd=tmp_path, TRACEDIFF_STORE=f"{project.directory}/.tracediff"
    )
    assert (tmp_path / here.out.strip()).is_file()


def test_replay_shows_the_new_trace_and_as_json_gives_a_trace_file(project, tmp_path):
    project.change("prices.py", "return 19", "return 20")
    done = project.run("replay", "price/one@last")
    assert (done.code, done.err) == (0, "")
    assert "360" in done.out
    target = tmp_path / "new.json"
    assert project.run("replay", "price/one@last", "--format", "json", "-o", target).code == 0
    assert project.run("compare", "price/one@last", target).code == 1


def test_replay_stores_no_trace_and_runs_no_input(project):
    before = project.ids()
    project.change("orders.py", '{"apple": 3}[item]', "1 / 0")
    done = project.run("compare", "order/total@{1}")
    assert done.code == 0, done
    assert project.ids() == before


def test_doctor_finds_a_working_project_and_exits_1_when_something_is_wrong(project):
    done = project.run("doctor", "--format", "json")
    assert done.code == 0, done.out
    assert done.document["schema"] == "tracediff/doctor/1"
    assert all(one["ok"] for one in done.document["findings"])
    project.write("pyproject.toml", '[tool.tracediff]\njobs = ["pricse"]\nredact = ["a[b"]\n')
    done = project.run("doctor")
    assert (done.code, done.err) == (1, "")
    assert "no module pricse" in done.out


def test_doctor_names_the_keys_of_payloads_and_shows_none(empty):
    secret = "c3VwZXItc2VjcmV0LWtleS1vZi0zMi1ieXRlcyEhISE="
    keys = {"TRACEDIFF_ENCRYPTION_KEYS": f"k2={secret},k1={secret},acme/k7={secret}"}
    done = empty.run("doctor", **keys)
    assert done.code == 1
    assert re.search(r"✓ encryption: key k2 \(id [0-9a-f]{16}\) writes and reads\n", done.out)
    assert re.search(r"✓ encryption: key k1 \(id [0-9a-f]{16}\) reads\n", done.out)
    assert "writes and reads for the tenant acme\n" in done.out
    assert "✗ encryption: there are keys of tenants, and no setting" in done.out
    shown = empty.run("config", **keys)
    assert (shown.code, shown.err) == (0, "")
    assert secret[:12] not in done.out + shown.out
    wrong = empty.run("doctor", TRACEDIFF_ENCRYPTION_KEYS=f"k2={secret},{secret}x")
    assert (wrong.code, wrong.out) == (2, "")
    assert "entry 2" in wrong.err
    assert secret[:12] not in wrong.err


def test_doctor_of_a_fresh_project_makes_no_store(empty):
    done = empty.run("doctor")
    assert done.code == 0
    assert "nothing was recorded yet" in done.out
    assert not (empty.directory / ".tracediff").exists()


def test_doctor_names_a_hurt_trace_and_the_others_stay_readable(project):
    (segment,) = (project.directory / ".tracediff" / "segments").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    done = project.run("doctor")
    assert done.code == 1
    ids = project.ids()
    hurt = [one for one in ids if one in done.out and project.run("show", one).code == 2]
    assert len(hurt) == 1
    project.refused("show", hurt[0], slug="trace-hurt", words=(hurt[0],))


def test_init_shows_what_it_makes_asks_and_makes_it_once(empty):
    asked = empty.run("init")
    assert asked.code == 2
    assert ".tracediff" in asked.out
    assert "--yes" in asked.err
    assert not (empty.directory / ".tracediff").exists()
    done = empty.run("init", "--yes")
    assert done.code == 0
    assert (empty.directory / ".tracediff" / ".gitignore").read_text() == "*\n"
    again = empty.run("init", "--format", "json")
    assert (again.code, again.document) == (0, {"schema": "tracediff/init/1", "made": []})
    other = empty.run("init", "--yes", "--store", "other", "--format", "json")
    assert str(empty.directory / "other") in other.document["made"][0]


def test_config_shows_every_setting_and_where_it_comes_from(project):
    done = project.run("config", "--format", "json", TRACEDIFF_SAMPLE="0.5")
    found = {one["setting"]: (one["value"], one["origin"]) for one in done.document["settings"]}
    assert done.document["schema"] == "tracediff/config/1"
    assert found["jobs"] == ("prices, orders", "pyproject.toml [tool.tracediff] jobs")
    assert found["sample"] == ("0.5", "environment TRACEDIFF_SAMPLE")
    assert found["depth"] == ("steps", "default")
    text = project.run("config", "--store", "other")
    assert "option --store" in text.out
    assert str(project.directory / "other") in text.out


def test_a_named_store_is_opened_by_option_and_by_reference(project, tmp_path):
    (project.directory / ".tracediff").rename(tmp_path / "elsewhere")
    project.write(
        "pyproject.toml",
        f'{SETTINGS}[tool.tracediff.stores.prod]\nindex = "{tmp_path}/elsewhere"\n',
    )
    assert project.ids() == []
    assert len(project.ids("--store", "prod")) == 5
    assert len(project.ids("--store", str(tmp_path / "elsewhere"))) == 5
    assert len(project.ids("--store", "../elsewhere")) == 5
    assert project.run("compare", "prod:price/one@last").code == 0
    assert project.run("pull", "prod:price/one@last", "-o", tmp_path / "x.json").code == 0


SETTINGS = '[tool.tracediff]\njobs = ["prices", "orders"]\n'


def test_commands_work_from_a_directory_below(project):
    below = project.directory / "a" / "b"
    below.mkdir(parents=True)
    assert project.run("compare", "price/one@last", cwd=below).code == 0


@pytest.mark.slow
def test_demo_lays_out_the_example_and_shows_what_changed(empty, tmp_path):
    where = tmp_path / "demo"
    done = empty.run("demo", where, "--jobs", "5")
    assert (done.code, done.err) == (0, "")
    assert "tracediff compare @last" in done.out
    assert "different" in done.out
    assert (where / ".git").is_dir()
    assert len(json.loads(empty.run("ls", "--format", "json", cwd=where).out)["traces"]) == 5
    again = empty.run("demo", where)
    assert again.code == 2
    assert "not an empty directory" in again.err
