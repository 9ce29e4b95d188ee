"""Who is let in: whether a key is needed, tokens of an identity provider, the delay of guessers."""

from __future__ import annotations

from pydantic import Field

from gateway.settings.section import Seconds, Section, Wait


class Identity(Section):
    """Who is let in; teams and keys are in teams.yaml and the database."""

    required: bool = Field(
        default=False, description="a key is needed even while none is known: all are refused"
    )
    failures: int = Field(
        default=10, ge=0, description="wrong keys of an address before answers wait; 0: never"
    )
    failure_window_s: Seconds = Field(default=60.0, description="seconds in which they count")
    delay_s: Wait = Field(default=5.0, description="seconds that a wrong key waits at most")
