"""Fences: only a block whose end is certain counts, and one around everything is told from two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import fences

rows = st.sampled_from(
    ["```", "```py", "````", "````md", "~~~", "~~~~ sh", "  ```", "    ```", "x = 1", "", " ", "가"]
)
texts = st.lists(st.tuples(rows, st.sampled_from(["\n", "\r\n"]))).map(
    lambda parts: "".join(row + end for row, end in parts)
)


def found(text: str) -> list[tuple[str, str]]:
    return [(block.info, block.text) for block in fences.blocks(text)]


# ── what a fence is ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line", ["```", "````", "~~~", "   ```", "```python", "``` c++ ", "~~~ 한글", "```\r"]
)
def test_three_backticks_or_tildes_on_a_line_of_their_own_are_a_fence(line: str) -> None:
    assert fences.any_in(line)
    assert fences.any_in(f"x\n{line}\ny")


@pytest.mark.parametrize(
    "line", ["``", "``x``", "    ```", "\t```", "x ```", "```x``` is code", "# ```", "'''"]
)
def test_what_only_holds_backticks_is_none(line: str) -> None:
    assert not fences.any_in(line)


@pytest.mark.parametrize("apart", ["\u2028", "\x0c", "\x85", "\r"])
def test_a_fence_starts_a_line_and_only_a_line_feed_ends_one(apart: str) -> None:
    assert not fences.any_in(f"x{apart}```")


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("```\nx", True),
        ("\n\r\n```\nx", True),
        ("  \n\t\n```python\nx", True),
        ("x\n```\n", False),
        ("    ```\n", False),
        ("", False),
        ("\n \n", False),
    ],
)
def test_blank_lines_may_stand_before_the_fence_that_a_text_starts_with(
    text: str, does: bool
) -> None:
    assert fences.starts(text) is does


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


def test_a_block_has_its_text_its_info_and_its_place() -> None:
    text = "Here:\n```python 3\na = 1\n\n```\nDone."
    (block,) = fences.blocks(text)
    assert (block.text, block.info) == ("a = 1\n\n", "python 3")
    assert (text[: block.start], text[block.end :]) == ("Here:\n", "\nDone.")


def test_windows_line_ends_stay_in_the_text_and_off_the_info() -> None:
    assert found("```py\r\na\r\nb\r\n```\r\n") == [("py", "a\r\nb\r\n")]


def test_spaces_after_a_fence_are_no_info() -> None:
    assert found("```  \nx\n```\t\n") == [("", "x\n")]
    assert found("``` py \nx\n``` \n") == [("py", "x\n")]
    block = fences.wrapped("``` md \n``` sh \nmake\n``` \n```  \n")
    assert block is not None
    assert (block.info, block.text) == ("md", "``` sh \nmake\n``` \n")


@pytest.mark.parametrize("text", ["```\n```", "```\r\n```", "~~~\n~~~\n"])
def test_an_empty_block_is_a_block(text: str) -> None:
    assert found(text) == [("", "")]


def test_blocks_stand_one_after_another() -> None:
    text = "```a\n1\n```\nthen\n~~~b\n2\n~~~\nand\n````c\n3\n`````\n"
    assert found(text) == [("a", "1\n"), ("b", "2\n"), ("c", "3\n")]


def test_a_shorter_fence_inside_is_text() -> None:
    assert found("````md\n```sh\nmake\n```\n````\n") == [("md", "```sh\nmake\n```\n")]


@pytest.mark.parametrize(
    "text",
    [
        "```\nx\n",
        "```\nx\n~~~\n",
        "````\nx\n```\n",
        "```\nx\n```python\n",  # what names a language opens
        "```\nx\n    ```\n",
        "```\na\n```python\nb\n```\n",  # opened twice, closed once
        "```\na\n~~~\nb\n```\n",
        "",
        "no fence at all\n",
    ],
)
def test_a_block_whose_end_is_not_certain_is_none(text: str) -> None:
    assert found(text) == []


def test_after_a_block_that_is_not_certain_the_next_one_counts() -> None:
    assert found("```a\n~~~\n1\n```\n```b\n2\n```\n") == [("b", "2\n")]


@given(texts)
def test_a_block_lies_between_its_fences_and_holds_none_as_long(text: str) -> None:
    last = 0
    for block in fences.blocks(text):
        assert last <= block.start < block.end <= len(text)
        last = block.end
        whole = text[block.start : block.end]
        lines = whole.split("\n")
        run = lines[0].strip()[: len(lines[0].strip()) - len(lines[0].strip().lstrip("`~"))]
        assert lines[-1].strip().startswith(run)
        assert block.text == "".join(f"{line}\n" for line in lines[1:-1])
        inner = [line for line in lines[1:-1] if fences.any_in(line)]
        runs = [len(line.strip()) - len(line.strip().lstrip("`~")) for line in inner]
        assert all(size < len(run) for size in runs)


# ── one around everything ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "info", "inside"),
    [
        ("```\nx\n```", "", "x\n"),
        ("\n ```py\nx\n ```\n \n", "py", "x\n"),
        ("```\r\nx\r\n```\r\n", "", "x\r\n"),
        ("~~~\nx\n~~~~~\n", "", "x\n"),
        ("```\n```", "", ""),
        ("````md\n```sh\nmake\n```\n````", "md", "```sh\nmake\n```\n"),
        ("````md\n```\n````", "md", "```\n"),  # shorter: it may be alone
        ("```md\n~~~\n```", "md", "~~~\n"),  # of the other kind: it closes nothing
        ("```md\n```sh\nmake\n```\n```", "md", "```sh\nmake\n```\n"),
        ("```md\n```a\n1\n```\n````b\n2\n````\n```", "md", "```a\n1\n```\n````b\n2\n````\n"),
    ],
)
def test_a_fence_around_everything_is_found(text: str, info: str, inside: str) -> None:
    block = fences.wrapped(text)
    assert block is not None
    assert (block.info, block.text) == (info, inside)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "```",
        "```\nx\n",
        "Here:\n```\nx\n```",
        "```\nx\n```\nDone.",
        "```\nx\n~~~",
        "````\nx\n```",
        "```\na\n```\nand\n```\nb\n```",  # two in a row
        "```a\n1\n```\n```b\n2\n```",
        "```a\n1\n```b\n2\n```",  # the second one is open, or the first
        "```a\n```sh\n1\n```\n```sh\n```",
        "```md\n```sh\nmake\n```sh",
    ],
)
def test_where_it_is_not_certain_what_closes_what_nothing_is_around_it(text: str) -> None:
    assert fences.wrapped(text) is None


@given(st.lists(st.sampled_from(["x = 1", "", "```", "```py", "~~~", "가"])), st.integers(4, 9))
def test_a_long_fence_gives_back_whatever_was_put_into_it(lines: list[str], size: int) -> None:
    text = "".join(f"{line}\n" for line in lines)
    block = fences.wrapped(f"{'`' * size}md\n{text}{'`' * size}\n")
    assert block is not None
    assert block.text == text


# ── blocks in documents ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("info", "language", "does"),
    [
        ("python", "python", True),
        ("js", "python", True),  # models name the language as they like
        ("", "go", True),
        ("markdown", "markdown", True),
        ("MD", "markdown", True),
        ("text", "latex", True),
        ("latex", "latex", True),
        ("sh", "markdown", False),
        ("", "markdown", False),
    ],
)
def test_in_a_document_a_block_of_code_is_not_the_whole(
    info: str, language: str, does: bool
) -> None:
    (block,) = fences.blocks(f"```{info}\nx\n```")
    assert block.fits(language) is does


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("```sh\nmake\n```\n", True),
        ("\n```sh\nmake\n```\n\nThen run it.\n", True),
        ("```\nmake\n```\n\nThen run it.\n", True),
        ("```\n# All\n```\n", False),
        ("```markdown\n# All\n```\n", False),
        ("```md\n```sh\nmake\n```\n```\n", False),
        ("# Use\n\n```sh\nmake\n```\n", False),
        ("```sh\nmake\n", False),
        ("", False),
    ],
)
def test_a_document_that_starts_with_code_is_told_from_one_in_a_fence(
    text: str, does: bool
) -> None:
    assert fences.starts_block(text) is does


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["`", "~", " ", "\n", "```\n", "```a\n", "~~~\n```\n", " \n"])
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    fences.starts(text)
    fences.wrapped(text)
    assert isinstance(fences.blocks(text), list)
