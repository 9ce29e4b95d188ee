"""What policies tell of limits reaches the telemetry that there is by then."""

from __future__ import annotations

from gateway.adapters.metered import Metered
from gateway.domain.fixed import Heard


def test_everything_is_passed_on_to_whatever_telemetry_there_is_now() -> None:
    telemetry: list[Heard] = []
    metered = Metered(lambda: telemetry[0])
    telemetry.append(Heard())
    metered.rate_limited("p", "key")
    metered.budget_used("ide", "p", 0.5)
    metered.budget_alert("p", 80)
    metered.redacted("p", "aws_key", 2)
    assert telemetry[0].redactions == [("p", "aws_key", 2)]
    assert telemetry[0].limited == [("p", "key")]
    assert telemetry[0].used == {("ide", "p"): 0.5}
    assert telemetry[0].alerts == [("p", 80)]
