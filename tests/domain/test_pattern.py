"""Regular expressions of clients: which are passed on, and why others are not."""

from __future__ import annotations

import pytest

from gateway.domain.errors import InvalidRequest
from gateway.domain.pattern import MOST_NESTED, check_pattern


def why(pattern: object, chars: int = 200) -> str:
    with pytest.raises(InvalidRequest) as caught:
        check_pattern("guided_regex", pattern, chars)
    assert caught.value.param == "guided_regex"
    return caught.value.public


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z]+@example\.com$",
        r"\d{4}-\d{2}-\d{2}",
        r"(?<year>\p{L}+)|(?:a|b)*",
        r"[()\]{}]+\(\{",
        r"[^]]{2,}",
        r"(a{100}){100}",
        "(" * MOST_NESTED + ")" * MOST_NESTED,
        "",
        "{}",
        "a{",
    ],
)
def test_an_ordinary_pattern_passes(pattern: str) -> None:
    check_pattern("p", pattern, 200)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (3, "must be a string"),
        ("a" * 201, "limits.pattern_chars"),
        ("(a", "parentheses that do not match"),
        ("a)", "parentheses that do not match"),
        ("(" * 17 + ")" * 17, "nests groups 17 deep"),
        ("(a{101}){100}", "10100 times"),
        ("a{1000}{1000}", "1000000 times"),
        ("((a{0,300}b){3,}c){12}", "10800 times"),
        ("a{99999999999}", "times"),
        ("*a", "not a regular expression"),
        ("[z-a]", "not a regular expression"),
    ],
)
def test_one_that_a_compiler_chokes_on_is_refused(pattern: object, says: str) -> None:
    assert says in why(pattern)
