"""Section telemetry: what may be written there."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings.telemetry import Telemetry


def test_nothing_is_sent_unless_it_is_asked_for() -> None:
    silent = Telemetry()
    assert (silent.otlp_endpoint, silent.otlp_metrics, silent.console) == (None, False, False)
    assert silent.otlp_metrics_interval_s == 30


def test_metrics_can_be_pushed_to_a_collector() -> None:
    told = Telemetry.model_validate(
        {"otlp_endpoint": "http://c:4318", "otlp_metrics": True, "otlp_metrics_interval_s": 5}
    )
    assert told.otlp_metrics


def test_metrics_need_somewhere_to_go() -> None:
    with pytest.raises(ValidationError, match=r"needs telemetry\.otlp_endpoint, such as http"):
        Telemetry.model_validate({"otlp_metrics": True})


@pytest.mark.parametrize(
    "wrong",
    [
        {"otlp_metrics_interval_s": 0},
        {"sample_ratio": 1.5},
        {"genai_semconv": "newest"},
        {"log_format": "xml"},
        {"otlp_endpoint": "collector:4318"},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Telemetry.model_validate(wrong)
