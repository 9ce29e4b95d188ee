"""Text in pieces: whatever the pieces are, it reads as if it had come whole, and hardly later."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.control_tokens import MARK, neutralise, restore
from gateway.flow.unmarking import Unmarking

PREFILL = "<rewritten>\n"
# One or more of each family that gateway.domain.control_tokens knows.
TOKENS = (
    "<|im_start|>", "<|eot_id|>", "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<s>", "</s>",
    "<mask>", "<EOS_TOKEN>", "<think>", "</seed:think>", "</tool_call>", "<tools>",
    "<seed:tool_call>", "<start_of_turn>", "<end_of_image>", "<unused42>", "<extra_id_0>",
    "<fim_prefix>", "<fim-pad>", "<PRE>", "<FILL_ME>", "<repo_name>", "<issue_start>",
    "<pr_diff_hunk>", "<<SYS>>", "<</SYS>>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[TOOL_CALLS]",
    "[IMG_BREAK]", "[gMASK]", "[SEP]", "[e~[", "]~b[", "]~!b[", "]~b]",
    "<|" + "x" * 64 + "|>",
)  # fmt: skip


def marked(token: str, times: int) -> str:
    for _ in range(times):
        token = neutralise(token)
    return token


tokens = st.builds(marked, st.sampled_from(TOKENS), st.integers(0, 3))
noise = st.text(alphabet=f"<>[]|/~!be_s:INST{MARK} \nab한", max_size=12)
cut_tokens = tokens.flatmap(lambda token: st.builds(token.__getitem__, st.slices(len(token))))
texts = st.lists(st.one_of(tokens, noise, cut_tokens), max_size=6).map("".join)
prefills = st.sampled_from(["", PREFILL, "<answer>\n"])


@st.composite
def in_pieces(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A prefill, and an answer in pieces that may repeat it, or begin as if it did."""
    prefill = draw(prefills)
    begins = draw(st.sampled_from(["", prefill, prefill[:4], prefill[:-1], prefill * 2]))
    text = begins + draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return prefill, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def through(prefill: str, pieces: list[str]) -> str:
    unmarking = Unmarking(prefill)
    return "".join([*map(unmarking.feed, pieces), unmarking.end()])


@settings(deadline=None)
@given(in_pieces())
@example(("", list(f"[{MARK}e~[{MARK}INST]")))
@example(("", ["<" + MARK * 200, "|im_start|>"]))
@example(("", list(f"<{MARK}</SYS>>")))
@example(("", list(f"<{MARK}|{'x' * 64}|>")))
def test_text_in_any_pieces_is_the_text_that_came_whole(given: tuple[str, list[str]]) -> None:
    prefill, pieces = given
    assert through(prefill, pieces) == restore("".join(pieces).removeprefix(prefill))


@settings(deadline=None)
@given(in_pieces())
def test_what_is_shown_is_never_taken_back_and_little_is_ever_held(
    given: tuple[str, list[str]],
) -> None:
    prefill, pieces = given
    unmarking, shown, sent = Unmarking(prefill), "", ""
    for piece in pieces:
        shown += unmarking.feed(piece)
        sent += piece
        whole = restore(sent.removeprefix(prefill))
        if prefill and prefill.startswith(sent):
            assert shown == ""
            continue
        assert len(whole) - len(shown) <= 70 + sent.count(MARK)
    assert restore(sent.removeprefix(prefill)).startswith(shown)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="<[]")))
def test_plain_text_passes_at_once(text: str) -> None:
    assert Unmarking().feed(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "if a < b: return xs[0]\n",
        "print('<|im_start|>') ",
        "Vec<Option<u8>> ",
        f"a < {MARK}b ",
        f"x <{MARK} b ",
        f"x <{MARK}div> ",
    ],
)
def test_brackets_that_begin_no_marked_token_pass_at_once(text: str) -> None:
    assert Unmarking().feed(text) == text


@pytest.mark.parametrize("token", TOKENS)
def test_a_marked_token_is_shown_as_soon_as_it_is_whole(token: str) -> None:
    unmarking, text = Unmarking(), neutralise(f"a {token}")
    assert "".join(map(unmarking.feed, [*text, " "])) == f"a {token} "
    unmarking = Unmarking()
    assert unmarking.feed(text + " and then") == f"a {token} and then"


@pytest.mark.parametrize("token", TOKENS)
def test_the_beginning_of_a_marked_token_waits_for_its_end(token: str) -> None:
    text = neutralise(token)
    for cut in range(1, len(text)):
        unmarking = Unmarking()
        assert unmarking.feed("a" + text[:cut]) == "a"
        assert unmarking.feed(text[cut:]) + unmarking.end() == token


def test_an_answer_that_ends_in_the_middle_of_a_token_loses_nothing() -> None:
    unmarking = Unmarking()
    assert unmarking.feed(f"a <{MARK}|im_st") == "a "
    assert unmarking.end() == f"<{MARK}|im_st"
    assert unmarking.end() == "", "once"


def test_a_prefill_that_the_server_repeats_is_dropped_once() -> None:
    assert through(PREFILL, ["<rewr", "itten>\n<rewritten>\nx"]) == "<rewritten>\nx"


def test_an_answer_that_only_begins_like_the_prefill_is_shown() -> None:
    assert through(PREFILL, ["<rewr", "ite()"]) == "<rewrite()"
    assert through(PREFILL, ["<rew"]) == "<rew"


def test_without_a_repeated_prefill_the_first_piece_passes_at_once() -> None:
    assert Unmarking(PREFILL).feed("def f():\n") == "def f():\n"
