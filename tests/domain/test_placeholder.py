"""Placeholders: a line that stands for code left out is found in any language, code is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import placeholder

STAND_INS = [
    # a comment of dots alone
    "# ...", "#...", "// …", "/* ... */", "<!-- ... -->", "{/* ... */}", "(* ... *)", "-- ...",
    "; ...", "% ...", "# [...]", "// (...)", '"""..."""', "* ....",
    # dots and a word for what is missing
    "# ... existing code ...", "// ... rest", "/* … unchanged … */", "# ... as before",
    "// ... (120 lines omitted) ...", "-- ... remaining columns", "# ... your code",
    "# ... 기존 코드 ...", "// ... 나머지", "// ... 省略 ...", "# ... 残り ...", "// … 其余 …",
    # no comment
    "... existing code ...", "[... 120 lines not shown ...]", "(... the rest of the file)",
    "<... rest of the code ...>", "... 나머지 코드", "… 이하 동일",
    # in words
    "# rest of the code", "// rest of the function remains the same", "# existing code here",
    "/* the remaining logic stays unchanged */", "// other methods...",
    "# The rest of the imports.", "# (rest of the class is unchanged)", "<!-- existing content -->",
    "// rest of your implementation goes here", "# previous logic - unchanged ...",
    "# 기존 코드 유지", "// 나머지 코드는 동일", "# 나머지는 그대로", "# (이하 생략)", "[중략]",
]  # fmt: skip

CODE = [
    "...", "    ...", "…", "# . . .", "pass  # ...", "x = [...]", "[...]", "Ellipsis",
    "const {a, ...rest} = props;", "...existing,", "[...other, x],", "f(...keep)", "...rest",
    'print("... existing code ...")', "def rest(*lines): ...", "x: tuple[int, ...] = ()",
    "# TODO: ...", "# ... and then it waits", "# keep trying until it works...",
    "// fetch the rest of the code points", "# Delete existing code snippets", "# your code",
    "# existing users only", "# Original implementation by Bob", "* same as above",
    "#include <rest.h>", "--- a/rest.py", "# unchanged", "#region existing code",
    "# 나머지를 더한다", "# 기존 값", "생략 = 1",
]  # fmt: skip


@pytest.mark.parametrize("row", STAND_INS)
def test_a_line_that_stands_for_code_is_found_wherever_it_is(row: str) -> None:
    assert placeholder.find(row, "") == row
    assert placeholder.find(f"a = 1\n\t {row} \nb = 2\n", "a = 1\nb = 2\n") == row
    assert placeholder.find(f"a = 1\r\n    {row}\r\n", "a = 1\r\n") == row
    assert placeholder.find(row.upper(), "") == row.upper()


@pytest.mark.parametrize("row", STAND_INS)
def test_a_line_that_the_file_has_already_is_no_placeholder(row: str) -> None:
    assert placeholder.find(f"a = 2\n  {row}\n", f"a = 1\n\t{row}  \r\n") is None


@pytest.mark.parametrize("row", CODE)
def test_code_and_plain_comments_are_none(row: str) -> None:
    assert placeholder.find(f"a = 1\n{row}\n", "a = 1\n") is None


def test_the_first_one_is_told() -> None:
    text = "# ...\nx\n// ... rest ...\n# ... unchanged ...\n"
    assert placeholder.find(text, "# ...\n") == "// ... rest ..."


@pytest.mark.parametrize("text", ["", "\n\n", "a = 1\n", "한글\n"])
def test_a_text_without_one_has_none(text: str) -> None:
    assert placeholder.find(text, "") is None


def test_only_a_whole_line_counts_and_only_a_line_feed_ends_it() -> None:
    assert placeholder.find("x = 1\u2028# ...\n", "") is None
    assert placeholder.find("x = 1\r# ...\n", "") is None


def test_a_very_long_line_is_not_looked_at() -> None:
    row = "# ... existing code " + "x" * 180
    assert len(row) == 200
    assert placeholder.find(row, "") == row
    assert placeholder.find(row + "x", "") is None


@given(st.text(), st.text())
def test_what_is_found_is_a_line_of_the_text_that_the_original_lacks(
    text: str, original: str
) -> None:
    row = placeholder.find(f"{text}\n# ...\n", original)
    assert row is not None
    assert row in {line.strip() for line in f"{text}\n# ...".split("\n")}
    assert row not in {line.strip() for line in original.split("\n")}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["#", "# ", "...", "rest of ", "/* ", "existing code ", "… ", "("])
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    row = (unit * 200)[:200]
    placeholder.find(f"{row}\n" * 500, "")
    placeholder.find("\n".join(f"# {row[: 190 - at % 9]}" for at in range(500)), row)
    assert placeholder.find(f"{row}!\n" * 500 + "# ...", "") is not None
