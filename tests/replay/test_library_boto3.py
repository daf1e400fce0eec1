"""``boto3`` as a library of ``inputs``: recorded with a real S3 and others, replayed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from servers.aws_service import AwsService
from servers.faulty_http import FaultyHttp
from servers.http_service import HttpService
from servers.seaweed import Seaweed
from tracediff import values
from tracediff.model import Trace

JOBS = """
    import io, json, os, threading
    import boto3
    from boto3.dynamodb.conditions import Key
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    QUICK = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})

    def client(url, name="s3", **config):
        return boto3.client(name, endpoint_url=url, region_name="eu-west-1",
                            config=Config(s3={"addressing_style": "path"}, **config))

    def raised(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except ClientError as error:
            return [type(error).__name__, str(error), error.operation_name,
                    error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]]
        except BotoCoreError as error:
            return [type(error).__name__, str(error)]

    @td.step
    def objects(url):
        s3 = client(url)
        found = [s3.put_object(Bucket=BUCKET, Key=f"{n}.json", Body=json.dumps({"n": n}),
                               ContentType="application/json")["ETag"] for n in range(3)]
        s3.put_object(Bucket=BUCKET, Key="file", Body=io.BytesIO(b"from a file"))
        s3.put_object(Bucket=BUCKET, Key="binary", Body=bytes(range(256)) * 40)
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, PaginationConfig={"PageSize": 2})
        found += [one["Key"] for page in pages for one in page["Contents"]]
        answer = s3.get_object(Bucket=BUCKET, Key="1.json")
        found += [json.load(answer["Body"]), answer["ContentType"], answer["LastModified"],
                  str(answer["LastModified"].tzinfo)]
        found.append(s3.head_object(Bucket=BUCKET, Key="file")["ContentLength"])
        s3.get_waiter("object_exists").wait(Bucket=BUCKET, Key="file")
        s3.delete_object(Bucket=BUCKET, Key="2.json")
        found.append(raised(s3.get_object, Bucket=BUCKET, Key="2.json"))
        found.append(raised(s3.head_object, Bucket=BUCKET, Key="2.json"))
        found.append(raised(s3.head_object, Bucket=BUCKET, Key=3))
        try:
            s3.get_object(Bucket=BUCKET, Key="none")
        except s3.exceptions.NoSuchKey as error:
            found.append(error.response["Error"]["Code"])
        url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "file"})
        found.append(url.partition("?")[0].rpartition("/")[2])
        return found

    READ = 10

    @td.step
    def streams(url):
        s3 = client(url)
        def body(**more):
            return s3.get_object(Bucket=BUCKET, Key="binary", **more)["Body"]
        found = [len(body().read()), [len(one) for one in body().iter_chunks(3000)],
                 body(Range="bytes=5-9").read(), len(list(body().iter_lines()))]
        with body() as stream:
            found += [stream.read(4), stream.read(1), bytearray(5)]
            stream.readinto(found[-1])
        s3.put_object(Bucket=BUCKET, Key="secret.json", Body=b'{"api_key": "ap1-key-in-an-object"}')
        found.append(list(json.load(s3.get_object(Bucket=BUCKET, Key="secret.json")["Body"])))
        one = body()
        found += [one.read(4), one.tell()]
        return found

    @td.step
    def transfers(url):
        s3, found = client(url), []
        small = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
        s3.upload_fileobj(io.BytesIO(b"large " * (1 << 20)), BUCKET, "large", Config=small)
        s3.upload_fileobj(io.BytesIO(b"small"), BUCKET, "small", Callback=found.append)
        into = io.BytesIO()
        s3.download_fileobj(BUCKET, "large", into, Config=small)
        found.append(len(into.getvalue()))
        open("up.txt", "w").write("a file")
        s3.upload_file("up.txt", BUCKET, "up")
        s3.download_file(BUCKET, "up", "down.txt")
        found.append(open("down.txt").read())
        boto3.resource("s3", endpoint_url=url, region_name="eu-west-1").Bucket(BUCKET).Object(
            "small").delete()
        found.append(raised(s3.download_file, BUCKET, "small", "down.txt"))
        return found

    @td.step
    def failing(url):
        nobody = boto3.client("s3", endpoint_url=url, region_name="eu-west-1",
                              aws_access_key_id="n0body-at-all",
                              aws_secret_access_key="wr0ng-key-1")
        found = [raised(nobody.get_object, Bucket=BUCKET, Key="file")[0]]
        gone = boto3.client("s3", endpoint_url="http://127.0.0.1:9", region_name="eu-west-1",
                            config=QUICK)
        found.append(raised(gone.list_buckets))
        return found

    BUCKET = "traces-a"

    @td.job("storage")
    def storage(url):
        return [objects(url), streams(url), transfers(url), failing(url)]

    @td.job("half")
    def half(url):
        body = client(url).get_object(Bucket=BUCKET, Key="binary")["Body"]
        return len(body.read(READ))

    @td.job("faulty")
    def faulty(url):
        s3 = boto3.client("s3", endpoint_url=url, region_name="eu-west-1", config=Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}))
        found = [s3.get_object(Bucket=BUCKET, Key="file")["Body"].read()]
        body = s3.get_object(Bucket=BUCKET, Key="binary")["Body"]
        found += [body.read(50), raised(body.read)]
        return found

    @td.job("slow")
    def slow(url):
        s3 = boto3.client("s3", endpoint_url=url, region_name="eu-west-1", config=Config(
            connect_timeout=1, read_timeout=0.3, retries={"total_max_attempts": 1}))
        return raised(s3.get_object, Bucket="slow", Key="x")

    PRICE = 1

    @td.job("services")
    def services(url):
        secrets = client(url, "secretsmanager")
        one = json.loads(secrets.get_secret_value(SecretId="json")["SecretString"])
        found = [sorted(one), len(one["password"]) > 3]
        client(url, "sqs").send_message(QueueUrl=url + "/1/queue", MessageBody=one["password"])
        found.append(type(secrets.get_secret_value(SecretId="word")["SecretString"]).__name__)
        found.append(type(secrets.get_secret_value(SecretId="bytes")["SecretBinary"]).__name__)
        found.append(raised(secrets.get_secret_value, SecretId="missing"))
        ssm = client(url, "ssm")
        found.append(int(ssm.get_parameter(Name="plain")["Parameter"]["Value"]))
        found.append(len(ssm.get_parameter(Name="secure")["Parameter"]["Value"]) > 5)
        table = boto3.resource("dynamodb", endpoint_url=url, region_name="eu-west-1").Table("users")
        query = {"KeyConditionExpression": Key("id").eq(1)}
        items = table.query(**query)["Items"]
        found.append([[one["id"], type(one["password"]).__name__] for one in items])
        table.meta.client.get_waiter("table_exists").wait(
            TableName="users", WaiterConfig={"Delay": 1, "MaxAttempts": 4})
        answer = client(url, "lambda").invoke(FunctionName="f", Payload=json.dumps({"n": PRICE}))
        found.append(json.load(answer["Payload"])["of"])
        sent = client(url, "sqs").send_message(QueueUrl=url + "/1/queue", MessageBody=f"at {PRICE}")
        return found + [sent["MessageId"]]

    @td.job("beside")
    def beside(url):
        s3 = client(url)
        s3.put_object(Bucket=BUCKET, Key="mine", Body=b"mine")
        if "SHOP_STORES" in os.environ:
            from tracediff.stores.s3 import S3Blobs
            blobs = S3Blobs(f"s3://traces-b/own?endpoint={url}")
            blobs.put("30d/segments/one", b"its own")
            assert list(blobs.keys()) and blobs.get("30d/segments/one") == b"its own"
            blobs.close()
        return s3.get_object(Bucket=BUCKET, Key="mine")["Body"].read()

    @td.job("signed")
    def signed(url):
        parts = {"Bucket": BUCKET, "Key": "file"}
        return [client(url, signature_version=version).generate_presigned_url("get_object", parts)
                for version in ("s3v4", "s3")]

    @td.job("events")
    def events(url):
        model = client(url, "bedrock-runtime")
        answer = model.invoke_model_with_response_stream(modelId="m", body=b"{}")
        return [one["chunk"]["bytes"] for one in answer["body"]]

    @td.job("lost")
    def lost(url):
        found, s3 = [], client(url)
        def ask():
            try:
                found.append(len(s3.list_buckets()["Buckets"]))
            except BaseException as error:
                found.append(type(error).__name__)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return len(found)
"""
SECRETS = [
    "pa55word-in-secrets-manager", "pa55word-that-is-a-word", "pa55word-of-bytes",
    "pa55word-of-a-parameter", "ap1-key-in-an-object",
    "pa55word-of-item", "n0body-at-all", "wr0ng-key-1",
]  # fmt: skip


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with Seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="module")
def services() -> Iterator[AwsService]:
    with AwsService() as running:
        yield running


@pytest.fixture(scope="module")
def boto_shop(new_shop: Callable[[], Any]) -> Any:
    shop = new_shop()
    shop.settings('inputs = ["boto3", "boto3 lambda.Inv*", "!boto3 secretsmanager.Nothing"]\n')
    shop.jobs(JOBS)
    return shop


@pytest.fixture(scope="module")
def faulty(seaweed: Seaweed) -> Iterator[FaultyHttp]:
    with FaultyHttp(seaweed.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def traces(
    boto_shop: Any,
    seaweed: Seaweed,
    services: AwsService,
    faulty: FaultyHttp,
    service: HttpService,
) -> dict[str, Trace]:
    """A trace of each job; the S3 is gone when they are there."""
    faulty.fail(1, method="GET", answer=(503, "SlowDown"))  # which the library tries again
    faulty.fail(1, method="GET")
    faulty.fail(1, method="GET", cut=100)
    url = seaweed.endpoint
    calls = [f"{job}({url!r})" for job in ("storage", "half", "beside", "signed", "lost")]
    calls += [f"{job}({services.url!r})" for job in ("services", "events")]
    calls += [f"faulty({faulty.endpoint!r})", f"slow({service.url!r})"]
    known = seaweed.identities["admin"].environment()
    found = boto_shop.record("\n".join(calls), SHOP_STORES="1", **known)
    seaweed.stop()
    held = boto_shop.stored() + repr(found).encode()
    assert [one for one in known.values() if one.encode() in held] == []
    return {trace.key: trace for trace in found}


@pytest.fixture(scope="module")
def again(
    boto_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> dict[str, Any]:
    """What each part gave, which a replay without the server and credentials gave as well."""
    repeats(boto_shop, traces["storage"])
    parts = ("objects", "streams", "transfers", "failing")
    return dict(zip(parts, boto_shop.result(traces["storage"]), strict=True))


def test_objects_pages_waiters_and_errors_are_served(
    boto_shop: Any, again: dict[str, Any], traces: dict[str, Trace]
) -> None:
    found = again["objects"]
    assert found[3:8] == ["0.json", "1.json", "2.json", "binary", "file"]
    assert found[8] == {"n": 1}
    assert found[12] == len("from a file")
    assert found[13][0] == "NoSuchKey"
    assert found[13][2:] == ["GetObject", found[13][3], 404]
    assert found[14][4] == 404
    assert found[15][0] == "ParamValidationError"
    assert found[16:] == ["NoSuchKey", "file"]
    steps = boto_shop.below(traces["storage"], "objects")
    kinds = {step.name: step.kind for step in steps}
    assert kinds == {
        "boto3 s3.PutObject": "output", "boto3 s3.DeleteObject": "output",
        "boto3 s3.ListObjectsV2": "input", "boto3 s3.GetObject": "input",
        "boto3 s3.HeadObject": "input",
    }  # fmt: skip
    (first, *_) = [values.inert(step.args) for step in steps]
    assert first["params"]["Body"] == {"n": 0}
    answer = boto_shop.results(traces["storage"], "boto3 s3.GetObject")[0]
    assert answer["body"] == {"n": 1}


def test_bodies_are_served_as_they_were_read(again: dict[str, Any]) -> None:
    found = again["streams"]
    data = bytes(range(256)) * 40
    assert found[:3] == [10_240, [3000, 3000, 3000, 1240], data[5:10]]
    assert found[4:] == [data[:4], data[4:5], bytearray(data[5:10]), ["api_key"], data[:4], 4]


def test_threads_of_transfers_have_the_jobs_context(
    boto_shop: Any, again: dict[str, Any], traces: dict[str, Trace]
) -> None:
    found = again["transfers"]
    assert found[:3] == [5, 6 << 20, "a file"]
    assert found[3][0] == "ClientError"
    steps = boto_shop.below(traces["storage"], "transfers")
    parts = [values.inert(one.args)["params"] for one in steps if one.name.endswith("UploadPart")]
    assert sorted(one["PartNumber"] for one in parts) == [1, 2]
    (large,) = [one["Body"] for one in parts if one["PartNumber"] == 1]
    assert (large["size"], len(large["sha256"])) == (5 << 20, 64)


def test_errors_without_an_answer_are_raised_again(again: dict[str, Any]) -> None:
    found = again["failing"]
    assert found[0] == "ClientError"
    assert found[1][0] == "EndpointConnectionError"
    assert "http://127.0.0.1:9/" in found[1][1]


@pytest.mark.in_turn
def test_more_of_a_body_than_was_read_is_a_miss(
    boto_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> None:
    repeats(boto_shop, traces["half"])
    changed = boto_shop.copy(boto_shop.directory.parent / "more")
    changed.change("READ = 10", "READ = 20")
    (miss,) = changed.replay(traces["half"]).replay.misses
    assert miss.name == "boto3 rest of a body"


@pytest.mark.in_turn
def test_a_body_that_is_cut_and_one_that_comes_too_late_are_so_again(
    boto_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> None:
    file, half, cut = boto_shop.result(traces["faulty"])
    assert (file, len(half)) == (b"from a file", 50)
    assert cut[0] in ("ResponseStreamingError", "IncompleteReadError")
    attempts = values.inert(traces["faulty"].steps[1].result)["answer"]["ResponseMetadata"]
    assert attempts["RetryAttempts"] == 1
    repeats(boto_shop, traces["faulty"])
    assert boto_shop.result(traces["slow"])[0] == "ReadTimeoutError"
    repeats(boto_shop, traces["slow"])


def test_any_service_is_recorded_without_its_secrets(
    boto_shop: Any, traces: dict[str, Trace], services: AwsService
) -> None:
    trace, asked = traces["services"], len(services.asked)
    found = boto_shop.result(trace)
    assert found[:4] == [["password", "port", "username"], True, "str", "bytes"]
    assert found[4][0] == "ResourceNotFoundException"
    assert found[5:8] == [17, True, [[found[7][0][0], "str"], [found[7][1][0], "str"]]]
    assert found[8] == {"n": 1}
    new = boto_shop.replay(trace)
    assert not new.replay.misses
    assert not new.replay.unused
    assert boto_shop.result(new) == found
    assert len(services.asked) == asked
    held = boto_shop.stored() + repr(traces).encode()
    assert b"message-" in held
    assert [secret for secret in SECRETS if secret.encode() in held] == []
    kinds = {step.name: step.kind for step in trace.steps[1:]}
    assert kinds["boto3 sqs.SendMessage"] == "output"
    assert kinds["boto3 lambda.Invoke"] == "input"
    assert kinds["boto3 dynamodb.Query"] == "input"


def test_a_changed_output_is_compared_and_not_sent(
    boto_shop: Any,
    traces: dict[str, Trace],
    services: AwsService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key-for-what-is-live")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its-secret")
    changed = boto_shop.copy(boto_shop.directory.parent / "changed")
    changed.settings('inputs = ["boto3", "boto3 lambda.Invoke"]\nreplay_allow = ["inputs"]\n')
    changed.change("PRICE = 1", "PRICE = 2")
    trace, asked = traces["services"], len(services.asked)
    assert [one.name for one in changed.replay(trace).replay.misses] == ["boto3 lambda.Invoke"]
    assert len(services.asked) == asked
    new = changed.replay(trace, on_miss="live")
    assert changed.result(new)[8] == {"n": 2}
    assert services.asked[asked:] == ["/2015-03-31/functions/f/invocations"]
    last = [step for step in new.steps if step.name == "boto3 sqs.SendMessage"][-1]
    assert values.inert(last.args)["params"]["MessageBody"] == "at 2"


def test_urls_are_signed_without_credentials_and_kept_without_signature(
    boto_shop: Any, traces: dict[str, Trace]
) -> None:
    for trace in (traces["signed"], boto_shop.replay(traces["signed"])):
        new, old = boto_shop.result(trace)
        assert "X-Amz-Signature=[redacted]" in new
        assert "X-Amz-Credential=[redacted]" in new
        assert "AWSAccessKeyId=[redacted]&Signature=[redacted]" in old
        assert len(trace.steps) == 1


@pytest.mark.in_turn
def test_a_thread_without_context_is_recorded_nowhere_and_refused_in_a_replay(
    boto_shop: Any, traces: dict[str, Trace]
) -> None:
    assert len(traces["lost"].steps) == 1
    (miss,) = boto_shop.replay(traces["lost"]).replay.misses
    assert (miss.name, miss.served) == ("boto3 s3.ListBuckets", "failed")
    assert "propagate" in miss.hint


@pytest.mark.in_turn
def test_streams_of_events_are_plain_and_refused_in_a_replay(
    boto_shop: Any, traces: dict[str, Trace], services: AwsService
) -> None:
    trace, asked = traces["events"], len(services.asked)
    assert boto_shop.result(trace) == [b"one", b"two"]
    name = "boto3 bedrock-runtime.InvokeModelWithResponseStream"
    assert trace.warnings == (f"a stream of events is not recorded: {name}",)
    error = boto_shop.replay(trace).steps[0].error
    assert error is not None
    assert f"{name} streams events, which are not recorded" in error.message
    assert len(services.asked) == asked


@pytest.mark.in_turn
def test_a_recorder_that_fails_breaks_no_operation(
    boto_shop: Any, traces: dict[str, Trace], services: AwsService
) -> None:
    shop = boto_shop.copy(boto_shop.directory.parent / "failing")
    calls = f"""
from tracediff.recording.libraries import boto3 as library, boto3_calls
kept = library.Operation
library.Operation = lambda *of: 1 / 0
services({services.url!r})
library.Operation = kept
boto3_calls.copied = boto3_calls.bare = lambda *of: 1 / 0
services({services.url!r})
"""
    for trace in shop.record(calls, AWS_ACCESS_KEY_ID="a-key", AWS_SECRET_ACCESS_KEY="a-secret"):
        assert shop.result(trace)[8] == {"n": 1}
        assert trace.warnings == (
            "a value could not be recorded: ZeroDivisionError: division by zero",
        )


@pytest.mark.in_turn
def test_the_store_asks_by_the_same_library_and_is_in_no_trace(
    boto_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> None:
    trace = traces["beside"]
    assert boto_shop.result(trace) == b"mine"
    assert [step.name for step in trace.steps[1:]] == ["boto3 s3.PutObject", "boto3 s3.GetObject"]
    repeats(boto_shop, trace)
