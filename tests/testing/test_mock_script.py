"""Behaviours refuse what makes no sense, and a script hands them out in order."""

import pytest

from gateway.testing.mock_script import HEALTHY, Behaviour, Script


def test_a_misspelt_behaviour_says_what_was_meant() -> None:
    with pytest.raises(ValueError, match="no 'stauts'; did you mean 'status'"):
        Behaviour.from_json({"stauts": 500})


def test_an_unknown_name_far_from_all_others_lists_what_there_is() -> None:
    with pytest.raises(ValueError, match="known: path, before_headers"):
        Behaviour.from_json({"qqqqqq": 1})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"before_headers": "vanish"}, "one of answer, close"),
        ({"usage": "sometimes"}, "one of asked"),
        ({"sse": ["crlf", "lf"]}, "one of crlf"),
        ({"text": "a", "tokens": 3}, "give one of text"),
        ({"text": "a", "echo": True}, "give one of text"),
        ({"split": 0}, "at least 1"),
        ({"status": "500"}, "status is .*int"),
        ({"done": 1}, "done is .*bool"),
        ({"error_after": True}, "error_after is"),
        ({"garbage": "日"}, "one character a byte"),
        ({"headers": {"x": "日"}}, "one character a byte"),
        ({"tool_calls": [{"name": "f"}]}, "a name and arguments"),
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused(
    given: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Behaviour.from_json(given)


def test_a_behaviour_survives_its_json() -> None:
    behaviour = Behaviour(
        status=503, headers={"Retry-After": "1"}, deltas=("a", "b"), sse=("crlf",), delay_first=1
    )
    spelt = behaviour.to_json()
    assert Behaviour.from_json(spelt) == behaviour
    assert set(spelt) == {"status", "headers", "deltas", "sse", "delay_first"}


def test_a_script_hands_out_each_behaviour_once_and_the_last_one_again_and_again() -> None:
    script = Script()
    first, last = Behaviour(status=500), Behaviour(status=503)
    script.replace([first, last])
    taken = [script.take("/v1/completions") for _ in range(4)]
    assert taken == [first, last, last, last]


def test_a_behaviour_with_a_path_waits_for_that_path() -> None:
    script = Script()
    sick, slow = Behaviour(path="/health", status=503), Behaviour(delay_first=1.0)
    script.replace([sick, slow])
    assert script.take("/health") is sick
    assert script.take("/v1/chat/completions") is slow


def test_polling_a_path_that_generates_nothing_uses_up_no_behaviour() -> None:
    script = Script()
    script.replace([Behaviour(status=500), HEALTHY])
    assert [script.take(path) for path in ("/health", "/metrics", "/v1/models")] == [HEALTHY] * 3
    assert script.take("/v1/embeddings").status == 500
