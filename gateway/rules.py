"""The settings in the rooms' own words: limits, timeouts, rules."""

from __future__ import annotations

from typing import Any

from gateway.adapters.health import HealthRule
from gateway.adapters.rounds import Pace
from gateway.domain.affinity import AffinityRule
from gateway.domain.bounds import Bounds, InputLimits, JsonBounds
from gateway.domain.limits import QueueLimits, StreamLimits, Timeouts
from gateway.domain.screening import DENIED, Screen
from gateway.flow.assist import AssistLimits
from gateway.settings import Settings


def affinity_of(settings: Settings) -> AffinityRule:
    """How far a replica may be loaded and still be a conversation's own."""
    own = settings.affinity
    return AffinityRule(own.load_factor, own.load_slack, own.waiting, own.kv_cache)


def health_of(settings: Settings) -> HealthRule:
    """How replicas are watched."""
    own = settings.health
    return HealthRule(
        probe=Pace(own.interval_s, own.jitter) if own.probe else None,
        within=own.timeout_s,
        unhealthy_after=own.unhealthy_after,
        poll=Pace(settings.affinity.poll_s, own.jitter),
        always=own.poll_metrics,
    )


def input_limits_of(settings: Settings) -> InputLimits:
    """What clients may ask for, as the intake knows it."""
    own = settings.limits
    return InputLimits(
        JsonBounds(own.json_depth, own.json_values),
        _bounds(own.of("")),
        {model: _bounds(own.of(model)) for model in own.models},
    )


def _bounds(values: dict[str, Any]) -> Bounds:
    return Bounds(**{**values, "allow": frozenset(values["allow"])})


def timeouts_of(settings: Settings) -> Timeouts:
    """The bounds of time, as the rooms know them."""
    times = settings.timeouts
    return Timeouts(
        connect=times.connect_s,
        first_token=times.first_token_s,
        idle=times.idle_s,
        total=times.total_s,
        stream_total=times.stream_total_s,
        first_token_by_model=times.first_token_by_model,
    )


def streams_of(settings: Settings) -> StreamLimits:
    """What holds for streams, as the web edge knows it."""
    return StreamLimits(settings.streams.keepalive_s, settings.streams.client_stall_s)


def queue_limits_of(settings: Settings) -> QueueLimits:
    """The bounds of the queue, as the admission room knows them."""
    queue = settings.queue
    return QueueLimits(
        slots=queue.slots_per_replica,
        size=queue.size,
        wait=queue.wait_s,
        weights=queue.team_weights,
        relief=queue.relief,
    )


def assist_limits_of(settings: Settings) -> AssistLimits:
    """What an answer of /api/ai/* may take."""
    own = settings.assist
    return AssistLimits(
        model=own.model,
        explain_tokens=own.explain_max_tokens,
        rewrite_tokens=own.rewrite_max_tokens,
    )


def screen_of(settings: Settings) -> Screen:
    """What of a workspace no model is shown."""
    return Screen((*DENIED, *settings.assist.denied_paths), settings.assist.secrets)
