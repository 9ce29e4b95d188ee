"""Makes the pieces of an answer what they will be in the result, as they come: Restoring."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.secret_scan import begun, restore
from gateway.flow.job import Job
from gateway.flow.unmarking import Unmarking


class Restoring:
    """Takes out marks, as `Unmarking` does, and then puts `secrets` back for their placeholders.

    Text is held back only while it may be the beginning of a placeholder that there is, too.
    """

    def __init__(self, prefill: str, secrets: Mapping[str, str]) -> None:
        self._unmarking = Unmarking(prefill)
        self._secrets = secrets
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown after this piece."""
        text = self._unmarking.feed(piece)
        if not self._secrets:
            return text
        text = self._held + text
        at = begun(text, len(text), self._secrets)
        self._held = text[at:]
        return restore(text[:at], self._secrets)

    def end(self) -> str:
        """What was still held: nothing more comes."""
        text, self._held = self._held + self._unmarking.end(), ""
        return restore(text, self._secrets)


def restoring_of(job: Job) -> Restoring:
    """For the answer to `job`. Only a rewrite gets its secrets back: an explanation is read by
    people, and quoted."""
    secrets = job.task.question.material.secrets if job.action.kind == "rewrite" else {}
    return Restoring(job.context.rendered.prefill or "", secrets)
