"""Every field of a result is told of."""

from __future__ import annotations

from gateway.domain.actions import COMMON, FIELDS
from gateway.domain.result_fields import EVERY, OWN, PARTS

PLAIN = {"string", "integer", "boolean"}


def test_every_field_of_every_result_is_told_of() -> None:
    assert set(EVERY) == set(COMMON)
    for form, names in FIELDS.items():
        # The model's own words are there only where a review is not whole.
        assert set(OWN[form]) - {"text"} == set(names) - {"text"}


def test_every_type_is_told_of_too() -> None:
    for told in (EVERY, *OWN.values(), *PARTS.values()):
        for kind, means in told.values():
            assert means
            assert kind.removeprefix("array of ").removesuffix("?") in PLAIN | set(PARTS)
