"""The prompt files of this gateway, ready to render. Satisfies ports.Prompts."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Template

from gateway.adapters.prompt_check import TemplateCheck
from gateway.adapters.prompt_compile import Templates, tags_in
from gateway.adapters.prompt_files import PromptSource, Source, read_folder
from gateway.adapters.prompt_front import FrontMatter, InputSpec
from gateway.adapters.prompt_tags import (
    MAX_CHARS,
    SHEET,
    PromptEnvironment,
    RenderLimit,
    Sheet,
)
from gateway.domain import control_tokens
from gateway.domain.call import PromptRef
from gateway.domain.document import ConfigError, did_you_mean
from gateway.domain.errors import GatewayError, PromptInputError, UnknownPrompt
from gateway.domain.ports import Prompt, Rendered

DEADLINE = 1.0
"""Seconds that one rendering may take."""

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


class PromptFiles:
    """What `load` found in a folder. It does not change and may be used from any thread."""

    def __init__(
        self, prompts: Mapping[str, Loaded], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._prompts = dict(prompts)
        self._clock = clock

    def names(self) -> tuple[str, ...]:
        """All prompts, by name."""
        return tuple(sorted(self._prompts))

    def get(self, name: str) -> Prompt:
        """UnknownPrompt (422) when there is none of that name."""
        return self.loaded(name).prompt

    def loaded(self, name: str) -> Loaded:
        """The prompt with its front matter, tests included. UnknownPrompt as above."""
        found = self._prompts.get(name)
        if found is None:
            hint = did_you_mean(name, self._prompts)
            raise UnknownPrompt(f"There is no prompt {name!r}; {hint}", param="prompt")
        return found

    def render(self, name: str, inputs: Mapping[str, Any]) -> Rendered:
        """Messages made of `inputs`, with control tokens in them neutralised and tags that none of
        them contains. PromptInputError (422) when an input does not fit or the prompt would pass
        MAX_CHARS; GatewayError (500) when the template itself fails."""
        loaded = self.loaded(name)
        values = _checked(loaded, inputs)
        sheet = Sheet(self._clock, self._clock() + DEADLINE)
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

    def restore(self, text: str) -> str:
        """Undo, in a model's answer, what `render` did to control tokens in data."""
        return control_tokens.restore(text)


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
    output, params = loaded.front.output, loaded.front.model.params
    tag = output.tag + suffix if output.tag else None
    stop = [_with_suffix(word, loaded.tags, suffix) for word in params.stop]
    if tag and f"</{tag}>" not in stop:
        stop.append(f"</{tag}>")
    fields = params.model_dump(exclude_none=True, exclude={"stop"})
    if fields["max_tokens"] == "auto":
        del fields["max_tokens"]
    return Rendered(
        ref=loaded.prompt.ref,
        messages=tuple(messages),
        params=fields,
        tag=tag,
        edits=output.protocol == "edits",
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


def load(folder: Path, clock: Callable[[], float] = time.monotonic) -> PromptFiles:
    """Read, check and compile every prompt below `folder`. ConfigError with all problems."""
    found = read_folder(folder)
    problems = list(found.problems)
    loaded = {}
    for prompt in found.prompts.values():
        environment = PromptEnvironment()
        check = TemplateCheck(environment, found.partials)
        check.prompt(prompt.source, prompt.front.inputs)
        # A partial that several prompts include is told of once.
        problems += [problem for problem in check.problems if problem not in problems]
        if not check.problems:
            partials = [found.partials[path] for path in sorted(check.reached)]
            loaded[prompt.front.name] = _compiled(environment, prompt, partials)
    if problems:
        raise ConfigError(problems)
    return PromptFiles(loaded, clock)


def _compiled(
    environment: PromptEnvironment, prompt: PromptSource, partials: list[Source]
) -> Loaded:
    front, source = prompt.front, prompt.source
    tags = tags_in(environment, [source, *partials])
    if front.output.tag:
        tags |= {front.output.tag}
    environment.loader = Templates([source, *partials], tags)
    # Included partials are compiled now as well: a render reads and compiles nothing.
    for partial in partials:
        environment.get_template(partial.path)
    described = Prompt(
        ref=PromptRef(front.name, front.version, _sha(source, partials)),
        description=front.description,
        model=front.model.alias,
        params=front.model.params.model_dump(exclude_none=True),
        output=front.output.model_dump(),
        inputs={name: _described(spec) for name, spec in front.inputs.items()},
    )
    return Loaded(described, front, source, environment.get_template(source.path), tags)


def _described(spec: InputSpec) -> dict[str, Any]:
    return {
        "type": spec.type,
        "trust": spec.trust,
        "required": spec.required,
        "default": spec.default,
        "max_chars": spec.max_chars,
        "fields": spec.shape.names,
    }


def _sha(source: Source, partials: list[Source]) -> str:
    """Twelve hex digits of the prompt file and each partial that it reaches."""
    digest = hashlib.sha256(source.text.encode())
    for partial in partials:
        digest.update(f"\0{partial.path}\0{partial.text}".encode())
    return digest.hexdigest()[:12]
