"""Where files are found, and folders of the same name that are not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.document import ConfigError
from gateway.settings.paths import ConfigPaths, read_document, resolve, shipped


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_empty_folder_uses_what_was_shipped(here: Path) -> None:
    paths, problems = resolve(ConfigPaths())

    assert problems == []
    assert paths.config_dir == shipped("config")
    assert paths.litellm_config == shipped("litellm_config.yaml")
    assert paths.prompts_dir == shipped("prompts")
    assert paths.policies_dir == shipped("policies")
    assert paths.litellm_config_given is False


def test_what_was_shipped_is_there() -> None:
    assert (shipped("config") / "gateway.yaml").is_file()
    assert shipped("litellm_config.yaml").is_file()


def test_an_installed_wheel_carries_them_inside(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.settings.paths._PACKAGE", here)
    assert shipped("config") == here.parent / "config"

    (here / "_shipped").mkdir()

    assert shipped("config") == here / "_shipped" / "config"


def test_files_of_the_working_directory_come_first(here: Path) -> None:
    for name in (
        "config/teams.yaml",
        "litellm_config.yaml",
        "prompts/code/a.prompt.j2",
        "policies/a.py",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()

    paths, _ = resolve(ConfigPaths())

    assert (paths.config_dir, paths.litellm_config) == (Path("config"), Path("litellm_config.yaml"))
    assert (paths.prompts_dir, paths.policies_dir) == (Path("prompts"), Path("policies"))


def test_folders_of_another_project_are_left_alone(here: Path) -> None:
    for name in ("config/database.yml", "prompts/readme.md", "policies/privacy.md"):
        (here / name).parent.mkdir(parents=True)
        (here / name).touch()

    paths, _ = resolve(ConfigPaths())

    assert paths.config_dir == shipped("config")
    assert paths.prompts_dir == shipped("prompts")
    assert paths.policies_dir == shipped("policies")


def test_given_paths_win_and_a_given_model_file_is_remembered_as_given(here: Path) -> None:
    (here / "ops").mkdir()
    (here / "ops" / "gateway.yaml").touch()
    (here / "models.yaml").touch()

    paths, problems = resolve(ConfigPaths(config=here / "ops", litellm_config=here / "models.yaml"))

    assert problems == []
    assert paths.config_dir == here / "ops"
    assert paths.litellm_config_given is True


def test_given_paths_that_are_not_there_are_told_all_at_once(here: Path) -> None:
    (here / "file").touch()
    (here / "empty").mkdir()

    _, problems = resolve(
        ConfigPaths(
            config=here / "empty",
            litellm_config=here / "none.yaml",
            prompts=here / "file",
            policies=here / "none",
        )
    )

    assert [(problem.file, problem.message) for problem in problems] == [
        (
            str(here / "empty"),
            "--config: the folder holds none of gateway.yaml, teams.yaml, policies.yaml",
        ),
        (str(here / "file"), "--prompts: is a file, not a folder"),
        (str(here / "none"), "--policies: there is no such folder"),
        (str(here / "none.yaml"), "--litellm-config: there is no such file"),
    ]
    assert all(problem.fix for problem in problems)


def test_a_file_that_cannot_be_read_says_why(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(here)

    [problem] = caught.value.problems
    assert "cannot be read: Is a directory" in problem.message


def test_a_file_in_another_encoding_says_where(here: Path) -> None:
    (here / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")

    with pytest.raises(ConfigError) as caught:
        read_document(here / "latin.yaml")

    [problem] = caught.value.problems
    assert (problem.line, problem.message) == (2, "is not UTF-8 text")


def test_a_key_given_twice_does_not_show_its_values(here: Path) -> None:
    (here / "twice.yaml").write_text("api_key: sk-one\napi_key: sk-two\n")

    with pytest.raises(ConfigError) as caught:
        read_document(here / "twice.yaml")

    [problem] = caught.value.problems
    assert problem.line == 2
    assert 'duplicate key "api_key"' in problem.message
    assert "sk-" not in str(problem)
