"""Prompts in other languages: what they take from the default one, and what is wrong with one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters.prompt_front import LocaleMatter, schema_text
from gateway.adapters.prompt_locales import locale_of
from gateway.adapters.prompt_trials import failures
from gateway.adapters.prompts import load
from gateway.domain.document import ConfigError
from tests.adapters.prompt_folders import KOREAN, folder, write

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("language", "code"), [("ko_KR", "ko"), (" en-US ", "en"), ("Deutsch", "deutsch"), ("", "")]
)
def test_a_language_is_known_by_its_code(language: str, code: str) -> None:
    assert locale_of(language) == code


def test_its_tests_run_on_its_own_text(tmp_path: Path) -> None:
    folder(tmp_path)
    write(tmp_path, "code/x.ko.prompt.j2", KOREAN.replace("[코드]", "[없음]"))

    [failure] = failures(load(tmp_path), "code/x")

    assert "x.ko.prompt.j2" in failure
    assert "do not contain '없음'" in failure


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: code/x\n", "name: code/y\n", "E102 the name 'code/y' is not that of code/x"),
        ("tests:", "inputs: {}\ntests:", "E101 unknown key 'inputs'"),
        ("{code: CODE}", "{cod: CODE}", "E101 there is no input 'cod'"),
        ("{{ code }}", "{{ cod }}", "E110 'cod' is not declared"),
    ],
)
def test_a_mistake_in_it_is_told_at_its_place(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    folder(tmp_path)
    write(tmp_path, "code/x.ko.prompt.j2", KOREAN.replace(old, new))

    with pytest.raises(ConfigError) as caught:
        load(tmp_path)

    assert says in str(caught.value)
    assert "x.ko.prompt.j2:" in str(caught.value)


def test_it_needs_a_default(tmp_path: Path) -> None:
    write(tmp_path, "code/x.ko.prompt.j2", KOREAN)

    with pytest.raises(ConfigError, match=r"write code/x\.prompt\.j2 first"):
        load(tmp_path)


def test_its_schema_file_is_fresh() -> None:
    file = ROOT / "prompts" / "schema" / "locale.schema.json"
    command = [sys.executable, "-m", "gateway.adapters.prompt_front", "locale"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert file.read_text("utf-8") == printed == schema_text(LocaleMatter), "stale; run: make docs"
