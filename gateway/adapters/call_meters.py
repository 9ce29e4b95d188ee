"""What happens to a call, told as metrics: CallMeters."""

from __future__ import annotations

from gateway.adapters.genai_meters import GenaiMeters
from gateway.adapters.labels import Labels
from gateway.adapters.meters import Meters
from gateway.domain import answer_metrics, limit_metrics, metrics, prompt_metrics
from gateway.domain.call import Call, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import NotPermitted
from gateway.domain.prices import MILLION
from gateway.domain.retry import Fault
from gateway.domain.step import REDACTED, Step

RESULTS = frozenset(fault.value for fault in Fault) | {"ok", "cancelled"}
_NOT_LET_IN = (
    *(Unauthorized.code, NotPermitted.code),
    *("role_required", "route_not_permitted", "model_not_permitted"),
)
_WASTED = {OutcomeKind.CANCELLED: "cancel", OutcomeKind.TIMEOUT: "timeout"}


class CallMeters:
    """Counts each thing once, in the moment that it is about."""

    def __init__(self, meters: Meters, labels: Labels) -> None:
        self._meters = meters
        self._labels = labels
        self._genai = GenaiMeters(meters, labels)

    def began(self, call: Call) -> str:
        """A call comes in. Gives the name under which it is in flight, for `moved` and
        `settled`."""
        model = self._labels.model(call.model)
        self._meters.add(metrics.INFLIGHT, 1, model)
        return model

    def moved(self, call: Call, was: str) -> str:
        """A policy, or an /api/ai/* route, may have chosen the model after the call came in: gives
        the name under which it is in flight from now on."""
        model = self._labels.model(call.model)
        if model != was:
            self._meters.add(metrics.INFLIGHT, -1, was)
            self._meters.add(metrics.INFLIGHT, 1, model)
        return model

    def verdict(self, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, after `seconds`."""
        names = (self._labels.policy(policy), self._labels.decision(decision))
        self._meters.add(metrics.POLICY_DECISIONS, 1, *names)
        self._meters.observe(limit_metrics.POLICY_SECONDS, seconds, names[0])

    def cost(self, call: Call, cost: int) -> None:
        """A call was entered in the ledger with this cost, in micro-units."""
        if cost > 0:
            labels = self._labels
            names = (labels.team(call.caller.team), labels.model(call.model))
            self._meters.add(limit_metrics.COST, cost / MILLION, *names)

    def retried(self, after: str) -> None:
        """Another attempt begins, after one that ended in this fault."""
        self._meters.add(metrics.RETRIES, 1, after or metrics.OTHER)

    def attempted(self, replica: str, result: str) -> None:
        """One attempt is over."""
        outcome = result if result in RESULTS else metrics.OTHER
        self._meters.add(metrics.ATTEMPTS, 1, self._labels.replica(replica), outcome)

    def settled(
        self, call: Call, outcome: Outcome, flying: str, trace_id: str | None = None
    ) -> None:
        """The end of a call, which was in flight under that name. `trace_id` is that of a trace
        that is kept."""
        meters, labels = self._meters, self._labels
        model, route = labels.model(call.model), labels.route(call.route)
        meters.add(metrics.INFLIGHT, -1, flying)
        team = labels.team(call.caller.team)
        meters.add(metrics.REQUESTS, 1, route, model, team, outcome.kind.value)
        meters.observe(metrics.DURATION, outcome.seconds, route, model, trace_id=trace_id)
        if outcome.attempts or outcome.queue_seconds > 0:
            meters.observe(metrics.QUEUE_WAIT, outcome.queue_seconds, model)
        meters.add(answer_metrics.RESPONSES, 1, route, labels.status(str(outcome.status)))
        if outcome.code in _NOT_LET_IN:
            meters.add(answer_metrics.AUTH_FAILURES, 1, outcome.code)
        if outcome.own_seconds is not None:
            meters.observe(answer_metrics.OVERHEAD, outcome.own_seconds, route, trace_id=trace_id)
        if call.stream and outcome.attempts:
            self._streamed(outcome, model)
        if outcome.usage is not None:
            self._used(outcome, outcome.usage, model)
        self._genai.settled(call, outcome, model, trace_id)
        for step in call.steps:
            self._stepped(step)
        if call.prompt is not None:
            self._prompted(call, call.prompt, outcome)

    def _stepped(self, step: Step) -> None:
        name = step.facts.get("gen_ai.prompt.name")
        if name is None:
            return
        meters, labels, prompt = self._meters, self._labels, self._labels.prompt(str(name))
        if step.error:
            meters.add(prompt_metrics.PROMPT_ERRORS, 1, prompt, labels.error(step.error))
        elif (tokens := step.facts.get("gw.context.tokens")) is not None:
            meters.observe(prompt_metrics.PROMPT_RENDER, step.ended - step.began, prompt)
            meters.observe(prompt_metrics.CONTEXT_TOKENS, int(tokens), prompt)
            if step.facts["gw.context.cut"]:
                meters.add(prompt_metrics.CONTEXT_TRUNCATED, 1, prompt)
        else:
            found = {at: int(count) for at, count in step.facts.items() if at.startswith(REDACTED)}
            for at, count in found.items():
                kind = labels.kind(at.removeprefix(REDACTED))
                meters.add(limit_metrics.REDACTIONS, count, "assist", kind)

    def _streamed(self, outcome: Outcome, model: str) -> None:
        self._meters.add(answer_metrics.STREAM_OUTCOMES, 1, model, outcome.kind.value)
        if outcome.pace is not None and outcome.pace.longest:
            self._meters.observe(answer_metrics.MAX_GAP, outcome.pace.longest, model)

    def _used(self, outcome: Outcome, usage: Usage, model: str) -> None:
        prompt, completion = max(0, usage.prompt), max(0, usage.completion)
        if usage.estimated:
            self._meters.add(answer_metrics.ESTIMATED, 1, model)
            self._meters.add(answer_metrics.ESTIMATED_TOKENS, prompt, model, "input")
            self._meters.add(answer_metrics.ESTIMATED_TOKENS, completion, model, "output")
        if outcome.kind is not OutcomeKind.COMPLETED and completion:
            why = _WASTED.get(outcome.kind, "error")
            self._meters.add(answer_metrics.WASTED_TOKENS, completion, why)

    def _prompted(self, call: Call, prompt: PromptRef, outcome: Outcome) -> None:
        shadow = "shadow:" if call.shadow else ""
        text, name = self._labels.prompt_text(prompt.text), self._labels.prompt(prompt.name)
        variant = self._labels.variant(shadow + prompt.variant)
        self._meters.add(metrics.PROMPT_REQUESTS, 1, text, variant, outcome.kind.value)
        self._meters.observe(metrics.PROMPT_DURATION, outcome.seconds, name, variant)
        if (usage := outcome.counted) is not None:
            tokens = max(0, usage.completion)
            self._meters.add(metrics.PROMPT_TOKENS, tokens, name, variant)
