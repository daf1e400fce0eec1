"""Django's views and commands as jobs, in real processes; replayed where no database is."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from typing import Any

import pytest

from tracediff import values
from tracediff.frameworks import views


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


def names(trace):
    return [step.name for step in trace.steps[1:]]


def test_the_server_answers_as_without_a_recorder(site):
    status = {name: said[0] for name, said in site.said.items()}
    assert status == {
        "price": 200, "form": 200, "page": 200, "stream": 200, "boom": 500, "none": 404,
        "bad": 422, "plain": 200, "apage": 200, "away": 410, "nowhere": 404, "me": 200, "cart": 200,
        "reset": 200, "wrong": 400, "bytes": 200, "taken": 200, "lost": 200,
        "lost xml": 200, "guarded": 200, "slotted": 200, "streamed": 200, "parsed": 200,
        "large": 200,
    }  # fmt: skip
    assert site.said["stream"][1] == b"0 119 238 "
    assert json.loads(site.said["price"][1])["total"] == 17


def test_a_request_is_a_job_with_its_data_as_arguments_and_the_response_as_result(site):
    trace = site.trace("desk/views/price")
    given = arguments(trace)
    assert (given["method"], given["path"], given["route"]) == ("POST", "/price/5/", {"order": 5})
    assert given["query"] == {"q": "a", "many": ["1", "2"]}
    assert given["body"]["quantity"] == 3
    assert given["headers"]["X-Tenant"] == "acme"
    assert (trace.state, trace.meta, trace.job) == (
        "success", "POST /price/5/", "desk.views:price",
    )  # fmt: skip
    assert result(trace)["status"] == 200
    assert result(trace)["body"] == json.loads(site.said["price"][1])
    assert names(trace) == ["vat"]


def test_secrets_of_requests_are_sealed_or_left_out(site):
    given = arguments(site.trace("desk/views/price"))
    sealed = {name for name, one in given["headers"].items() if isinstance(one, values.Redacted)}
    assert sealed == {"Authorization", "X-Api-Key", "Cookie"}
    assert isinstance(given["body"]["password"], values.Redacted)
    left = {"X-Csrftoken", "User-Agent", "Content-Length", "Accept-Encoding"}
    assert left.isdisjoint(given["headers"])


def test_no_secret_of_a_request_is_in_the_store(site):
    text = site.stored_text()
    assert b"/price/5/" in text
    assert b'"password": "[redacted]",}' in text
    assert b"verysecret" not in text
    assert site.secret not in text


@pytest.mark.parametrize(
    "key",
    [
        "price", "form", "Page", "stream", "boom", "none", "bad", "plain", "apage", "me", "Guarded",
        "streamed", "parsed", "Slotted/__call__",
    ],
)  # fmt: skip
def test_a_view_is_replayed_without_server_and_database(site, key):
    rows = site.rows(f"desk/views/{key}")
    assert len(rows) == 1
    site.same(site.trace(f"desk/views/{key}"))


def test_a_secret_that_the_route_captures_is_not_in_the_path(site):
    trace = site.trace("desk/views/reset")
    assert trace.meta == "GET /reset/[redacted]/"
    assert arguments(trace)["path"] == "/reset/[redacted]/"
    assert isinstance(arguments(trace)["route"]["token"], values.Redacted)
    site.same(trace)


def test_a_class_s_template_is_rendered_and_a_stream_sent_inside_the_job(site):
    page, stream = site.trace("desk/views/Page"), site.trace("desk/views/stream")
    assert result(page)["body"].startswith("<p>357</p>")
    assert result(stream)["body"] == "0 119 238 "
    assert names(page).count("vat") == 1
    assert names(stream).count("vat") == 3


def test_the_headers_of_a_stream_are_those_of_the_view(site):
    assert result(site.trace("desk/views/stream"))["headers"] == {
        "Content-Type": "text/html; charset=utf-8"
    }


def test_json_that_is_sent_as_a_form_is_recorded_as_json(site):
    body = arguments(site.trace("desk/views/Guarded"))["body"]
    assert body["json"]["net"] == 300
    assert isinstance(body["json"]["password"], values.Redacted)


def test_the_csrf_token_of_a_page_is_not_recorded(site):
    assert 'value="[redacted]"' in result(site.trace("desk/views/Page"))["body"]


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("boom", "error", "builtins:ValueError"),
        ("none", "warning", "django.http.response:Http404"),
        ("bad", "warning", None),
    ],
)
def test_exceptions_and_status_set_the_state(site, key, state, error):
    trace = site.trace(f"desk/views/{key}")
    found = trace.steps[0].error
    assert (trace.state, found and found.type) == (state, error)


def test_a_form_has_its_fields_and_files_and_atomic_requests_holds(site):
    trace = site.trace("desk/views/form")
    body = arguments(trace)["body"]
    assert (body["quantity"], body["many"]) == ("3", ["1", "2"])
    assert [one["content"] for one in body["files"]["list"]] == [b"a\nb\n", b"c\n"]
    assert result(trace)["body"] == {
        "quantity": "3", "many": ["1", "2"], "lines": 3, "atomic": True,
    }  # fmt: skip


def test_a_form_that_a_view_parses_as_rest_framework_does_has_its_fields_and_files(site):
    assert result(site.replayed(site.trace("desk/views/parsed")))["body"] == {
        "quantity": "3", "many": ["1", "2"], "files": ["a\nb\n", "c\n"], "post": {},
    }  # fmt: skip


def test_a_view_takes_a_form_apart_by_itself_as_without_a_recorder(site):
    taken = [json.loads(site.said[name][1]) for name in ("bytes", "taken")]
    assert [one["quantity"] for one in taken] == ["3", "3"]
    assert taken[0]["size"] > 400
    rows = site.rows("desk/views/taken")
    with site.project() as project:
        wrong, raw, plain = (project.resolve(row.id) for row in rows)
    assert wrong.steps[0].error.type == "django.http.multipartparser:MultiPartParserError"
    assert arguments(raw)["body"]["files"]["list"][0]["content"] == b"a\nb\n"
    site.same(plain)
    assert "the bytes of a form" in site.replayed(raw).steps[0].error.message
    site.same(wrong)


def test_a_replay_that_uses_a_body_of_which_the_size_alone_is_recorded_stops(site):
    trace = site.trace("desk/views/large")
    assert result(trace)["body"] == {"size": 1 << 20}
    assert "1048587 bytes that were not" in site.replayed(trace).steps[0].error.message


def test_views_of_other_packages_are_no_jobs(site):
    assert {"/".join(row.key.split("/")[:2]) for row in site.rows()} == {"desk/views"}


def test_views_that_are_made_for_each_request_are_let_go():
    def made():
        return lambda request: None

    first = made()
    held = weakref.ref(first)
    views.recorded_view(first)
    del first
    for _ in range(views.MOST_VIEWS):
        views.recorded_view(made())
    gc.collect()
    assert held() is None


def test_a_view_that_cannot_be_recorded_is_logged_once_and_runs(caplog):
    class Unhashable:
        __hash__ = None

        def __call__(self, request):
            return None

    view = Unhashable()
    assert [views.recording(view, view) for _ in range(3)] == [view] * 3
    assert [one.message.split(" <")[0] for one in caplog.records] == [
        "tracediff cannot record the view"
    ]


def test_of_the_user_nothing_is_recorded_that_says_who_it_is(site):
    trace = site.trace("desk/views/me")
    (step,) = [one for one in trace.steps if one.name == "request.user"]
    told: Any = values.inert(step.result)
    assert set(told) == {"pk", "is_active", "is_staff", "is_superuser"}
    assert step.kind == "input"


def test_a_replay_that_reads_the_session_stops_and_says_so(site):
    error = site.replayed(site.trace("desk/views/cart")).steps[0].error
    assert "request.session['cart']" in error.message
    assert "never recorded" in error.message


def test_the_session_and_user_of_an_asynchronous_view_are_as_those_of_others(service):
    settings = {"DJANGO_SETTINGS_MODULE": "desk.settings", "TRACEDIFF_INPUTS": "django.db"}
    service.run("manage.py", "migrate", "-v0")
    code = """
        import asyncio
        import django
        django.setup()
        from django.contrib.auth import get_user_model
        from django.test import AsyncClient

        async def main():
            client = AsyncClient()
            user = await get_user_model().objects.acreate(username="ada")
            await client.aforce_login(user)
            print((await client.get("/ame/")).content.decode())

        asyncio.run(main())
    """
    assert service.python(code, **settings) == '{"id": 1}\n'
    trace = service.trace("desk/views/ame")
    assert names(trace) == ["request.user"]
    told: Any = values.inert(trace.steps[1].result)
    assert set(told) == {"pk", "is_active", "is_staff", "is_superuser"}
    service.same(trace)


def test_a_command_is_a_job_without_the_options_of_every_command(service):
    out = service.run("manage.py", "quote", "200", "--password", "verysecret1", "--no-color")
    assert out == "working\n238\n"
    service.run("manage.py", "quote", "--", "-1", status=1)
    out = service.python(
        """
        import django
        django.setup()
        from django.core.management import call_command
        call_command("quote", 300)
        call_command("check")
        """,
        DJANGO_SETTINGS_MODULE="desk.settings",
    )
    traces = []
    with service.project() as project:
        traces = [project.resolve(row.id) for row in service.rows()]
    assert {trace.key for trace in traces} == {"commands/quote"}
    told = [arguments(trace)["options"] for trace in traces]
    assert [one["net"] for one in told] == [200, -1, 300]
    assert set(told[0]) == {"net", "password"}
    assert [trace.state for trace in traces] == ["success", "error", "success"]
    assert result(traces[0]) == "238"
    assert names(traces[0]) == ["vat"]
    for trace in traces:
        service.same(trace)
    assert b"verysecret1" not in service.stored_text()


def test_unusable_settings_are_an_error_of_the_replay_that_names_them(service):
    service.run("manage.py", "quote", "200")
    trace = service.trace("commands/quote")
    service.write({"desk/settings.py": "import os\nKEY = os.environ['KEY']\n"})
    with service.project() as project, pytest.raises(Exception, match="KEY") as caught:
        project.replay(trace)
    assert caught.value.slug == "django-not-set-up"


def test_recorded_settings_outside_of_the_allow_list_are_not_imported(service):
    service.run("manage.py", "quote", "200")
    trace = service.trace("commands/quote")
    (service.directory / "manage.py").unlink()
    service.write({"evil.py": "open('imported', 'w')\n"})
    tampered = replace(trace, context={**trace.context, "django_settings": "evil"})
    service.same(tampered)  # which needs no settings
    assert not (service.directory / "imported").exists()
