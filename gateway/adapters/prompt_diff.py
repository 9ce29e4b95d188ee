"""How a prompt differs from another text of it: files, messages of its tests, tokens, cache."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gateway.adapters.prompt_bundle import Bundle
from gateway.adapters.prompt_preview import prefix_of, shared_length
from gateway.adapters.prompt_render import Loaded, render
from gateway.domain.errors import GatewayError
from gateway.domain.prompt import Rendered

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Rendering:
    """One test on both texts: how the messages differ, tokens before and after, and how many
    characters of the stable prefix are still the same. `keeps` is False when servers must read
    the stable part anew."""

    test: str
    locale: str
    diff: str
    before: int
    after: int
    prefix_chars: int
    same_chars: int
    keeps: bool
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """All of it. `files` is a unified diff of the prompt's files."""

    name: str
    before: str
    after: str
    files: str
    renderings: tuple[Rendering, ...]

    def as_dict(self) -> dict[str, Any]:
        """As `--format json` prints it."""
        return asdict(self)


def compared(old: Bundle | None, new: Bundle, count: Count) -> PromptDiff:
    """`old` None: the prompt is new."""
    before = {source.path: source.text for source in old.sources} if old else {}
    after = {source.path: source.text for source in new.sources}
    files = "".join(
        _unified(path, before.get(path, ""), after.get(path, ""))
        for path in sorted({*before, *after})
    )
    renderings = tuple(_renderings(old, new, count)) if old else ()
    was = f"{old.name}@{old.version}+{old.sha}" if old else "nothing"
    return PromptDiff(new.name, was, f"{new.name}@{new.version}+{new.sha}", files, renderings)


def _unified(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _renderings(old: Bundle, new: Bundle, count: Count) -> Iterator[Rendering]:
    for locale in ("", *new.locales):
        loaded = new.faces[locale, ""]
        was = old.faces.get((locale, ""), old.default)
        for trial in loaded.front.tests:
            try:
                after = render(loaded, trial.inputs)
                # An input that is new is not known to the old text.
                known = {k: v for k, v in trial.inputs.items() if k in was.front.inputs}
                before = render(was, known)
            except GatewayError as error:
                yield Rendering(trial.name, locale, "", 0, 0, 0, 0, False, str(error))
                continue
            yield _rendering(trial.name, loaded, (before, after), trial.inputs, count)


def _rendering(
    test: str, loaded: Loaded, both: tuple[Rendered, Rendered], inputs: dict[str, Any], count: Count
) -> Rendering:
    before, after = both
    one, two = _shown(before), _shown(after)
    prefix = prefix_of(loaded, after, inputs)
    same = shared_length(_whole(before), _whole(after))
    return Rendering(
        test=test,
        locale=loaded.prompt.ref.locale,
        diff=_unified("messages", one, two) if one != two else "",
        before=sum(count(message["content"]) for message in before.messages),
        after=sum(count(message["content"]) for message in after.messages),
        prefix_chars=prefix.chars,
        same_chars=min(same, prefix.chars),
        keeps=same >= prefix.chars,
    )


def _shown(rendered: Rendered) -> str:
    return "".join(f"[{one['role']}]\n{one['content']}\n" for one in rendered.messages)


def _whole(rendered: Rendered) -> str:
    return "\0".join(f"{one['role']}\n{one['content']}" for one in rendered.messages)
