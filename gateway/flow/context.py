"""Makes a prompt of the material of one question: counts, fits, renders, counts again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.budget import Budget
from gateway.domain.context import SHRINKS, Fitted, candidates, fit, measured, shrink, strings
from gateway.domain.material import nearest
from gateway.domain.ports import Prompts, Rendered, Tokens
from gateway.flow.task import Question

# (window, tokens of the selection) -> tokens to keep for the answer
Reserve = Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class Context:
    """Messages that fit the window, and what became of every part. `exact` is False when no
    replica and no tokenizer could be asked, so that the counts are estimates."""

    rendered: Rendered
    fitted: Fitted = field(repr=False)
    exact: bool


class ContextBuilder:
    """Asks `tokens` for exact counts, and `prompts` for the words."""

    def __init__(self, prompts: Prompts, tokens: Tokens) -> None:
        self._prompts = prompts
        self._tokens = tokens

    async def build(self, question: Question, model: str, reserve: Reserve) -> Context:
        """The largest context that leaves the reserve free. ContextTooLarge (413) when the parts
        that must go in do not fit; UnknownPrompt, PromptInputError (422)."""
        selected = question.material.file.text(question.material.span)
        window = await self._tokens.window(model)
        (size,) = await self._tokens.count_texts(model, [selected])
        budget = Budget(window, reserve(window, size.tokens))
        items = candidates(question.material, budget)
        named = strings(items)
        counts = await self._tokens.count_texts(model, list(named.values()))
        tokens = {key: count.tokens for key, count in zip(named, counts, strict=True)}
        overhead, _ = await self._count(model, self._render(question, None))
        return await self._fit(question, model, fit(items, tokens, budget, overhead))

    async def _fit(self, question: Question, model: str, fitted: Fitted) -> Context:
        for _ in range(SHRINKS):
            rendered = self._render(question, fitted)
            total, exact = await self._count(model, rendered)
            if fitted.holds(total):
                break
            fitted = shrink(fitted, total)
        else:
            rendered = self._render(question, fitted)
            total, exact = await self._count(model, rendered)
        return Context(rendered, measured(fitted, total), exact)

    async def _count(self, model: str, rendered: Rendered) -> tuple[int, bool]:
        open_end = rendered.prefill is not None
        messages = messages_of(rendered)
        counted = await self._tokens.count_messages(model, messages, continue_final=open_end)
        return counted.tokens, counted.exact

    def _render(self, question: Question, fitted: Fitted | None) -> Rendered:
        """The prompt of what fits; with None, of nothing: only its own words."""
        inputs = _inputs(question, fitted)
        declared = self._prompts.get(question.prompt).inputs
        known = {name: value for name, value in inputs.items() if name in declared}
        return self._prompts.render(question.prompt, known)


def messages_of(rendered: Rendered) -> list[dict[str, str]]:
    """The messages to send: with a prefill, the last is the assistant's own, begun."""
    messages = [dict(message) for message in rendered.messages]
    if rendered.prefill is not None:
        messages.append({"role": "assistant", "content": rendered.prefill})
    return messages


def _inputs(question: Question, fitted: Fitted | None) -> Mapping[str, Any]:
    material = question.material
    file = {"path": material.file.path, "language": material.file.language}
    if fitted is None:
        file |= {"before": "", "selected": "", "after": ""}
        texts = {"rules": "", "instruction": "", "answer_language": question.answer_language}
        lists = {"related": (), "diagnostics": (), "conversation": ()}
        return {"file": file, **texts, **lists}
    file |= {part: fitted.text(part) for part in ("before", "after")}
    file["selected"] = fitted.text("selection")
    said = sum(part.lines for part in fitted.of("diagnostics"))
    turns = [int(part.id.split(":")[1]) for part in fitted.of("turn")]
    return {
        "rules": "\n".join(part.text for part in fitted.of("rule")),
        "related": [
            {"path": part.path, "reason": part.reason, "text": part.text}
            for part in fitted.of("related")
        ],
        "file": file,
        "diagnostics": [
            {"line": one.line + 1, "severity": one.severity, "message": one.message}
            for one in sorted(nearest(material)[:said], key=lambda one: one.line)
        ],
        "conversation": [
            {"role": material.conversation[at].role, "content": material.conversation[at].content}
            for at in sorted(turns)
        ],
        "answer_language": question.answer_language,
        "instruction": material.instruction,
    }
