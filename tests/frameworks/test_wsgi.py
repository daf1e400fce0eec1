"""Flask's views, and other WSGI applications, served by real gunicorns."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tracediff import values

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        jobs = ["shop.*"]
        autotrace = ["shop.*"]
        depth = "full"
        pythonpath = ["."]

        [tool.tracediff.keys]
        "shop.web.create_app.named" = "prices/named"
        "GET /orders/{number}" = "plain/order"
    """,
    "shop/__init__.py": "",
    "shop/rates.py": """
        def vat(net):
            return net * 119 // 100
    """,
    "shop/web.py": """
        import io
        import threading
        from flask import (
            Blueprint, Flask, Response, abort, g, jsonify, request, send_file, session,
            stream_with_context,
        )
        from flask.views import MethodView
        from shop.rates import vat

        orders = Blueprint("orders", __name__)

        class Closed(Exception):
            pass

        @orders.post("/orders/<int:number>")
        def price(number):
            body = request.get_json()
            g.total = vat(number * body["quantity"] * int(request.args["q"]))
            who = request.headers["Authorization"].split()[0]
            assert g.get("missing", 5) == 5 and "nothing" not in g and g.lock is not None
            return {"total": g.total, "who": who, "tenant": g.tenant["id"]}

        class Totals(MethodView):
            def get(self):
                return jsonify(total=vat(100))

        def create_app():
            app = Flask(__name__)
            app.secret_key = "verysecret1"
            app.register_blueprint(orders)
            app.add_url_rule("/totals", view_func=Totals.as_view("totals"))

            @app.before_request
            def load():
                if "taken" in request.args:
                    request.form, request.files
                if "cached" in request.args:
                    request.get_data()
                session["seen"] = "verysecret2"
                g.tenant, g.lock, g.unread = {"id": 7}, threading.Lock(), 1

            @app.after_request
            def mark(response):
                response.headers["X-After"] = f"{g.get('total')} {g.tenant['id']} {g.unread}"
                return response

            @app.errorhandler(Closed)
            def on_closed(error):
                return {"error": vat(100)}, 409

            @app.get("/boom")
            def boom():
                raise ValueError("password=verysecret3")

            @app.get("/none")
            def none():
                abort(404)

            @app.get("/closed")
            def closed():
                raise Closed

            @app.get("/busy")
            def busy():
                return "busy", 503

            @app.get("/wrong")
            def wrong():
                return None

            @app.get("/stream")
            def stream():
                parts = (f"{vat(n * 100)} " for n in range(3))
                return Response(stream_with_context(parts), mimetype="text/plain")

            @app.get("/failing")
            def failing():
                def parts():
                    yield "1"
                    raise ValueError("in the middle")
                return Response(parts(), mimetype="text/plain")

            @app.get("/endless")
            def endless():
                def parts():
                    while True:
                        yield "x" * 100_000
                return Response(parts(), mimetype="text/plain")

            @app.get("/file")
            def file():
                return send_file(io.BytesIO(b"a,b"), mimetype="text/csv")

            @app.post("/form")
            def form():
                lines = request.files["list"].read().decode()
                return {"quantity": request.form["quantity"], "lines": lines}

            @app.post("/raw")
            def raw():
                return {"size": len(request.stream.read())}

            @app.get("/cart")
            def cart():
                return {"cart": session["cart"]}

            @app.get("/named")
            def named():
                return {"total": vat(1)}

            return app
    """,
    "shop/plain.py": """
        from shop.rates import vat
        from tracediff.wsgi import Middleware

        def answer(environ, start_response):
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if environ["PATH_INFO"] == "/broken":
                raise ValueError("broken")
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            write(b"said: ")
            return [f"{vat(len(data))} ".encode(), environ["PATH_INFO"].encode()]

        application = Middleware(answer, keys={"POST /orders/{number}": "plain/sent"})
    """,
}
BORDER = "----border"
FORM_TYPE = {"Content-Type": f"multipart/form-data; boundary={BORDER}"}
FORM = (
    f'--{BORDER}\r\nContent-Disposition: form-data; name="quantity"\r\n\r\n3\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="password"\r\n\r\nverysecret4\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="list"; filename="list.txt"\r\n'
    f"Content-Type: text/plain\r\n\r\na\nb\n\r\n--{BORDER}--\r\n"
).encode()


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


def names(trace):
    return [step.name for step in trace.steps[1:]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, services, ask, until, port) -> Iterator[Any]:
    """The project after gunicorns have answered requests of each kind; nothing runs now."""
    service = services(tmp_path_factory.mktemp("wsgi"), "")
    try:
        _serve(service, ask, until, port)
        yield service
    finally:
        service.close()


def _serve(service, ask, until, port) -> None:
    service.write(FILES)
    web, plain = port(), port()
    quiet = ("--log-level", "critical", "--no-control-socket")
    record = ("-P", "-m", "tracediff", "record", "--", sys.executable)
    servers = [
        service.start(*record, "-m", "gunicorn", *quiet, f"--bind=127.0.0.1:{web}",
                      "shop.web:create_app()"),
        service.start("-P", "-m", "gunicorn", *quiet, f"--bind=127.0.0.1:{plain}", "shop.plain"),
    ]  # fmt: skip
    service.url, other = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{plain}"
    for url in (service.url, other):
        until(lambda url=url: _answers(ask, f"{url}/nowhere"), "gunicorn")
    said, url = service.said, service.url
    body = b'{"quantity": 3, "password": "verysecret5"}'
    said["price"] = ask(f"{url}/orders/5?q=2&token=verysecret6", body, Cookie="a=verysecret7",
                        **{"Content-Type": "application/json",
                           "Authorization": "Bearer verysecret8"})  # fmt: skip
    service.after = _after(web)
    for name in ("totals", "boom", "none", "closed", "busy", "wrong", "stream", "file", "cart",
                 "named"):  # fmt: skip
        said[name] = ask(f"{url}/{name}")
    said["no method"] = ask(f"{url}/totals", b"")
    for name in ("form", "form?taken", "form?cached"):
        said[name] = ask(f"{url}/{name}", FORM, **FORM_TYPE)
    said["raw"] = ask(f"{url}/raw", b"\0" * 1000, **{"Content-Type": "application/x-bytes"})
    for name in ("failing", "endless", "stream"):
        _begun(web, "HEAD" if name == "stream" else "GET", name)
    said["sent"] = ask(f"{other}/orders/5", b"abc", **{"Content-Type": "text/plain"})
    said["got"] = ask(f"{other}/orders/5")
    said["broken"] = ask(f"{other}/broken")
    for server in servers:
        service.end(server)


def _answers(ask, url) -> bool:
    try:
        return bool(ask(url))
    except OSError:  # it still starts
        return False


def _after(number: int) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    head = {"Content-Type": "application/json", "Authorization": "Basic verysecret9"}
    connection.request("POST", "/orders/5?q=2", b'{"quantity": 3}', head)
    found = connection.getresponse().headers["X-After"]
    connection.close()
    return found


def _begun(number: int, method: str, name: str) -> None:
    """Read the beginning of an answer, and hang up."""
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    connection.request(method, f"/{name}")
    connection.getresponse().read(1)
    connection.close()


def test_the_server_answers_as_without_a_recorder(shop):
    assert {name: said[0] for name, said in shop.said.items()} == {
        "price": 200, "totals": 200, "boom": 500, "none": 404, "closed": 409, "busy": 503,
        "wrong": 500, "stream": 200, "file": 200, "cart": 500, "named": 200, "no method": 405,
        "form": 200, "form?taken": 200, "form?cached": 200, "raw": 200,
        "sent": 200, "got": 200, "broken": 500,
    }  # fmt: skip
    assert json.loads(shop.said["price"][1]) == {"total": 35, "who": "Bearer", "tenant": 7}
    assert shop.said["stream"][1] == b"0 119 238 "
    assert shop.said["file"][1] == b"a,b"
    assert json.loads(shop.said["raw"][1])["size"] == 1000


def test_a_request_is_a_job_with_its_data_as_arguments_and_the_response_as_result(shop):
    trace = shop.project().resolve(shop.rows("shop/web/price")[0].id)
    given = arguments(trace)
    assert (given["method"], given["path"]) == ("POST", "/orders/5")
    assert (given["route"], given["query"]["q"]) == ({"number": 5}, "2")
    assert given["body"]["quantity"] == 3
    assert given["headers"]["Authorization-Type"] == "Bearer"
    assert (trace.meta, trace.job) == ("POST /orders/5", "shop.web:price")
    assert trace.context["application"] == "shop.web:create_app()"
    assert result(trace) == {
        "status": 200, "headers": {"Content-Type": "application/json"},
        "body": {"total": 35, "who": "Bearer", "tenant": 7},
    }  # fmt: skip
    assert names(trace) == ["vat"] + ["flask.g"] * 4


def test_no_secret_of_a_request_is_in_the_store(shop):
    text = shop.stored_text()
    assert b"/orders/5" in text
    assert b"verysecret" not in text


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("shop/web/create_app/boom", "error", "builtins:ValueError"),
        ("shop/web/create_app/none", "warning", None),
        ("shop/web/create_app/closed", "warning", None),
        ("shop/web/create_app/busy", "error", None),
        ("shop/web/create_app/wrong", "error", "builtins:TypeError"),
        ("shop/web/create_app/failing", "error", "builtins:ValueError"),
        ("shop/web/create_app/endless", "warning", None),
        ("shop/plain/application/GET", "error", "builtins:ValueError"),
    ],
)
def test_exceptions_and_status_set_the_state(shop, key, state, error):
    found = [shop.project().resolve(row.id) for row in shop.rows(key)]
    trace = found[-1]  # the first asked whether the server is there
    assert (trace.state, trace.steps[0].error and trace.steps[0].error.type) == (state, error)


def test_all_is_replayed_without_server_and_what_runs_around_a_view(shop):
    with shop.project() as project:
        # A replay of them would not end, or has to read what nobody read.
        project.store.delete([shop.trace("shop/web/create_app/endless").id])
        head = [row.id for row in shop.rows("shop/web/create_app/stream")][-1]
        project.store.delete([head])
    rows = shop.rows()
    assert shop.all_same(["shop/web/create_app/cart"]) == len(rows) - 1


def test_what_is_no_request_of_a_view_is_no_job(shop):
    assert {row.key for row in shop.rows()} - {"shop/web/create_app/endless"} == {
        "shop/web/price", "shop/web/Totals", "prices/named", "plain/sent", "plain/order",
        "shop/plain/application/GET",
        *(f"shop/web/create_app/{name}" for name in ("boom", "none", "closed", "busy", "wrong",
          "stream", "failing", "file", "form", "raw", "cart")),
    }  # fmt: skip


def test_a_form_has_its_fields_and_files_whoever_reads_it_first(shop):
    found = [shop.project().resolve(row.id) for row in shop.rows("shop/web/create_app/form")]
    assert len(found) == 3
    for trace in found:
        body = arguments(trace)["body"]
        assert body["quantity"] == "3"
        assert isinstance(body["password"], values.Redacted)
        assert body["files"]["list"] == {
            "filename": "list.txt", "content_type": "text/plain", "content": b"a\nb\n",
        }  # fmt: skip


def test_a_handler_of_an_error_is_in_the_job_and_what_runs_after_a_request_is_not(shop):
    closed = shop.trace("shop/web/create_app/closed")
    assert names(closed) == ["vat"]
    assert "X-After" not in result(closed)["headers"]
    assert shop.after == "35 7 1"  # it finds on `g` what the view and what came before it left


def test_a_plain_application_s_keys_come_by_method_and_path(shop):
    assert arguments(shop.trace("plain/sent"))["route"] == {"number": "5"}
    assert result(shop.trace("plain/sent"))["body"] == "said: 3 /orders/5"
    assert arguments(shop.trace("plain/order"))["method"] == "GET"


@pytest.mark.in_turn
def test_a_replay_that_reads_the_session_stops_and_says_so(shop):
    error = shop.replayed(shop.trace("shop/web/create_app/cart")).steps[0].error
    assert "request.session['cart']" in error.message


@pytest.mark.in_turn
def test_changed_code_shows_in_the_response(shop):
    trace = shop.trace("prices/named")
    before = (shop.directory / "shop/rates.py").read_text()
    shop.write({"shop/rates.py": before.replace("119", "219")})
    try:
        with shop.project() as project:
            assert project.compare(trace).different
    finally:
        shop.write({"shop/rates.py": before})


@pytest.mark.in_turn
def test_an_application_that_is_not_allowed_is_not_made(shop):
    trace = shop.trace("prices/named")
    shop.write({"evil.py": "open('imported', 'w')\n"})
    tampered = replace(trace, context={**trace.context, "application": "evil:create_app()"})
    with shop.project() as project, pytest.raises(Exception, match="evil") as caught:
        project.replay(tampered)
    assert caught.value.slug == "job-not-allowed"
    assert not (shop.directory / "imported").exists()


@pytest.mark.in_turn
def test_of_a_module_that_is_allowed_only_what_makes_an_application_is_called(shop):
    trace = shop.trace("prices/named")
    shop.write({"shop/evil.py": "def wipe():\n    open('wiped', 'w')\n\nfrom os import abort\n"})
    for name in ("wipe", "abort"):
        context = {**trace.context, "application": f"shop.evil:{name}()"}
        with shop.project() as project, pytest.raises(Exception, match=name) as caught:
            project.replay(replace(trace, context=context))
        assert caught.value.slug == "job-not-importable"
    assert not (shop.directory / "wiped").exists()


@pytest.mark.in_turn
def test_a_trace_of_an_application_without_a_name_says_so(shop):
    trace = shop.trace("prices/named")
    with shop.project() as project, pytest.raises(Exception, match="which application") as caught:
        project.replay(replace(trace, context={}))
    assert caught.value.slug == "job-not-importable"
