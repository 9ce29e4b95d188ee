"""A prompt sent to a server: what it is asked, and what becomes of every kind of answer."""

from __future__ import annotations

import pytest

from gateway.adapters.prompt_run import NoAnswer, Replica, body_of, pieces
from gateway.domain.call import PromptRef
from gateway.domain.prompt import Rendered
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet

REF = PromptRef("code/x", "1.0.0", "abc")
RENDERED = Rendered(REF, ({"role": "user", "content": "hi"},), {"temperature": 0.5})
BEGUN = Rendered(REF, RENDERED.messages, {}, "a", "", ("</a>",), "<a>\n")


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


def test_the_text_comes_in_pieces_from_the_first_model(mock: MockVLLM) -> None:
    mock.script(Behaviour(text="one two three"))

    found = list(pieces(Replica(mock.base_url, "sk-1"), RENDERED))

    assert "".join(found) == "one two three"
    assert len(found) > 1
    [asked] = mock.requests("/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-1"


def test_a_prefill_is_the_assistant_s_begun_message() -> None:
    body = body_of(BEGUN, "m")

    assert body["messages"][-1] == {"role": "assistant", "content": "<a>\n"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert (body["stop"], body["max_tokens"], body["model"]) == (["</a>"], 512, "m")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "file:///etc/passwd"])
def test_nobody_there_is_told(url: str) -> None:
    with pytest.raises(NoAnswer):
        list(pieces(Replica(url, model="m"), RENDERED))


def test_an_answer_that_breaks_off_is_no_answer(mock: MockVLLM) -> None:
    mock.script(Behaviour(text="one two three", close_after=1))

    with pytest.raises(NoAnswer):
        list(pieces(Replica(mock.base_url), RENDERED))


def test_a_refusal_is_told_with_the_server_s_words(mock: MockVLLM) -> None:
    with pytest.raises(NoAnswer, match=r"answers 404: .*nobody"):
        list(pieces(Replica(mock.base_url, model="nobody"), RENDERED))


def test_a_key_is_not_shown() -> None:
    assert "sk-1" not in repr(Replica("http://x", "sk-1"))
