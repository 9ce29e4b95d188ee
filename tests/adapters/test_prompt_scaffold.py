"""A new prompt's first text lints without a warning, is laid out, and its test holds."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from gateway.adapters.prompt_format import formatted
from gateway.adapters.prompt_lint import lint
from gateway.adapters.prompt_scaffold import Kind, scaffold
from gateway.adapters.prompt_trials import verdicts
from gateway.adapters.prompts import load
from tests.adapters.prompt_folders import write


@pytest.mark.parametrize("name", ["say", "code/say-it", "a/b/c"])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_it_is_sound(tmp_path: Path, name: str, kind: Kind) -> None:
    text = scaffold(name, kind)
    write(tmp_path, f"{name}.prompt.j2", text)

    assert lint(tmp_path) == []
    assert formatted(f"{name}.prompt.j2", text) == text
    assert [one.faults for one in verdicts(load(tmp_path).family(name).working)] == [()]
    assert load(tmp_path).get(name).output["kind"] == kind
