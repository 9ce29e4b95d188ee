"""A prompt file as the rooms see it."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.domain.call import PromptRef
from gateway.domain.prompt import Rendered


def test_a_rendering_cannot_be_changed_on_its_way() -> None:
    rendered = Rendered(
        PromptRef("code/x", "1.0.0", "abc"), ({"role": "user", "content": "x"},), {}
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        rendered.prefill = "sure"  # type: ignore[misc]


def test_the_schema_of_an_answer_is_the_one_that_the_server_holds_it_to() -> None:
    ref = PromptRef("code/x", "1.0.0", "abc")
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    assert Rendered(ref, (), {"response_format": form}).schema == {"type": "object"}
    assert Rendered(ref, (), {}).schema is None
