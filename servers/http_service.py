"""An HTTP service whose answers come in every form that a client has to cope with.

    with HttpService() as service:
        httpx.get(service.url + "/json")

It answers on a free port of this machine, with keep-alive, and counts what it is asked.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
import threading
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import zstandard

from servers.answering import Answering, Handler

RATES = {"base": "EUR", "rates": {"USD": 1.0825, "CHF": 0.94}, "note": "größer & <so>"}
EVENTS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n", b"data: four\n\n"]


class HttpService(Answering):
    """The service on a free port; a context manager."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(_Handler)


class _Handler(Handler):
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        self.service: HttpService = self.server.of
        self.query = {name: one[0] for name, one in parse_qs(parts.query).items()}
        self.body = self._read_body()
        self.service.asked.append(f"{self.command} {self.path}")
        name, _, rest = parts.path.strip("/").partition("/")
        getattr(self, f"answer_{name}", self.answer_nowhere)(rest)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _handle  # noqa: N815 - http.server's names

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline() or b"0", 16):  # a client may end it
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, body: bytes, kind: str = "application/json", status: int = 200,
             length: int | None = None, **headers: str) -> None:  # fmt: skip
        """Answer with a body."""
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, pieces: list[bytes], kind: str, *, whole: bool = True, **headers: str) -> None:
        """Answer with a body in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def answer_json(self, style: str) -> None:
        """JSON, in the way that servers of several languages write it."""
        written: dict[str, Callable[[], str]] = {
            "": lambda: json.dumps(RATES, separators=(",", ":"), ensure_ascii=False),
            "python": lambda: json.dumps(RATES),
            "indented": lambda: json.dumps(RATES, indent=2) + "\n",
            "php": lambda: json.dumps(RATES, separators=(",", ":")).replace("/", "\\/"),
            "go": lambda: (
                json.dumps(RATES, separators=(",", ":"), ensure_ascii=False)
                .replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "\n"
            ),
            "money": lambda: '{"price":10.50,"vat":2.00,"big":12345678901234567890,"e":1.5e-07}',
            "odd": lambda: '{ "price" :1.0E2,"price":  10.50 }',
            "broken": lambda: '{"price": 10.50, ',
            "broken-secret": lambda: '{"price": 10.50, "password": "pa55word-broken", ',
            "rows": lambda: json.dumps([{"id": n, "price": n / 4} for n in range(36)]),
            "lines": lambda: '{"a":1}\n{"a":2.50}\n',
        }  # fmt: skip
        kind = "application/x-ndjson" if style == "lines" else "application/json"
        self.send(written[style]().encode(), kind)

    def answer_count(self, rest: str) -> None:
        """A number that is another one each time."""
        self.send(json.dumps({"count": len(self.service.asked), "of": rest}).encode())

    def answer_encoded(self, how: str) -> None:
        """JSON in a content encoding, of one piece or in chunks."""
        body = json.dumps({"rows": [{"id": number, "price": "1.50"} for number in range(40)]})
        raw = body.encode()
        encoded = {
            "gzip": lambda: gzip.compress(raw),
            "deflate": lambda: zlib.compress(raw),
            "raw-deflate": lambda: zlib.compress(raw)[2:-4],
            "zstd": lambda: zstandard.compress(raw),
            "broken": lambda: b"this is not gzip",
        }[how]()
        named = {"raw-deflate": "deflate", "broken": "gzip"}.get(how, how)
        if "chunks" in self.query:
            half = len(encoded) // 2
            pieces = [encoded[:half], encoded[half:]]
            self.chunks(pieces, "application/json", Content_Encoding=named)
        else:
            self.send(encoded, Content_Encoding=named)

    def answer_text(self, rest: str) -> None:
        """Text in an encoding of its own."""
        self.send("größer\n".encode("latin-1"), "text/plain; charset=iso-8859-1")

    def answer_binary(self, rest: str) -> None:
        """All bytes there are."""
        self.send(bytes(range(256)) * 4, "application/octet-stream")

    def answer_large(self, size: str) -> None:
        """Many bytes."""
        self.send(b"x" * int(size), "text/plain")

    def answer_empty(self, rest: str) -> None:
        """Nothing, with status 204 or 200."""
        self.send_response(int(rest or 204))
        if rest == "200":
            self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_events(self, rest: str) -> None:
        """A stream of events."""
        self.chunks(EVENTS, "text/event-stream")

    def answer_halves(self, rest: str) -> None:
        """Two chunks that come in several pieces of the network's."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"6\r\nhel", b"lo ", b"\r\n", b"5\r\nthere\r\n", b"0\r\n\r\n"):
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(0.05)

    def answer_parts(self, rest: str) -> None:
        """Several documents in one answer, cut anywhere by the server."""
        parts = "".join(f"--of\r\nX-N: {n}\r\n\r\n{'part' * n}\r\n" for n in (1, 40)) + "--of--\r\n"
        whole = parts.encode()
        self.chunks([whole[:9], whole[9:70], whole[70:]], "multipart/mixed; boundary=of")

    def answer_closing(self, rest: str) -> None:
        """A body that ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"until the end")
        self.close_connection = True

    def answer_cut(self, rest: str) -> None:
        """Half a body, and the connection ends."""
        if rest == "chunks":
            self.chunks(EVENTS[:2], "text/event-stream", whole=False)
        else:
            self.send(b"half", "text/plain", length=100)
            self.close_connection = True

    def answer_dropped(self, rest: str) -> None:
        """No answer: the connection ends."""
        self.close_connection = True

    def answer_slow(self, rest: str) -> None:
        """An answer later than a client waits, or a body whose second half is."""
        if rest == "body":
            self.send_response(200)
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b"half")
            self.wfile.flush()
        time.sleep(1.0)
        self.close_connection = True

    def answer_status(self, rest: str) -> None:
        """A status of the client's choice."""
        self.send(b'{"error": "so it is"}', status=int(rest))

    def answer_redirect(self, rest: str) -> None:
        """Elsewhere, by way of a URL with a secret."""
        to = "/count/redirected?token=t0ken-0f-redirect"
        self.send(b"", "", int(rest or 302), Location=to)

    def answer_cached(self, rest: str) -> None:
        """Something with a tag, or that it has not changed."""
        if self.headers.get("If-None-Match") == '"v1"':
            self.send_response(304)
            self.send_header("ETag", '"v1"')
            self.end_headers()
        else:
            self.send(b'{"version": 1}', ETag='"v1"', Date_Made=formatdate(usegmt=True))

    def answer_login(self, rest: str) -> None:
        """Secrets in the body and in a cookie."""
        body = {
            "user": {"name": "ada", "password": "pa55word-of-ada"},
            "access_token": "acce55-t0ken-9f8e7d6c5b4a",
            "expires_in": 3600,
            "next": f"{self.service.url}/secret?api_key=ap1-key-in-link&page=2",
        }
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=c00kie-of-login; Path=/; HttpOnly")
        self.send_header("Set-Cookie", "theme=dark; Path=/")
        self.send_header("X-Auth-Token", "auth-t0ken-in-header")
        data = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer_secret(self, rest: str) -> None:
        """What only those get who bring the secret."""
        known = "acce55-t0ken-9f8e7d6c5b4a" in (
            self.headers.get("Authorization", "") + self.path + self.body.decode("latin-1")
        )
        cookie = "c00kie-of-login" in self.headers.get("Cookie", "")
        self.send(json.dumps({"token_type": "bearer", "known": known, "cookie": cookie}).encode())

    def answer_digest(self, rest: str) -> None:
        """A challenge first."""
        if "Authorization" not in self.headers:
            challenge = 'Digest realm="all", nonce="0123456789", qop="auth", algorithm=MD5'
            self.send(b"", "", 401, WWW_Authenticate=challenge)
        else:
            self.send(b'{"in": true}')

    def answer_xml(self, rest: str) -> None:
        """XML with a password."""
        self.send(
            b"<a><wsse:Password Type='t'>xml-pa55word</wsse:Password><b>1</b></a>", "text/xml"
        )

    def answer_sse(self, rest: str) -> None:
        """Events with secrets."""
        self.chunks([b'data: {"api_key": "ev3nt-key", "n": 1}\n\n'], "text/event-stream")

    def answer_echo(self, rest: str) -> None:
        """What was sent."""
        self.send(
            json.dumps({"method": self.command, "type": self.headers.get("Content-Type", "")[:19],
                        "size": len(self.body), "id": len(self.service.asked)}).encode(),
            status=201,
        )  # fmt: skip

    def answer_nowhere(self, rest: str) -> None:
        """There is nothing here."""
        self.send(b'{"error": "nothing here"}', status=404)


if __name__ == "__main__":
    with HttpService() as running:
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            threading.Event().wait()
