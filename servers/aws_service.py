"""Some operations of AWS services over HTTP, for boto3's own clients: JSON answers of what is here.

    with AwsService() as service:
        boto3.client("sqs", endpoint_url=service.url)

It checks no signature, and counts what it is asked.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any
from urllib.parse import urlsplit

from servers.answering import Answering, Handler

SECRET = {"username": "ada", "password": "pa55word-in-secrets-manager", "port": 5432}


class AwsService(Answering):
    """The service on a free port; a context manager."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fail = 0  # so many requests are answered with 500 before the next is answered
        super().__init__(_Handler)


class _Handler(Handler):
    def _handle(self) -> None:
        service: AwsService = self.server.of
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.headers.get("X-Amz-Target", urlsplit(self.path).path).rpartition(".")[2]
        service.asked.append(name)
        if service.fail:
            service.fail -= 1
            self._send({"__type": "InternalFailure"}, 500)
            return
        given = json.loads(body) if body[:1] == b"{" else {}
        if "with-response-stream" in name:
            self._send_events([{"bytes": "b25l"}, {"bytes": "dHdv"}])
            return
        if "/invocations" in name:
            self._send({"of": given, "count": len(service.asked)}, 200)
            return
        answer = getattr(self, f"answer_{name}", None)
        if answer is None:
            self._send({"__type": "UnknownOperationException", "message": f"no {name}"}, 400)
        else:
            answer(given)

    do_GET = do_POST = do_PUT = do_HEAD = _handle  # noqa: N815 - http.server's names

    def _send(self, answer: Any, status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-RequestId", "request-1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_events(self, events: list[Any]) -> None:
        """A stream of events, each of the type ``chunk``."""
        names = {":message-type": "event", ":event-type": "chunk",
                 ":content-type": "application/json"}  # fmt: skip
        headers = b"".join(
            struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text))
            + text.encode() for name, text in names.items()
        )  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            payload = json.dumps(event).encode()
            head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
            frame = head + struct.pack(">I", zlib.crc32(head)) + headers + payload
            self.wfile.write(frame + struct.pack(">I", zlib.crc32(frame)))
        self.close_connection = True

    def answer_GetSecretValue(self, given: dict[str, Any]) -> None:  # noqa: N802 - AWS's names, as below
        """A secret that is a JSON document, one that is a word, one of bytes, or none."""
        kind = given["SecretId"]
        if kind == "missing":
            self._send({"__type": "ResourceNotFoundException", "Message": "no such secret"}, 400)
            return
        said = {
            "json": {"SecretString": json.dumps(SECRET)},
            "word": {"SecretString": "pa55word-that-is-a-word"},
            "bytes": {"SecretBinary": "cGE1NXdvcmQtb2YtYnl0ZXM="},
        }[kind]
        self._send({"Name": kind, "CreatedDate": 1_700_000_000.5, **said})

    def answer_GetParameter(self, given: dict[str, Any]) -> None:  # noqa: N802
        """A plain parameter, or a secure one."""
        kind = "SecureString" if "secure" in given["Name"] else "String"
        value = "pa55word-of-a-parameter" if kind == "SecureString" else "17"
        self._send({"Parameter": {"Name": given["Name"], "Type": kind, "Value": value}})

    def answer_Query(self, given: dict[str, Any]) -> None:  # noqa: N802
        """Two pages of items, with a password in each."""
        first = "ExclusiveStartKey" not in given
        ids = (1, 2) if first else (3,)
        items = [{"id": {"N": str(one)}, "password": {"S": f"pa55word-of-item-{one}"}}
                 for one in ids]  # fmt: skip
        page: dict[str, Any] = {"Items": items, "Count": len(items)}
        if first:
            page["LastEvaluatedKey"] = {"id": {"N": "2"}}
        self._send(page)

    def answer_DescribeTable(self, given: dict[str, Any]) -> None:  # noqa: N802
        """A table that is made, and is there when it is asked for again."""
        asked = self.server.of.asked.count("DescribeTable")
        status = "ACTIVE" if asked % 2 == 0 else "CREATING"
        self._send({"Table": {"TableName": given["TableName"], "TableStatus": status}})

    def answer_SendMessage(self, given: dict[str, Any]) -> None:  # noqa: N802
        """The message's id."""
        self._send({"MessageId": f"message-{len(self.server.of.asked)}"})
