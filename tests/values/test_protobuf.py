"""Messages of protobuf as values: exact, readable, and read again of loaded classes only."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from tracediff import values
from tracediff.errors import CodecError

ALLOW = values.Allow(())


def struct() -> Any:
    found = struct_pb2.Struct()
    found.update({"a": [1, {"b": None}], "c": True, "": "größe"})
    return found


def packed() -> Any:
    found = any_pb2.Any()
    found.Pack(timestamp_pb2.Timestamp(seconds=5))
    return found


def with_unknown_fields() -> Any:
    later = descriptor_pb2.FieldDescriptorProto(name="x", number=7, json_name="y")
    return wrappers_pb2.StringValue.FromString(later.SerializeToString())


MESSAGES = [
    struct(),
    packed(),
    with_unknown_fields(),
    timestamp_pb2.Timestamp(),
    timestamp_pb2.Timestamp(seconds=1, nanos=2),
    duration_pb2.Duration(seconds=-1),
    wrappers_pb2.DoubleValue(value=float("nan")),
    wrappers_pb2.DoubleValue(value=-0.0),
    wrappers_pb2.BytesValue(value=b"\xff\x00"),
    struct_pb2.Value(null_value=struct_pb2.NULL_VALUE),
    struct_pb2.Value(list_value=struct_pb2.ListValue()),
    descriptor_pb2.FileDescriptorProto.FromString(struct_pb2.DESCRIPTOR.serialized_pb),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_is_exact(message: Any) -> None:
    back = values.live(values.encode(message), ALLOW)
    assert type(back) is type(message)
    assert back.SerializeToString(deterministic=True) == message.SerializeToString(
        deterministic=True
    )


def test_a_message_is_told_by_its_fields() -> None:
    found = values.inert(values.encode(timestamp_pb2.Timestamp(seconds=5)))
    assert found.type == "google:google.protobuf.Timestamp"
    assert found.base == {"seconds": 5}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"google.protobuf.Timestamp", b"google.protobuf.Timestamq"),
        (b"seconds", b"secondz"),
        (b"google:", b"goggle:"),
    ],
)
def test_a_forged_message_is_none(old: bytes, new: bytes) -> None:
    data = values.encode(timestamp_pb2.Timestamp(seconds=5))
    assert old in data
    with pytest.raises(CodecError):
        values.live(data.replace(old, new), ALLOW)
