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
