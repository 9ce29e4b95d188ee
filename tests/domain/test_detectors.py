"""Detectors: each kind is found, whole or still coming, in plain text and in JSON."""

from __future__ import annotations

import json

import pytest

from gateway.domain.detector_kinds import GROUPS, KINDS
from gateway.domain.detectors import Detectors, Found
from tests.domain.secret_samples import KEY_BLOCK, SAMPLES, around

ALL = Detectors(GROUPS)


def told(
    detectors: Detectors, pieces: list[str], *, as_json: bool = False
) -> tuple[str, list[str]]:
    """What leaves of a text that comes in pieces, a secret as `*`, and the secrets."""
    left, held, secrets = "", "", []
    for number, piece in enumerate([*pieces, ""]):
        text, start = left[-64:] + held + piece, len(left[-64:])
        final = number == len(pieces)
        found, settled = detectors.watch(text, start, final=final, json=as_json)
        at = start
        for one in found:
            left += text[at : one.start] + "*"
            secrets.append(one.value)
            at = one.end
        left, held = left + text[at:settled], text[settled:]
    return left, secrets


def test_there_is_a_sample_of_each_kind() -> None:
    assert set(SAMPLES) == set(KINDS)


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_is_found_by_itself_and_nothing_around_it(kind: str) -> None:
    before, after = around(kind)
    text = before + SAMPLES[kind] + after
    found = Detectors([kind]).find(text)
    assert "\n".join(one.value for one in found) == SAMPLES[kind]
    assert {one.kind for one in found} == {kind}
    assert all(text[one.start : one.end] == one.value for one in found)


@pytest.mark.parametrize("kind", SAMPLES)
def test_wherever_a_text_is_cut_nothing_of_a_secret_leaves(kind: str) -> None:
    before, after = around(kind)
    text = before + SAMPLES[kind] + after
    whole = told(ALL, [text])
    assert all(line not in whole[0] for line in SAMPLES[kind].split("\n"))
    for cut in range(len(text) + 1):
        assert told(ALL, [text[:cut], text[cut:]]) == whole, cut
    assert told(ALL, list(text)) == whole


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_same_in_json_with_escapes(kind: str) -> None:
    before, after = around(kind)
    text = json.dumps({"text": "\n" + before + SAMPLES[kind] + after + "\U0001f511"})
    only = Detectors([kind])
    whole = told(only, [text], as_json=True)
    assert "\n".join(whole[1]) == SAMPLES[kind]
    assert all(line not in whole[0] for line in SAMPLES[kind].split("\n"))
    assert told(only, list(text), as_json=True) == whole


def test_letters_written_as_escapes_are_letters() -> None:
    secret = SAMPLES["aws"]
    text = '{"key": "' + "".join(f"\\u{ord(letter):04x}" for letter in secret) + '"}'
    assert told(ALL, list(text), as_json=True) == ('{"key": "*"}', [secret])


def test_a_secret_at_the_very_end_of_a_cut_answer_stays_in() -> None:
    half = KEY_BLOCK[: len(KEY_BLOCK) // 2]
    left, secrets = told(ALL, list("key:\n" + half))
    assert (left, "\n".join(secrets)) == ("key:\n*\n*", half)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1700000000000 and 0.4111111111111111",
        "219-09-9999",
        "991301-3234561",
        "git@github.com:team/repo.git",
        "127.0.0.1:8000 192.168.0.1 10.0.0.1 1.2.3",
        "12:34:56 std::vector::x a::b",
        "commit 0f3cf3131b78a1f3cf3131b78a1f3cf3131b78a1",
        'password = "this-is-only-an-example"',
        "A file that begins with -----BEGIN PRIVATE" + " KEY----- is a key. Keep it.",
        "https://example.com/a:b/c and http://localhost:8000/v1",
    ],
)
def test_what_only_looks_a_little_like_one_is_left_alone(text: str) -> None:
    assert ALL.find(text) == []


def test_numbers_given_since_2020_have_no_check_digit_and_are_found_by_their_date() -> None:
    assert [one.kind for one in ALL.find("210131-3234561")] == ["rrn"]
    assert ALL.find("2101313234561") == []


def test_text_that_can_become_nothing_is_not_kept_waiting() -> None:
    secrets = Detectors(["secrets"])
    assert secrets.watch("The quick brown fox ") == ([], 20)
    assert secrets.watch("The key is AKIA") == ([], 11)


def test_those_that_overlap_are_one() -> None:
    (found,) = ALL.find("postgres://me:pass@example.com/x")
    assert found.value == "pass@example.com"


def test_patterns_of_ones_own_are_kinds_too() -> None:
    own = Detectors([], {"employee": r"E-[0-9]{6}"})
    assert own.find("by E-123456.") == [Found(3, 11, "employee", "E-123456")]
    assert told(own, list("by E-123456, E-12")) == ("by *, E-12", ["E-123456"])


def test_a_repr_has_nothing_of_the_secret() -> None:
    assert SAMPLES["aws"] not in repr(ALL.find(SAMPLES["aws"]))


@pytest.mark.parametrize(
    ("names", "patterns", "says"),
    [(["emial"], {}, "did you mean 'email'"), ([], {"bad": "("}, "bad: not a regular expression")],
)
def test_what_cannot_work_is_refused(names: list[str], patterns: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        Detectors(names, patterns)
