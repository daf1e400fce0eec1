"""Artifacts: images are shown, all else is text or a file, and nothing runs."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from tracediff.model import Artifact, Step
from tracediff.reports.pages import artifactview
from tracediff.testing import make_trace

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


def artifact(name, data, media_type="application/octet-stream"):
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, sha256=sha256, size=len(data), media_type=media_type, data=data)


@pytest.fixture
def shown(made, site, signed_in):
    def shown(*artifacts):
        return signed_in(site(made(make_trace("abc", artifacts=artifacts))))

    return shown


def test_an_image_is_given_as_what_its_bytes_are_whatever_it_was_called(shown):
    given = shown(artifact("x.html", PNG, "text/html")).get("/trace/abc/artifact/0")
    assert given.headers["content-type"] == "image/png"
    assert given.headers["content-disposition"].startswith("inline")
    assert given.content == PNG


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (SVG, "image/svg+xml"),
        (b"<script>alert(1)</script>", "text/html"),
        (b"%PDF-1.4", "image/png"),
    ],
)
def test_anything_else_is_a_file_to_keep_which_no_browser_renders(shown, data, media_type):
    given = shown(artifact("evil.svg", data, media_type)).get("/trace/abc/artifact/0")
    assert given.headers["content-type"] == "application/octet-stream"
    assert given.headers["content-disposition"].startswith("attachment")
    assert given.headers["x-content-type-options"] == "nosniff"
    assert any("sandbox" in one for one in given.headers.get_list("content-security-policy"))
    assert given.content == data


def test_a_name_is_cleaned_for_the_file_system_and_the_header(shown):
    name = '../../etc/pass"wd\r\nX-Evil: 1\u202e.png'
    given = shown(artifact(name, b"x")).get("/trace/abc/artifact/0")
    assert "x-evil" not in given.headers
    named = given.headers["content-disposition"]
    assert named == (
        'attachment; filename="pass_wd__X-Evil_ 1_.png"; '
        "filename*=UTF-8''pass_wd__X-Evil_%201_.png"
    )
    assert artifactview.file_name("...") == "artifact"
    assert artifactview.file_name("a\\b\\c.bin") == "c.bin"


def test_a_text_is_shown_escaped_by_its_beginning(shown):
    looked = (
        shown(artifact("log.txt", b"<b>\xc3\xa9\n" * 20_000)).get("/trace/abc/artifact/0/look").text
    )
    assert "&lt;b&gt;" in looked
    assert "<b>" not in looked
    assert "54,464 more bytes" in looked
    assert len(looked) < 400_000


def test_other_bytes_are_shown_as_a_dump_and_an_image_in_place(shown):
    client = shown(artifact("a.bin", bytes(range(256)) * 9), artifact("b", PNG))
    assert "00000010  10 11" in client.get("/trace/abc/artifact/0/look").text
    assert (
        '<img class="artifact" src="/trace/abc/artifact/1"'
        in client.get("/trace/abc/artifact/1/look").text
    )


def test_bytes_that_are_not_those_recorded_are_refused(shown):
    good = artifact("a", b"bytes")
    client = shown(dataclasses.replace(good, sha256="0" * 64))
    answer = client.get("/trace/abc/artifact/0")
    assert answer.status_code == 422
    assert "not those that were recorded" in answer.text


def test_the_page_lists_artifacts_and_a_line_leads_to_its_own(made, site, signed_in):
    steps = (*make_trace().steps, Step(parent=0, kind="artifact", name="b.txt"))
    trace = make_trace("abc", steps=steps, artifacts=(artifact("b.txt", b"text"),))
    client = signed_in(site(made(trace)))
    assert "b.txt" in client.get("/trace/abc").text
    assert "/trace/abc/artifact/0/look" in client.get("/trace/abc/step/5").text
