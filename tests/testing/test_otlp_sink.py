"""The test collector keeps what it is sent and says when something is missing."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from gateway.testing.otlp_sink import OtlpSink


def test_a_span_arrives_with_its_attributes() -> None:
    with OtlpSink() as sink:
        provider = TracerProvider(shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{sink.endpoint}/v1/traces")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        span = provider.get_tracer("test").start_span("work", attributes={"n": 1, "l": ["a"]})
        span.end()
        [seen] = sink.wait(1)
        provider.shutdown()
    assert (seen.name, seen.kind, seen.parent_id, seen.error) == ("work", "INTERNAL", "", False)
    assert seen.attributes == {"n": 1, "l": ["a"]}
    assert len(seen.trace_id) == 32


def test_spans_that_do_not_come_are_missed() -> None:
    with OtlpSink() as sink, pytest.raises(TimeoutError, match="0 of 1 spans"):
        sink.wait(1, timeout=0.01)
