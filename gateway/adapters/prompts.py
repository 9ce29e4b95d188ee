"""The prompt files of this gateway, ready to render. Satisfies ports.Prompts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.adapters import prompt_render
from gateway.adapters.prompt_bundle import Bundle, bundles
from gateway.adapters.prompt_files import read_folder
from gateway.adapters.prompt_labels import PRODUCTION, WORKING, read_store
from gateway.adapters.prompt_locales import locale_of
from gateway.adapters.prompt_paths import names_in
from gateway.adapters.prompt_render import DEADLINE, Loaded
from gateway.domain import control_tokens
from gateway.domain.document import ConfigError, Problem, did_you_mean
from gateway.domain.errors import UnknownPrompt
from gateway.domain.prompt import Prompt, Rendered, Wanted

__all__ = ["DEADLINE", "Family", "Loaded", "PromptFiles", "load"]


@dataclass(frozen=True, slots=True)
class Family:
    """One prompt in all its versions. `labels` gives each label's sha, `texts` what each sha is:
    those that were promoted, and the working one."""

    working: Bundle
    labels: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, Bundle] = field(default_factory=dict)

    @property
    def served(self) -> Bundle:
        """What a request gets that does not say: production, or the file where nothing is."""
        sha = self.labels.get(PRODUCTION)
        return self.texts[sha] if sha else self.working

    def find(self, version: str) -> Bundle | None:
        """By "label:staging", "1.4.0" or a sha; a version that the file has is the file."""
        if version.startswith("label:"):
            label = version.removeprefix("label:")
            if label == WORKING:
                return self.working
            sha = self.labels.get(label)
            # Until something is promoted, the file is what is in production.
            return self.texts[sha] if sha else self.served if label == PRODUCTION else None
        every = (self.working, *self.texts.values())
        return next((one for one in every if version in (one.version, one.sha)), None)


class PromptFiles:
    """What `load` found in a folder. It does not change and may be used from any thread."""

    def __init__(
        self, families: Mapping[str, Family], clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._families = dict(families)
        self._clock = clock
        self._loaded = {name: one.served.default for name, one in families.items()}
        for family in families.values():
            for bundle in (*family.texts.values(), family.working):
                self._loaded |= {one.prompt.ref.key: one for one in bundle.faces.values()}

    @property
    def sha(self) -> str:
        """Twelve hex digits of the whole set, labels included."""
        rows = [
            f"{name} {one.working.sha} {sorted(one.labels.items())}"
            for name, one in sorted(self._families.items())
        ]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]

    def names(self) -> tuple[str, ...]:
        """All prompts, by name."""
        return tuple(sorted(self._families))

    def family(self, name: str) -> Family:
        """All versions of a prompt. UnknownPrompt (422) when there is none of that name."""
        family = self._families.get(name)
        if family is None:
            raise _unknown(name, self._families)
        return family

    def get(self, name: str) -> Prompt:
        """UnknownPrompt (422) when there is none of that name."""
        return self.loaded(name).prompt

    def loaded(self, name: str) -> Loaded:
        """The prompt with its front matter, tests included. UnknownPrompt as above."""
        found = self._loaded.get(name)
        return found if found is not None else self.family(name).served.default

    def choose(self, name: str, wanted: Wanted) -> Prompt:
        """The text for one request. UnknownPrompt (422): no such name, version or variant."""
        family = self.family(name)
        bundle = family.served
        if wanted.version is not None:
            found = family.find(wanted.version)
            if found is None:
                raise _no_version(name, family, wanted.version)
            bundle = found
        locale = locale_of(wanted.language)
        if (locale, "") not in bundle.faces:
            locale = ""
        variant = _variant(bundle, wanted)
        face = bundle.faces.get((locale, variant)) or bundle.faces["", variant]
        return face.prompt

    def render(self, name: str, inputs: Mapping[str, Any]) -> Rendered:
        """Messages made of `inputs`, with control tokens in them neutralised and tags that none of
        them contains. PromptInputError (422) when an input does not fit or the prompt would pass
        MAX_CHARS; GatewayError (500) when the template itself fails."""
        return prompt_render.render(self.loaded(name), inputs, self._clock)

    def restore(self, text: str) -> str:
        """Undo, in a model's answer, what `render` did to control tokens in data."""
        return control_tokens.restore(text)


def _unknown(name: str, known: Iterable[str]) -> UnknownPrompt:
    hint = did_you_mean(name, known)
    return UnknownPrompt(f"There is no prompt {name[:200]!r}; {hint}", param="prompt")


def _no_version(name: str, family: Family, version: str) -> UnknownPrompt:
    there = sorted({one.version for one in (family.working, *family.texts.values())})
    labels = "".join(f", label:{label}" for label in sorted(family.labels))
    return UnknownPrompt(
        f"The prompt {name} is here at version {', '.join(there)}{labels}, not {version[:100]}; "
        "leave prompt.version out, or send one of those.",
        param="prompt.version",
    )


def _variant(bundle: Bundle, wanted: Wanted) -> str:
    variants = bundle.front.variants
    if wanted.variant is not None:
        ids = [variant.id for variant in variants]
        if wanted.variant not in ids:
            raise UnknownPrompt(
                f"The prompt {bundle.name} has no variant {wanted.variant[:100]!r}; "
                f"{did_you_mean(wanted.variant, ids)}",
                param="prompt.variant",
            )
        return wanted.variant
    if not variants:
        return ""
    # The version is no part of it: a new text leaves everybody in the group that they were in.
    unit = hashlib.sha256(f"{bundle.name}\0{wanted.unit}".encode()).digest()
    place = int.from_bytes(unit[:8], "big") % sum(variant.weight for variant in variants)
    for variant in variants:
        place -= variant.weight
        if place < 0:
            return variant.id
    raise AssertionError("weights have a sum above 0")  # pragma: no cover


def load(folder: Path, clock: Callable[[], float] = time.thread_time) -> PromptFiles:
    """Read, check and compile every prompt below `folder`. ConfigError with all problems."""
    families, problems = survey(folder)
    if problems:
        raise ConfigError(problems)
    return PromptFiles(families, clock)


def survey(folder: Path, names: Collection[str] = ()) -> tuple[dict[str, Family], list[Problem]]:
    """What is sound below `folder`, and all problems: for those who can use a part. With `names`,
    of those prompts alone: nothing of the others is read. UnknownPrompt when one is not there."""
    found, problems = bundles(read_folder(folder, names))
    absent = [name for name in names if name not in found]
    if absent and not problems:
        raise _unknown(absent[0], names_in(folder))
    store = read_store(folder, found.values(), names)
    families = {}
    for name, bundle in found.items():
        texts = {sha: text for (owner, sha), text in store.texts.items() if owner == name}
        labels = store.labels.labels.get(name, {})
        known = {label: sha for label, sha in labels.items() if sha in texts}
        families[name] = Family(bundle, known, texts)
    # A broken prompt is told of once, not again by each label that stands for it.
    broken = bool(problems)
    problems += [one for one in store.problems if not (broken and "there is no prompt" in str(one))]
    return families, problems
