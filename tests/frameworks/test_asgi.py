"""Endpoints of FastAPI and Starlette, and other ASGI applications, served by a real uvicorn."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tracediff import values

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        jobs = ["shop.*", "tracediff.*"]
        autotrace = ["shop.*"]
        depth = "full"
        pythonpath = ["."]

        [tool.tracediff.keys]
        "shop.api.named" = "prices/named"
        "GET /orders/{number}" = "plain/order"
    """,
    "shop/__init__.py": "",
    "shop/rates.py": """
        def vat(net):
            return net * 119 // 100
    """,
    "shop/api.py": """
        import asyncio
        from contextlib import asynccontextmanager
        from typing import Annotated

        import tracediff as td
        from fastapi import (
            APIRouter, BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, UploadFile,
            WebSocket,
        )
        from fastapi.responses import JSONResponse, StreamingResponse
        from fastapi.security import OAuth2PasswordBearer
        from pydantic import BaseModel
        from shop.rates import vat
        from shop.sub import sub
        from starlette.middleware.sessions import SessionMiddleware

        class Closed(Exception):
            pass

        class Pool:
            def __init__(self):
                self.factor = 2

        @asynccontextmanager
        async def lifespan(app):
            app.state.rate = 3
            yield {"pool": Pool()}

        def create_app():
            app = FastAPI(lifespan=lifespan)
            app.include_router(router)
            app.mount("/sub", sub)

            @app.exception_handler(Closed)
            async def on_closed(request, error):
                return JSONResponse({"error": str(error)}, status_code=409)

            @app.middleware("http")
            async def tenant(request, call_next):
                request.state.tenant = {"id": 7}
                answer = await call_next(request)
                answer.headers["X-After"] = getattr(request.state, "after", "")
                return answer

            app.add_middleware(SessionMiddleware, secret_key="verysecret9")
            return app

        router = APIRouter()
        bearer = OAuth2PasswordBearer(tokenUrl="token")

        class Order(BaseModel):
            quantity: int
            password: str = ""

        @td.input
        def visitor(token: Annotated[str, Depends(bearer)]):
            if token != "verysecret1":
                raise HTTPException(401)
            return {"id": 5}

        @router.post("/checked")
        def checked(order: Order):
            return {}

        def later(net):
            vat(net)

        @router.post("/orders/{number}")
        def price(number: int, order: Order, request: Request, tasks: BackgroundTasks,
                  q: int = 1, who=Depends(visitor)):
            tasks.add_task(later, 7)
            request.state.after = "done"
            factor = request.state.pool.factor * request.app.state.rate
            return {"total": vat(number * order.quantity * q) * factor, "who": who,
                    "tenant": request.state.tenant}

        @router.get("/boom")
        async def boom():
            raise ValueError("password=verysecret2")

        @router.get("/none")
        async def none():
            raise HTTPException(404, "no such order")

        @router.get("/closed")
        async def closed():
            raise Closed("for today")

        @router.get("/busy")
        async def busy():
            raise HTTPException(503)

        @router.get("/failing")
        async def failing(tasks: BackgroundTasks):
            tasks.add_task(boom)
            return {}

        @router.get("/stream")
        async def stream():
            parts = (f"{vat(n * 100)} " for n in range(3))
            return StreamingResponse(parts, media_type="text/plain")

        @router.get("/endless")
        async def endless():
            async def parts():
                while True:
                    yield "x" * 1000
                    await asyncio.sleep(0.01)
            return StreamingResponse(parts(), media_type="text/plain")

        @router.post("/form")
        async def form(quantity: Annotated[int, Form()], list: list[UploadFile]):
            return {"quantity": quantity, "lines": [(await one.read()).decode() for one in list]}

        @router.get("/cart")
        async def cart(request: Request):
            return {"cart": request.session["cart"]}

        @router.get("/named")
        async def named():
            return {"total": vat(1)}

        @router.get("/gathered")
        async def gathered():
            return await asyncio.gather(*(asyncio.to_thread(vat, n) for n in (100, 200)))

        @router.get("/many/{n}")
        async def many(n: int):
            await asyncio.sleep(0.05)
            first = vat(n)
            await asyncio.sleep(0.05)
            return [first, await asyncio.to_thread(vat, n)]

        @router.get("/reset/{token}")
        async def reset(token: str):
            return {"until": vat(100)}

        @router.post("/large")
        async def large(request: Request):
            return {"size": len((await request.json())["pad"])}

        @router.get("/heavy")
        async def heavy():
            return {"token": "verysecret6", "pad": "x" * (1 << 20)}

        @router.websocket("/socket")
        async def talk(socket: WebSocket):
            await socket.accept()
            await socket.send_text(str(vat(100)))
            await socket.close()
    """,
    "shop/sub.py": """
        from shop.rates import vat
        from starlette.applications import Starlette
        from starlette.authentication import requires
        from starlette.endpoints import HTTPEndpoint
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Mount, Route

        class Outside(BaseHTTPMiddleware):
            async def dispatch(self, request, call_next):
                if "x-let-in" not in request.headers:
                    return Response(status_code=403)
                answer = await call_next(request)
                answer.headers["X-Outside"] = "1"
                return answer

        class Totals(HTTPEndpoint):
            async def get(self, request):
                return JSONResponse({"total": vat(request.path_params["n"])})

            def put(self, request):
                return JSONResponse({"put": vat(request.path_params["n"])})

        async def echo(request):
            parts = [len(part) async for part in request.stream()]
            return JSONResponse({"size": sum(parts)})

        async def half(request):
            async for part in request.stream():
                return Response(str(len(part)))

        async def ignoring(request):
            return Response(status_code=204)

        sub = Starlette(
            routes=[
                Mount("/{shop}", routes=[Route("/totals/{n:int}", Totals)]),
                Route("/echo", echo, methods=["POST"]),
                Route("/half", half, methods=["POST"]),
                Route("/ignoring", ignoring, methods=["POST"]),
            ],
            middleware=[Middleware(Outside)],
        )
    """,
    "shop/plain.py": """
        import tracediff.asgi
        from shop.rates import vat

        async def answer(scope, receive, send):
            if scope["type"] != "http":
                raise RuntimeError("no start")
            data = b""
            while (message := await receive()).get("more_body"):
                data += message["body"]
            data += message.get("body", b"")
            head = {"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/plain")]}
            if scope["path"] == "/broken":
                raise ValueError("broken")
            await send(head)
            text = f"{vat(len(data))} {scope['path']}"
            await send({"type": "http.response.body", "body": text.encode()})

        app = tracediff.asgi.Middleware(answer, keys={"POST /orders/{number}": "plain/sent"})
    """,
}

BORDER = "----border"
FORM = (
    f'--{BORDER}\r\nContent-Disposition: form-data; name="quantity"\r\n\r\n3\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="password"\r\n\r\nverysecret3\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="list"; filename="list.txt"\r\n'
    f"Content-Type: text/plain\r\n\r\na\nb\n\r\n--{BORDER}--\r\n"
).encode()
SENT = {"Content-Type": "application/json", "Authorization": "Bearer verysecret1"}


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


def names(trace):
    return [step.name for step in trace.steps[1:]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, services, ask, until, port) -> Iterator[Any]:
    """The project after uvicorn has answered requests of each kind; nothing runs now."""
    service = services(tmp_path_factory.mktemp("asgi"), "")
    try:
        _serve(service, ask, until, port)
        yield service
    finally:
        service.close()


def _serve(service, ask, until, port) -> None:
    service.write(FILES)
    api, plain = port(), port()
    quiet = ("--log-level", "critical", "--timeout-graceful-shutdown", "3")
    command = ("-P", "-m", "tracediff", "record", "--", sys.executable, "-m", "uvicorn", *quiet)
    servers = [
        service.start(*command, "--factory", "shop.api:create_app", "--port", api),
        service.start("-P", "-m", "uvicorn", *quiet, "--app-dir", ".", "--port", plain,
                      "shop.plain:app"),
    ]  # fmt: skip
    for number in (api, plain):
        until(lambda number=number: _listens(number), "uvicorn")
    service.url = f"http://127.0.0.1:{api}"
    _ask_api(service, ask)
    _go_away(api)
    service.said["socket"] = (_upgraded(api), b"")
    other = f"http://127.0.0.1:{plain}"
    service.said["sent"] = ask(f"{other}/orders/5?q=1", b"abc", **{"Content-Type": "text/plain"})
    service.said["got"] = ask(f"{other}/orders/5")
    service.said["broken"] = ask(f"{other}/broken")
    until(lambda: service.rows("shop/api/endless"), "the end of what a client left")
    for server in servers:
        service.end(server)


def _ask_api(service, ask) -> None:
    url, said = service.url, service.said
    body = b'{"quantity": 3, "password": "verysecret4"}'
    said["price"] = ask(f"{url}/orders/5?q=2&api_key=verysecret5", body, **SENT,
                        Cookie="session=verysecret7")  # fmt: skip
    wrong = b'{"quantity": 3, "password": ["verysecret8"]}'
    said["wrong"] = ask(f"{url}/checked", wrong, **SENT)
    said["form"] = ask(f"{url}/form", FORM,
                       **{"Content-Type": f"multipart/form-data; boundary={BORDER}"})  # fmt: skip
    for name in ("boom", "none", "closed", "busy", "failing", "stream", "cart", "named",
                 "gathered", "reset/verysecret10", "heavy", "openapi.json", "nowhere"):  # fmt: skip
        said[name.partition("/")[0]] = ask(f"{url}/{name}")
    with ThreadPoolExecutor(10) as pool:
        said["many"] = max(pool.map(lambda n: ask(f"{url}/many/{n}"), range(100, 110)))
    pad = b'{"pad": "%s"}' % (b"x" * (1 << 20))
    said["large"] = ask(f"{url}/large", pad, **{"Content-Type": "application/json"})
    let_in = {"X-Let-In": "1", "Content-Type": "application/octet-stream"}
    said["totals"] = ask(f"{url}/sub/west/totals/100", **let_in)
    said["put"] = ask(f"{url}/sub/west/totals/100", b"", "PUT", **let_in)
    said["not allowed"] = ask(f"{url}/sub/west/totals/100", b"", "POST", **let_in)
    for name in ("echo", "half", "ignoring"):
        said[name] = ask(f"{url}/sub/{name}", b"\0" * 1000, **let_in)
    said["kept out"] = ask(f"{url}/sub/echo", b"1")


def _listens(number: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", number)) == 0


def _go_away(number: int) -> None:
    """Read the beginning of an endless answer, and hang up."""
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    connection.request("GET", "/endless")
    answer = connection.getresponse()
    assert answer.read(1000) == b"x" * 1000
    answer.close()
    connection.close()


def _upgraded(number: int) -> int:
    head = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    connection.request("GET", "/socket", headers=head)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_server_answers_as_without_a_recorder(shop):
    status = {name: said[0] for name, said in shop.said.items() if name != "socket"}
    assert status == {
        "price": 200, "wrong": 422, "form": 200, "boom": 500, "none": 404, "closed": 409,
        "busy": 503, "failing": 200, "stream": 200, "cart": 500, "named": 200, "gathered": 200,
        "many": 200,
        "reset": 200, "heavy": 200, "openapi.json": 200, "nowhere": 404, "large": 200,
        "totals": 200, "put": 200, "not allowed": 405, "echo": 200, "half": 200, "ignoring": 204,
        "kept out": 403, "sent": 200, "got": 200, "broken": 500,
    }  # fmt: skip
    assert json.loads(shop.said["price"][1]) == {
        "total": 210, "who": {"id": 5}, "tenant": {"id": 7},
    }  # fmt: skip
    assert shop.said["stream"][1] == b"0 119 238 "


def test_a_request_is_a_job_with_its_data_as_arguments_and_the_response_as_result(shop):
    trace = shop.trace("shop/api/price")
    given = arguments(trace)
    assert (given["method"], given["path"]) == ("POST", "/orders/5")
    assert given["route"] == {"number": "5"}
    assert given["query"]["q"] == "2"
    assert given["body"]["quantity"] == 3
    assert given["headers"]["Authorization-Type"] == "Bearer"
    assert (trace.meta, trace.job) == ("POST /orders/5", "shop.api:price")
    assert trace.context["application"] == "shop.api:create_app()"
    assert result(trace)["status"] == 200
    assert result(trace)["body"]["total"] == 210
    assert set(names(trace)) == {"visitor", "vat", "request.state", "later"}
    assert names(trace).count("vat") == 2  # the background task's too


def _ids(shop, key):
    return [row.id for row in shop.rows(key)]


def test_no_secret_of_a_request_is_in_the_store(shop):
    text = shop.stored_text()
    assert b"/orders/5" in text
    assert b"/reset/[redacted]" in text
    assert b"verysecret" not in text


def test_what_is_quoted_of_a_wrong_request_is_no_secret(shop):
    trace = shop.trace("shop/api/checked")
    assert trace.state == "warning"
    (quoted,) = result(trace)["body"]["detail"]
    assert (quoted["loc"], quoted["input"]) == (["body", "password"], "[redacted]")


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("shop/api/boom", "error", "builtins:ValueError"),
        ("shop/api/none", "warning", None),
        ("shop/api/closed", "warning", None),
        ("shop/api/busy", "error", None),
        ("shop/api/failing", "error", "builtins:ValueError"),
        ("shop/api/endless", "warning", None),
        ("shop/plain/app/GET", "error", "builtins:ValueError"),
    ],
)
def test_exceptions_and_status_set_the_state(shop, key, state, error):
    trace = shop.trace(key)
    found = trace.steps[0].error
    assert (trace.state, found and found.type) == (state, error)


@pytest.mark.slow
def test_all_is_replayed_without_server_middleware_and_credentials(shop):
    left_out = ["shop/api/cart", "shop/api/checked", "shop/api/endless", "shop/api/large"]
    rows = [row for row in shop.rows() if row.key not in left_out]
    with shop.project() as project:
        endless = shop.trace("shop/api/endless")
        project.store.delete([endless.id])  # a replay of it would not end
    left_out.remove("shop/api/endless")
    assert shop.all_same(left_out) == len(rows)


def test_what_is_no_request_of_an_endpoint_is_no_job(shop):
    keys = {row.key for row in shop.rows()} - {"shop/api/endless"}
    assert keys == {
        *(f"shop/api/{name}" for name in ("price", "boom", "none", "closed", "busy", "failing",
          "checked", "stream", "form", "cart", "gathered", "many", "reset", "large", "heavy")),
        "prices/named", "shop/sub/Totals", "shop/sub/echo", "shop/sub/half", "shop/sub/ignoring",
        "plain/sent", "plain/order", "shop/plain/app/GET",
    }  # fmt: skip
    assert len(shop.rows("shop/sub/Totals")) == 3  # it answers itself that a method is not allowed


def test_a_body_is_recorded_as_far_as_it_was_read(shop):
    assert arguments(shop.trace("shop/sub/echo"))["body"] == b"\0" * 1000
    assert arguments(shop.trace("shop/sub/ignoring"))["body"] is None
    assert "1048587 bytes that were not" in str(arguments(shop.trace("shop/api/large"))["body"])


def test_a_form_has_its_fields_and_files(shop):
    body = arguments(shop.trace("shop/api/form"))["body"]
    assert body["quantity"] == "3"
    assert isinstance(body["password"], values.Redacted)
    assert body["files"]["list"] == {
        "filename": "list.txt", "content_type": "text/plain", "content": b"a\nb\n",
    }  # fmt: skip


def test_a_mounted_application_s_path_and_route_are_whole(shop):
    traces = [shop.project().resolve(one) for one in _ids(shop, "shop/sub/Totals")]
    assert {arguments(one)["path"] for one in traces} == {"/sub/west/totals/100"}
    assert arguments(traces[0])["route"] == {"shop": "west", "n": 100}
    assert "X-Outside" not in result(traces[0])["headers"]


def test_threads_and_tasks_of_an_endpoint_are_in_its_job(shop):
    assert names(shop.trace("shop/api/gathered")) == ["vat", "vat"]


def test_requests_at_the_same_time_have_their_own_steps(shop):
    for one in map(shop.project().resolve, _ids(shop, "shop/api/many")):
        number = int(arguments(one)["route"]["n"])
        steps = [values.inert(step.args) for step in one.steps[1:]]
        assert steps == [{"net": number}] * 2
        assert result(one)["body"] == [number * 119 // 100] * 2


def test_a_plain_application_s_keys_come_by_method_and_path(shop):
    assert arguments(shop.trace("plain/sent"))["route"] == {"number": "5"}
    assert result(shop.trace("plain/sent"))["body"] == "3 /orders/5"
    assert arguments(shop.trace("plain/order"))["method"] == "GET"


@pytest.mark.in_turn
def test_a_replay_that_reads_the_session_stops_and_says_so(shop):
    error = shop.replayed(shop.trace("shop/api/cart")).steps[0].error
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
def test_a_path_that_leads_elsewhere_is_said(shop):
    trace = shop.trace("prices/named")
    before = (shop.directory / "shop/api.py").read_text()
    changed = before.replace('"/named"', '"/moved"').replace('"/none"', '"/named"')
    shop.write({"shop/api.py": changed})
    try:
        new = shop.replayed(trace)
    finally:
        shop.write({"shop/api.py": before})
    assert result(new)["status"] == 404
    assert "the path is answered by shop.api:none now" in new.warnings


@pytest.mark.in_turn
def test_an_application_s_start_that_is_refused_is_a_warning(shop):
    trace = shop.trace("prices/named")
    before = (shop.directory / "shop/api.py").read_text()
    reaching = (
        "import socket\n    socket.create_connection(('127.0.0.1', 1))\n    app.state.rate = 3"
    )
    shop.write({"shop/api.py": before.replace("app.state.rate = 3", reaching)})
    try:
        new = shop.replayed(trace)
    finally:
        shop.write({"shop/api.py": before})
    assert result(new)["body"] == {"total": 1}
    assert any("application's start failed in the replay" in one for one in new.warnings)


@pytest.mark.in_turn
@pytest.mark.slow
def test_tracediff_s_own_pages_are_never_recorded(shop, ask, until, port):
    before = len(shop.rows())
    number = port()
    record = ("-P", "-m", "tracediff", "record", "--", sys.executable, "-m")
    server = shop.start(*record, "tracediff", "ui", "--port", number)
    until(lambda: _listens(number), "the pages")
    assert ask(f"http://127.0.0.1:{number}/")[0] == 401
    shop.end(server)
    assert len(shop.rows()) == before
