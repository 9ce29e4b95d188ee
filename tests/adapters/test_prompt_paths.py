"""Names of prompts by their paths, and which files count."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_paths import name_of, names_in, partial_path, template_paths
from tests.adapters.prompt_folders import write


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("code/x.prompt.j2", "code/x"),
        ("code/x.ko.prompt.j2", "code/x"),
        ("y.prompt.j2", "y"),
    ],
)
def test_a_file_is_a_text_of_the_prompt_that_its_path_names(path: str, name: str) -> None:
    assert name_of(Path("here"), Path("here", path)) == name


def test_names_are_told_without_reading_a_file(tmp_path: Path) -> None:
    for path in ("code/x.prompt.j2", "code/x.ko.prompt.j2", "a.prompt.j2", "_partials/p.j2"):
        write(tmp_path, path, "no front matter")
    write(tmp_path, f"_versions/code/x/{'a' * 12}/code/x.prompt.j2", "kept")
    write(tmp_path, ".git/b.prompt.j2", "hidden")

    assert names_in(tmp_path) == ["a", "code/x"]
    assert len(template_paths(tmp_path)) == 4


def test_the_ending_of_a_partial_may_be_left_out() -> None:
    assert partial_path("_partials/p") == partial_path("_partials/p.j2") == "_partials/p.j2"
