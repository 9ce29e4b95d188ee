"""All rooms of a gateway, as one plan makes them: House."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.adapters.prompts import PromptFiles
from gateway.adapters.tokens import ReplicaTokens
from gateway.domain.limits import StreamLimits, Timeouts
from gateway.flow.assist import Assist
from gateway.flow.ceilings import Ceilings
from gateway.flow.identify import Identify
from gateway.flow.intake import Intake
from gateway.flow.pipeline import Pipeline
from gateway.plan import Fleet, Plan
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class House:
    """The rooms as one configuration makes them. A reload builds a new one and puts it in the
    place of the old, in which the requests that are in it stay to their end."""

    plan: Plan
    timeouts: Timeouts
    streams: StreamLimits
    identify: Identify
    intake: Intake
    answers: Pipeline
    assist: Assist
    tokens: ReplicaTokens
    ceilings: Ceilings

    @property
    def settings(self) -> Settings:
        """Those that it was built from."""
        return self.plan.settings

    @property
    def fleet(self) -> Fleet:
        """Where its models come from."""
        return self.plan.fleet

    @property
    def prompts(self) -> PromptFiles:
        """The prompt files."""
        return self.plan.prompts
