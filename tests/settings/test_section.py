"""A section is frozen, knows its keys, and never shows what it was given in an error."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings.section import Seconds, Section


class Pause(Section):
    """A section of a test."""

    length_s: Seconds = 1.0


def test_an_unknown_key_is_refused_and_a_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Pause(lenght_s=1, length_s="sk-secret")  # type: ignore[call-arg, arg-type]
    assert "sk-secret" not in str(caught.value)
    assert {error["loc"][0] for error in caught.value.errors()} == {"lenght_s", "length_s"}


def test_a_section_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Pause().length_s = 2.0  # type: ignore[misc]
