"""The shapes of bodies: what each subject may hold, and that nothing unknown passes."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from gateway.domain.actions import ACTIONS, INTENTS, Subject, own_options
from gateway.web.assist_body import SHAPES, Asked, DiffRequest, FileRequest, MessageRequest, Options

FILE = {"path": "a.py", "content": "x = 1\n"}


def test_every_subject_has_a_shape_and_every_action_finds_what_it_needs_in_it() -> None:
    assert set(SHAPES) == set(get_args(Subject))
    for action in ACTIONS:
        assert set(action.needs) <= set(SHAPES[action.subject].model_fields)


def test_every_word_of_intent_may_be_sent() -> None:
    words = get_args(get_args(Asked.model_fields["action"].annotation)[0])
    assert set(words) == set(INTENTS)


def test_options_of_few_actions_are_none_until_they_are_sent() -> None:
    for name in own_options():
        assert getattr(Options(), name) is None


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (FileRequest, {}),
        (FileRequest, {"file": None}),
        (FileRequest, {"file": FILE, "diff": "x"}),
        (DiffRequest, {}),
        (DiffRequest, {"diff": "x", "file": FILE}),
        (DiffRequest, {"diff": "x", "selection": None}),
        (MessageRequest, {"instruction": "x" * 4001}),
        (MessageRequest, {"file": FILE, "diff": "x"}),
    ],
)
def test_what_a_shape_does_not_have_is_refused(shape: type[Asked], body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        shape.model_validate(body)


def test_a_message_may_have_a_file_or_none() -> None:
    assert MessageRequest.model_validate({"instruction": "x"}).file is None
    assert MessageRequest.model_validate({"instruction": "x", "file": FILE}).file is not None
