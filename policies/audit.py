"""Audit: who asked which model, by which way, and what became of it, in the audit log."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from gateway import Call, Outcome, Policy

_OUTCOMES = frozenset({"completed", "refused", "failed", "cancelled", "timeout", "truncated"})


class Audit(Policy):
    """Writes an event for each call that it meets, when that is over. Never what was asked or
    answered: names, numbers and verdicts. Put it first, or it hears nothing of what a policy before
    it refuses; `when:` chooses models, teams and paths."""

    class Settings(Policy.Settings):
        outcomes: frozenset[str] = _OUTCOMES
        """which ends of a call to write: [refused, failed]; all of them by default"""

        rehearsals: bool = False
        """previews and dry runs too, which no replica hears of"""

        fields: frozenset[str] = Field(default=frozenset(), max_length=16)
        """names of body fields whose numbers, true and false to keep: [max_tokens, temperature]"""

        @model_validator(mode="after")
        def _known(self) -> Audit.Settings:
            if strangers := sorted(self.outcomes - _OUTCOMES):
                raise ValueError(f"no outcome {strangers[0]!r}; there are {sorted(_OUTCOMES)}")
            return self

    settings: Settings

    async def after(self, call: Call, outcome: Outcome) -> None:
        if outcome.kind.value not in self.settings.outcomes:
            return
        if call.rehearsal and not self.settings.rehearsals:
            return
        actor = f"{call.caller.team}/{call.caller.key_id}"
        self.tools.audit.put(
            actor,
            f"call.{outcome.kind.value}",
            call.model[:256],
            {
                name: value
                for name, value in self._facts(call, outcome).items()
                if value not in (None, "")
            },
        )

    def _facts(self, call: Call, outcome: Outcome) -> dict[str, Any]:
        usage = outcome.usage
        notes = call.record.notes if call.record is not None else []
        verdicts = [note.facts for note in notes if note.kind == "policy"]
        body = {name: call.body.get(name) for name in sorted(self.settings.fields)}
        return {
            "call": call.id,
            "route": call.route,
            "status": outcome.status,
            "code": outcome.code,
            "replica": outcome.replica,
            "served_model": outcome.served_model,
            "prompt": str(call.prompt) if call.prompt else None,
            "user": getattr(call.caller, "user", ""),
            "stream": call.stream,
            "rehearsal": call.rehearsal or None,
            "shadow": call.shadow or None,
            "seconds": round(outcome.seconds, 3),
            "attempts": len(outcome.attempts),
            "prompt_tokens": usage.prompt if usage else None,
            "completion_tokens": usage.completion if usage else None,
            "verdicts": {str(one["policy"]): str(one["decision"]) for one in verdicts} or None,
            # Numbers alone: a text may be content.
            **{name: v for name, v in body.items() if isinstance(v, bool | int | float)},
        }
