"""Labels and the store: which text a request gets, old ones kept, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_labels import (
    Labels,
    Move,
    keep,
    read_labels,
    read_store,
    write_labels,
)
from gateway.adapters.prompts import PromptFiles, load, survey
from gateway.domain.document import ConfigError
from gateway.domain.errors import UnknownPrompt
from gateway.domain.prompt import Wanted
from tests.adapters.prompt_folders import KOREAN, folder, prompt, write


def move(
    sha: str, label: str = "production", kind: str = "promote", was: str | None = None
) -> Move:
    at = "2026-01-01T00:00:00+00:00"
    return Move(at=at, kind=kind, name="code/x", label=label, sha=sha, version="1.0.0", was=was)


def promoted(root: Path, label: str = "production") -> str:
    bundle = survey(root)[0]["code/x"].working
    keep(root, bundle)
    write_labels(root, read_labels(root).moved(move(bundle.sha, label)))
    return bundle.sha


def edited(root: Path, version: str = "1.1.0") -> PromptFiles:
    text = prompt().replace('"1.0.0"', f'"{version}"').replace("You read", "You know")
    write(root, "code/x.prompt.j2", text)
    return load(root)


def system(prompts: PromptFiles, version: str | None = None) -> str:
    ref = prompts.choose("code/x", Wanted(version=version)).ref
    return prompts.render(ref.key, {}).messages[0]["content"]


def test_without_a_label_the_file_is_served(tmp_path: Path) -> None:
    folder(tmp_path)

    assert "You know" in system(edited(tmp_path))


def test_production_stays_while_the_file_is_edited(tmp_path: Path) -> None:
    old = promoted(folder(tmp_path))
    prompts = edited(tmp_path)

    assert "You read" in system(prompts)
    assert "You read" in system(prompts, "1.0.0")
    assert "You read" in system(prompts, old)
    assert "You read" in system(prompts, "label:production")
    assert "You know" in system(prompts, "1.1.0")
    assert "You know" in system(prompts, "label:working")
    assert "You read" in prompts.render("code/x", {}).messages[0]["content"]


def test_an_old_text_keeps_its_languages(tmp_path: Path) -> None:
    write(folder(tmp_path), "code/x.ko.prompt.j2", KOREAN)
    promoted(tmp_path)
    (tmp_path / "code/x.ko.prompt.j2").unlink()
    prompts = edited(tmp_path)

    assert prompts.choose("code/x", Wanted(language="ko")).ref.locale == "ko"
    assert prompts.choose("code/x", Wanted("1.1.0", language="ko")).ref.locale == ""


@pytest.mark.parametrize("version", ["2.0.0", "label:staging", "0" * 12, "../x", "label:"])
def test_what_is_not_there_is_refused_with_what_is(tmp_path: Path, version: str) -> None:
    promoted(folder(tmp_path))

    with pytest.raises(UnknownPrompt, match=r"1\.0\.0, label:production") as caught:
        load(tmp_path).choose("code/x", Wanted(version=version))

    assert (caught.value.status, caught.value.param) == (422, "prompt.version")


def test_another_text_under_a_promoted_version_is_refused(tmp_path: Path) -> None:
    promoted(folder(tmp_path))

    with pytest.raises(ConfigError) as caught:
        edited(tmp_path, "1.0.0")

    assert "E150 version 1.0.0 was promoted with another text" in str(caught.value)
    assert 'raise it: version: "1.0.1"' in str(caught.value)


def test_a_kept_text_that_was_changed_is_refused(tmp_path: Path) -> None:
    sha = promoted(folder(tmp_path))
    kept = tmp_path / "_versions" / "code" / "x" / sha / "code" / "x.prompt.j2"
    kept.write_text(kept.read_text("utf-8").replace("You read", "You obey"), "utf-8")

    with pytest.raises(ConfigError, match="E151 its files make"):
        load(tmp_path)


def test_a_label_for_a_text_that_is_gone_is_refused(tmp_path: Path) -> None:
    write_labels(folder(tmp_path), Labels().moved(move("0" * 12)))

    with pytest.raises(ConfigError, match="E151 code/x: production stands for 000000000000"):
        load(tmp_path)


def test_a_label_for_a_prompt_that_is_gone_is_refused(tmp_path: Path) -> None:
    promoted(folder(tmp_path))
    (tmp_path / "code" / "x.prompt.j2").rename(tmp_path / "y.prompt.j2")
    file = tmp_path / "y.prompt.j2"
    file.write_text(file.read_text("utf-8").replace("name: code/x", "name: y"), "utf-8")

    with pytest.raises(ConfigError, match="E151 there is no prompt 'code/x'"):
        load(tmp_path)


@pytest.mark.parametrize("sha", ["123456789012", "12345e678901", "000000000000"])
def test_hashes_that_look_like_numbers_come_back_as_they_were(tmp_path: Path, sha: str) -> None:
    labels = Labels().moved(move(sha, was="111111111111"))
    write_labels(tmp_path, labels)

    assert read_labels(tmp_path) == labels


def test_a_mistake_in_the_file_of_labels_is_told_with_its_line(tmp_path: Path) -> None:
    write(folder(tmp_path), "labels.yaml", "labels:\n  code/x: {production: abc}\n")

    problems = read_store(tmp_path, ()).problems

    assert [(problem.line, "code/x" in problem.message) for problem in problems] == [(2, True)]


def test_each_rollback_undoes_one_promotion_more() -> None:
    one, two, three = ("1" * 12, "2" * 12, "3" * 12)
    labels = Labels()
    assert labels.before("code/x", "production") is None
    for sha in (one, two, three):
        labels = labels.moved(move(sha))
    assert labels.before("code/x", "production") == two
    labels = labels.moved(move(two, kind="rollback"))
    assert labels.before("code/x", "production") == one
    labels = labels.moved(move(three))
    assert labels.before("code/x", "production") == two
    assert labels.before("code/x", "staging") is None


def test_the_set_s_hash_knows_texts_and_labels(tmp_path: Path) -> None:
    first = load(folder(tmp_path)).sha
    promoted(tmp_path)
    second = load(tmp_path).sha

    assert len({first, second, edited(tmp_path).sha}) == 3
