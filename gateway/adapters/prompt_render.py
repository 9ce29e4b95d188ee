"""One prompt made into messages: inputs checked, tags made unmistakable, tokens neutralised."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from jinja2 import Template

from gateway.adapters.prompt_files import Source
from gateway.adapters.prompt_front import FrontMatter
from gateway.adapters.prompt_tags import MAX_CHARS, SHEET, RenderLimit, Sheet
from gateway.domain import control_tokens
from gateway.domain.document import did_you_mean
from gateway.domain.errors import GatewayError, PromptInputError
from gateway.domain.prompt import Prompt, Rendered

DEADLINE = 1.0
"""Seconds of processor time that one rendering may take, however busy the machine is."""

# What a model may still read as one of our tags when it stands in data.
_BLANK = "[\\s\u200b-\u200d\u2060\ufeff]{0,8}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One prompt that can render. `tags` are the names that give it structure."""

    prompt: Prompt
    front: FrontMatter
    source: Source
    template: Template
    tags: frozenset[str]


def render(
    loaded: Loaded, inputs: Mapping[str, Any], clock: Callable[[], float] = time.thread_time
) -> Rendered:
    """What `ports.Prompts.render` promises. PromptInputError (422); GatewayError (500) when the
    template itself fails. `clock` is that of the thread's own processor time."""
    values = _checked(loaded, inputs)
    sheet = Sheet(clock, clock() + DEADLINE)
    try:
        stray = loaded.template.render({**values, SHEET: sheet})
    except RenderLimit as limit:
        if sheet.left < 0:
            raise _too_long(loaded) from None
        raise GatewayError(detail=f"{loaded.prompt.ref} {limit}") from None
    # Marked edge: a template may fail in any way that an expression can.
    except Exception as error:
        raise GatewayError(detail=f"{loaded.prompt.ref} failed: {error!r}") from error
    if stray.strip() or not sheet.messages:
        raise GatewayError(detail=f"{loaded.prompt.ref} rendered no message, or text outside")
    return _rendered(loaded, sheet)


def _checked(loaded: Loaded, inputs: Mapping[str, Any]) -> dict[str, Any]:
    declared = loaded.front.inputs
    for name in inputs:
        if name not in declared:
            hint = did_you_mean(name, declared)
            raise _unfit(loaded, name, f"is not an input; {hint}")
    values = {}
    for name, spec in declared.items():
        if name not in inputs and spec.required:
            raise _unfit(loaded, name, "is missing")
        try:
            values[name] = spec.check(inputs.get(name, spec.default))
        except ValueError as error:
            raise _unfit(loaded, name, str(error)) from None
    return values


def _unfit(loaded: Loaded, name: str, what: str) -> PromptInputError:
    text = f"The input {name!r} of the prompt {loaded.prompt.ref.name} {what}."
    return PromptInputError(text, param=name)


def _too_long(loaded: Loaded) -> PromptInputError:
    return PromptInputError(
        f"The prompt {loaded.prompt.ref.name} would have more than {MAX_CHARS} characters; "
        "send less text."
    )


def _rendered(loaded: Loaded, sheet: Sheet) -> Rendered:
    suffix = _free_suffix(loaded.tags, [text for _, text in sheet.messages], sheet.mark)
    messages = []
    for role, text in sheet.messages:
        content = control_tokens.neutralise(text.replace(sheet.mark, suffix))
        messages.append({"role": role, "content": content})
    if sum(len(message["content"]) for message in messages) > MAX_CHARS:
        raise _too_long(loaded)
    output, params = loaded.front.output, loaded.prompt.params
    tag = output.tag + suffix if output.tag else None
    stop = [_with_suffix(word, loaded.tags, suffix) for word in params["stop"]]
    if tag and f"</{tag}>" not in stop:
        stop.append(f"</{tag}>")
    fields = {key: value for key, value in params.items() if key != "stop"}
    if fields["max_tokens"] == "auto":
        del fields["max_tokens"]
    if output.answer_schema is not None:
        held = {"name": "answer", "schema": output.answer_schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": held}
    return Rendered(
        ref=loaded.prompt.ref,
        messages=tuple(messages),
        params=fields,
        tag=tag,
        edits=loaded.front.output.protocol == "edits",
        suffix=suffix,
        stop=tuple(stop),
        prefill=f"<{tag}>\n" if tag and output.prefill else None,
    )


def _free_suffix(tags: frozenset[str], texts: list[str], mark: str) -> str:
    """What to put behind the name of each tag so that no tag in data looks like one of ours: ""
    nearly always, else "-2", "-3" …: the first that no data contains, so that the same data gives
    the same prompt. `texts` are whole messages, so a tag put together from two inputs counts."""
    if not tags:
        return ""
    names = "|".join(sorted(map(re.escape, tags), key=len, reverse=True))
    in_data = re.compile(
        rf"<{_BLANK}/?{_BLANK}(?:{names})(?!{mark})(?!\w)(?:-(\d+))?", re.IGNORECASE
    )
    used = {found[1] for text in texts for found in in_data.finditer(text)}
    if not used:
        return ""
    return next(f"-{number}" for number in count(2) if str(number) not in used)


def _with_suffix(word: str, tags: frozenset[str], suffix: str) -> str:
    return re.sub(
        r"</?([a-z][a-z0-9_-]*)",
        lambda found: found[0] + suffix if found[1] in tags else found[0],
        word,
    )
