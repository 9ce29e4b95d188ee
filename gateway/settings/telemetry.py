"""What is told of the gateway's work, and where to: Telemetry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from gateway.settings.addresses import Url
from gateway.settings.section import Seconds, Section, Share


class Telemetry(Section):
    """Traces, metrics and logs."""

    otlp_endpoint: Url | None = Field(
        default=None, description="base URL of an OTLP/HTTP collector; null sends no traces"
    )
    service_name: str = Field(
        default="vllm-gateway", min_length=1, description="its name on traces"
    )
    console: bool = Field(default=False, description="print spans on stderr")
    otlp_metrics: bool = Field(
        default=False, description="push the metrics of /metrics to otlp_endpoint too"
    )
    otlp_metrics_interval_s: Seconds = Field(default=30.0, description="seconds between two pushes")
    trace_policies: bool = Field(default=False, description="a log line for each verdict")
    sample_ratio: Share = Field(default=1.0, description="share of calls traced, 0 to 1")
    slow_s: Seconds = Field(default=10.0, description="a call of so many seconds is traced anyway")
    genai_semconv: Literal["latest", "v1_41", "both"] = Field(
        default="both", description="GenAI names: latest, v1_41 (older tools), both"
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="auto: pretty on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )

    @field_validator("otlp_metrics")
    @classmethod
    def _somewhere(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("otlp_endpoint", "") is None:
            raise ValueError("needs telemetry.otlp_endpoint, such as http://localhost:4318")
        return value
