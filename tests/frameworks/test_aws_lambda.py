"""Handlers of AWS Lambda, run by the real runtime against a local Runtime API."""

from __future__ import annotations

import base64
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from servers.lambda_runtime import LambdaRuntime
from tracediff import values
from tracediff.frameworks.handlers import without_secrets

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        jobs = ["orders.*"]
        autotrace = ["orders.*"]
        depth = "full"
        pythonpath = ["."]
    """,
    "orders/__init__.py": "",
    "orders/rates.py": """
        def vat(net):
            return net * 119 // 100
    """,
    "orders/price.py": """
        import json
        import time
        from orders.rates import vat

        def main(event, context):
            if event.get("slow"):
                vat(1)
                time.sleep(event["slow"])
            if event.get("boom"):
                raise ValueError("password=verysecret1")
            if event.get("exit"):
                raise SystemExit(3)
            if event.get("identity"):
                return context.identity.cognito_identity_id
            body = json.loads(event["body"])
            event["body"] = None
            assert context.get_remaining_time_in_millis() > 0
            return {
                "statusCode": event.get("status", 200),
                "body": json.dumps({"total": vat(body["net"]), "token": "verysecret2"}),
                "who": context.function_name, "request": context.aws_request_id,
            }
    """,
    "orders/decorated.py": """
        from orders.rates import vat
        from tracediff.aws_lambda import handler

        @handler
        def main(event, context):
            return vat(event["net"])
    """,
}
EVENT = {
    "httpMethod": "POST", "headers": {"Authorization": "verysecret3", "Accept": "text/plain"},
    "body": json.dumps({"net": 200, "password": "verysecret4"}),
    "rawQueryString": "q=1&api_key=verysecret5",
}  # fmt: skip


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


class Function:
    """A function that the runtime runs, which stands still once it has answered."""

    def __init__(self, service, *command, **variables) -> None:
        self.runtime = LambdaRuntime(self._stopped)
        self.runtime.__enter__()
        self._process = service.start(
            *command,
            AWS_LAMBDA_RUNTIME_API=self.runtime.address,
            AWS_LAMBDA_FUNCTION_NAME="orders",
            AWS_LAMBDA_FUNCTION_VERSION="7",
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128",
            **variables,
        )

    def _stopped(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def invoke(self, event, **how) -> tuple[str, Any]:
        self._process.send_signal(signal.SIGCONT)
        return self.runtime.invoke(event, **how)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self.runtime.__exit__(None, None, None)


RECORD = ("-P", "-m", "tracediff", "record", "--", sys.executable)
RUNTIME = ("-m", "awslambdaric")


@pytest.fixture(scope="module")
def orders(tmp_path_factory, services) -> Iterator[Any]:
    """The project after a function has been invoked; it was killed where it stood."""
    service = services(tmp_path_factory.mktemp("lambda"), "")
    service.write(FILES)
    functions = []
    try:
        function = Function(service, *RECORD, *RUNTIME, "orders.price.main")
        functions.append(function)
        service.answers = [
            function.invoke(EVENT),
            function.invoke({**EVENT, "status": 503}),
            function.invoke({"boom": True}),
            function.invoke({"slow": 1.2, **EVENT}, seconds=1.5),
            function.invoke({"identity": 1}),
        ]
        for name, variables in (
            ("orders.decorated.main", {}),
            ("tracediff.aws_lambda.run", {"LAMBDA_HANDLER": "orders.decorated.main"}),
        ):
            functions.append(Function(service, *RUNTIME, name, **variables))
            service.answers.append(functions[-1].invoke({"net": 300}))
        yield service
    finally:
        for function in functions:
            function.kill()
        service.close()


def traces(orders, key):
    with orders.project() as project:
        return [project.resolve(row.id) for row in orders.rows(key)]


def test_the_runtime_answers_as_without_a_recorder(orders):
    kinds = [kind for kind, _ in orders.answers]
    assert kinds == ["response", "response", "error", "response", "response", "response",
                     "response"]  # fmt: skip
    answer = orders.answers[0][1]
    assert json.loads(answer["body"])["total"] == 238
    assert (answer["who"], answer["request"]) == ("orders", "request-1")
    assert orders.answers[2][1]["errorType"] == "ValueError"
    assert [said for _, said in orders.answers[5:]] == [357, 357]


def test_an_invocation_is_a_job_that_is_saved_before_its_answer_is_given(orders):
    first, busy, boom, late, _ = traces(orders, "orders/price/main")
    given = arguments(first)
    assert given["context"]["aws_request_id"] == "request-1"
    assert given["context"]["function_name"] == "orders"
    assert 0 < given["context"]["remaining_ms"] <= 3000
    assert given["event"]["headers"]["Accept"] == "text/plain"
    assert (first.job, first.meta) == ("orders.price:main", "orders")
    assert first.context == {"cold_start": True, "request_id": "request-1", "function": "orders"}
    assert busy.context["cold_start"] is False
    assert [step.name for step in first.steps] == ["orders/price/main", "vat"]
    assert [one.state for one in (first, busy, boom, late)] == [
        "success", "error", "error", "error",
    ]  # fmt: skip


def test_what_comes_near_its_deadline_is_saved_as_it_is_then(orders):
    late = traces(orders, "orders/price/main")[3]
    assert late.steps[0].error.type == "builtins:TimeoutError"
    assert [step.name for step in late.steps[1:]] == ["vat"]


def test_no_secret_of_an_event_is_in_the_store(orders):
    text = orders.stored_text()
    assert b"httpMethod" in text
    assert b"verysecret" not in text


def test_all_ways_lead_to_the_same_job(orders):
    found = traces(orders, "orders/decorated/main")
    assert [result(one) for one in found] == [357, 357]
    assert {one.job for one in found} == {"orders.decorated:main"}


def test_all_is_replayed_without_the_runtime(orders):
    late, other = traces(orders, "orders/price/main")[3:]
    with orders.project() as project:
        project.store.delete([late.id])  # it ends in a replay
    assert orders.all_same(["orders/price/main"]) == 5
    error = orders.replayed(other).steps[0].error
    assert "context.identity, which is never recorded" in error.message


def test_documents_in_an_event_keep_no_secrets():
    sent = json.dumps({"net": 1, "password": "verysecret"})
    records = {"Records": [{"body": sent}, {"Sns": {"Message": sent}}]}
    coded = {"isBase64Encoded": True, "body": base64.b64encode(sent.encode()).decode()}
    assert "verysecret" not in str(without_secrets(records))
    shown = base64.b64decode(without_secrets(coded)["body"])
    assert json.loads(shown) == {"net": 1, "password": "[redacted]"}
    plain = {"isBase64Encoded": True, "body": base64.b64encode(b"\xff\x00").decode()}
    assert without_secrets(plain) == plain


@pytest.mark.in_turn
@pytest.mark.parametrize("name", ["orders.price.missing", "orders.nowhere.main"])
def test_a_handler_that_is_not_there_fails_as_without_a_recorder(orders, name):
    with LambdaRuntime() as runtime:
        process = orders.start(*RECORD, *RUNTIME, name, AWS_LAMBDA_RUNTIME_API=runtime.address)
        kind, body = runtime.answers.get(timeout=30)
        orders.end(process)
    assert kind == "error"
    assert name.rpartition(".")[2 if "missing" in name else 0] in json.loads(body)["errorMessage"]
