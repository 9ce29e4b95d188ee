"""Prose: sentences are told from code in English and Korean, and words in common are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import prose

SENTENCES = [
    "The function is fine as it is.", "Don't do it this way.", "  If you want, call `f` first.  ",
    "Sure, here is the code:", "Here's the code", "Here are both versions", "I cannot do that",
    "I've added a guard for empty lists", "Below is the new version", "Let me explain this",
    "Note that it may raise", "SORRY, I HAVE NO IDEA", "In this case we return", "This code is new",
    "The value is 1.\r", "이 함수는 평균을 계산합니다.", "네, 고쳤어요!", "`평균`을 구합니다",
    "그렇게 할까요?", "변경 사항:", "오류 처리를 추가함", "맞죠", "(값이 없을 때는 0입니다.)",
]  # fmt: skip

CODE = [
    "", "   ", "\r", "x = 1", "return x", "def mean(values):", "class A:", "else:", "}", "end",
    "let me = compute(x)", "here = 1 + 2;", "This function { return 1 }", "In this; that; other",
    "SELECT a, b FROM t;", "select name from users", "- name: Run the tests now.", "note_that()",
    "# The function is fine as it is.", "// Sure, here is the code:", "/* I cannot do that */",
    " * Note that it may raise", "-- Let me explain this", "; Let me explain this", "% Note that x",
    '"""Returns the mean of all values."""', "'Sure, here is the code'", "<!-- Note that x -->",
    "# 이 함수는 평균을 계산합니다.", "//고쳤어요!", "#평균을 구합니다.", "값 = 1",
    "print('안녕하세요.')", "한글", "import this_is_fine", "Okay", "Let x", "Yes.",
]  # fmt: skip


@pytest.mark.parametrize("line", SENTENCES)
def test_a_sentence_is_told(line: str) -> None:
    assert prose.is_sentence(line)


@pytest.mark.parametrize("line", CODE)
def test_code_comments_and_strings_are_no_sentences(line: str) -> None:
    assert not prose.is_sentence(line)


def test_a_very_long_line_is_no_sentence() -> None:
    line = "The word " + "and " * 122 + "it"
    assert prose.is_sentence(f" {line}.\n")
    assert not prose.is_sentence(f"{line}s.")
    assert len(f"{line}.") == 500


# ── around the code ──────────────────────────────────────────────────────────────────────────────

MEAN = "def mean(values):\n    return sum(values) / len(values)\n"
SAID = "Here is the new version:"


@pytest.mark.parametrize(
    ("text", "does"),
    [
        (MEAN, False),
        (f"{SAID}\n{MEAN}", True),
        (f"\n \n{SAID}\r\n\r\n{MEAN}", True),
        (f"{MEAN}\nI added a guard.\n\n", True),
        (f"{MEAN}이제 빈 목록도 처리합니다.", True),
        (f"x = 1\n{SAID}\ny = 2\n", False),  # not at an edge
        (f"# {SAID}\n{MEAN}", False),
        (f"{MEAN[:-1]}\u2028I added a guard.", False),  # part of a line of code
        (SAID, True),
        ("", False),
        ("\n \n", False),
    ],
)
def test_a_sentence_at_the_edge_of_code_is_seen(text: str, does: bool) -> None:
    assert prose.around(text, "x = 1\n", "python") is does


@pytest.mark.parametrize("language", ["markdown", "plaintext", "latex", "restructuredtext"])
def test_in_a_document_a_sentence_is_no_sign_of_anything(language: str) -> None:
    assert not prose.around(f"{SAID}\n{MEAN}", "", language)


@pytest.mark.parametrize("original", [f"x = '''\n{SAID}\n'''\n", "a\r\n값을 더합니다.\r\n"])
def test_where_the_original_has_sentences_new_ones_are_no_sign(original: str) -> None:
    assert not prose.around(f"{SAID}\n{MEAN}", original, "python")


# ── in common ────────────────────────────────────────────────────────────────────────────────────

LIST_OF_WORDS = " ".join(f"one{at}" for at in range(20))
OTHER_WORDS = " ".join(f"two{at}" for at in range(20))


@pytest.mark.parametrize(
    ("text", "original", "does"),
    [
        ("values = []\n", MEAN, False),
        (f"# above\n  {MEAN}", MEAN, True),
        ("        return sum(values) / len(values)\r\n", MEAN, True),  # one line is enough
        ("total = sum(values)\n", MEAN, True),  # two words of three
        (f"{LIST_OF_WORDS}\n  mean = 1\n", f"{OTHER_WORDS}\nmean = 1\r\n", True),
        (f"{LIST_OF_WORDS}\n  x=1;\n", f"{OTHER_WORDS}\n\tx=1;\n", True),
        (f"{LIST_OF_WORDS}\n  x=1\n", f"{OTHER_WORDS}\nx=1\n", False),  # too short to tell
        ("print('hello', name, flush)\n", MEAN, False),
        ("x = 1\n", "x = 2\n", True),  # no word of two letters: nothing can be said
        ("}\n", "}\n", True),
        ("anything\n", "", True),
        ("anything\n", "\n \n{ ( ) }\n", True),
        ("", MEAN, False),
        ("limit = 4\n", "limit = 3\n", True),  # the only word there is
        ("other = 4\n", "limit = 3\n", False),
        ("평균 = 합계 / 개수\n", "평균 = 합계\n", True),
        ("이름 = 나이\n", "평균 = 합계\n", False),
        ("one two three four five six seven", "one two eight nine ten eleven twelve", False),
        ("one two three four five six", "one two three nine ten eleven twelve", True),
    ],
)
def test_a_line_or_a_good_part_of_the_words_makes_two_texts_related(
    text: str, original: str, does: bool
) -> None:
    assert prose.related(text, original) is does


@pytest.mark.parametrize("row", ["end", "}", "fi", "---"])
def test_a_line_that_any_file_has_says_nothing(row: str) -> None:
    assert not prose.related(f"alpha beta\n{row}\n", f"gamma delta\n{row}\n")


@given(st.text())
def test_every_text_is_related_to_itself_and_to_nothing(text: str) -> None:
    assert prose.related(text, text)
    assert prose.related(text, "")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["A a", "다 ", "A ", "가 ", "a'", "(가", "가:"])
def test_a_line_made_to_be_slow_is_not(unit: str) -> None:
    line = (unit * 500)[:499]
    for _ in range(50):
        prose.is_sentence(f"{line}!")
        prose.is_sentence(f"{line}=")
    assert prose.around(f"{SAID}\n{line}", "", "python")
