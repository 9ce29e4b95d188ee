"""What a rule is, before it is Prometheus' YAML: Alert and Recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `after` is how long it must hold. A `page` wakes somebody, a `ticket` waits for
    the morning. `summary` is Prometheus' template: one line, with the number."""

    name: str
    severity: Literal["page", "ticket"]
    after: str
    expr: str
    summary: str

    @property
    def runbook(self) -> str:
        """Its page, from the root of the repository: GwReplicaDown has replica-down.md."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return f"docs/runbooks/{words.removeprefix('Gw-').lower()}.md"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes and keeps."""

    name: str
    expr: str
