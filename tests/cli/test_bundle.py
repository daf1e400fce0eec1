"""Bundles: traces and the sources they ran, for a colleague who has no store."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def files_below(directory):
    return sorted(str(one.relative_to(directory)) for one in directory.rglob("*") if one.is_file())


def test_a_bundle_holds_the_traces_and_every_source_that_ran_by_its_blob_id(project, tmp_path):
    ran = {name: (project.directory / name).read_bytes() for name in ("prices.py", "orders.py")}
    project.change("prices.py", "return 19", "return 20")
    out = tmp_path / "bundle"
    done = project.run("pull", "price/one@last", "@last", "--bundle", "-o", out, "--format", "json")
    assert (done.code, done.err) == (0, "")
    document = done.document
    assert (document["sources"], document["missing"]) == (2, 0)
    assert document["directory"] == str(out)
    assert len(document["files"]) == 2
    names = files_below(out)
    for data in ran.values():
        blob = git_blob(data)
        assert f"sources/{blob[:2]}/{blob[2:]}" in names
        assert (out / "sources" / blob[:2] / blob[2:]).read_bytes() == data
    assert len(names) == 5
    pinned = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    hashes = pinned["sources"] | {one["file"]: one["sha256"] for one in pinned["traces"]}
    assert hashes.keys() == set(names) - {"manifest.json"}
    for name, sha in hashes.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sha


def test_a_colleague_compares_with_a_bundle_and_without_the_store(project, tmp_path):
    out = tmp_path / "bundle"
    files = project.run("pull", "price/one@last", "--bundle", "-o", out).out.splitlines()
    shutil.rmtree(project.directory / ".tracediff")
    assert project.run("compare", files[0]).code == 0
    project.change("prices.py", "return 19", "return 20")
    assert project.run("compare", files[0]).code == 1
    assert not (project.directory / ".tracediff").exists()


def test_a_bundle_is_named_after_its_first_trace_and_can_be_made_again(project):
    for _ in range(2):
        done = project.run("pull", "price/one@last", "--bundle")
        assert done.code == 0, done
    (made,) = project.directory.glob("*.bundle")
    assert made.name.startswith("price-one-")
    assert done.out.startswith(made.name)


def test_sources_that_are_not_kept_are_counted_and_the_traces_are_bundled(project, tmp_path):
    shutil.rmtree(project.directory / ".tracediff" / "sources")
    done = project.run("pull", "price/one@last", "--bundle", "-o", tmp_path / "bundle")
    assert done.code == 0
    assert "2 of the sources" in done.err
    assert len(files_below(tmp_path / "bundle")) == 2


def test_a_file_of_a_bundle_that_was_exchanged_is_refused(project, tmp_path):
    out = tmp_path / "bundle"
    (file,) = project.run("pull", "price/one@last", "--bundle", "-o", out).out.splitlines()
    text = Path(file).read_text(encoding="utf-8")
    Path(file).write_text(text.replace('"net": 300', '"net": 100'), encoding="utf-8")
    project.refused("show", file, slug="trace-altered", words=("manifest.json",))


def hostile(project, tmp_path, **changes):
    """A trace file that somebody tampered with."""
    target = tmp_path / "evil.trace.json"
    assert project.run("pull", "price/one@last", "-o", target).code == 0
    document = json.loads(target.read_text(encoding="utf-8"))
    target.write_text(json.dumps(document | changes), encoding="utf-8")
    return target


@pytest.mark.parametrize("more", [[], ["--bundle"]], ids=["pull", "bundle"])
def test_no_key_or_id_of_a_trace_leads_out_of_the_directory(project, tmp_path, more):
    target = hostile(project, tmp_path, id="../../../escaped", key="/../../escaped")
    out = tmp_path / "a" / "b" / "out"
    done = project.run("pull", target, *more, "-o", out)
    assert done.code == 0, done
    assert [one for one in files_below(tmp_path / "a") if "escaped" in one] == [
        "b/out/escaped-escaped.trace.json"
    ]
    assert {one.name for one in tmp_path.iterdir()} == {"a", "evil.trace.json", "project"}


def test_no_file_that_a_trace_names_is_read_into_a_bundle(project, tmp_path):
    secret = project.write("secret", "hunter2")
    target = hostile(project, tmp_path)
    document = json.loads(target.read_text(encoding="utf-8"))
    for blob in ("../../secret", str(secret), "0" * 40):
        document["code"]["files"] = {"../secret": blob, str(secret): blob}
        target.write_text(json.dumps(document), encoding="utf-8")
        done = project.run("pull", target, "--bundle", "-o", tmp_path / "out")
        assert "Traceback" not in done.err
        assert (done.code == 0) == (blob == "0" * 40), done
    assert all("hunter2" not in one.read_text() for one in (tmp_path / "out").rglob("*.*"))
    assert not (tmp_path / "out" / "sources").exists()


def test_a_bundle_in_the_place_of_a_file_is_refused(project, tmp_path):
    (tmp_path / "file").write_text("in the way")
    project.refused(
        "pull", "@last", "--bundle", "-o", tmp_path / "file", slug="output-unwritable",
        words=("directory",),
    )  # fmt: skip
    assert (tmp_path / "file").read_text() == "in the way"
