"""Every action of the table through a real socket: whole, streamed, rehearsed, and refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.domain.actions import ACTIONS, BY_NAME, COMMON
from gateway.domain.result_fields import EVERY, OWN
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful
from tests.web.test_assist import ask, events
from tests.web.told import assert_told

SOURCE = "import os\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n\n\nprint(os.name)\n"
SELECTION = {"start": {"line": 3, "character": 0}, "end": {"line": 4, "character": 28}}
FILE = {"path": "src/mean.py", "content": SOURCE}
ABOUT_LINES: dict[str, Any] = {"file": FILE, "selection": SELECTION}
SAID = {"range": SELECTION, "message": "division by zero"}
DIFF = (
    "diff --git a/mean.py b/mean.py\n--- a/mean.py\n+++ b/mean.py\n"
    "@@ -1 +1 @@\n-print('hello')\n+print('hello, world')\n"
)
BODIES: dict[str, dict[str, Any]] = {
    "explain": ABOUT_LINES,
    "rewrite": {**ABOUT_LINES, "instruction": "return 0 for an empty list"},
    "docstring": ABOUT_LINES,
    "fix": {**ABOUT_LINES, "diagnostics": [SAID]},
    "review": ABOUT_LINES,
    "tests": ABOUT_LINES,
    "commit-message": {"diff": DIFF},
    "chat": {"instruction": "What is a mutex?"},
}
NEW = "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0\n"
FINDING = {
    "quote": "    return sum(xs) / len(xs)",
    "message": "Fails on an empty list.",
    "severity": "error",
    "category": "bug",
    "suggestion": "Return 0.",
}
REVIEW = json.dumps({"findings": [FINDING], "summary": "One bug."})
TESTS = "from mean import mean\n\n\ndef test_mean():\n    assert mean([1, 3]) == 2\n"
ANSWERS = {
    "explain": "`mean` divides.",
    "rewrite": NEW,
    "docstring": NEW,
    "fix": NEW,
    "review": REVIEW,
    "tests": TESTS,
    "commit-message": "Greet the world\n\nAs asked.\n",
    "chat": "A lock.",
}
NAMES = [action.name for action in ACTIONS]


@pytest.fixture(scope="module")
def replica() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module")
def _gateway(replica: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([replica.base_url]), forgetful()) as served:
        yield served


@pytest.fixture
def mock(replica: MockVLLM) -> MockVLLM:
    """The replica, as good as new."""
    replica.renew()
    return replica


@pytest.fixture
def gateway(_gateway: ServedGateway, mock: MockVLLM) -> ServedGateway:
    return _gateway


def messages(mock: MockVLLM) -> str:
    """What the one call to the model said."""
    (sent,) = mock.requests("/v1/chat/completions")
    return "\n".join(message["content"] for message in sent.body["messages"])


def test_these_tests_know_every_action() -> None:
    assert set(BODIES) == set(ANSWERS) == set(NAMES)


# ---- Each action ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_the_fields_of_its_form_and_the_common_ones(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    mock.script(Behaviour(text=ANSWERS[name]))
    answer = ask(gateway, name, BODIES[name])
    assert answer.status_code == 200, answer.text
    said, action = answer.json(), BY_NAME[name]
    assert set(said) == {*COMMON, *action.fields}
    assert_told(said, {**EVERY, **OWN[action.form]})
    assert said["prompt"]["name"] == action.prompt
    assert said["id"] == answer.headers["x-request-id"]
    assert said["context"]["used"] == sum(item["tokens"] for item in said["context"]["items"])
    assert said["usage"]["prompt_tokens"] == said["context"]["used"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_context_deltas_the_same_result_and_done(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    mock.script(Behaviour(text=ANSWERS[name]))
    whole = ask(gateway, name, BODIES[name]).json()
    said = events(ask(gateway, f"{name}/stream", BODIES[name]))
    kinds = [kind for kind, _ in said]
    assert (kinds[0], kinds[-2], said[-1]) == ("context", "result", ("", "[DONE]"))
    deltas = [payload for kind, payload in said if kind == "delta"]
    if BY_NAME[name].kind == "text":
        text = "".join(piece["choices"][0]["delta"]["content"] for piece in deltas)
    else:
        text = "".join(piece["text"] for piece in deltas)
    assert text == ANSWERS[name]
    for field in BY_NAME[name].fields:
        assert said[-2][1][field] == whole[field]


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_is_the_preview_and_asks_no_model(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    preview = ask(gateway, "context/preview", {**BODIES[name], "action": name}).json()
    body = {**BODIES[name], "options": {"dry_run": True}}
    rehearsed = ask(gateway, name, body).json()
    streamed = events(ask(gateway, f"{name}/stream", body))
    assert mock.requests("/v1/chat/completions") == []
    for said in (preview, rehearsed, streamed[1][1]):
        said.pop("id")
    assert rehearsed == preview
    assert set(preview) == {"range", "warnings", "model", "prompt", "context"}
    assert [kind for kind, _ in streamed] == ["context", "result", ""]
    assert streamed[0][1] == preview["context"]
    assert streamed[1][1] == preview
    assert preview["prompt"]["name"] == BY_NAME[name].prompt


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_of_another_kind_is_refused_and_one_of_its_kind_is_used(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    wrong = "code/rewrite" if BY_NAME[name].kind != "rewrite" else "code/explain"
    answer = ask(gateway, name, {**BODIES[name], "prompt": {"name": wrong}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_prompt")
    assert answer.json()["error"]["param"] == "prompt.name"
    assert f"not '{BY_NAME[name].kind}'" in answer.json()["error"]["message"]
    mock.script(Behaviour(text=ANSWERS[name]))
    named = {**BODIES[name], "prompt": {"name": BY_NAME[name].prompt}}
    assert ask(gateway, name, named).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_an_idempotency_key_gives_the_same_bytes_and_one_answer(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    mock.script(Behaviour(text=ANSWERS[name]))
    first, again = (
        ask(gateway, f"{name}/stream", BODIES[name], **{"Idempotency-Key": f"key-{name}"})
        for _ in range(2)
    )
    assert first.content == again.content
    assert len(mock.requests("/v1/chat/completions")) == 1


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_leaves_a_stream_frees_the_replica(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    mock.script(Behaviour(tokens=200, delay_between=0.05))
    async with httpx.AsyncClient() as http:
        url = f"{gateway.url}/api/ai/{name}/stream"
        task = asyncio.create_task(http.post(url, json=BODIES[name]))
        await mock.arrived()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (received,) = await mock.settled()
    assert received.outcome == "client_left"


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_counts_as_a_request_of_its_route(
    gateway: ServedGateway, mock: MockVLLM, name: str
) -> None:
    mock.script(Behaviour(text=ANSWERS[name]))
    ask(gateway, name, BODIES[name])
    page = httpx.get(f"{gateway.url}/metrics").text
    assert f'outcome="completed",route="/api/ai/{name}"' in page


# ---- What only one of them does ------------------------------------------------------------------


def test_an_explanation_lists_the_places_that_it_names(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text="`mean` fails at src/mean.py:5, `median()` at b.py:1 does not."))
    said = ask(gateway, "explain", ABOUT_LINES).json()
    assert said["references"] == [
        {
            "path": "src/mean.py",
            "range": {"start": {"line": 3, "character": 0}, "end": {"line": 5, "character": 0}},
            "name": "mean",
        },
        {
            "path": "src/mean.py",
            "range": {"start": {"line": 4, "character": 0}, "end": {"line": 5, "character": 0}},
        },
    ]


def test_a_review_is_held_to_its_schema_by_the_replica_and_has_ranges(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    invented = {**FINDING, "quote": "there is no such line"}
    mock.script(Behaviour(text=json.dumps({"findings": [FINDING, invented], "summary": "Two."})))
    said = ask(gateway, "review", ABOUT_LINES).json()
    (sent,) = mock.requests("/v1/chat/completions")
    form = sent.body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    assert "findings" in form["json_schema"]["schema"]["properties"]
    assert (said["status"], said["summary"]) == ("reviewed", "Two.")
    place = {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 28}}
    assert said["findings"] == [{**FINDING, "range": place}, {**invented, "range": None}]


def test_a_review_that_is_no_json_is_unresolved_with_the_models_words(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text="Looks good to me."))
    said = ask(gateway, "review", ABOUT_LINES).json()
    assert (said["status"], said["findings"]) == ("unresolved", [])
    assert said["text"] == "Looks good to me."
    assert said["warnings"][-1]["code"] == "no_review"


def test_a_review_that_is_cut_has_the_findings_that_were_whole(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    cut = REVIEW.replace("]", ', {"quote": "x')
    mock.script(Behaviour(text=cut[: cut.index('"x') + 2], finish_reason="length"))
    said = ask(gateway, "review", ABOUT_LINES).json()
    assert said["status"] == "truncated"
    assert [finding["message"] for finding in said["findings"]] == [FINDING["message"]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_review_that_is_no_json_is_asked_for_again_where_that_is_wanted(
    gateway: ServedGateway, mock: MockVLLM, stream: bool
) -> None:
    mock.script(Behaviour(text="Looks good to me."), Behaviour(text=REVIEW))
    body = {**ABOUT_LINES, "options": {"repair": 1}}
    if stream:
        said = events(ask(gateway, "review/stream", body))
        assert [kind for kind, _ in said][-3:] == ["repair", "result", ""]
        result = said[-2][1]
    else:
        result = ask(gateway, "review", body).json()
    assert (result["status"], result["repaired"]) == ("reviewed", True)
    assert len(mock.requests("/v1/chat/completions")) == 2


def test_new_tests_are_a_file_that_git_creates(
    gateway: ServedGateway, mock: MockVLLM, tmp_path: Path
) -> None:
    mock.script(Behaviour(text=TESTS))
    said = ask(gateway, "tests", ABOUT_LINES).json()
    assert (said["status"], said["path"]) == ("created", "tests/test_mean.py")
    subprocess.run(["git", "apply", "-"], input=said["diff"].encode(), cwd=tmp_path, check=True)
    content = (tmp_path / said["path"]).read_bytes()
    assert content.decode() == said["text"] == TESTS
    assert hashlib.sha256(content).hexdigest() == said["sha256"]


def test_new_tests_go_where_the_client_says(gateway: ServedGateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(text=TESTS))
    body = {**ABOUT_LINES, "options": {"target_path": "./it/check_mean.py"}}
    said = ask(gateway, "tests", body).json()
    assert said["path"] == "it/check_mean.py"
    assert "+++ b/it/check_mean.py\n" in said["diff"]


def test_tests_that_are_only_words_are_unresolved_and_asked_for_again(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    words = Behaviour(text="Sure, here are some tests for you:")
    mock.script(words, words, Behaviour(text=TESTS))
    said = ask(gateway, "tests", ABOUT_LINES).json()
    assert (said["status"], said["diff"], said["sha256"]) == ("unresolved", "", None)
    again = ask(gateway, "tests", {**ABOUT_LINES, "options": {"repair": 1}}).json()
    assert (again["status"], again["repaired"]) == ("created", True)


def test_a_commit_message_is_made_of_the_diff_alone(gateway: ServedGateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(text=ANSWERS["commit-message"]))
    said = ask(gateway, "commit-message", {"diff": DIFF}).json()
    assert (said["subject"], said["body"]) == ("Greet the world", "As asked.")
    assert said["message"] == "Greet the world\n\nAs asked."
    assert "+print('hello, world')" in messages(mock)
    (diff,) = (item for item in said["context"]["items"] if item["kind"] == "selection")
    assert (diff["path"], diff["state"]) == ("change.diff", "included")


def test_secrets_in_a_diff_are_not_shown_and_denied_paths_refuse_it(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    key = "ghp_" + "a1" * 18
    mock.script(Behaviour(text="Greet"))
    said = ask(gateway, "commit-message", {"diff": DIFF.replace("hello, world", key)}).json()
    assert key not in messages(mock)
    assert [warning["code"] for warning in said["warnings"]] == ["secrets_removed"]
    denied = ask(gateway, "commit-message", {"diff": DIFF.replace("mean.py", "conf/.env")})
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "denied_path")
    assert "conf/.env" in denied.json()["error"]["message"]


def test_a_chat_without_a_file_has_none_in_its_prompt_and_with_one_it_has(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    body = {**BODIES["chat"], "conversation": [{"role": "user", "content": "Hi there"}]}
    said = ask(gateway, "chat", body).json()
    assert "<file" not in messages(mock)
    assert "Hi there" in messages(mock)
    assert {item["kind"] for item in said["context"]["items"]} == {
        *("template", "instruction", "turn")
    }
    mock.renew()
    ask(gateway, "chat", {**body, **ABOUT_LINES})
    assert "def mean(xs):" in messages(mock)


@pytest.mark.parametrize(
    ("intent", "prompt"),
    [
        ("fix", "code/fix"),
        ("doc", "code/docstring"),
        ("refactor", "code/rewrite"),
        ("custom", "code/rewrite"),
    ],
)
def test_a_rewrite_may_say_what_it_means_in_a_word(
    gateway: ServedGateway, mock: MockVLLM, intent: str, prompt: str
) -> None:
    mock.script(Behaviour(text=NEW))
    body = {**BODIES["rewrite"], "diagnostics": [SAID], "action": intent}
    said = ask(gateway, "rewrite", body).json()
    assert (said["status"], said["prompt"]["name"]) == ("changed", prompt)


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "param", "says"),
    [
        ("explain", {}, "file", "file: field required"),
        ("rewrite", {"file": FILE}, "instruction", "say what to change"),
        ("fix", {"file": FILE}, "diagnostics", "what a compiler or linter says"),
        ("rewrite", {"file": FILE, "action": "fix"}, "diagnostics", "is missing for /api/ai/fix"),
        ("commit-message", {}, "diff", "git diff --staged"),
        ("commit-message", {"diff": "hello"}, "diff", "no unified diff"),
        ("commit-message", {"diff": DIFF, "file": FILE}, "file", "not known to /api/ai/commit-m"),
        ("chat", {}, "instruction", "say what you want to know"),
        ("chat", {"instruction": "x", "selection": SELECTION}, "selection", "send file as well"),
        ("explain", {**ABOUT_LINES, "action": "fix"}, "action", "send this to /api/ai/fix"),
        ("rewrite", {**BODIES["rewrite"], "action": "test"}, "action", "to /api/ai/tests"),
        ("review", {**ABOUT_LINES, "action": "explain"}, "action", "to /api/ai/explain"),
        ("chat", {**BODIES["chat"], "action": "doc"}, "action", "to /api/ai/docstring"),
        ("tests", {**ABOUT_LINES, "action": "sing"}, "action", "'explain'"),
        (
            "review",
            {**ABOUT_LINES, "options": {"target_path": "a.py"}},
            "options.target_path",
            "is for /api/ai/tests, not for /api/ai/review",
        ),
        (
            "tests",
            {**ABOUT_LINES, "options": {"target_path": "../a.py"}},
            "options.target_path",
            "relative to the project's root",
        ),
        (
            "tests",
            {**ABOUT_LINES, "options": {"target_path": "src/mean.py"}},
            "options.target_path",
            "one of the files that you sent",
        ),
    ],
)
def test_a_body_that_does_not_fit_its_action_is_told_what_to_send(
    gateway: ServedGateway, mock: MockVLLM, name: str, body: dict[str, Any], param: str, says: str
) -> None:
    for path in (name, f"{name}/stream"):
        answer = ask(gateway, path, body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (422, param), error
        assert says in error["message"]
    assert mock.requests("/v1/chat/completions") == []


def test_a_preview_of_an_action_that_is_none_names_those_that_are(gateway: ServedGateway) -> None:
    error = ask(gateway, "context/preview", {**ABOUT_LINES, "action": "reveiw"}).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_body", "action")
    assert "did you mean 'review'?" in error["message"]
