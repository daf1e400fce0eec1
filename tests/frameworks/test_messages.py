"""Requests as plain data, and put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff import values
from tracediff.frameworks.bodies import Received
from tracediff.frameworks.forms import form_bytes, form_data
from tracediff.frameworks.messages import with_scheme, without_quoted
from tracediff.frameworks.paths import Keys, unmatched
from tracediff.frameworks.rebuilding import sent_bytes, sent_headers
from tracediff.model import Value
from tracediff.recording.libraries.http.masking import stand_in
from tracediff.recording.redaction import Redactor

MULTIPART = "multipart/form-data; boundary=----edge"
FORM = "application/x-www-form-urlencoded"
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda one: not set(one) & set('"\\') and one.strip() == one and one != "files"
)
lines = words.filter(lambda one: "----edge" not in one)
files = st.fixed_dictionaries(
    {
        "filename": words,
        "content_type": st.sampled_from(["text/plain", "image/png"]),
        "content": st.binary().filter(lambda one: b"----edge" not in one),
    }
)


@given(st.dictionaries(words, st.one_of(lines, st.lists(lines, min_size=2))))
def test_a_form_that_is_taken_apart_is_the_one_that_was_put_together(form):
    assert form_data(MULTIPART, form_bytes(MULTIPART, form)) == form
    if form and not next(iter(form)).startswith("{"):
        assert form_data(FORM, form_bytes(FORM, form)) == form


@given(st.dictionaries(words, st.one_of(files, st.lists(files, min_size=2)), min_size=1))
def test_files_of_a_form_are_kept_to_the_byte(found):
    form = {"quantity": "3", "files": found}
    assert form_data(MULTIPART, form_bytes(MULTIPART, form)) == form


@given(st.binary())
def test_whatever_is_sent_as_a_form_is_taken_apart_or_is_none(data):
    for kind in (MULTIPART, "multipart/form-data", FORM):
        found = form_data(kind, data)
        assert found is None or isinstance(found, dict)


@given(
    st.sampled_from(["application/json", "text/plain", MULTIPART, FORM, "", "\0;="]), st.binary()
)
def test_whatever_is_sent_has_a_form_that_can_be_recorded(kind, data):
    received = Received()
    received.add(data)
    values.encode(received.told(kind))


def test_json_that_is_nested_too_deep_stays_as_it_was_sent():
    received = Received()
    received.add(b"[" * 100_000)
    assert received.told("application/json") == b"[" * 100_000


def test_of_what_is_larger_than_the_bound_nothing_is_held():
    received = Received()
    for _ in range(30):
        received.add(b"x" * 100_000)
    assert received.size() <= 1 << 20
    assert repr(received.told("text/plain")) == "<3000000 bytes that were not recorded>"


def test_the_scheme_of_an_authorization_is_kept_and_comes_back():
    apart = with_scheme({"Authorization": "Bearer verysecret"})
    assert apart == {"Authorization": "verysecret", "Authorization-Type": "Bearer"}
    assert sent_headers(apart) == {"Authorization": "Bearer verysecret"}
    assert with_scheme({"Authorization": "verysecret"}) == {"Authorization": "verysecret"}


def test_the_word_for_a_sealed_value_is_sealed_as_that_value():
    redactor = Redactor((), lambda: b"key")
    sealed = values.inert(Value(values.seal(values.encode("verysecret"), redactor)))
    word = stand_in(values.Placeholder(sealed))
    assert redactor.seal(values.encode(word)) == redactor.seal(values.encode("verysecret"))
    assert redactor.seal(values.encode(f"{word} and more")) != redactor.seal(values.encode(word))


def test_a_body_with_a_secret_is_sent_with_a_word_in_its_place():
    redactor = Redactor((), lambda: b"key")
    data = values.encode({"password": "verysecret", "net": 1}, redaction=redactor)
    body = values.live(Value(data), values.Allow(()))
    sent = sent_bytes({"Content-Type": "application/json"}, body)
    assert b'"net": 1' in sent
    assert b'"password": "redacted-' in sent


def test_what_pydantic_quotes_under_a_secret_name_is_left_out():
    told = {"detail": [{"loc": ["body", "password"], "input": [1]}, {"loc": ["q"], "input": 2}]}
    assert without_quoted(told) == {
        "detail": [{"loc": ["body", "password"], "input": "[redacted]"}, {"loc": ["q"], "input": 2}]
    }


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/orders/5", ("show", {"id": "5"})),
        ("POST", "/orders/5", (None, {})),
        ("PUT", "/files/a/b", ("files", {"rest": "a/b"})),
        ("GET", "/orders/5/x", (None, {})),
        ("GET", "/a.b", ("dot", {})),
        ("GET", "/a-b", (None, {})),
    ],
)
def test_keys_are_found_by_method_and_path(method, path, found):
    keys = Keys({"GET /orders/{id}": "show", "* /files/{rest:path}": "files", "get /a.b": "dot"})
    assert keys.find(method, path) == found


def test_a_client_cannot_make_up_keys():
    assert unmatched("shop.main:app", "GET") == "shop/main/app/GET"
    assert unmatched("shop.main:app", "MADEUP") == "shop/main/app/OTHER"


@pytest.mark.parametrize(
    "sent",
    [
        b'{"a": 1, "b": ["\\u00e4"]}', b'{"a":1,"b":["\xc3\xa4"]}', b'{"a":1,"b":["\\u00e4"]}',
        b'{"a": 1, "b": ["\xc3\xa4"]}', b'{\n  "a": 1,\n  "b": [\n    "\xc3\xa4"\n  ]\n}',
    ],
)  # fmt: skip
def test_json_is_written_again_as_it_was(sent):
    headers = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
    assert sent_bytes(headers, {"a": 1, "b": ["ä"]}) == sent
