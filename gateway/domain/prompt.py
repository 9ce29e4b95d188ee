"""A prompt file as the rooms see it: what it says, which of its texts is wanted, a rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.call import PromptRef


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file that has been loaded and checked, as plain values of its front matter.

    `model` is a routing alias or None; `params` are the file's own, so `max_tokens` may be "auto";
    `output` has kind, protocol, tag, prefill; `inputs` maps each name to type, trust, required,
    default, max_chars and fields; `shadow` is a variant to run unseen, for this share of requests.
    """

    ref: PromptRef
    description: str
    model: str | None
    params: Mapping[str, Any]
    output: Mapping[str, Any]
    inputs: Mapping[str, Any]
    shadow: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a prompt's texts a request gets. `version`: "1.4.0", "label:staging",
    "label:working" (the file as it is now), a sha, or None for what is in production. `variant`:
    by name, else by its weight, always the same for the same `unit` (who asks). `language`: of the
    answer; without a text in it, the default one."""

    version: str | None = None
    variant: str | None = None
    language: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Messages made of a prompt and its inputs; what was neutralised, `Prompts.restore` undoes.

    `params` are body fields (never `stop`; `max_tokens` only where the file says a number). `tag`
    is the name of the tag that holds the answer, None where the whole answer counts; `suffix` is
    what this rendering put behind the name of each of the prompt's tags, `tag` included, because
    data has such tags too: nearly always nothing. `stop` ends the answer; `prefill` is how it
    begins, to be sent as a last assistant message that the model continues: not among `messages`.
    `edits` where the tag holds SEARCH/REPLACE blocks instead of the whole text.
    """

    ref: PromptRef
    messages: tuple[Mapping[str, str], ...]
    params: Mapping[str, Any]
    tag: str | None = None
    suffix: str = ""
    stop: tuple[str, ...] = ()
    prefill: str | None = None
    edits: bool = False

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """What the server holds the answer to; None where it may be anything."""
        form = self.params.get("response_format") or {}
        found: Mapping[str, Any] | None = form.get("json_schema", {}).get("schema")
        return found
