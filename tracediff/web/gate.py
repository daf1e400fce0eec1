"""What each request passes before a page is asked: is this server meant, who asks, may they.

It leaves in the request's state what pages use: ``visitor``, ``csrf`` (the token that their forms
send) and ``form`` (the fields of a form that was sent).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracediff.web.access import LIFETIME, Access, Visitor
from tracediff.web.limits import body_of
from tracediff.web.refusals import refusal
from tracediff.web.site import Site

SIGN_IN: Final = "/sign-in"
_PUBLIC: Final = "/static/"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = 1000
_SIGNING_IN: Final = 16  # at once: nobody knows who they are, and they may be slow
_KEPT: Final = "/~!$&'()*+,;=:@-._"


class Gate:
    """Lets a request in, or answers it."""

    def __init__(self, app: ASGIApp, site: Site, access: Access) -> None:
        self._app, self._site, self._access = app, site, access
        self._signing_in = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            try:
                body = await self._admitted(scope, receive)
            except HTTPException as error:
                body = refusal(self._site, Request(scope), error)
            if isinstance(body, Response):
                await body(scope, receive, send)
            else:
                await self._app(scope, receive if body is None else _again(body, receive), send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _admitted(self, scope: Scope, receive: Receive) -> Response | bytes | None:
        """The answer to who is not let in; else the body, of a request that writes."""
        request = Request(scope)
        self._check_host(request)
        _check_origin(request)
        visitor = self._visitor(request)
        if visitor is not None:
            request.state.visitor = visitor
            request.state.csrf = self._access.csrf(visitor)
        if scope["path"] == SIGN_IN:
            return await self._sign_in(request, receive)
        if "token" in request.query_params and request.method in {"GET", "HEAD"}:
            return self._with_token(request, request.query_params["token"], here(scope))
        if scope["path"].startswith(_PUBLIC) and request.method in _SAFE:
            return None
        if visitor is None:
            return self._nobody(request)
        if request.method in _SAFE:
            return None
        return await self._writing(request, receive, visitor)

    def _check_host(self, request: Request) -> None:
        server = request.scope.get("server")
        if not self._access.is_called(request.headers.get("host", ""), server[0] if server else ""):
            raise HTTPException(421, "this server is not called so; --allow-host names it")

    def _visitor(self, request: Request) -> Visitor | None:
        peer = request.scope.get("client")
        cookies = cookie_parser(request.headers.get("cookie", ""))
        try:
            return self._access.visitor(
                peer[0] if peer else "", request.scope["headers"], cookies.get(self._access.cookie)
            )
        except ValueError as error:
            raise HTTPException(400, str(error)) from None

    async def _sign_in(self, request: Request, receive: Receive) -> Response:
        if request.method in {"GET", "HEAD"}:
            wanted = local(request.query_params.get("next", "/"))
            if getattr(request.state, "visitor", None) is not None:
                return RedirectResponse(wanted, 303)
            return self._page(request, wanted, status=200)
        if request.method != "POST":
            raise HTTPException(405, headers={"Allow": "GET, HEAD, POST"})
        if self._signing_in >= _SIGNING_IN:
            raise HTTPException(503, "too many sign in at once", {"Retry-After": "10"})
        self._signing_in += 1
        try:
            form = _form(request, await body_of(receive))
        finally:
            self._signing_in -= 1
        return self._with_token(request, form.get("token", ""), local(form.get("next", "/")))

    def _with_token(self, request: Request, given: str, wanted: str) -> Response:
        """Sign in who has the token, and send them where they wanted to, without it."""
        if self._access.knows(given.strip()):
            answer = RedirectResponse(wanted, 303)
            answer.set_cookie(
                self._access.cookie, self._access.new_session(), max_age=LIFETIME, path="/",
                secure=self._encrypted(request), httponly=True, samesite="lax",
            )  # fmt: skip
            return answer
        if getattr(request.state, "visitor", None) is not None:
            return RedirectResponse(wanted, 303)
        return self._page(request, wanted, status=401, wrong=True)

    def _encrypted(self, request: Request) -> bool:
        """Whether the browser speaks TLS, with this server or with a trusted proxy."""
        peer = request.scope.get("client")
        trusted = peer is not None and self._access.trusts(peer[0])
        return request.url.scheme == "https" or (
            trusted and request.headers.get("x-forwarded-proto") == "https"
        )

    def _nobody(self, request: Request) -> Response:
        if "HX-Request" in request.headers or request.method not in _SAFE:
            raise HTTPException(401, "you are not signed in, or not any more")
        return self._page(request, here(request.scope), status=401)

    def _page(self, request: Request, wanted: str, *, status: int, wrong: bool = False) -> Response:
        return self._site.page(request, "signin.html", status=status, next=wanted, wrong=wrong)

    async def _writing(self, request: Request, receive: Receive, visitor: Visitor) -> bytes:
        if not self._site.writable:
            raise HTTPException(403, "these pages are read-only")
        body = await body_of(receive)
        form = _form(request, body) if body else ImmutableMultiDict[str, str]()
        given = request.headers.get("x-csrf-token") or form.get("csrf", "")
        if not self._access.is_csrf(given, visitor):
            raise HTTPException(
                403, "this does not come from a page of yours; load the page again and repeat it"
            )
        request.state.form = form
        return body


def _check_origin(request: Request) -> None:
    """Refuse what another site's page asks for; a link that leads here is none of that."""
    safe = request.method in _SAFE
    site = request.headers.get("sec-fetch-site", "none")
    followed = safe and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in {"same-origin", "none"} and not followed:
        raise HTTPException(403, "another site asked for this")
    # "null" is what a form says where no page says its address.
    origin = request.headers.get("origin", "null")
    if origin == "null" or safe:
        return
    if origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        raise HTTPException(403, "another site sent this")


def _form(request: Request, body: bytes) -> ImmutableMultiDict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise HTTPException(415, f"a form is sent as {_FORM}")
    text = body.decode("utf-8", "replace")
    try:
        return ImmutableMultiDict(
            parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_FIELDS)
        )
    except ValueError:
        raise HTTPException(400, "this form has too many fields") from None


def here(scope: Scope) -> str:
    """Where a request leads, without its token."""
    query = scope["query_string"].decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    kept = urlencode([(name, value) for name, value in pairs if name != "token"], errors="replace")
    path = quote(scope["path"], safe=_KEPT, errors="replace")
    return local(f"{path}?{kept}" if kept else path)


def local(target: str) -> str:
    """An address on this server, whatever was given: one that begins with two slashes is not."""
    path, mark, query = target.partition("?")
    kept = quote(path.lstrip("/\\"), safe=f"{_KEPT}%", errors="replace")
    return f"/{kept}{mark}{quote(query, safe=f'{_KEPT}%?', errors='replace')}"


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, for who reads it next."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
