"""What is true of the house rather than of a call, told as metrics: HouseMeters."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.adapters.labels import Labels
from gateway.adapters.meters import Meters
from gateway.domain import limit_metrics, metrics, process_metrics
from gateway.domain.limits import Priority
from gateway.domain.metrics import Metric
from gateway.domain.standing import State

_POOL_STATES = ("in_use", "idle")


class HouseMeters:
    """Replicas, queues, limits, configuration, what is kept. Satisfies tools.PolicyMeters."""

    def __init__(self, meters: Meters, labels: Labels) -> None:
        self._meters = meters
        self._labels = labels
        self._told: dict[Metric, str] = {}
        self._pooled: set[str] = set()

    def rate_limited(self, policy: str, scope: str) -> None:
        """A limit refused a call."""
        self._meters.add(limit_metrics.RATE_LIMITED, 1, self._labels.policy(policy), scope)

    def budget_used(self, team: str, policy: str, ratio: float) -> None:
        """What a team has used of a budget, from 0."""
        names = (self._labels.policy(policy), self._labels.team(team))
        self._meters.put(limit_metrics.BUDGET_USED, ratio, *names)

    def budget_alert(self, policy: str, percent: int) -> None:
        """A budget has reached so much of itself."""
        names = (self._labels.policy(policy), str(percent))
        self._meters.add(limit_metrics.BUDGET_ALERTS, 1, *names)

    def redacted(self, policy: str, kind: str, count: int) -> None:
        """So many of that kind were taken out."""
        names = (self._labels.policy(policy), self._labels.kind(kind))
        self._meters.add(limit_metrics.REDACTIONS, count, *names)

    def connections(self, open_ones: Mapping[str, tuple[int, int]]) -> None:
        """To each replica, by its id: those in use, and idle ones."""
        for replica in self._pooled - open_ones.keys():
            for state in _POOL_STATES:
                self._meters.remove(process_metrics.POOL, self._labels.replica(replica), state)
        self._pooled = set(open_ones)
        for replica, counts in open_ones.items():
            for state, count in zip(_POOL_STATES, counts, strict=True):
                self._meters.put(process_metrics.POOL, count, self._labels.replica(replica), state)

    def waiting(self, signal: str, count: int, most: int) -> None:
        """So much of that kind of telemetry waits to be sent, and so much may."""
        self._meters.put(process_metrics.TELEMETRY_QUEUE, count, signal)
        self._meters.put(process_metrics.TELEMETRY_CAPACITY, most, signal)

    def queued(self, model: str, priority: Priority, change: int) -> None:
        """A call begins (1) or ends (-1) to wait for a slot of a configured model."""
        self._meters.add(metrics.QUEUE_DEPTH, change, model, priority.value)

    def shed(self, model: str, priority: Priority) -> None:
        """A call was refused for want of a slot."""
        self._meters.add(metrics.SHED, 1, model, priority.value)

    def replica(self, replica: str, before: State | None, after: State | None) -> None:
        """A replica's state has changed; None before it is known, and after it is gone."""
        label = self._labels.replica(replica)
        for state, change in ((before, -1), (after, 1)):
            if state is not None:
                self._meters.add(metrics.REPLICA_STATE, change, label, state.value)
                self._meters.add(metrics.UPSTREAM_UP, change * state.up, label)

    def count(self, metric: Metric, *labels: str) -> None:
        """One more of what a counter counts; replicas and models are bounded as everywhere."""
        named = zip(metric.labels, labels, strict=True)
        self._meters.add(metric, 1, *(self._labels.bounded(*one) for one in named))

    def change(self, metric: Metric, change: int) -> None:
        """A gauge or a counter without labels has so many more, or less."""
        self._meters.add(metric, change)

    def dropped(self, signal: str, count: int = 1) -> None:
        """So many `spans` or lines of `logs` could not be told."""
        self._meters.add(process_metrics.TELEMETRY_DROPPED, count, signal)

    def records_shared(self, change: int) -> None:
        """This process begins (1) or ceases (-1) to reach the store that all share."""
        self._meters.add(metrics.RECORDS_SHARED, change)

    def records_dropped(self, count: int) -> None:
        """So many records never got there."""
        self._meters.add(metrics.RECORDS_DROPPED, count)

    def configured(self, sha: str, prompts: str = "") -> None:
        """This configuration holds from now on, and this set of prompts."""
        for metric, now in ((metrics.CONFIG_INFO, sha), (metrics.PROMPTS_INFO, prompts)):
            label, was = self._labels.sha(now), self._told.get(metric)
            if not now or label == was:
                continue
            if was is not None:
                self._meters.remove(metric, was)
            self._meters.add(metric, 1, label)
            self._told[metric] = label

    def reloaded(self, result: str) -> None:
        """A reload is over: "ok" or "failed"."""
        self._meters.add(metrics.CONFIG_RELOADS, 1, result)
