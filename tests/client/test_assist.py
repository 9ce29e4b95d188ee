"""AssistClient through a real gateway, and against answers that no healthy one gives."""

from __future__ import annotations

import inspect
from pathlib import Path

import orjson
import pytest

from gateway.client import (
    AssistClient,
    AssistError,
    ConnectionFailed,
    ContextEvent,
    DeltaEvent,
    Diagnostic,
    File,
    HunkEvent,
    InvalidAnswer,
    Position,
    RepairEvent,
    RequestTimeout,
    ResultEvent,
    Rule,
    StatusError,
    StreamTruncated,
    Turn,
    questions,
)
from gateway.domain.actions import ACTIONS
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway
from tests.client.contract_server import ContractServer, Scripted, closed_port

SOURCE = "import os\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n\n\nprint(os.name)\n"
MEAN = File("src/mean.py", SOURCE)
NEW = "def mean(xs):\n    if not xs:\n        return 0\n    return sum(xs) / len(xs)\n"
AFTER = SOURCE.replace("def mean(xs):\n    return sum(xs) / len(xs)\n", NEW).encode()
LINES = (4, 5)


def test_an_explanation_comes_with_where_it_comes_from(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(text="It divides the sum by the count."))
    with AssistClient(served.url) as client:
        said = client.explain(MEAN, "Why?", lines=LINES)
    assert said.explanation == "It divides the sum by the count."
    assert (said.model, said.replica, said.truncated) == ("m", "r0", False)
    assert said.prompt is not None
    assert said.prompt.name == "code/explain"
    assert said.context is not None
    assert said.context.used == sum(item.tokens for item in said.context.items)
    assert said.usage is not None
    assert said.usage.prompt_tokens == said.context.used
    assert said.range is not None
    assert (said.range.start.line, said.range.end.line) == (3, 5)
    assert said.raw["id"] == said.id


def test_a_rewriting_is_applied_to_bytes_and_to_no_other_ones(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(text=NEW))
    with AssistClient(served.url) as client:
        said = client.rewrite(MEAN, "return 0 for an empty list", lines=LINES)
    assert (said.status, said.syntax) == ("changed", "ok")
    assert said.apply(SOURCE.encode()) == AFTER
    assert (said.hunks[0].added, said.hunks[0].removed) == (2, 0)
    assert said.edits is not None
    assert said.edits[0].range.start == Position(4, 0)


@pytest.mark.parametrize("form", ["diff", "edits", "text"])
def test_each_form_of_an_answer_can_be_applied_in_any_encoding(
    served: ServedGateway, replica: MockVLLM, tmp_path: Path, form: str
) -> None:
    raw = '# 평균\r\ndef mean(xs):\r\n    return "한글"[0]\r\n'.encode("cp949")
    (tmp_path / "a.py").write_bytes(raw)
    file = File.read(tmp_path / "a.py", root=tmp_path, encoding="cp949")
    replica.script(Behaviour(text='def mean(xs):\n    return "글"\n'))
    with AssistClient(served.url) as client:
        said = client.rewrite(file, "shorten", lines=(2, 3), formats=[form])  # type: ignore[list-item]
    assert said.apply(raw) == '# 평균\r\ndef mean(xs):\r\n    return "글"\r\n'.encode("cp949")


def test_a_path_is_read_and_named_from_here(
    served: ServedGateway, replica: MockVLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(SOURCE)
    with AssistClient(served.url) as client:
        said = client.explain("a.py")
        also = client.explain(tmp_path / "a.py")
    assert said.context is not None
    assert {one.path for one in said.context.items if one.path} == {"a.py"}
    assert also.context is not None
    assert also.context.used == said.context.used


def test_each_other_action_has_its_method(served: ServedGateway, replica: MockVLLM) -> None:
    finding = {
        "severity": "error",
        "category": "bug",
        "quote": "return sum(xs) / len(xs)",
        "message": "divides by zero",
        "suggestion": "check",
    }
    with AssistClient(served.url) as client:
        replica.script(Behaviour(text='"""Mean."""\n' + SOURCE))
        assert client.docstring(MEAN).status == "changed"
        replica.script(Behaviour(text=SOURCE.replace("len(xs)", "(len(xs) or 1)")))
        assert client.fix(MEAN, [Diagnostic.at(5, "divides by zero")]).status == "changed"
        replica.script(
            Behaviour(text=orjson.dumps({"summary": "Ok.", "findings": [finding]}).decode())
        )
        review = client.review(MEAN)
        assert (review.status, review.summary) == ("reviewed", "Ok.")
        assert review.findings[0].message == "divides by zero"
        assert review.findings[0].range is not None
        assert review.findings[0].range.start.line == 4
        replica.script(Behaviour(text="def test_mean():\n    assert mean([1]) == 1\n"))
        tests = client.tests(MEAN, target_path="checks/test_it.py")
        assert (tests.status, tests.path) == ("created", "checks/test_it.py")
        assert tests.content() == tests.text.encode()
        replica.script(Behaviour(text="Handle empty lists\n\nDivision by zero before."))
        message = client.commit_message("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n")
        assert (message.subject, message.body) == ("Handle empty lists", "Division by zero before.")
        replica.script(Behaviour(text="A lock."))
        turns = [Turn("user", "Hi"), Turn("assistant", "Hello.")]
        assert client.chat("What is a mutex?", conversation=turns).message == "A lock."


@pytest.mark.parametrize("action", [action.name for action in ACTIONS])
def test_the_client_has_every_action_of_the_gateway(action: str) -> None:
    name = action.replace("-", "_")
    assert callable(getattr(AssistClient, name))
    assert callable(getattr(AssistClient, f"{name}_stream"))
    assert inspect.signature(getattr(questions, name)).return_annotation


def test_a_preview_asks_no_model(served: ServedGateway, replica: MockVLLM) -> None:
    question = questions.rewrite(
        MEAN, "shorten", rules=[Rule("AGENTS.md", "Be brief.")], related=[File("b.py", "x = 1\n")]
    )
    with AssistClient(served.url) as client:
        said = client.preview(question)
    assert said.context is not None
    assert {"rule", "related"} <= {item.kind.removesuffix("s") for item in said.context.items}
    assert said.prompt is not None
    assert said.prompt.name == "code/rewrite"
    assert replica.requests("/v1/chat/completions") == []


def test_a_stream_is_context_deltas_and_one_result(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(deltas=("It ", "divides", ".")))
    with AssistClient(served.url) as client, client.explain_stream(MEAN) as stream:
        events = list(stream)
        result = stream.result()
    assert isinstance(events[0], ContextEvent)
    assert [one.text for one in events if isinstance(one, DeltaEvent)] == ["It ", "divides", "."]
    assert events[-1] == ResultEvent(result)
    assert result.explanation == "It divides."
    assert stream.request_id == result.id


def test_hunks_and_repairs_are_events_of_a_rewrite(
    served: ServedGateway, replica: MockVLLM
) -> None:
    broken = NEW.replace("if not xs:", "if not xs")
    replica.script(Behaviour(text=broken), Behaviour(text=NEW))
    with (
        AssistClient(served.url) as client,
        client.rewrite_stream(MEAN, "return 0", repair=1) as stream,
    ):
        kinds = {type(event) for event in stream}
        said = stream.result()
    assert kinds >= {ContextEvent, DeltaEvent, RepairEvent, ResultEvent}
    assert said.repaired
    replica.script(Behaviour(text=SOURCE.replace("import os", "import os, sys")))
    with AssistClient(served.url) as client, client.rewrite_stream(MEAN, "x") as stream:
        assert any(isinstance(event, HunkEvent) for event in stream)


def test_the_text_of_a_stream_can_be_had_alone(served: ServedGateway, replica: MockVLLM) -> None:
    replica.script(Behaviour(deltas=("a", "b")))
    with AssistClient(served.url) as client, client.chat_stream("hi") as stream:
        assert "".join(stream.text()) == stream.result().message == "ab"


async def test_leaving_a_stream_early_stops_the_model(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(tokens=5000, delay_between=0.02))
    with AssistClient(served.url) as client:
        with client.explain_stream(MEAN) as stream:
            for event in stream:
                if isinstance(event, DeltaEvent):
                    break
        (received,) = await replica.settled()
    assert received.outcome == "client_left"


def test_the_same_key_is_answered_once(served: ServedGateway, replica: MockVLLM) -> None:
    with AssistClient(served.url) as client:
        first = client.explain(MEAN, idempotency_key="once-1")
        second = client.explain(MEAN, idempotency_key="once-1")
        with pytest.raises(StatusError) as caught:
            client.explain(MEAN, "Why?", idempotency_key="once-1")
    assert first == second
    assert len(replica.requests("/v1/chat/completions")) == 1
    assert caught.value.code == "idempotency_key_reused"


def test_a_model_that_is_too_slow_is_told_by_the_gateway(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(before_headers="hang"))
    with AssistClient(served.url) as client, pytest.raises(StatusError) as caught:
        client.explain(MEAN, timeout=0.3)
    assert (caught.value.status, caught.value.code) == (504, "timeout")
    assert caught.value.retryable


def test_a_refusal_says_which_field_and_which_request(served: ServedGateway) -> None:
    with AssistClient(served.url) as client, pytest.raises(StatusError) as caught:
        client.rewrite(MEAN, "x", prompt="code/nope")
    error = caught.value
    assert (error.status, error.code, error.retryable) == (422, "unknown_prompt", False)
    assert error.request_id
    assert error.request_id in str(error)
    with (
        AssistClient(served.url) as client,
        pytest.raises(StatusError, match="unknown_prompt"),
        client.rewrite_stream(MEAN, "x", prompt="code/nope"),
    ):
        pass


def test_a_torn_stream_is_told_with_the_gateways_reason(
    served: ServedGateway, replica: MockVLLM
) -> None:
    replica.script(Behaviour(tokens=9, reset_after=4), Behaviour(status=400))
    with (
        AssistClient(served.url) as client,
        client.explain_stream(MEAN) as stream,
        pytest.raises(StreamTruncated) as caught,
    ):
        list(stream)
    assert caught.value.code == "upstream_truncated"


# ---- Against answers that no healthy gateway gives -----------------------------------------------


def test_nobody_there_is_told_with_what_to_type() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with AssistClient(url) as client, pytest.raises(ConnectionFailed) as caught:
        client.explain(MEAN)
    assert f"is the gateway running at {url}? start it with: make serve" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_the_key_goes_in_its_header_and_nowhere_else(
    contract: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_URL", contract.url + "/")
    monkeypatch.setenv("GATEWAY_API_KEY", "sk-gw-secret\n")
    contract.says({"error": {"message": "no", "code": "invalid_api_key"}}, 401)
    with AssistClient(timeout=30) as client, pytest.raises(StatusError) as caught:
        client.explain(MEAN)
    (asked,) = contract.asked
    assert asked.headers["authorization"] == "Bearer sk-gw-secret"
    assert asked.headers["x-request-timeout"] == "30"
    assert "secret" not in repr(client) + str(caught.value) + repr(caught.value)
    assert "secret" not in repr(vars(client))


def test_an_error_has_all_that_the_gateway_said(contract: ContractServer) -> None:
    body = {"error": {"message": "Busy.", "code": "queue_full", "param": "model", "more": 1}}
    contract.says(body, 429, retry_after="3", x_request_id="req-1")
    with AssistClient(contract.url) as client, pytest.raises(StatusError) as caught:
        client.explain(MEAN)
    error = caught.value
    assert (error.status, error.code, error.param) == (429, "queue_full", "model")
    assert (error.retry_after, error.request_id) == (3.0, "req-1")
    assert error.trouble.extra == {"more": 1}


@pytest.mark.parametrize("status", [200, 502])
def test_a_page_of_something_else_is_no_answer(contract: ContractServer, status: int) -> None:
    contract.script(Scripted(status, (b"<html>hello</html>",), {"content-type": "text/html"}))
    with AssistClient(contract.url) as client:
        with pytest.raises((InvalidAnswer, StatusError), match=contract.url):
            client.explain(MEAN)
        with (
            pytest.raises((InvalidAnswer, StatusError), match=contract.url),
            client.explain_stream(MEAN),
        ):
            pass


def test_what_a_newer_gateway_says_is_kept(contract: ContractServer) -> None:
    warning = {"code": "c", "message": "m", "level": 2}
    contract.says({"id": "1", "explanation": "x", "mood": "good", "warnings": [warning]})
    with AssistClient(contract.url) as client:
        said = client.explain(MEAN)
    assert said.extra == {"mood": "good"}
    assert said.warnings[0].extra == {"level": 2}


def test_a_connection_that_breaks_before_an_answer_is_told(contract: ContractServer) -> None:
    contract.script(Scripted(pieces=(b'{"id"',), end="cut"))
    with AssistClient(contract.url) as client, pytest.raises(ConnectionFailed, match="try again"):
        client.explain(MEAN)


def test_a_gateway_that_has_died_is_not_waited_for_for_ever(
    contract: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.address.GRACE_SECONDS", 0.0)
    contract.script(Scripted(pieces=(), end="wait"))
    with AssistClient(contract.url, timeout=0.1) as client:
        with pytest.raises(RequestTimeout) as caught:
            client.explain(MEAN)
        assert isinstance(caught.value, TimeoutError)
    assert contract.left.wait(20)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "ht tp://x"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(AssistError, match="write one like http://127"):
        AssistClient(url)
