"""What policies tell as metrics, for those that are made before telemetry is."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.tools import PolicyMeters


class Metered:
    """Satisfies domain.tools.PolicyMeters: asks for the telemetry when it has to tell something."""

    def __init__(self, telemetry: Callable[[], PolicyMeters]) -> None:
        self._telemetry = telemetry

    def rate_limited(self, policy: str, scope: str) -> None:
        """A limit refused a call."""
        self._telemetry().rate_limited(policy, scope)

    def budget_used(self, team: str, policy: str, ratio: float) -> None:
        """What of a team's budget is used, from 0."""
        self._telemetry().budget_used(team, policy, ratio)

    def budget_alert(self, policy: str, percent: int) -> None:
        """A budget has reached so much of itself."""
        self._telemetry().budget_alert(policy, percent)

    def redacted(self, policy: str, kind: str, count: int) -> None:
        """Secrets of that kind were taken out."""
        self._telemetry().redacted(policy, kind, count)
