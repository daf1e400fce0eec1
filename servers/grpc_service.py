"""A gRPC server in a process of its own, which has a method of each kind.

Its classes, and those of its clients, are made of ``PROTO`` when they are needed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc

PROTO = """
syntax = "proto3";
package pricing;

message Query { string product = 1; int32 count = 2; string api_token = 3; bytes raw = 4; }
message Part { string name = 1; double price = 2; }
message Rate {
  string product = 1;
  double price = 2;
  repeated Part parts = 3;
  map<string, string> labels = 4;
  map<int32, Part> by_number = 5;
  oneof more { string note = 6; Part part = 7; }
  optional int32 asked = 8;
  Kind kind = 9;
  bytes raw = 10;
  string session_token = 11;
  repeated int64 numbers = 12;
  enum Kind { PLAIN = 0; BULK = 1; }
}

service Rates {
  rpc GetRate(Query) returns (Rate);
  rpc ListRates(Query) returns (stream Rate);
  rpc PutRates(stream Query) returns (Rate);
  rpc Talk(stream Query) returns (stream Rate);
  rpc Convert(Query) returns (Rate) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Order(Query) returns (Rate);
}
"""


def generate(directory: Path) -> None:
    """Write the modules ``pricing_pb2`` and ``pricing_pb2_grpc``."""
    from grpc_tools import protoc

    (directory / "pricing.proto").write_text(PROTO)
    done = protoc.main(
        ["protoc", f"-I{directory}", f"--python_out={directory}", f"--grpc_python_out={directory}",
         str(directory / "pricing.proto")]
    )  # fmt: skip
    if done != 0:
        raise RuntimeError("protoc failed")


class Rates:
    """The service."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._asked = 0

    def _rate(self, query: Any) -> Any:
        self._asked += 1
        part = self._module.Part(name="duty", price=0.1)
        return self._module.Rate(
            product=query.product, price=1.5 * query.count, parts=[part, part], note="größe",
            labels={"b": "2", "a": "1"}, by_number={7: part}, asked=self._asked,
            kind=self._module.Rate.BULK, raw=query.raw, session_token="sesame-in-an-answer",
            numbers=[1, 2**60],
        )  # fmt: skip

    def GetRate(self, query: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        """A rate, or an error that the product names."""
        context.set_trailing_metadata((("cost", "3"), ("auth-token", "sesame-in-metadata"),
                                       ("raw-bin", b"\xff\x00")))  # fmt: skip
        if query.product == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, f"no product {query.product!r}")
        if query.product == "broken":
            raise RuntimeError("the server broke")
        if query.product == "slow":
            time.sleep(2)
        return self._rate(query)

    Convert = Order = GetRate

    def ListRates(self, query: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        """Several rates; an error in the middle, or never an end."""
        context.send_initial_metadata((("page", "1"),))
        for number in range(query.count):
            yield self._rate(self._module.Query(product=f"{query.product} {number}", count=number))
        if query.product == "broken":
            context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")
        if query.product == "endless":
            time.sleep(2)

    def PutRates(self, queries: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        """One rate of several queries."""
        found = list(queries)
        return self._rate(self._module.Query(product=found[-1].product, count=len(found)))

    def Talk(self, queries: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        """A rate for each query, as it comes."""
        for query in queries:
            yield self._rate(query)


class GrpcService:
    """The server as a process; ``address`` is where it is."""

    address: str

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "servers.grpc_service"], stdout=subprocess.PIPE,
            stdin=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        if self._process.stdout is None:
            raise RuntimeError("the server has no output")
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            raise RuntimeError("the gRPC server did not start")
        return self

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """Serve until the input ends, as it does with the process that started this one."""
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        sys.path.insert(0, directory)
        import pricing_pb2  # type: ignore[import-not-found]
        import pricing_pb2_grpc  # type: ignore[import-not-found]

        server = grpc.server(ThreadPoolExecutor(8))
        pricing_pb2_grpc.add_RatesServicer_to_server(Rates(pricing_pb2), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        sys.stdout.write(f"127.0.0.1:{port}\n")
        sys.stdout.flush()
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        ended.wait()
        server.stop(0)


if __name__ == "__main__":
    serve()
