"""Answers: what is plain is taken, what is not is refused, and nothing else in the file moves."""

from __future__ import annotations

import pytest

from gateway.domain import source
from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve
from gateway.domain.source import Position, Selection

MEAN = "def mean(values):\n    return sum(values) / len(values)\n"
SAFE = MEAN.replace(":\n", ":\n    if not values:\n        return 0\n")
PREFILLED = Protocol(prefill="<rewritten>\n")


def said(
    text: str,
    original: str = MEAN,
    *,
    before: str = "",
    after: str = "",
    language: str = "python",
    finish: str | None = "stop",
    stop: str | None = None,
    protocol: Protocol | None = None,
) -> Resolution:
    answer = Answer(text, finish, stop)
    return resolve(answer, Original(original, before, after, language), protocol)


def tagged(text: str) -> str:
    return f"<rewritten>\n{text}</rewritten>"


def codes(found: Resolution) -> list[str]:
    return [warning.code for warning in found.warnings]


# ── what is taken ────────────────────────────────────────────────────────────────────────────────


def test_from_file_to_bytes() -> None:
    raw = "\ufeff# 시작\r\n".encode() + MEAN.replace("\n", "\r\n").encode() + b"x = 1 \r\nend"
    file = source.read("a.py", raw)
    span = file.span(Selection(Position(1, 4), Position(2, 6)))
    found = resolve(Answer(tagged(SAFE), "stop"), Original.of(file, span))
    assert found.status == "changed"
    expected = raw.replace(MEAN.replace("\n", "\r\n").encode(), SAFE.replace("\n", "\r\n").encode())
    assert file.replace(span, found.text) == expected


def test_the_prose_around_the_tag_becomes_notes() -> None:
    found = said(f"Here you go:\n{tagged(SAFE)}\nI added a guard.")
    assert (found.text, found.notes) == (SAFE, "Here you go:\nI added a guard.")
    assert found.adjusted == ()
    assert found.warnings == ()


def test_equal_bytes_are_no_change() -> None:
    found = said(tagged(MEAN))
    assert (found.status, found.text) == ("no_change", MEAN)


def test_an_empty_tag_deletes_the_lines_and_says_so() -> None:
    found = said(tagged(""), after="x = 1\n")
    assert (found.status, found.text, codes(found)) == ("changed", "", ["deletes_all"])
    assert said("", protocol=PREFILLED, stop="</rewritten>").text == ""


def test_an_empty_selection_is_filled() -> None:
    found = said(tagged("x = 1"), "", before="a = 1\n")
    assert (found.status, found.text) == ("changed", "x = 1\n")


def test_html_entities_and_escapes_stay_as_they_are() -> None:
    text = 'if a &lt; b && c:\n    print("\\u00e9\\n&amp;")\n'
    assert said(tagged(text)).text == text


def test_a_tag_with_a_suffix_lets_the_plain_tag_be_text() -> None:
    text = 'TAG = "<rewritten>"\nEND = "</rewritten>"\n'
    found = said(
        f"<rewritten-7f>\n{text}</rewritten-7f>", "TAG = 1\n", protocol=Protocol("rewritten-7f")
    )
    assert (found.status, found.text) == ("changed", text)


def test_a_tag_that_prose_only_mentions_is_passed_over() -> None:
    found = said(f"I use the `<rewritten>` tag.\n{tagged(SAFE)}")
    assert found.text == SAFE


def test_thinking_is_dropped_but_not_where_the_file_itself_has_it() -> None:
    assert said(f"<think>\n{tagged('bad')}\n</think>\n{tagged(SAFE)}").adjusted == ("thinking",)
    page = "<think>\nold\n</think>\n"
    found = said(tagged(page.replace("old", "new")), page, language="xml")
    assert found.text == "<think>\nnew\n</think>\n"


def test_a_longer_fence_holds_a_shorter_one() -> None:
    page = "# Use\n\n```sh\nmake\n```\n"
    new = "# Usage\n\n```sh\nmake all\n```\n"
    found = said(f"````markdown\n{new}````", page, language="markdown")
    assert (found.text, found.adjusted) == (new, ("fence",))


def test_a_fence_around_fences_of_its_own_length_is_taken_when_they_pair() -> None:
    page = "text\n\n```sh\nmake\n```\n"
    new = "Text\n\n```sh\nmake\n```\n"
    assert said(f"```markdown\n{new}```", page, language="markdown").text == new


def test_of_two_fences_the_one_that_repeats_the_selection_is_passed_over() -> None:
    long = MEAN + "# a very long tail of the old text, longer than all the new text together\n" * 3
    found = said(f"Before:\n```python\n{long}```\nAfter:\n```python\n{SAFE}```\n", long)
    assert found.text == SAFE


def test_a_bare_answer_is_taken_when_it_reads_like_the_selection() -> None:
    found = said(SAFE)
    assert (found.status, found.text, codes(found)) == ("changed", SAFE, ["unmarked_end"])


def test_line_numbers_are_dropped_only_from_every_line() -> None:
    numbered = "".join(f"{n} | {row}\n" for n, row in enumerate(SAFE.split("\n")[:-1], start=9))
    assert said(tagged(numbered)).adjusted == ("gutter",)
    assert said(tagged(numbered)).text == SAFE
    partly = numbered.replace("10 | ", "")
    assert said(tagged(partly)).text == partly


def test_numbers_that_are_data_stay() -> None:
    table = '1: "one",\n2: "two",\n3: "three",\n'
    assert said(tagged(table), "names = load()\n", before="x\n" * 9).text == table
    assert said(tagged('1: "a",\n2: "b",\n'), '1: "a",\n2: "c",\n').text == '1: "a",\n2: "b",\n'


# ── whitespace ───────────────────────────────────────────────────────────────────────────────────


def test_new_lines_take_the_end_of_the_line_above() -> None:
    found = said(tagged("a\nnew\nb\nlast\n"), "a\r\nb\n")
    assert found.text == "a\r\nnew\r\nb\nlast\n"


def test_a_file_without_a_final_newline_stays_so() -> None:
    assert said(tagged("a\nc\n"), "a\nb").text == "a\nc"
    assert said("<rewritten>\na\nc</rewritten>", "a\nb\n").text == "a\nc\n"


def test_trailing_spaces_stay_on_lines_that_did_not_change() -> None:
    found = said(tagged("one\ntwo\n3\n"), "one  \ntwo\t\nthree \n", language="markdown")
    assert found.text == "one  \ntwo\t\n3\n"
    assert found.adjusted == ("trailing_spaces",)


def test_where_only_trailing_spaces_changed_that_was_the_wish() -> None:
    found = said(tagged("one\ntwo\n"), "one  \ntwo\n")
    assert (found.status, found.text, codes(found)) == (
        "changed",
        "one\ntwo\n",
        ["only_trailing_spaces"],
    )


def test_where_only_blank_edges_differ_nothing_changed() -> None:
    found = said(tagged(MEAN), f"\n{MEAN}\n\n")
    assert (found.status, codes(found)) == ("no_change", ["edge_blank_lines"])


def test_odd_characters_do_not_end_a_line() -> None:
    text = 'a = "\u2028\x0c\x1c\x85"\nb = 1\n'
    assert said(tagged(text.replace("1", "2")), text).text == text.replace("1", "2")


INDENTED = {
    "a block that lost its indentation": (
        "    a = 1\n    b = 2\n",
        "a = 1\nb = 3\n",
        "    a = 1\n    b = 3\n",
    ),
    "the same with a line put around it": (
        "    a()\n    b()\n",
        "if x:\n    a()\n    b()\n",
        "    if x:\n        a()\n        b()\n",
    ),
    "a first line alone that lost it": (
        "    if x:\n        a()\n",
        "if y:\n        a()\n",
        "    if y:\n        a()\n",
    ),
    "a block taken out of its condition: meant": (
        "    if x:\n        a()\n        b()\n",
        "    a()\n    b()\n",
        "    a()\n    b()\n",
    ),
    "a block put into one: meant": (
        "    a()\n",
        "    try:\n        a()\n",
        "    try:\n        a()\n",
    ),
    "a block one step to the left and nothing else: meant": (
        "        a()\n        b()\n",
        "    a()\n    b()\n",
        "    a()\n    b()\n",
    ),
    "a branch that belongs to a line above: meant": (
        "        return 1\n",
        "    else:\n        return 1\n",
        "    else:\n        return 1\n",
    ),
    "spaces for tabs": (
        "\tif x {\n\t\ta()\n\t}\n",
        "    if y {\n        a()\n    }\n",
        "\tif y {\n\t\ta()\n\t}\n",
    ),
    "tabs for spaces": (
        "if x:\n    a()\n    b()\n",
        "if y:\n\ta()\n\tb()\n",
        "if y:\n    a()\n    b()\n",
    ),
    "a string that goes on at column 0": (
        "    a = 1\n    b = 2\n",
        '    a = 1\n    b = """\nx\n"""\n',
        '    a = 1\n    b = """\nx\n"""\n',
    ),
}


@pytest.mark.parametrize(("original", "answer", "expected"), INDENTED.values(), ids=INDENTED)
def test_indentation_is_mended_only_where_it_slipped(
    original: str, answer: str, expected: str
) -> None:
    assert said(tagged(answer), original).text == expected


def test_an_indentation_that_cannot_be_judged_is_left_with_a_warning() -> None:
    found = said(tagged("    y = 5\n"), "        x = 1\n")
    assert (found.text, codes(found)) == ("    y = 5\n", ["indent"])


# ── repeated context ─────────────────────────────────────────────────────────────────────────────


def test_context_that_is_repeated_is_cut() -> None:
    before, after = "import os\n\nX = 1\n", "\ndef other():\n    pass\n"
    found = said(tagged(f"X = 1\n{SAFE}\ndef other():\n"), before=before, after=after)
    assert (found.text, found.adjusted) == (SAFE, ("context_overlap",))
    found = said(tagged(before + SAFE + after), before=before, after=after)
    assert found.text == SAFE


def test_one_repeated_line_may_be_meant() -> None:
    found = said(tagged(f"X = 1\n{SAFE}"), before="X = 1\n")
    assert found.text == f"X = 1\n{SAFE}"


def test_closing_brackets_alone_are_not_taken_for_context() -> None:
    before, after = "f() {\n  if (a) {\n", "  }\n}\n"
    new = "    x();\n  }\n}\nfunction g() {\n  if (b) {\n    y();\n"
    assert said(tagged(new), "    x();\n", before=before, after=after, language="c").text == new
    outside = "    x();\n    z();\n  }\n}\n"
    found = said(tagged(outside), "    x();\n", before=before, after=after, language="c")
    assert found.text == "    x();\n    z();\n"


def test_lines_of_the_selection_that_equal_its_context_stay() -> None:
    twins = "a()\nb()\n"
    found = said(tagged("a()\nb()\nc()\n"), twins, before=twins, after=twins)
    assert found.text == "a()\nb()\nc()\n"


def test_an_answer_of_context_alone_is_refused() -> None:
    found = said(tagged("import os\nimport re\n"), before="import os\nimport re\n")
    assert (found.status, codes(found)) == ("unresolved", ["only_context"])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "I'm sorry, but I cannot help with that.",
        "The function is fine as it is.",
        "네, 이 함수는 값의 평균을 계산합니다.",
        f"{SAFE}\nThis version handles empty lists.",
        "<think>\nWhat should I do",
        "<think>\nnow\n</think>\n",
        "```python\ndef mean(values):\n",
        "```python\nprint('hello world')\n```\nThat is how you print.",
        "~~~\nx = 1\n```\n",
        tagged("a = 1\n") + "\n" + tagged("b = 2\n"),
        "Use it so:\n```\ncode\n```python\nmore\n```\n",
        tagged("```python\nx = 1\n"),
        tagged("x = 1\n<rewritten>\ny = 2\n"),
        tagged("a = '\x00'\n"),
        tagged("a = '\ud800'\n"),
    ],
)
@pytest.mark.parametrize("protocol", [None, PREFILLED])
def test_an_answer_without_a_clear_text_is_unresolved(text: str, protocol: Protocol | None) -> None:
    found = said(text, protocol=protocol)
    assert (found.status, found.text) == ("unresolved", text)
    assert found.warnings[0].message.startswith("The answer was not applied: ")


def test_an_answer_unlike_the_selection_needs_something_that_marks_it() -> None:
    text = "completely(different, words)\nand_nothing(of, it)\n"
    assert said(text).status == "unresolved"
    assert said(text, protocol=PREFILLED).text == text
    assert said(tagged(text)).text == text


HOSTILE = ["`", " ", "\n", "\r", "<think>", "<rewritten ", "</rewritten>", "1 | a\n", "```\n", "{ ",
           "다 ", "A a", "# ...", "same\n", "    x\n"]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", HOSTILE)
def test_an_answer_made_to_be_slow_is_not(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    for answer in (text, f"<rewritten>\n{text}z</rewritten>"):
        for original in (MEAN, text):
            said(answer, original, before=text, after=text)
            said(answer, original, before=text, after=text, protocol=PREFILLED)


@pytest.mark.parametrize("finish", [None, "content_filter", "tool_calls", "abort"])
def test_only_a_marked_end_counts_when_the_model_did_not_stop(finish: str | None) -> None:
    assert said(f"<rewritten>\n{SAFE}", finish=finish).status == "unresolved"
    assert said(SAFE, finish=finish, protocol=PREFILLED).status == "unresolved"
    assert said(tagged(SAFE), finish=finish).text == SAFE


def test_the_limit_of_tokens_truncates_even_a_closed_answer() -> None:
    found = said(tagged(SAFE) + "\nAnd now I", finish="length")
    assert (found.status, codes(found)) == ("truncated", ["truncated"])


@pytest.mark.parametrize(
    "row",
    [
        "# ... existing code ...",
        "    // ... rest of the code ...",
        "/* ... */",
        "# …",
        "... existing code ...",
        "[... 120 lines not shown ...]",
        "// rest of the function remains the same",
        "# existing code here",
        "// other methods...",
        "<!-- ... unchanged ... -->",
        "{/* ... rest of component ... */}",
        "-- ... (remaining columns)",
        "# ... 기존 코드 ...",
        "// 나머지 코드는 동일",
        "# (이하 생략)",
    ],
)
def test_a_placeholder_for_code_left_out_is_refused(row: str) -> None:
    found = said(tagged(f"def mean(values):\n{row}\n"))
    assert (found.status, codes(found)) == ("unresolved", ["placeholder"])
    kept = f"a = old\n{row}\n"
    assert said(tagged(kept.replace("old", "new")), kept).status == "changed"


@pytest.mark.parametrize(
    "row",
    [
        "    ...",
        "const {a, ...rest} = props;",
        "  ...existing,",
        "[...other, x],",
        "f(...keep)",
        'print("... existing code ...")',
        "# keep trying until it works...",
        "// fetch the rest of the code points",
        "# Delete existing code snippets",
        "#include <rest.h>",
        "x: tuple[int, ...] = ()",
        "def rest(*lines): ...",
        "* same as above",
    ],
)
def test_code_that_only_looks_like_a_placeholder_is_taken(row: str) -> None:
    text = f"def mean(values):\n{row}\n"
    assert said(tagged(text), language="python").text == text


def test_text_that_the_file_cannot_hold_is_refused() -> None:
    original = Original("x = 1\n", language="python", encoding="cp949")
    found = resolve(Answer(tagged("x = '😀'\n"), "stop"), original)
    assert (found.status, codes(found)) == ("unresolved", ["bad_encoding"])
    assert "U+1F600" in found.warnings[0].message


def test_a_character_that_the_file_would_turn_into_another_is_refused() -> None:
    original = Original("x = '$5'\n", language="python", encoding="shift_jis")
    found = resolve(Answer(tagged("x = '¥5'\n"), "stop"), original)
    assert (found.status, codes(found)) == ("unresolved", ["bad_encoding"])
    assert "U+00A5, which shift_jis cannot hold" in found.warnings[0].message


def test_a_number_without_end_before_a_line_raises_nothing() -> None:
    text = "1" * 5_000 + "|x\n"
    assert said(tagged(text)).text == text


def test_a_byte_order_mark_of_the_models_own_is_not_put_into_the_file() -> None:
    file = source.read("a.js", b"\xef\xbb\xbfconst a = 1\n")
    span = file.whole
    found = resolve(Answer(tagged("\ufeffconst a = 2\n"), "stop"), Original.of(file, span))
    assert (found.status, found.adjusted) == ("changed", ("byte_order_mark",))
    assert file.replace(span, found.text) == b"\xef\xbb\xbfconst a = 2\n"
    same = resolve(Answer(tagged("\ufeffconst a = 1\n"), "stop"), Original.of(file, span))
    assert same.status == "no_change"
