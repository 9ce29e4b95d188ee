"""One more try at an answer that cannot be used: the model is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.client.in_process import Completion, Via, chat
from gateway.domain.call import Call, Usage
from gateway.domain.control_tokens import neutralise, restore
from gateway.domain.holds import Holds
from gateway.domain.ports import Answers
from gateway.flow.context import Context

_ASK = "Your answer cannot be used. {problem} Answer again, whole and in the form asked for."
_CHARACTERS = 2  # of a token at least, in an answer that nobody counted
_FRAME = 64  # tokens that two more turns and our sentence take at most, besides the problem
_MOST_CHARS = 600  # of a problem


class Repair:
    """Asks over the same pipeline, as a call of its own: slots, policies and telemetry hold."""

    def __init__(self, answers: Answers, clock: Callable[[], float]) -> None:
        self._answers = answers
        self._clock = clock

    async def again(
        self, call: Call, context: Context, said: Completion, problem: str
    ) -> Completion:
        """A second answer within the deadline of `call`. What `gateway.client.chat` raises."""
        body = dict(call.body)
        body["messages"] = _messages(context, said.text, problem)
        second = replace(
            call,
            id=f"{call.id}-repair",
            body=body,
            stream=False,
            received=self._clock(),
            record=None,
            queue_seconds=0.0,
            holds=Holds(),
            steps=(),
        )

        async def prepare(call: Call) -> None:
            call.body = {**body, "stream": False}

        return await chat(self._answers, (), model=call.model, via=Via(second, prepare))


def fits(context: Context, said: Completion, problem: str) -> bool:
    """Whether the window holds the question, the first answer, and another one as long."""
    budget = context.fitted.budget
    asked = said.usage.prompt if said.usage else context.fitted.used
    spoken = said.usage.completion if said.usage else len(said.text) // _CHARACTERS
    told = min(len(problem), _MOST_CHARS) // _CHARACTERS + _FRAME
    return asked + spoken + told + budget.reserve <= budget.window


def both(first: Completion, second: Completion) -> Completion:
    """The second answer, with what the two took together."""
    usage = second.usage
    if first.usage and usage:
        usage = Usage(
            first.usage.prompt + usage.prompt,
            first.usage.completion + usage.completion,
            first.usage.cached + usage.cached,
            first.usage.estimated or usage.estimated,
        )
    return replace(second, usage=usage, attempts=first.attempts + second.attempts)


def _messages(context: Context, text: str, problem: str) -> list[dict[str, Any]]:
    """The talk so far with the answer in it. Control tokens bear one mark each: those that the
    model copied have it still, its own and those in the problem have none."""
    rendered = context.rendered
    messages = [dict(message) for message in rendered.messages]
    asked = _ASK.format(problem=neutralise(problem[:_MOST_CHARS]))
    said = neutralise(restore(text))
    messages.append({"role": "assistant", "content": (rendered.prefill or "") + said})
    messages.append({"role": "user", "content": asked})
    if rendered.prefill is not None:
        messages.append({"role": "assistant", "content": rendered.prefill})
    return messages
