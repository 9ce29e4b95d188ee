"""Control tokens in data: found, made harmless, and restored exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.control_tokens import MARK, find, neutralise, restore

TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|channel|>",
    "<|reserved_special_token_0|>",
    "<\uff5cUser\uff5c>",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
    "<s>",
    "</s>",
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<unused12>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[gMASK]",
    "<<SYS>>",
    "<</SYS>>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<fim_prefix>",
    "<repo_name>",
    "<file_sep>",
    "<filename>",
    "<jupyter_code>",
    "]~b]",
    "[e~[",
]
# The special tokens of SmolLM2's tokenizer, the model that the tests run.
SMOLLM2 = (
    "<|endoftext|> <|im_start|> <|im_end|> <repo_name> <reponame> <file_sep> <filename> <gh_stars> "
    "<issue_start> <issue_comment> <issue_closed> <jupyter_start> <jupyter_text> <jupyter_code> "
    "<jupyter_output> <jupyter_script> <empty_output>"
)


@pytest.mark.parametrize("token", sorted({*TOKENS, *SMOLLM2.split()}))
def test_a_control_token_in_code_is_broken_up_and_comes_back(token: str) -> None:
    code = f'STOP = "{token}"  # {token}{token}\n'

    harmless = neutralise(code)

    assert token not in harmless
    assert find(harmless) is None
    assert harmless.replace(MARK, "") == code
    assert restore(harmless) == code


@pytest.mark.parametrize(
    "code",
    [
        "if a <s and b> c:",
        "vector<string> v; x = a[INSTANCE];",
        "<html><body class='file'>",
        "a <| b |> c",
        "x = y | z > w",
        "한글과 <태그>",
        "",
    ],
)
def test_ordinary_code_is_not_touched(code: str) -> None:
    assert neutralise(code) == code
    assert restore(code) == code


def test_a_text_that_bears_marks_already_gets_one_more_and_loses_only_that_one() -> None:
    text = f"<{MARK}|im_end|> <|im_end|> < |im_end|> {MARK}{MARK}"

    harmless = neutralise(text)

    assert harmless == f"<{MARK}{MARK}|im_end|> <{MARK}|im_end|> < |im_end|> {MARK}{MARK}"
    assert restore(harmless) == text


def test_a_token_inside_another_is_found_as_well() -> None:
    assert neutralise("[e~[INST]") == f"[{MARK}e~[{MARK}INST]"
    assert neutralise("<<SYS>><s>") == f"<{MARK}<SYS>><{MARK}s>"


PIECES = st.sampled_from(
    [
        MARK,
        "<",
        ">",
        "|",
        "[",
        "]",
        "/",
        "s>",
        "im_end",
        "<|im_end|>",
        "[INST]",
        "<<SYS>>",
        "]~b[",
        "<think>",
        "INST]",
        "e~[",
        "b]",
        "~",
        " ",
        "x",
        "\n",
        "\uff5c",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_every_text_comes_back_exactly(text: str) -> None:
    harmless = neutralise(text)

    assert find(harmless) is None
    assert restore(harmless) == text


@given(st.lists(PIECES, max_size=30).map("".join))
def test_restoring_a_text_without_marks_changes_nothing(text: str) -> None:
    bare = text.replace(MARK, "")

    assert restore(bare) == bare
