"""A call as metrics see it, and what a page of /metrics says."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.call_meters import CallMeters
from gateway.adapters.house_meters import HouseMeters
from gateway.adapters.labels import Labels
from gateway.adapters.meters import Meters
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.retry import Fault

COMPLETED = Outcome(
    OutcomeKind.COMPLETED,
    200,
    usage=Usage(31, 8, 16),
    replica="b",
    served_model="org/smol",
    finish_reason="stop",
    attempts=(Attempt("a", Fault.CONNECT, 0.1), Attempt("b", "ok", 0.5)),
    seconds=0.75,
    first_token_seconds=0.25,
    queue_seconds=0.01,
)


def a_call(model: str = "smol", team: str = "red", **other: Any) -> Call:
    other.setdefault("stream", True)
    call = Call("r1", CHAT, model, {}, received=0.0, deadline=60.0, **other)
    call.caller = Caller(team, "key-7")
    return call


class Told:
    """Both kinds of meters over one registry; `smol` and `big` are configured."""

    def __init__(self) -> None:
        self.meters = Meters()
        labels = Labels(lambda: ("smol", "big"))
        self.calls = CallMeters(self.meters, labels)
        self.house = HouseMeters(self.meters, labels)

    def samples(self, beginning: str = "") -> dict[str, float]:
        """By name and labels; those without a label `le` whose name begins so."""
        return samples(self.meters.render()[0], beginning)


def samples(page: bytes, beginning: str = "") -> dict[str, float]:
    """By name and labels, as Prometheus would print them; without the buckets."""
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
        if "le" not in one.labels and one.name.startswith(beginning)
    }
