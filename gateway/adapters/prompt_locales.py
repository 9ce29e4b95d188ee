"""Prompts in other languages: name.ko.prompt.j2 says in Korean what name.prompt.j2 says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from gateway.adapters.prompt_files import (
    Folder,
    PromptSource,
    Source,
    broken_trials,
    found_by_pydantic,
    front_of,
    problem_at,
)
from gateway.adapters.prompt_front import LocaleMatter
from gateway.adapters.prompt_paths import LOCALE, SUFFIX
from gateway.domain.document import ConfigError, did_you_mean

_NAMES = {
    "chinese": "zh",
    "english": "en",
    "french": "fr",
    "german": "de",
    "japanese": "ja",
    "korean": "ko",
    "spanish": "es",
    "한국어": "ko",
    "日本語": "ja",
    "中文": "zh",
}


def locale_of(language: str) -> str:
    """The code of what a client calls a language: "ko" for "ko-KR", "KO" and "Korean"."""
    word = language.strip().lower()
    return _NAMES.get(word, word.replace("_", "-").partition("-")[0])


def languages(folder: Folder) -> Mapping[str, Mapping[str, PromptSource]]:
    """Name → language → text, with the default one's inputs, output and parameters. What is wrong
    goes to `folder.problems`."""
    found: dict[str, dict[str, PromptSource]] = {}
    for source in folder.languages:
        try:
            locale, text = _read(source, folder.prompts)
        except ConfigError as error:
            folder.problems.extend(error.problems)
        else:
            found.setdefault(text.front.name, {})[locale] = text
    return found


def _read(source: Source, defaults: Mapping[str, PromptSource]) -> tuple[str, PromptSource]:
    parts = LOCALE.match(source.path)
    assert parts is not None  # only such files are among the languages
    document = front_of(source)
    try:
        own = LocaleMatter.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(found_by_pydantic(source, document, error)) from None
    if own.name != parts["name"]:
        message = f"the name {own.name!r} is not that of {parts['name']}{SUFFIX}"
        fix = f"write name: {parts['name']}"
        raise ConfigError([problem_at(source, document, ("name",), "E102", message, fix)])
    default = defaults.get(own.name)
    if default is None:
        message = f"there is no prompt {own.name!r} in the default language"
        fix = f"write {own.name}{SUFFIX} first, or mend it; {did_you_mean(own.name, defaults)}"
        raise ConfigError([problem_at(source, document, ("name",), "E111", message, fix)])
    change = {"tests": own.tests, "description": own.description or default.front.description}
    front = default.front.model_copy(update=change)
    if problems := broken_trials(source, document, front):
        raise ConfigError(problems)
    return parts["locale"], replace(default, source=source, front=front, document=document)
