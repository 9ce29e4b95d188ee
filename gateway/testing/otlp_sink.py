"""A real OTLP/HTTP collector in a thread, which keeps the spans that it is sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True, slots=True)
class SunkSpan:
    """One span as it came over the wire; ids in hexadecimal, `parent_id` empty for a root."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    error: bool
    start_ns: int
    end_ns: int
    schema_url: str
    resource: dict[str, Any]


class OtlpSink:
    """Listens on a free port of 127.0.0.1 inside a `with` block."""

    def __init__(self) -> None:
        self.spans: list[SunkSpan] = []
        self.paths: set[str] = set()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def endpoint(self) -> str:
        """The base URL, as it would be configured."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OtlpSink:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int, timeout: float = 10.0) -> list[SunkSpan]:
        """The spans, once there are `count` of them. TimeoutError when they do not come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.spans) >= count, timeout):
                raise TimeoutError(f"{len(self.spans)} of {count} spans after {timeout} s")
            return list(self.spans)

    def named(self, name: str) -> list[SunkSpan]:
        """Those of that name, in the order of their start."""
        return sorted((s for s in self.spans if s.name == name), key=lambda span: span.start_ns)

    def take(self, path: str, body: bytes) -> None:
        """One request of an exporter."""
        found = _decode(ExportTraceServiceRequest.FromString(body))
        with self._changed:
            self.paths.add(path)
            self.spans += found
            self._changed.notify_all()


def _handler(sink: OtlpSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.take(self.path, body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests are quiet."""

    return Handler


def _decode(request: ExportTraceServiceRequest) -> list[SunkSpan]:
    found = []
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope in resource_spans.scope_spans:
            found += [_span(span, scope.schema_url, resource) for span in scope.spans]
    return found


def _span(span: Span, schema_url: str, resource: dict[str, Any]) -> SunkSpan:
    return SunkSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        error=span.status.code == Status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        schema_url=schema_url,
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    typed: list[KeyValue] = list(pairs)
    return {pair.key: _value(pair.value) for pair in typed}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
