"""config/gateway.yaml: made from the tree, whole, and true."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.settings import ConfigPaths, Settings, load, shipped
from gateway.settings.sample import sample
from gateway.settings.tree import SECTIONS


def test_the_file_in_the_repository_is_what_the_tree_says() -> None:
    file = shipped("config") / "gateway.yaml"

    assert file.read_text(encoding="utf-8") == sample(), (
        "write it anew: python -m gateway.settings.sample > config/gateway.yaml"
    )


def test_the_file_names_every_setting() -> None:
    names = re.findall(r"^  #(\w+): ", sample(), flags=re.MULTILINE)

    assert names == [name for model in SECTIONS.values() for name in model.model_fields]


def test_the_file_as_it_stands_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(sample(), encoding="utf-8")

    settings = load(ConfigPaths(config=tmp_path), {}, {})

    assert settings.model_dump() == Settings(paths=settings.paths).model_dump()
    assert settings.origin("server", "port").line == 0


def test_uncommented_it_sets_exactly_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^  #(?=\w)", "  ", sample(), flags=re.MULTILINE)
    (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")

    settings = load(ConfigPaths(config=tmp_path), {}, {})

    assert settings.model_dump() == Settings(paths=settings.paths).model_dump()
    assert settings.origin("embedded", "threads").line == text.count("\n")


def test_no_line_is_longer_than_a_screen() -> None:
    assert max(len(line) for line in sample().splitlines()) <= 100
