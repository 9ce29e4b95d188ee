"""/api/ai/* through a real socket: whole and streamed, diffs that git takes, honest errors."""

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

from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful

SOURCE = "import os\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n\n\nprint(os.name)\n"
SELECTION = {"start": {"line": 3, "character": 0}, "end": {"line": 4, "character": 28}}
EXPLAIN = {"file": {"path": "src/mean.py", "content": SOURCE}, "selection": SELECTION}
REWRITE = {**EXPLAIN, "instruction": "return 0 for an empty list"}
NEW = "def mean(xs):\n    if not xs:\n        return 0\n    return sum(xs) / len(xs)\n"
QUICK = forgetful(timeouts={"idle_s": 0.5})


@pytest.fixture(scope="module")
def replica() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module")
def _gateway(replica: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([replica.base_url]), QUICK) as served:
        yield served


@pytest.fixture
def mock(replica: MockVLLM) -> MockVLLM:
    """The replica, as good as new."""
    replica.renew()
    return replica


@pytest.fixture
def gateway(_gateway: ServedGateway, mock: MockVLLM) -> ServedGateway:
    """On one replica, which never rests: tests share it."""
    return _gateway


def ask(gateway: ServedGateway, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/ai/{path}", json=body, headers=headers)


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    """(name, payload) of each event; the payload of [DONE] is that text."""
    found = []
    for block in answer.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        payload = fields["data"]
        found.append(
            (fields.get("event", ""), json.loads(payload) if payload[0] == "{" else payload)
        )
    return found


def test_an_explanation_says_who_made_it_and_what_went_into_it(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text="It divides the sum by the count."))
    answer = ask(gateway, "explain", EXPLAIN)
    said = answer.json()
    assert said["explanation"] == "It divides the sum by the count."
    assert (said["model"], said["served_model"], said["replica"]) == ("m", "m", "r0")
    assert said["id"] == answer.headers["x-request-id"]
    assert said["prompt"]["name"] == "code/explain"
    assert said["usage"]["prompt_tokens"] == said["context"]["used"]
    assert said["range"] == {
        "start": {"line": 3, "character": 0},
        "end": {"line": 5, "character": 0},
    }
    assert answer.headers["x-gateway-replica"] == "r0"


def test_the_context_report_adds_up(gateway: ServedGateway) -> None:
    context = ask(gateway, "explain", EXPLAIN).json()["context"]
    assert context["used"] == sum(item["tokens"] for item in context["items"])
    assert context["used"] <= context["window"] - context["reserved_output"]
    assert {"template", "instruction", "selection", "before", "after"} == {
        item["kind"] for item in context["items"]
    }


def test_the_replica_gets_the_prompt_as_messages_and_never_the_clients_key(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    ask(gateway, "rewrite", REWRITE, authorization="Bearer sk-client")
    (sent,) = mock.requests("/v1/chat/completions")
    roles = [message["role"] for message in sent.body["messages"]]
    assert roles == ["system", "user", "assistant"]
    assert sent.body["messages"][-1]["content"] == "<rewritten>\n"
    assert sent.body["continue_final_message"] is True
    assert sent.body["add_generation_prompt"] is False
    assert "</rewritten>" in sent.body["stop"]
    assert "sk-client" not in str(sent.headers)


def test_a_rewrite_is_a_diff_that_git_applies(
    gateway: ServedGateway, mock: MockVLLM, tmp_path: Path
) -> None:
    mock.script(Behaviour(text=NEW))
    said = ask(gateway, "rewrite", REWRITE).json()
    assert said["status"] == "changed"
    file = tmp_path / "src" / "mean.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    subprocess.run(["git", "apply", "-"], input=said["diff"].encode(), cwd=tmp_path, check=True)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == said["result_sha256"]
    assert said["base_sha256"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert (said["hunks"][0]["added"], said["hunks"][0]["removed"]) == (2, 0)
    here = {"line": 4, "character": 0}
    assert said["edits"] == [
        {"range": {"start": here, "end": here}, "new_text": "    if not xs:\n        return 0\n"}
    ]
    assert (said["text"], said["syntax"], said["repaired"]) == (NEW, "ok", False)


def test_an_answer_that_changes_nothing_is_no_change(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text="def mean(xs):\n    return sum(xs) / len(xs)\n"))
    said = ask(gateway, "rewrite", REWRITE).json()
    assert (said["status"], said["diff"], said["edits"]) == ("no_change", "", [])
    assert said["result_sha256"] == said["base_sha256"]


def test_an_answer_that_is_cut_off_by_its_limit_gives_no_diff(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text="def mean(xs):\n    if", finish_reason="length"))
    said = ask(gateway, "rewrite", REWRITE).json()
    assert (said["status"], said["diff"]) == ("truncated", "")
    assert said["warnings"][0]["code"] == "truncated"


def test_a_streamed_explanation_is_context_deltas_result_done(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(deltas=("It ", "divides", ".")))
    answer = ask(gateway, "explain/stream", EXPLAIN)
    said = events(answer)
    assert [name for name, _ in said] == ["context", "delta", "delta", "delta", "result", ""]
    assert said[-1] == ("", "[DONE]")
    text = "".join(payload["choices"][0]["delta"]["content"] for name, payload in said[1:4])
    assert text == said[4][1]["explanation"] == "It divides."
    assert said[0][1] == said[4][1]["context"]
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_streamed_rewrite_ends_with_the_same_result_as_the_whole(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text=NEW))
    whole = ask(gateway, "rewrite", REWRITE).json()
    said = events(ask(gateway, "rewrite/stream", REWRITE))
    result = said[-2][1]
    assert "".join(payload["text"] for name, payload in said if name == "delta") == NEW
    for key in ("status", "diff", "text", "hunks", "edits", "result_sha256"):
        assert result[key] == whole[key]


def test_a_torn_upstream_is_a_typed_error_and_no_done(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    # The second refuses to go on with what the first has said.
    mock.script(Behaviour(tokens=9, reset_after=4), Behaviour(status=400))
    answer = ask(gateway, "explain/stream", EXPLAIN)
    name, payload = events(answer)[-1]
    assert name == "error"
    assert payload["error"]["code"] == "upstream_truncated"
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("path", ["explain", "explain/stream", "rewrite", "rewrite/stream"])
def test_what_goes_wrong_before_the_first_event_is_a_status(
    gateway: ServedGateway, mock: MockVLLM, path: str
) -> None:
    mock.script(Behaviour(status=500))
    assert ask(gateway, path, REWRITE).status_code == 503
    assert ask(gateway, path, {**REWRITE, "model": "nope"}).status_code == 404
    assert ask(gateway, path, {**REWRITE, "fiel": {}}).status_code == 422


def test_what_cannot_fit_is_a_413_with_the_numbers(gateway: ServedGateway, mock: MockVLLM) -> None:
    big = {"file": {"path": "a.py", "content": "x = 1\n" * 5000}}
    answer = ask(gateway, "explain", big)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "context_too_large"
    assert "4096" in answer.json()["error"]["message"]
    assert mock.requests("/v1/chat/completions") == []


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        ({"name": "code/rewrite"}, "prompt.name"),
        ({"version": "9.9.9"}, "prompt.version"),
        ({"name": "code/nothing"}, "prompt"),
    ],
)
def test_a_prompt_that_does_not_fit_is_told(
    gateway: ServedGateway, prompt: dict[str, str], param: str
) -> None:
    answer = ask(gateway, "explain", {**EXPLAIN, "prompt": prompt})
    assert answer.status_code == 422
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (
        "unknown_prompt",
        param,
    )


def test_a_fields_timeout_is_kept(gateway: ServedGateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(before_headers="hang"))
    answer = ask(gateway, "explain", {**EXPLAIN, "options": {"timeout_s": 0.2}})
    assert answer.status_code == 504


@pytest.mark.parametrize("path", ["explain", "explain/stream"])
async def test_a_client_that_leaves_frees_the_replica(
    gateway: ServedGateway, mock: MockVLLM, path: str
) -> None:
    mock.script(Behaviour(tokens=200, delay_between=0.05))
    async with httpx.AsyncClient() as http:
        task = asyncio.create_task(http.post(f"{gateway.url}/api/ai/{path}", json=EXPLAIN))
        await mock.arrived()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (received,) = await mock.settled()
    assert received.outcome == "client_left"


@pytest.mark.parametrize("path", ["explain", "explain/stream", "rewrite", "rewrite/stream"])
def test_a_body_that_does_not_say_it_is_json_is_refused(gateway: ServedGateway, path: str) -> None:
    answer = httpx.post(f"{gateway.url}/api/ai/{path}", content=json.dumps(REWRITE))
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_where_keys_are_configured_nothing_is_said_of_a_body_without_one(mock: MockVLLM) -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-gw-right")),))
    with ServedGateway(fleet_on([mock.base_url]), Settings(teams=(team,))) as gateway:
        for path in ("explain", "explain/stream", "rewrite", "rewrite/stream"):
            assert ask(gateway, path, {"fiel": {}}).status_code == 401
            assert ask(gateway, path, REWRITE).status_code == 401
        assert {received.path for received in mock.requests()} <= {"/health"}
        assert ask(gateway, "explain", EXPLAIN, **{"x-api-key": "sk-gw-right"}).status_code == 200
        page = httpx.get(f"{gateway.url}/metrics").text
    assert 'outcome="completed",route="/api/ai/explain",team="ide"' in page


def test_a_stream_that_says_nothing_still_has_its_context_and_a_result(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text=""))
    said = events(ask(gateway, "explain/stream", EXPLAIN))
    assert [name for name, _ in said] == ["context", "result", ""]
    assert said[1][1]["explanation"] == ""


@pytest.mark.parametrize("path", ["explain/stream", "rewrite/stream"])
async def test_a_stream_that_stalls_is_a_typed_error_and_no_done(
    gateway: ServedGateway, mock: MockVLLM, path: str
) -> None:
    # The second refuses to go on with what the first has said.
    mock.script(Behaviour(tokens=9, stall_after=4), Behaviour(status=400))
    answer = ask(gateway, path, REWRITE)
    name, payload = events(answer)[-1]
    assert (name, payload["error"]["code"]) == ("error", "timeout")
    assert payload["error"]["request_id"] == answer.headers["x-request-id"]
    assert "[DONE]" not in answer.text
    received, *_ = await mock.settled(2)
    assert received.outcome == "client_left"


def test_a_failing_replica_is_not_noticed_while_another_is_healthy(
    mock_vllm_factory: MockFleet,
) -> None:
    mocks = [mock_vllm_factory(model="m"), mock_vllm_factory(model="m")]
    mocks[0].script(Behaviour(status=500))
    with ServedGateway(fleet_on([mock.base_url for mock in mocks]), QUICK) as gateway:
        for _ in range(6):
            answer = ask(gateway, "explain/stream", EXPLAIN)
            assert events(answer)[-1] == ("", "[DONE]")
            assert answer.headers["x-gateway-replica"] == "r1"


# ---- Previews ------------------------------------------------------------------------------------

ASKED = ["explain", "rewrite"]


@pytest.mark.parametrize("action", ASKED)
def test_a_preview_is_the_context_of_the_answer_and_asks_no_model(
    gateway: ServedGateway, mock: MockVLLM, action: str
) -> None:
    said = ask(gateway, "context/preview", {**REWRITE, "action": action})
    assert said.status_code == 200
    assert mock.requests("/v1/chat/completions") == []
    answer = ask(gateway, action, REWRITE).json()
    for key in ("context", "range", "model", "prompt"):
        assert said.json()[key] == answer[key]
    # What the answer itself gives rise to comes on top.
    told = [remark for remark in answer["warnings"] if remark["code"] != "syntax"]
    assert said.json()["warnings"] == told
    assert said.json()["id"] == said.headers["x-request-id"]


def test_a_preview_counts_as_a_request_of_its_route(gateway: ServedGateway) -> None:
    ask(gateway, "context/preview", EXPLAIN)
    page = httpx.get(f"{gateway.url}/metrics").text
    assert 'outcome="completed",route="/api/ai/context/preview"' in page


def test_a_preview_needs_a_key_where_answers_do(mock: MockVLLM) -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-gw-right")),))
    with ServedGateway(fleet_on([mock.base_url]), Settings(teams=(team,))) as gateway:
        assert ask(gateway, "context/preview", EXPLAIN).status_code == 401
        right = {"x-api-key": "sk-gw-right"}
        assert ask(gateway, "context/preview", EXPLAIN, **right).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**EXPLAIN, "action": "sing"}, 422, "invalid_body"),
        ({**EXPLAIN, "action": "rewrite"}, 422, "invalid_body"),
        ({**EXPLAIN, "model": "nope"}, 404, "model_not_found"),
        ({"file": {"path": "a.py", "content": "x = 1\n" * 5000}}, 413, "context_too_large"),
        ({"file": {"path": ".env", "content": "x = 1\n"}}, 403, "denied_path"),
    ],
)
def test_a_preview_fails_as_the_answer_would(
    gateway: ServedGateway, body: dict[str, Any], status: int, code: str
) -> None:
    said = ask(gateway, "context/preview", body)
    assert (said.status_code, said.json()["error"]["code"]) == (status, code)


def test_a_cursor_with_scope_auto_is_about_its_function(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(text=NEW))
    cursor = {"line": 4, "character": 6}
    body = {**REWRITE, "selection": {"start": cursor, "end": cursor}, "scope": "auto"}
    said = ask(gateway, "rewrite", body).json()
    assert said["status"] == "changed"
    assert (said["range"]["start"]["line"], said["range"]["end"]["line"]) == (3, 5)
    chosen = next(item for item in said["context"]["items"] if item["id"] == "selection")
    assert chosen["reason"] == "the definition mean around the selection"


def test_a_key_in_the_code_is_neither_shown_to_the_model_nor_lost(
    gateway: ServedGateway, mock: MockVLLM, tmp_path: Path
) -> None:
    key = "ghp_" + "a1" * 18
    source = f"KEY = '{key}'\nx = 1\n"
    mock.script(Behaviour(text="KEY = 'SECRET_REMOVED_0001_'\nx = 2\n"))
    body = {"file": {"path": "k.py", "content": source}, "instruction": f"use {key}"}
    said = ask(gateway, "rewrite", body).json()
    (sent,) = mock.requests("/v1/chat/completions")
    assert key not in str(sent.body)
    assert said["text"] == f"KEY = '{key}'\nx = 2\n"
    assert [(hunk["added"], hunk["removed"]) for hunk in said["hunks"]] == [(1, 1)]
    assert [warning["code"] for warning in said["warnings"]] == ["secrets_removed"]


def test_one_session_asks_twice_and_sends_the_same_prefix(gateway: ServedGateway) -> None:
    related = [{"path": f"{name}.py", "content": f"{name} = 1\n" * 40} for name in "edcba"]
    body = {**EXPLAIN, "related": related, "client": {"session": "s"}}
    first = ask(gateway, "explain", body).json()["context"]
    again = ask(gateway, "explain", {**body, "related": related[::-1]}).json()["context"]
    assert first["prefix_sha"] == again["prefix_sha"]
    files = [item for item in first["items"] if item["kind"] == "related"]
    assert {item["state"] for item in files} <= {"included", "trimmed", "dropped"}


def test_an_operator_denies_more_paths_and_allows_others(mock: MockVLLM) -> None:
    settings = Settings(assist={"denied_paths": ("*.sql", "!.npmrc")})  # type: ignore[arg-type]
    related = [{"path": path, "content": "x = 1\n"} for path in ("a.sql", ".npmrc", ".env")]
    with ServedGateway(fleet_on([mock.base_url]), settings) as gateway:
        said = ask(gateway, "context/preview", {**EXPLAIN, "related": related}).json()
    states = {item["path"]: item["state"] for item in said["context"]["items"] if "path" in item}
    assert states["a.sql"] == states[".env"] == "dropped"
    assert states[".npmrc"] == "included"


MINIFIED = (
    "/*! m */\n" + "".join(f"function f{at}(a){{return a+{at}}}" for at in range(9000)) + "\n"
)
PICKED = "function f4000(a){return a+4000}"


def in_minified(text: str = PICKED) -> dict[str, Any]:
    """Columns of the second line of a file of 300 kB are selected."""
    at = MINIFIED.split("\n")[1].index(text)
    ends = ({"line": 1, "character": at}, {"line": 1, "character": at + len(text)})
    return {
        "file": {"path": "dist/m.min.js", "content": MINIFIED},
        "selection": {"start": ends[0], "end": ends[1]},
    }


def test_a_selection_in_a_minified_line_is_explained_with_the_columns_around_it(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    body = in_minified()
    said = ask(gateway, "explain", body | {"scope": "auto"}).json()
    assert said["range"] == body["selection"]
    (sent,) = mock.requests("/v1/chat/completions")
    prompt = sent.body["messages"][-1]["content"]
    assert f"<selected>\n{PICKED}</selected>" in prompt
    assert "function f3999(a){return a+3999}" in prompt
    assert "function f4001(a){return a+4001}" in prompt
    assert prompt.count(" characters not shown ...]") == 2
    items = {item["id"]: item for item in said["context"]["items"]}
    assert items["selection"]["reason"].startswith(f"selected; {len(PICKED)} of 2")
    assert (
        items["before"]["why"] == items["after"]["why"] == "1 lines are too long to be shown whole"
    )
    assert said["context"]["used"] <= said["context"]["window"] - said["context"]["reserved_output"]


def test_a_rewrite_in_a_minified_line_changes_its_columns_and_no_other_byte(
    gateway: ServedGateway, mock: MockVLLM, tmp_path: Path
) -> None:
    new = "function f4000(a){return a-4000}"
    mock.script(Behaviour(text=f"{new}\n"))
    body = in_minified() | {"instruction": "subtract"}
    said = ask(gateway, "rewrite", body).json()
    assert (said["status"], said["text"], said["syntax"]) == ("changed", new, "ok")
    assert said["range"] == body["selection"]
    (edit,) = said["edits"]
    assert edit["new_text"] == "-"
    assert edit["range"]["start"]["character"] - body["selection"]["start"]["character"] == 26
    file = tmp_path / "dist" / "m.min.js"
    file.parent.mkdir()
    file.write_text(MINIFIED)
    subprocess.run(["git", "apply", "-"], input=said["diff"].encode(), cwd=tmp_path, check=True)
    assert file.read_text() == MINIFIED.replace(PICKED, new)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == said["result_sha256"]
    mock.script(Behaviour(text="function f4000(a){return a-4000\n"))
    assert ask(gateway, "rewrite", body).json()["syntax"] == "worse"


def test_a_whole_minified_line_does_not_fit_and_the_client_is_told_to_select_less(
    gateway: ServedGateway,
) -> None:
    body = in_minified() | {"selection": {"start": {"line": 1, "character": 0},
                                          "end": {"line": 2, "character": 0}}}  # fmt: skip
    answer = ask(gateway, "explain", body)
    assert answer.status_code == 413
    assert "fewer selected lines" in answer.json()["error"]["message"]
