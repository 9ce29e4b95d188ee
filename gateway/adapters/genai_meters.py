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

    def settled(self, call: Call, outcome: Outcome, model: str, trace_id: str | None) -> None:
        """The end of a call for that model."""
        names = (call.endpoint.operation, genai.PROVIDER, model)
        if call.stream and outcome.first_token_seconds is not None:
            first = outcome.first_token_seconds
            self._observe(genai_metrics.FIRST_TOKEN, first, names, trace_id)
            self._streamed(call, outcome, names)
        if outcome.attempts:
            self._ended(call, outcome, names, trace_id)
        if (usage := outcome.usage) is not None and not usage.estimated:
            self._counted(call, usage, names)

    def _ended(
        self, call: Call, outcome: Outcome, names: tuple[str, ...], trace_id: str | None
    ) -> None:
        served = self._labels.served_model(outcome.served_model)
        error = self._labels.error(genai.error_type(outcome) or "")
        ended = (*names, served, error)
        seconds = outcome.seconds - _before(call)
        self._observe(genai_metrics.SERVER_DURATION, outcome.seconds, ended, trace_id)
        self._observe(genai_metrics.INFERENCE_DURATION, seconds, ended, trace_id)
        self._observe(genai_metrics.OLD_DURATION, seconds, ended, trace_id)

    def _streamed(self, call: Call, outcome: Outcome, names: tuple[str, ...]) -> None:
        pace, usage, first = outcome.pace, outcome.usage, outcome.first_token_seconds or 0.0
        self._observe(genai_metrics.FIRST_CHUNK, first - _before(call), names)
        self._observe(genai_metrics.OLD_FIRST_CHUNK, first - _before(call), names)
        if pace is None or pace.counts is None:
            return
        self._paced(genai_metrics.PER_CHUNK, pace, names)
        self._paced(genai_metrics.OLD_PER_CHUNK, pace, names)
        whole = outcome.kind is OutcomeKind.COMPLETED
        if whole and usage is not None and not usage.estimated and usage.completion > 1:
            took = pace.last - call.received - first
            each = max(0.0, took) / (usage.completion - 1)
            self._observe(genai_metrics.PER_TOKEN, each, names)

    def _paced(self, metric: Metric, pace: Pace, names: tuple[str, ...]) -> None:
        if pace.counts is not None and self._meters.exports(metric):
            self._meters.observe_many(metric, pace.counts, pace.total, *names)

    def _counted(self, call: Call, usage: Usage, names: tuple[str, ...]) -> None:
        prompt, completion = max(0, usage.prompt), max(0, usage.completion)
        if self._meters.exports(genai_metrics.INPUT_TOKENS):
            add = self._meters.add
            read = (*names, _modality(call))
            said = (*names, "text")
            add(genai_metrics.INPUT_TOKENS, prompt, *read)
            add(genai_metrics.OUTPUT_TOKENS, completion, *said)
            add(genai_metrics.CACHED_TOKENS, max(0, usage.cached), *read)
            add(genai_metrics.REASONING_TOKENS, max(0, usage.reasoning), *said)
            self._observe(genai_metrics.INPUT_SIZE, prompt, names)
            self._observe(genai_metrics.OUTPUT_SIZE, completion, names)
        self._observe(genai_metrics.OLD_TOKENS, prompt, (*names, "input"))
        self._observe(genai_metrics.OLD_TOKENS, completion, (*names, "output"))

    def _observe(
        self, metric: Metric, value: float, names: tuple[str, ...], trace_id: str | None = None
    ) -> None:
        if self._meters.exports(metric):
            self._meters.observe(metric, max(0.0, value), *names, trace_id=trace_id)


def _modality(call: Call) -> str:
    messages = call.body.get("messages")
    rows = messages if isinstance(messages, list) else ()
    parts = (row.get("content") for row in rows if isinstance(row, dict))
    return "unknown" if any(media_in(one) for one in parts if isinstance(one, list)) else "text"


def _before(call: Call) -> float:
    """Seconds that the call was here before its first attempt."""
    first = call.away.first
    return 0.0 if first is None else max(0.0, first - call.received)
