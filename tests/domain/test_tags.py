"""Request tags come from a header and from the body, and are bounded."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.tags import MOST_CHARS, MOST_TAGS, call_tags, header_tags
from gateway.testing.fakes import a_call


def test_the_header_holds_names_with_commas() -> None:
    assert header_tags("free, eu ,,free") == ("free", "eu")
    assert header_tags(None) == header_tags("") == ()


def test_tags_of_header_and_body_come_together() -> None:
    call = a_call()
    call.tags = ("eu",)
    call.body["metadata"] = {"tags": ["paid", "eu", 3]}
    assert call_tags(call) == ("eu", "paid")


@pytest.mark.parametrize("metadata", [None, "x", [], {}, {"tags": None}, {"tags": "eu"}])
def test_other_metadata_is_no_tag(metadata: Any) -> None:
    call = a_call()
    call.body["metadata"] = metadata
    assert call_tags(call) == ()


def test_a_client_cannot_send_too_many_or_too_long_ones() -> None:
    tags = header_tags(",".join(f"{number}" * 300 for number in range(100)))
    assert len(tags) == MOST_TAGS
    assert max(map(len, tags)) == MOST_CHARS
