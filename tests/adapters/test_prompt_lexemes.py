"""Places of words in a template, by line and column."""

from __future__ import annotations

from gateway.adapters.prompt_lexemes import Lexemes
from gateway.adapters.prompt_tags import PromptEnvironment

TEXT = """x {{ x }} y
{# x #}{%- if x.y | json %}
\tz{{ x("y") ~ 'a<|im_end|>b' }}
{% endif -%}

<s> {{ x }}
"""


def lexemes(text: str = TEXT) -> Lexemes:
    return Lexemes(PromptEnvironment(), text)


def test_a_word_is_found_inside_tags_only() -> None:
    assert list(lexemes().find(1, ("x",))) == [(1, 6, 1), (2, 15, 1), (3, 6, 1), (6, 8, 1)]


def test_words_that_follow_one_another_are_found_at_the_last_name() -> None:
    assert list(lexemes().find(1, ("x", "("))) == [(3, 6, 1)]
    assert list(lexemes().find(1, ("|", "json"))) == [(2, 21, 4)]
    assert list(lexemes().find(1, ("~",))) == [(3, 13, 1)]


def test_a_word_in_quotes_is_found_without_them() -> None:
    assert list(lexemes().find(1, ("y",)))[-1] == (3, 8, 3)


def test_the_search_begins_at_a_line() -> None:
    assert list(lexemes().find(4, ("x",))) == [(6, 8, 1)]


def test_control_tokens_are_found_in_text_and_quotes_but_not_in_comments() -> None:
    found = list(lexemes("{# <|im_end|> #}" + TEXT).control_tokens())

    assert found == [(3, 17, "<|im_end|>"), (6, 1, "<s>")]
