"""All texts of a prompt as one: its hash, its languages, its variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_bundle import Bundle, bundles, every_face
from gateway.adapters.prompt_files import PromptProblem, read_folder
from gateway.adapters.prompts import load
from gateway.domain.document import ConfigError
from gateway.domain.errors import UnknownPrompt
from gateway.domain.prompt import Wanted
from tests.adapters.prompt_folders import BRIEF, KOREAN, VARIANTS, folder, write


def whole(root: Path) -> Path:
    folder(root, VARIANTS)
    write(root, "_variants/x-brief.j2", BRIEF)
    write(root, "code/x.ko.prompt.j2", KOREAN)
    return root


def bundle(root: Path) -> Bundle:
    made, problems = bundles(read_folder(root))
    assert problems == []
    return made["code/x"]


def test_each_language_has_each_variant(tmp_path: Path) -> None:
    found = [(locale, variant) for locale, variant, _ in every_face(bundle(whole(tmp_path)))]

    ids = ["", "base", "brief", "cold"]
    assert found == [(locale, variant) for locale in ("", "ko") for variant in ids]


@pytest.mark.parametrize(
    "path", ["code/x.prompt.j2", "code/x.ko.prompt.j2", "_variants/x-brief.j2"]
)
def test_the_hash_is_of_every_text(tmp_path: Path, path: str) -> None:
    before = bundle(whole(tmp_path)).sha
    file = tmp_path / path
    file.write_text(file.read_text("utf-8").replace("{% user %}", "{% user %}New."), "utf-8")

    assert bundle(tmp_path).sha != before


def test_a_variant_changes_only_the_parameters_it_names(tmp_path: Path) -> None:
    faces = bundle(whole(tmp_path)).faces

    assert faces["", "cold"].prompt.params["temperature"] == 0
    assert "temperature" not in faces["", ""].prompt.params
    assert faces["", "cold"].prompt.params["max_tokens"] == "auto"


def test_a_missing_text_of_a_variant_is_told_at_its_line(tmp_path: Path) -> None:
    folder(tmp_path, VARIANTS)
    write(tmp_path, "_variants/x-brie.j2", BRIEF)

    [problem] = bundles(read_folder(tmp_path))[1]

    assert isinstance(problem, PromptProblem)
    assert (problem.code, problem.line, problem.fix) == (
        "E111",
        19,
        "did you mean '_variants/x-brie'?",
    )


def test_the_same_caller_always_gets_the_same_variant_and_shares_are_as_set(tmp_path: Path) -> None:
    prompts = load(whole(tmp_path))
    given = [prompts.choose("code/x", Wanted(unit=f"u{n}")).ref.variant for n in range(2000)]
    again = [prompts.choose("code/x", Wanted(unit=f"u{n}")).ref.variant for n in range(2000)]

    assert given == again
    assert set(given) == {"base", "cold"}
    assert 400 < given.count("cold") < 600


def test_a_variant_of_weight_0_is_there_for_who_names_it(tmp_path: Path) -> None:
    prompts = load(whole(tmp_path))
    ref = prompts.choose("code/x", Wanted(variant="brief")).ref

    assert (ref.variant, str(ref)) == ("brief", f"code/x@1.0.0+{ref.sha}~brief")
    assert prompts.render(ref.key, {}).messages[0]["content"] == "Brief."


def test_an_unknown_variant_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UnknownPrompt, match="did you mean 'cold'") as caught:
        load(whole(tmp_path)).choose("code/x", Wanted(variant="colt"))

    assert caught.value.param == "prompt.variant"


@pytest.mark.parametrize("language", ["ko", "ko-KR", "Korean", "KO", "한국어"])
def test_an_answer_in_korean_is_asked_for_in_korean(tmp_path: Path, language: str) -> None:
    prompts = load(whole(tmp_path))
    ref = prompts.choose("code/x", Wanted(language=language, unit="u")).ref

    assert ref.locale == "ko"
    assert "설명하세요" in prompts.render(ref.key, {}).messages[0]["content"]


def test_a_language_without_a_text_gets_the_default_one(tmp_path: Path) -> None:
    assert load(whole(tmp_path)).choose("code/x", Wanted(language="fr")).ref.locale == ""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("variants:\n  - {id: a, weight: 1}\n  - {id: a, weight: 1}\n", "same id"),
        ("variants:\n  - {id: a, weight: 0}\n", "weight above 0"),
        ("shadow: {variant: b, ratio: 0.5}\n", "no variant 'b'"),
    ],
)
def test_variants_that_cannot_be_are_refused(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(folder(tmp_path, more))
