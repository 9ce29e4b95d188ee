"""The table of grammars: each is there, and each node type that it names exists."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.adapters import syntax
from gateway.adapters.grammars import GRAMMARS

PROJECT = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_node_type_exists_in_its_grammar(language: str) -> None:
    reader = syntax._reader(language)
    assert not isinstance(reader, str), reader
    for wrapper in GRAMMARS[language].wrappers.split():
        assert reader.language.id_for_node_kind(wrapper, True), wrapper


def test_every_grammar_is_a_package_that_is_declared_and_every_declared_one_is_used() -> None:
    core = PROJECT["project"]["dependencies"]
    extra = PROJECT["project"]["optional-dependencies"]["languages"]
    declared = {text.split(">")[0] for text in (*core, *extra) if text.startswith("tree-sitter-")}
    assert {grammar.package for grammar in GRAMMARS.values()} == declared


def test_a_new_gateway_has_the_eight_languages_that_most_teams_write() -> None:
    core = {text.split(">")[0] for text in PROJECT["project"]["dependencies"]}
    wanted = ("python", "javascript", "typescript", "java", "go", "rust", "c", "cpp")
    assert {GRAMMARS[language].package for language in wanted} <= core
