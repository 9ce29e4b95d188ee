"""A secret cut at every border of a stream: between letters, between the bytes of one, inside an
escape, across events and packets. Through a served gateway, nothing of it leaves."""

from __future__ import annotations

import httpx
import pytest

from gateway.testing.mock_vllm import MockVLLM
from tests.border import FIELDS, WRITINGS, Field, Writing, answering, read
from tests.domain.secret_samples import SAMPLES, around
from tests.web.test_secret_border import AFTER, BEFORE, SECRET, check, client, mock

__all__ = ["client", "mock"]
pytestmark = pytest.mark.live

PACKETS = (None, 1, 2, 3, 5, 7, 11)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("writing", WRITINGS, ids=lambda writing: writing.name)
def test_every_border_between_letters(
    client: tuple[str, httpx.Client], mock: MockVLLM, field: Field, writing: Writing
) -> None:
    policy, http = client
    text = BEFORE + SECRET + AFTER
    for cut in range(len(BEFORE), len(BEFORE + SECRET) + 1):
        packets = PACKETS[cut % len(PACKETS)]
        mock.script(answering(field, [text[:cut], text[cut:]], writing, packets))
        check(policy, *read(http, field))


@pytest.mark.parametrize("writing", WRITINGS, ids=lambda writing: writing.name)
def test_every_pair_of_borders_near_both_ends(
    client: tuple[str, httpx.Client], mock: MockVLLM, writing: Writing
) -> None:
    policy, http = client
    text = BEFORE + SECRET + AFTER
    first, last = len(BEFORE), len(BEFORE + SECRET)
    for one in range(first - 1, first + 4):
        for two in range(last - 3, last + 2):
            pieces = [text[:one], text[one:two], text[two:]]
            mock.script(answering("content", pieces, writing, None))
            check(policy, *read(http, "content"))


@pytest.mark.parametrize("packets", range(1, 40))
def test_packets_of_every_size(
    client: tuple[str, httpx.Client], mock: MockVLLM, packets: int
) -> None:
    """Together they end at every byte of the events, in the middle of letters and of escapes."""
    policy, http = client
    for writing in WRITINGS:
        pieces = [BEFORE + SECRET[:5], SECRET[5:] + AFTER]
        mock.script(answering("content", pieces, writing, packets))
        check(policy, *read(http, "content"))


# guard_output knows no kinds.
@pytest.mark.parametrize("client", ["redaction"], indirect=True)
@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_of_secret_letter_by_letter(
    client: tuple[str, httpx.Client], mock: MockVLLM, kind: str
) -> None:
    _, http = client
    before, after = around(kind)
    for field in FIELDS:
        mock.script(answering(field, list(before + SAMPLES[kind] + after), WRITINGS[0], None))
        text, code = read(http, field)
        lines = "\n".join("[secret removed]" for _ in SAMPLES[kind].split("\n"))
        # With what follows it, a password in a URL looks like an address too.
        assert (text, code) == (before + lines + after.removeprefix("@db.test"), "")
