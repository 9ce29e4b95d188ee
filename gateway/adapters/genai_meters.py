"""A settled call told as OpenTelemetry's GenAI metrics, by the convention that is set."""

from __future__ import annotations

from gateway.adapters.labels import Labels
from gateway.adapters.meters import Meters
from gateway.domain import genai, genai_metrics
from gateway.domain.call import Call, Outcome, OutcomeKind, Usage
from gateway.domain.media import media_in
from gateway.domain.metric import Metric
from gateway.domain.pace import Pace


class GenaiMeters:
    """Tells what the meters export, and nothing else. `trace_id` is for exemplars."""

    def __init__(self, meters: Meters, labels: Labels) -> None:
        self._meters = meters
        self._labels = labels
        self._latest = meters.exports(genai_metrics.INFERENCE_DURATION)
        self._old = meters.exports(genai_metrics.OLD_DURATION)

    def settled(self, call: Call, outcome: Outcome, model: str, trace_id: str | None) -> None:
        """The end of a call for that model."""
        names = (call.endpoint.operation, genai.PROVIDER, model)
        if call.stream and outcome.first_token_seconds is not None:
            self._streamed(call, outcome, outcome.first_token_seconds, names, trace_id)
        if outcome.attempts:
            self._ended(call, outcome, names, trace_id)
        if (usage := outcome.counted) is not None:
            self._counted(call, usage, names)

    def _ended(
        self, call: Call, outcome: Outcome, names: tuple[str, ...], trace_id: str | None
    ) -> None:
        served = self._labels.served_model(outcome.served_model)
        ended = (*names, served, self._labels.error(genai.error_type(outcome) or ""))
        seconds, observe = max(0.0, outcome.seconds - _before(call)), self._meters.observe
        observe(genai_metrics.SERVER_DURATION, outcome.seconds, *ended, trace_id=trace_id)
        if self._latest:
            observe(genai_metrics.INFERENCE_DURATION, seconds, *ended, trace_id=trace_id)
        if self._old:
            observe(genai_metrics.OLD_DURATION, seconds, *ended, trace_id=trace_id)

    def _streamed(
        self,
        call: Call,
        outcome: Outcome,
        first: float,
        names: tuple[str, ...],
        trace_id: str | None,
    ) -> None:
        usage, observe = outcome.counted, self._meters.observe
        pace = outcome.pace if outcome.pace is not None and outcome.pace.counts else None
        observe(genai_metrics.FIRST_TOKEN, first, *names, trace_id=trace_id)
        began = max(0.0, first - _before(call))
        if self._latest:
            observe(genai_metrics.FIRST_CHUNK, began, *names)
            if pace is not None:
                self._paced(genai_metrics.PER_CHUNK, pace, names)
        if self._old:
            observe(genai_metrics.OLD_FIRST_CHUNK, began, *names)
            if pace is not None:
                self._paced(genai_metrics.OLD_PER_CHUNK, pace, names)
        whole = outcome.kind is OutcomeKind.COMPLETED
        if whole and pace is not None and usage is not None and usage.completion > 1:
            took = pace.last - call.received - first
            each = max(0.0, took) / (usage.completion - 1)
            observe(genai_metrics.PER_TOKEN, each, *names)

    def _paced(self, metric: Metric, pace: Pace, names: tuple[str, ...]) -> None:
        if pace.counts is not None:
            self._meters.observe_many(metric, pace.counts, pace.total, *names)

    def _counted(self, call: Call, usage: Usage, names: tuple[str, ...]) -> None:
        prompt, completion = max(0, usage.prompt), max(0, usage.completion)
        observe = self._meters.observe
        if self._latest:
            add = self._meters.add
            read = (*names, _modality(call))
            said = (*names, "text")
            add(genai_metrics.INPUT_TOKENS, prompt, *read)
            add(genai_metrics.OUTPUT_TOKENS, completion, *said)
            add(genai_metrics.CACHED_TOKENS, max(0, usage.cached), *read)
            add(genai_metrics.REASONING_TOKENS, max(0, usage.reasoning), *said)
            observe(genai_metrics.INPUT_SIZE, prompt, *names)
            observe(genai_metrics.OUTPUT_SIZE, completion, *names)
        if self._old:
            observe(genai_metrics.OLD_TOKENS, prompt, *names, "input")
            observe(genai_metrics.OLD_TOKENS, completion, *names, "output")


def _modality(call: Call) -> str:
    messages = call.body.get("messages")
    rows = messages if isinstance(messages, list) else ()
    parts = (row.get("content") for row in rows if isinstance(row, dict))
    return "unknown" if any(media_in(one) for one in parts if isinstance(one, list)) else "text"


def _before(call: Call) -> float:
    """Seconds that the call was here before its first attempt."""
    first = call.away.first
    return 0.0 if first is None else max(0.0, first - call.received)
