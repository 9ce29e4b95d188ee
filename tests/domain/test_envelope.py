"""Envelopes: the text is found by what marks it, and where nothing does, a reason is given."""

from __future__ import annotations

import pytest

from gateway.domain.envelope import Answer, Letter, Protocol, open_letter
from gateway.domain.original import Original

MEAN = "def mean(values):\n    return sum(values) / len(values)\n"
SAFE = MEAN.replace(":\n", ":\n    if not values:\n        return 0\n")
TAGGED = f"<rewritten>\n{SAFE}</rewritten>"
PREFILLED = Protocol(prefill="<rewritten>\n")


def opened(
    text: str,
    selected: str = MEAN,
    protocol: Protocol | None = None,
    *,
    finish: str | None = "stop",
    stop: str | int | None = None,
    language: str = "python",
    before: str = "",
) -> Letter:
    original = Original(selected, before, language=language)
    return open_letter(Answer(text, finish, stop), protocol or Protocol(), original)


def why(text: str, *given: object, **more: object) -> str:
    found = opened(text, *given, **more)  # type: ignore[arg-type]
    assert (found.found, found.text, found.certain) == ("nothing", "", False)
    assert found.why
    return found.why


# ── by the tag ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        TAGGED,
        f"\n\n  <rewritten>  \r\n{SAFE}</rewritten>\n",
        f"<REWRITTEN>{SAFE}</Rewritten >",
        f'<rewritten path="a.py">\n{SAFE}</rewritten>',
        f"<rewritten>\n<rewritten>\n{SAFE}</rewritten></rewritten>",
        f"{TAGGED}\n{TAGGED}",
    ],
)
def test_the_text_is_what_stands_in_the_tag(text: str) -> None:
    assert opened(text) == Letter(SAFE, "tag", certain=True)


def test_the_prose_around_the_tag_is_kept_apart() -> None:
    found = opened(f"Sure!\n\n{TAGGED}\nDone.\n</rewritten>\n")
    assert (found.text, found.notes) == (SAFE, "Sure!\nDone.")


def test_a_tag_inside_a_line_counts_when_something_closes_it() -> None:
    assert opened(f"Here: <rewritten>{SAFE}</rewritten>").text == SAFE
    assert opened(f"Here: <rewritten>{SAFE}", stop="</rewritten>").text == SAFE
    assert opened("The <rewritten> tag holds the new text").found == "nothing"


def test_a_tag_in_backticks_is_a_mention() -> None:
    found = opened(f"I use `<rewritten>` as asked.\n{TAGGED}")
    assert (found.text, found.notes) == (SAFE, "I use `<rewritten>` as asked.")
    assert opened(f"`<rewritten>` {SAFE}</rewritten>").found != "tag"


def test_the_stop_string_closes_a_tag_that_is_not_shown_closed() -> None:
    assert opened(f"<rewritten>\n{SAFE}", finish=None, stop="</rewritten>").certain
    assert opened(f"<rewritten>\n{SAFE}", finish=None, stop="\n</rewritten>\n").certain
    assert why(f"<rewritten>\n{SAFE}", finish=None, stop="</other>")
    assert why(f"<rewritten>\n{SAFE}", finish=None, stop=151645)


def test_a_tag_that_never_closes_is_taken_from_a_model_that_stopped() -> None:
    found = opened(f"<rewritten>\n{SAFE}")
    assert (found.found, found.text, found.certain) == ("tag", SAFE, False)


def test_an_empty_tag_is_an_empty_text() -> None:
    assert opened("<rewritten></rewritten>") == Letter("", "tag", certain=True)


def test_the_tag_may_have_a_suffix_and_then_the_plain_one_is_text() -> None:
    protocol = Protocol("rewritten-7f", echoes=())
    text = 'TAG = "<rewritten>"\nEND = "</rewritten>"\n'
    found = opened(f"<rewritten-7f>\n{text}</rewritten-7f>", "TAG = 1\n", protocol)
    assert found == Letter(text, "tag", certain=True)
    assert opened(f"<rewritten>\n{text}</rewritten>", "TAG = 1\n", protocol).found != "tag"


def test_a_tag_with_signs_that_patterns_know_is_taken_literally() -> None:
    protocol = Protocol("new.text+(1)")
    assert opened(f"<new.text+(1)>\n{SAFE}</new.text+(1)>", protocol=protocol).text == SAFE
    assert opened(f"<newXtext+(1)>\n{SAFE}</newXtext+(1)>", protocol=protocol).found != "tag"


def test_blocks_that_differ_leave_it_open_which_is_meant() -> None:
    assert why(f"{TAGGED}\nor\n<rewritten>\nx = 1\n</rewritten>") == (
        "the answer has 2 different <rewritten> blocks"
    )


# ── thinking and the prefill ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tag", ["think", "thinking", "reasoning", "THINK"])
def test_thinking_before_the_text_is_dropped(tag: str) -> None:
    found = opened(f"\n<{tag}>\n<rewritten>bad</rewritten>\n```\n</{tag}>\n\n{TAGGED}")
    assert found == Letter(SAFE, "tag", certain=True, adjusted=("thinking",))


def test_thinking_that_the_chat_template_opened_is_dropped() -> None:
    found = opened(f"They want <rewritten> tags.\n</think>\n{TAGGED}")
    assert (found.text, found.notes, found.adjusted) == (SAFE, "", ("thinking",))


def test_after_such_thinking_the_text_is_looked_for_as_ever() -> None:
    found = opened(f"So I guard it.\n</think>\n```\n{SAFE}```")
    assert found == Letter(SAFE, "fence", True, "", ("thinking", "fence"))
    shouted = Protocol("NEW")
    assert opened(f"<new>\n# </think>\n{SAFE}</new>", protocol=shouted).adjusted == ()


def test_a_thought_that_ends_inside_the_tag_is_text() -> None:
    text = f"# no </think> before\n{SAFE}"
    assert opened(f"<rewritten>\n{text}</rewritten>").text == text


def test_thinking_that_the_file_itself_has_stays() -> None:
    page = "<think>\nold\n</think>\n"
    found = opened(f"{page}<p>new</p>\n", page, language="html")
    assert (found.text, found.adjusted) == (f"{page}<p>new</p>\n", ())


def test_an_answer_that_ends_inside_its_thinking_has_no_text() -> None:
    assert why(f"<think>\nfirst\n{TAGGED}") == "the answer ends inside its thinking"


@pytest.mark.parametrize(
    ("text", "adjusted"),
    [
        (f"{SAFE}</rewritten>", ()),
        (f"<rewritten>\r\n{SAFE}</rewritten>", ("prefill_echo",)),
        (f"\n <rewritten>\n{SAFE}</rewritten>", ("prefill_echo",)),
        (f"<think>x</think>\n<rewritten>\n{SAFE}</rewritten>", ("thinking", "prefill_echo")),
        (f"<rewritten>\n<think>x</think>\n{SAFE}</rewritten>", ("prefill_echo", "thinking")),
    ],
)
def test_a_prefill_goes_on_or_is_said_again(text: str, adjusted: tuple[str, ...]) -> None:
    assert opened(text, protocol=PREFILLED) == Letter(SAFE, "tag", certain=True, adjusted=adjusted)


def test_after_a_prefill_all_is_text_up_to_the_closing_tag() -> None:
    found = opened(f"{SAFE}</rewritten>\nI added a guard.", protocol=PREFILLED)
    assert (found.text, found.notes) == (SAFE, "I added a guard.")
    assert opened(SAFE, protocol=PREFILLED, stop="</rewritten>") == Letter(
        SAFE, "prefill", certain=True
    )
    assert opened(SAFE, protocol=PREFILLED) == Letter(SAFE, "prefill")


def test_after_a_prefill_the_tag_may_be_opened_again_but_not_in_the_middle() -> None:
    found = opened(f"Here is the new code:\n{TAGGED}", protocol=PREFILLED)
    assert (found.text, found.notes) == (SAFE, "Here is the new code:")
    assert why(f"x = 1\n{TAGGED}", protocol=PREFILLED) == (
        "the answer opens <rewritten> in the middle of the text"
    )


def test_after_a_prefill_a_fence_holds_code_but_is_a_part_of_a_document() -> None:
    said = f"Here:\n```\n{SAFE}```\n"
    assert opened(said, protocol=PREFILLED).text == SAFE
    assert opened(said, protocol=PREFILLED, stop="</rewritten>").text == said
    assert opened(said, "Here is\n", PREFILLED, language="markdown").text == said


def test_after_a_prefill_prose_alone_is_no_text() -> None:
    assert why("I cannot change this function.", protocol=PREFILLED) == "the answer is prose"


# ── by a fence ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (f"```python\n{SAFE}```", ""),
        (f"\n~~~\n{SAFE}~~~\n\n", ""),
        (f"Here:\n\n```py\n{SAFE}```\nIt is safe now.", "Here:\nIt is safe now."),
        (f"```\n{MEAN}```\nbecomes\n```\n{SAFE}```", f"```\n{MEAN}```\nbecomes"),
        (f"```\nmean(values)\n```\nwith\n```\n{SAFE}```", "```\nmean(values)\n```\nwith"),
    ],
)
def test_the_longest_fence_that_is_not_the_selection_is_the_text(text: str, notes: str) -> None:
    assert opened(text) == Letter(SAFE, "fence", True, notes, ("fence",))


def test_a_fence_that_only_repeats_the_selection_is_no_change() -> None:
    assert opened(f"```\n{MEAN}```\nIt is fine.").text == MEAN


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"```python\n{SAFE}", "a fence in the answer does not close"),
        (f"```python\n{SAFE}```python\nx = 1\n```", "a fence in the answer does not close"),
        ("So:\n```\nprint('hello')\n```", "the fenced block has nothing in common with the sel"),
        (f"<rewritten>\n```\n{SAFE}</rewritten>", "a fence in the answer does not close"),
    ],
)
def test_a_fence_that_is_not_clear_is_not_taken(text: str, reason: str) -> None:
    assert why(text).startswith(reason)


def test_a_fence_that_does_not_close_is_refused_where_the_selection_has_one_too() -> None:
    example = 'def f():\n    """So:\n\n```\nf()\n```\n    """\n'
    assert why(f"<rewritten>\n```\n{SAFE}</rewritten>", example) == (
        "a fence in the answer does not close"
    )


@pytest.mark.parametrize("opening", ["```python\n", "\n```\n", "  \n\t\r\n```python\r\n"])
def test_a_fence_in_the_tag_is_taken_off(opening: str) -> None:
    found = opened(f"<rewritten>\n{opening}{SAFE}```\n</rewritten>")
    assert (found.text, found.certain, found.adjusted) == (SAFE, True, ("fence",))


def test_fences_that_the_selection_has_itself_stay() -> None:
    page = "# Use\n\n```sh\nmake\n```\n"
    new = page.replace("make", "make all")
    assert opened(f"<rewritten>\n{new}</rewritten>", page, language="markdown").text == new
    assert opened(f"````md\n{new}````", page, language="markdown").text == new
    assert opened(new, page, language="markdown") == Letter(new, "whole")


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nmake\n```\n",
        "\n```sh\nmake\n```\n\nThen run it.\n",
        "```\nmake\n```\n\nThen run it.\n",
        "~~~python\nmake()\n~~~\n",
    ],
)
def test_a_block_of_code_that_begins_a_markdown_text_stays(text: str) -> None:
    found = opened(f"<rewritten>\n{text}</rewritten>", "Run make.\n", language="markdown")
    assert found == Letter(text, "tag", certain=True)


def test_a_fence_around_a_markdown_text_is_taken_off_and_its_first_block_stays() -> None:
    text = "```sh\nmake\n```\n"
    inside = f"<rewritten>\n```markdown\n{text}```\n</rewritten>"
    found = opened(inside, "Run make.\n", language="markdown")
    assert (found.text, found.adjusted) == (text, ("fence",))


def test_a_block_of_code_in_a_document_is_not_taken_for_all_of_it() -> None:
    said = "You could write:\n```sh\nmake\n```\n"
    reason = why(said, "Run make.\n", language="markdown")
    assert reason == "only a part of the answer is in a fence"
    assert why(f"```md\n{said}", "Run make.\n", language="markdown") == (
        "a fence in the answer does not close"
    )


# ── by nothing at all ────────────────────────────────────────────────────────────────────────────


def test_an_answer_that_reads_like_the_selection_is_the_text_but_not_certain() -> None:
    assert opened(SAFE) == Letter(SAFE, "whole")


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "the answer is empty"),
        (" \r\n", "stop", "the answer is empty"),
        ("I'm sorry, I cannot do that.", "stop", "the answer is prose"),
        ("이 함수는 이미 빠릅니다.", "stop", "the answer is prose"),
        (f"{SAFE}\nIt handles empty lists now.", "stop", "the answer is prose"),
        ("print('hello', flush=True)\n", "stop", "the answer has neither tag nor fence and noth"),
        (SAFE, None, "the answer ends before the end of the text"),
        (SAFE, "content_filter", "the answer ends before the end of the text"),
        (f"<rewritten>\n{SAFE}", "abort", "the answer ends before the end of the text"),
    ],
)
def test_where_nothing_marks_the_text_doubt_refuses_it(
    text: str, finish: str | None, reason: str
) -> None:
    assert why(text, finish=finish).startswith(reason)


@pytest.mark.parametrize("finish", [None, "content_filter", "tool_calls"])
def test_a_marked_end_counts_however_the_answer_ended(finish: str | None) -> None:
    assert opened(TAGGED, finish=finish).text == SAFE
    assert opened(f"```\n{SAFE}```", finish=finish).text == SAFE


# ── inside the tag ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "inside",
    [
        f"<selected>\n{SAFE}</selected>\n",
        f"import os\n  <selection>\r\n{SAFE}  </selection>\nx = 1\n",
        f"<selected>\n{SAFE}",
        f"{SAFE}</selected>\n",
        f"```\n<selected>\n{SAFE}</selected>\n```\n",
    ],
)
def test_the_tags_of_the_prompt_come_off_when_they_are_echoed(inside: str) -> None:
    found = opened(f"<rewritten>\n{inside}</rewritten>")
    assert found.text == SAFE
    assert "echoed_tag" in found.adjusted


@pytest.mark.parametrize("selected", ["<selected>\nx\n", "x </selected>\n"])
def test_tags_that_the_selection_has_itself_stay(selected: str) -> None:
    new = f"<selected>\n{SAFE}</selected>\n"
    assert opened(f"<rewritten>\n{new}</rewritten>", selected).text == new


def test_an_attribute_or_another_tag_is_no_echo() -> None:
    page = "<option selected>b</option>\n<selected-item>c</selected-item>\n"
    assert opened(f"<rewritten>\n{page}</rewritten>", language="html").text == page


@pytest.mark.parametrize("form", ["{} | {}", "{:4}| {}", "{}\t{}", "{}: {}", "{} │ {}", "  {}|{}"])
def test_line_numbers_come_off_when_every_line_has_one(form: str) -> None:
    rows = SAFE.removesuffix("\n").split("\n")
    text = "".join(form.format(number, row) + "\n" for number, row in enumerate(rows, start=3))
    found = opened(f"<rewritten>\n{text}</rewritten>", before="import os\n\n")
    assert (found.text, found.adjusted) == (SAFE, ("gutter",))
    assert opened(f"<rewritten>\n{text}</rewritten>").text == SAFE, "lines of the selection"


def test_the_numbers_that_the_lines_have_in_the_file_are_sign_enough() -> None:
    for text in ("3: new()\n", "3: new()\n4: more()\n"):
        found = opened(f"<rewritten>\n{text}</rewritten>", "old = 1\n", before="a\nb\n")
        assert found.text == text.replace("3: ", "").replace("4: ", "")


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("1 | a = 1\nb = 2\n", "a = 1\n"),  # not every line
        ("1 | a = 1\n3 | b = 2\n", "a = 1\n"),  # one is missing
        ("7 | c = 1\n8 | d = 2\n", "a = 1\n"),  # neither its numbers nor its lines
        ('1: "one",\n2: "two",\n', '1: "eins",\n'),  # the selection has them too
        ("1 = 2\n2 = 3\n", "1 = 2\n"),
        ("1" * 5_000 + "|a\n", "a\n"),  # no number of a line
    ],
)
def test_numbers_that_may_be_data_stay(text: str, selected: str) -> None:
    tagged = f"<rewritten>\n{text}</rewritten>"
    assert opened(tagged, selected, before="x\n").text == text


def test_numbers_before_windows_lines_and_blank_ones_come_off() -> None:
    text = "1 | a = 1\r\n2 |\r\n3 | b = 2\r\n"
    found = opened(f"<rewritten>\n{text}</rewritten>", "a = 1\r\n\r\nb = 1\r\n")
    assert found.text.split() == ["a", "=", "1", "b", "=", "2"]
    assert found.text.count("\n") == 3


def test_no_words_of_a_protocol_are_ever_decoded() -> None:
    text = 'x = "&lt;rewritten&gt; \\u003c &amp;"\n'
    assert opened(f"<rewritten>\n{text}</rewritten>").text == text
