"""The assist room over the whole pipeline: what the replica is asked, and what the client reads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.adapters.prompts import PromptFiles, load
from gateway.domain import source
from gateway.domain.actions import BY_NAME, Action
from gateway.domain.budget import ContextTooLarge, explain_reserve, rewrite_reserve
from gateway.domain.call import Call, Caller, OutcomeKind
from gateway.domain.control_tokens import neutralise
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import (
    GatewayError,
    InvalidRequest,
    LLMError,
    ModelNotFound,
    Refusal,
    StreamTruncated,
    Unauthorized,
    UnknownPrompt,
)
from gateway.domain.keyring import NotPermitted
from gateway.domain.material import NO_FILE, Material, Related
from gateway.domain.policy import Link, When
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault
from gateway.domain.screening import Screen
from gateway.flow.assist import Assist, AssistLimits, Event, Extras, UnfitPrompt
from gateway.flow.context import ContextBuilder
from gateway.flow.job import Job
from gateway.flow.sessions import Sessions
from gateway.flow.survey import Surveyor
from gateway.flow.task import Question, Task
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    FakeSyntax,
    FakeTokens,
    a_replica,
    chunk,
    failing,
    usage_chunk,
)
from tests.flow.house import House, Rule, forever, left, turns, until

SHIPPED = load(Path(__file__).parents[2] / "prompts")
FILE = source.read("a.py", "import os\nx = 1\ny = 2\n")
SPAN = FILE.span(source.Selection(source.Position(1, 0), source.Position(2, 0)))
KEY = "sk-gw-right"
KEYS = {hashlib.sha256(KEY.encode()).hexdigest(): Caller("ide", "ide-1")}


def task(action: str = "rewrite", **more: Any) -> Task:
    """The second of three lines is selected."""
    material = Material(FILE, SPAN, more.pop("instruction", "use 3"))
    return Task(Question(material, more.pop("prompt", f"code/{action}")), **more)


def a_job(action: str = "rewrite", asked: Task | Callable[[], Task] | None = None) -> Job:
    """As a door makes one: nothing is read yet."""
    asked = asked or task(action)
    call = Call("req-1", CHAT, "", {}, received=0.0, deadline=60.0, route=f"/api/ai/{action}")

    def read() -> tuple[Action, Task]:
        return BY_NAME[action], asked() if callable(asked) else asked

    return Job(BY_NAME[action], read, call)


def assist(
    house: House,
    *,
    prompts: PromptFiles = SHIPPED,
    tokens: FakeTokens | None = None,
    limits: AssistLimits | None = None,
    sessions: Sessions | None = None,
    extras: Extras | None = None,
) -> Assist:
    return Assist(
        house.pipeline,
        prompts,
        ContextBuilder(
            prompts,
            tokens or FakeTokens(),
            Surveyor(FakeSyntax(), Screen()),
            sessions or Sessions(),
        ),
        models=house.router.models,
        limits=limits or AssistLimits(),
        extras=extras,
    )


def whole(text: str, finish: str = "stop", stop_reason: str | None = None) -> FakeAnswer:
    """A plain answer as vLLM gives it, with the stop string that ended it."""
    choice = {"message": {"content": text}, "finish_reason": finish, "stop_reason": stop_reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    body = {"model": "served-m", "choices": [choice], "usage": usage}
    return FakeAnswer(steps=(orjson.dumps(body),))


def in_pieces(*texts: str, stop_reason: str | None = None) -> FakeAnswer:
    """The same as a stream."""
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": stop_reason}
    last = b"data: " + orjson.dumps({"model": "served-m", "choices": [choice]}) + b"\n\n"
    steps = (*map(chunk, texts), last, usage_chunk(), b"data: [DONE]\n\n")
    return FakeAnswer(steps=(chunk(""), *steps))


async def events(room: Assist, job: Job) -> list[Event]:
    async with aclosing(room.stream(job)) as stream:
        return [event async for event in stream]


def names(found: list[Event]) -> list[str]:
    return [name for name, _ in found]


def shown(found: list[Event]) -> str:
    return "".join(said["text"] for name, said in found if name == "delta")


# ---- What the replica is asked -------------------------------------------------------------------


async def test_a_rewrite_begins_the_answer_in_the_models_place() -> None:
    house = House([whole("x = 3\n", stop_reason="</rewritten>")])
    await assist(house).answer(a_job())
    body = house.wire.sent[0].body
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    messages: Any = body["messages"]
    assert messages[-1] == {"role": "assistant", "content": "<rewritten>\n"}
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert "<selected>\nx = 1\n</selected>" in messages[1]["content"]
    assert body["stop"] == ["</rewritten>"]
    assert (body["model"], body["stream"]) == ("served-m", False)
    assert (body["temperature"], body["top_p"]) == (0.1, 0.95)


async def test_a_prompt_without_a_prefill_asks_for_an_answer_of_its_own() -> None:
    house = House([whole("It sets x.")])
    await assist(house).answer(a_job("explain"))
    body = house.wire.sent[0].body
    assert not {"continue_final_message", "add_generation_prompt", "stop"} & set(body)
    messages: Any = body["messages"]
    assert messages[-1]["role"] == "user"


async def test_the_call_is_on_the_record_with_its_model_and_prompt() -> None:
    house = House([whole("It sets x.")])
    job = a_job("explain")
    await assist(house).answer(job)
    assert (job.call.model, job.call.stream) == ("m", False)
    assert str(job.call.prompt) == str(SHIPPED.get("code/explain").ref)
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert house.idle()
    assert [step.name for step in job.call.steps] == ["context.build", "render_prompt code/explain"]


@pytest.mark.parametrize(
    ("action", "asked", "limits", "window", "expected"),
    [
        ("explain", None, {}, 4096, 1024),
        ("explain", None, {"explain_tokens": 300}, 4096, 300),
        ("explain", 200, {}, 4096, 200),
        ("explain", 5000, {}, 16_000, 1024),
        ("explain", None, {}, 2000, explain_reserve(2000)),
        ("rewrite", None, {}, 4096, rewrite_reserve(2, 4096)),
        ("rewrite", None, {"rewrite_tokens": 200}, 4096, 200),
        ("rewrite", 300, {}, 4096, 300),
        ("rewrite", 50, {}, 4096, 50),
        ("rewrite", 9000, {"rewrite_tokens": 500}, 4096, 500),
    ],
)
async def test_the_answer_is_bounded_by_what_is_kept_for_it(
    action: str, asked: int | None, limits: dict[str, int], window: int, expected: int
) -> None:
    house = House([whole("x = 3\n")])
    room = assist(house, tokens=FakeTokens(window), limits=AssistLimits(**limits))  # type: ignore[arg-type]
    result = await room.answer(a_job(action, task(action, max_tokens=asked)))
    assert house.wire.sent[0].body["max_tokens"] == expected
    assert result["context"]["reserved_output"] == expected


OWN = """---
api: prompt/v1
name: code/own
version: "2.0.0"
description: Of another author.
model: {model}
inputs:
  file: {{type: "code[path,language,before,selected,after]", trust: untrusted}}
output: {{kind: text, protocol: plain}}
---
{{% user %}}
{{{{ file.selected }}}}
{{% enduser %}}
"""


def own(folder: Path, model: str = "{}") -> PromptFiles:
    (folder / "code").mkdir()
    (folder / "code" / "own.prompt.j2").write_text(OWN.format(model=model), "utf-8")
    return load(folder)


@pytest.mark.parametrize(("number", "expected"), [(50, 50), (3000, 1024)])
async def test_a_prompt_may_ask_for_less_than_what_is_kept_but_not_for_more(
    number: int, expected: int, tmp_path: Path
) -> None:
    house = House([whole("fine")])
    prompts = own(tmp_path, f"{{params: {{max_tokens: {number}, seed: 7}}}}")
    await assist(house, prompts=prompts).answer(a_job("explain", task(prompt="code/own")))
    assert house.wire.sent[0].body["max_tokens"] == expected
    assert house.wire.sent[0].body["seed"] == 7


@pytest.mark.parametrize(
    ("asked", "alias", "setting", "chosen"),
    [
        ("a", "b", "c", "a"),
        (None, "b", "c", "b"),
        (None, None, "c", "c"),
        (None, None, None, "first"),
    ],
)
async def test_the_model_is_the_requests_the_prompts_the_settings_or_the_first(
    asked: str | None, alias: str | None, setting: str | None, chosen: str, tmp_path: Path
) -> None:
    router = FakeRouter(*(a_replica(f"r-{name}", name) for name in ("first", "a", "b", "c")))
    house = House([whole("fine")], router=router)
    prompts = own(tmp_path, f"{{alias: {alias}}}" if alias else "{}")
    room = assist(house, prompts=prompts, limits=AssistLimits(model=setting))
    result = await room.answer(a_job("explain", task(prompt="code/own", model=asked)))
    assert result["model"] == chosen
    assert house.wire.sent[0].body["model"] == f"served-{chosen}"


@pytest.mark.parametrize("model", ["first", "nowhere", None])
async def test_a_model_that_the_key_is_not_for_is_refused_before_its_replicas_count_tokens(
    model: str | None,
) -> None:
    keys = {digest: replace(caller, models=("other",)) for digest, caller in KEYS.items()}
    house, tokens = House(keys=keys, router=FakeRouter(a_replica("r0", "first"))), FakeTokens()
    job = a_job(asked=task(model=model))
    job.call.credential = KEY
    with pytest.raises(NotPermitted):
        await assist(house, tokens=tokens).answer(job)
    assert tokens.texts == []


async def test_where_nobody_names_a_model_it_is_one_that_the_key_is_for() -> None:
    keys = {digest: replace(caller, models=("b*",)) for digest, caller in KEYS.items()}
    router = FakeRouter(*(a_replica(f"r-{name}", name) for name in ("a", "b1", "b2")))
    house = House([whole("fine")], keys=keys, router=router)
    job = a_job("explain")
    job.call.credential = KEY
    assert (await assist(house).answer(job))["model"] == "b1"


async def test_a_model_that_nobody_has_is_a_404() -> None:
    house = House([whole("fine")])
    with pytest.raises(ModelNotFound):
        await assist(house).answer(a_job(asked=task(model="nope")))
    assert house.outcome.status == 404


async def test_while_no_model_is_known_it_says_to_come_back() -> None:
    router = FakeRouter()
    router.all = ()
    house = House(router=router)
    with pytest.raises(LLMError) as caught:
        await assist(house).answer(a_job())
    assert (caught.value.status, caught.value.retry_after) == (503, 2.0)


# ---- What is refused before a replica is asked ---------------------------------------------------


async def test_without_a_key_the_request_is_not_even_read() -> None:
    def read() -> Task:
        raise AssertionError("read for a stranger")

    house, tokens = House(keys=KEYS), FakeTokens()
    with pytest.raises(Unauthorized):
        await assist(house, tokens=tokens).answer(a_job(asked=read))
    assert (tokens.texts, tokens.messages) == ([], [])
    assert house.outcome.status == 401


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_cannot_be_read_is_refused_as_it_says(stream: bool) -> None:
    def read() -> Task:
        raise InvalidRequest("instruction is missing", code="invalid_body")

    house = House()
    room, job = assist(house), a_job(asked=read)
    with pytest.raises(InvalidRequest, match="instruction is missing"):
        await (events(room, job) if stream else room.answer(job))
    assert (house.outcome.kind, house.outcome.code) == (OutcomeKind.REFUSED, "invalid_body")
    assert house.wire.sent == []


@pytest.mark.parametrize(
    ("action", "asked", "param", "says"),
    [
        (
            "rewrite",
            {"prompt": "code/explain"},
            "prompt.name",
            "is 'text', not 'rewrite'",
        ),
        (
            "explain",
            {"prompt": "code/rewrite"},
            "prompt.name",
            "is 'rewrite', not 'text'",
        ),
        ("rewrite", {"prompt_version": "0.9.0"}, "prompt.version", "version 1.0.0, not 0.9.0"),
    ],
)
async def test_a_prompt_that_does_not_fit_is_a_422_that_says_what_to_send(
    action: str, asked: dict[str, Any], param: str, says: str
) -> None:
    house = House()
    with pytest.raises(InvalidRequest) as caught:
        await assist(house).answer(a_job(action, task(action, **asked)))
    assert (caught.value.status, caught.value.param) == (422, param)
    assert says in caught.value.public
    assert "leave prompt." in caught.value.public
    assert house.outcome.status == 422
    assert house.wire.sent == []


async def test_the_version_that_is_here_may_be_named() -> None:
    house = House([whole("fine")])
    version = SHIPPED.get("code/explain").ref.version
    result = await assist(house).answer(a_job("explain", task("explain", prompt_version=version)))
    assert result["prompt"]["version"] == version


async def test_a_prompt_that_is_not_here_is_a_422() -> None:
    with pytest.raises(UnknownPrompt) as caught:
        await assist(House()).answer(a_job(asked=task(prompt="code/rewrit")))
    assert caught.value.status == 422


async def test_a_question_that_does_not_fit_the_window_costs_no_slot() -> None:
    house = House([whole("fine")])
    with pytest.raises(ContextTooLarge):
        await assist(house, tokens=FakeTokens(150)).answer(a_job())
    assert house.outcome.status == 413
    assert (house.wire.sent, house.asked_capacity) == ([], [])


async def test_policies_see_the_question_as_the_replica_would() -> None:
    def look(call: Call) -> None:
        assert "x = 1" in str(call.body["messages"])
        assert call.model == "m"
        raise Refusal("not this file")

    rule = Rule(look)
    house = House([whole("x = 3\n")], chain=[Link(rule, "r", When(paths=("/api/ai/*",)))])
    with pytest.raises(Refusal, match="not this file"):
        await assist(house).answer(a_job())
    assert house.wire.sent == []


# ---- Whole answers -------------------------------------------------------------------------------


async def test_a_rewrite_comes_back_as_a_diff() -> None:
    house = House([whole("x = 3\n", stop_reason="</rewritten>")])
    result = await assist(house).answer(a_job())
    assert result["status"] == "changed"
    assert "-x = 1\n+x = 3\n" in result["diff"]
    assert result["usage"]["prompt_tokens"] == 5
    assert (result["replica"], result["attempts"], result["finish_reason"]) == ("r0", 1, "stop")
    assert result["context"]["items"]


async def test_the_attempts_are_counted() -> None:
    house = House([failing(500), whole("It sets x.")])
    result = await assist(house).answer(a_job("explain"))
    assert result["attempts"] == 2


async def test_an_answer_cut_at_its_limit_is_truncated() -> None:
    house = House([whole("x =", finish="length")])
    result = await assist(house).answer(a_job())
    assert (result["status"], result["diff"]) == ("truncated", "")


@pytest.mark.parametrize("stream", [False, True])
async def test_control_tokens_that_the_model_copies_are_restored(stream: bool) -> None:
    text = neutralise("x = '<|im_start|>'\n")
    pieces = (text[:6], text[6:9], text[9:])
    answer = in_pieces(*pieces, stop_reason="</rewritten>")
    house = House([answer if stream else whole(text, stop_reason="</rewritten>")])
    if stream:
        found = await events(assist(house), a_job())
        assert shown(found) == "x = '<|im_start|>'\n"
        result = found[-1][1]
    else:
        result = await assist(house).answer(a_job())
    assert result["text"] == "x = '<|im_start|>'\n"


@pytest.mark.parametrize("action", ["explain", "rewrite"])
async def test_a_streamed_rewrite_shows_the_keys_of_the_file_and_an_explanation_does_not(
    action: str,
) -> None:
    key, mark = "ghp_" + "a1" * 18, "SECRET_REMOVED_0001_"
    file = source.read("a.py", f"KEY = '{key}'\nx = 1\ny = 2\n")
    asked = Task(Question(Material(file, file.whole, "use 3"), f"code/{action}"))
    said = f"KEY = '{mark}'\nx = 3\ny = 2\n"
    house = House([in_pieces(said[:14], said[14:], stop_reason="</rewritten>")])
    found = await events(assist(house), a_job(action, asked))
    assert mark in str(house.wire.sent[0].body)
    if action == "explain":
        assert shown(found) == said
        assert key not in str(found)
    else:
        assert shown(found) == found[-1][1]["text"] == said.replace(mark, key)


async def test_when_no_replica_answers_it_is_an_error_and_no_result() -> None:
    house = House([failing(500)] * 2)
    with pytest.raises(LLMError) as caught:
        await assist(house).answer(a_job())
    assert caught.value.status == 503


# ---- Streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["explain", "rewrite"])
async def test_a_stream_is_the_context_the_text_and_then_the_result(action: str) -> None:
    house = House([in_pieces("x =", " 3\n", stop_reason="</rewritten>")])
    found = await events(assist(house), a_job(action))
    assert names(found) == ["context", "delta", "delta", "result"]
    assert shown(found) == "x = 3\n"
    assert found[0][1] == found[-1][1]["context"]
    assert house.wire.sent[0].body["stream"] is True
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert house.idle()


@pytest.mark.parametrize("action", ["explain", "rewrite"])
async def test_the_result_of_a_stream_is_that_of_the_whole_answer(action: str) -> None:
    text = "x = 3\n"
    plainly = await assist(House([whole(text, stop_reason="</rewritten>")])).answer(a_job(action))
    streaming = House([in_pieces(*text, stop_reason="</rewritten>")])
    found = await events(assist(streaming), a_job(action))
    assert found[-1] == ("result", plainly)


async def test_a_prefill_that_the_server_repeats_is_not_shown() -> None:
    house = House([in_pieces("<rewr", "itten>\n", "x = 3\n", stop_reason="</rewritten>")])
    found = await events(assist(house), a_job())
    assert shown(found) == "x = 3\n"
    assert found[-1][1]["text"] == "x = 3\n"


async def test_text_that_was_held_back_is_shown_before_the_result() -> None:
    house = House([in_pieces("x = 3 #", " <")])
    found = await events(assist(house), a_job("explain"))
    assert names(found)[-2:] == ["delta", "result"]
    assert shown(found) == "x = 3 # <"


async def test_an_empty_answer_is_a_context_and_a_result() -> None:
    house = House([in_pieces()])
    found = await events(assist(house), a_job())
    assert names(found) == ["context", "result"]
    assert found[-1][1]["status"] == "unresolved"


async def test_a_replica_that_fails_before_the_text_raises_before_any_event() -> None:
    house = House([failing(503)] * 2)
    async with aclosing(assist(house).stream(a_job())) as stream:
        with pytest.raises(LLMError):
            await anext(stream)
    assert house.outcome.kind is OutcomeKind.FAILED


async def test_a_stream_that_is_cut_ends_in_an_error_and_has_no_result() -> None:
    cut = FakeAnswer(steps=(chunk("x ="), WireError(Fault.BROKEN, "reset")))
    house = House([cut])
    found: list[Event] = []

    async def door() -> None:
        async with aclosing(assist(house).stream(a_job())) as stream:
            async for event in stream:
                found.append(event)

    with pytest.raises(StreamTruncated):
        await door()
    assert names(found) == ["context", "delta"]
    assert house.outcome.kind is OutcomeKind.TRUNCATED
    assert house.idle()


@pytest.mark.parametrize("after", ["context", "delta"])
async def test_closing_a_stream_stops_the_model(after: str) -> None:
    endless = FakeAnswer(steps=(chunk("x"), chunk(" = 3"), forever))
    house = House([endless])
    async with aclosing(assist(house).stream(a_job())) as stream:
        async for name, _ in stream:
            if name == after:
                break
    assert endless.closed
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert house.idle()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_while_the_model_thinks_stops_it(stream: bool) -> None:
    steps = (chunk(""), chunk(None), forever) if stream else (forever,)
    house = House([FakeAnswer(steps=steps)])
    room, job = assist(house), a_job()
    task = asyncio.create_task(events(room, job) if stream else room.answer(job))
    await until(lambda: house.wire.given)
    await turns()
    await left(task)
    assert house.wire.given[0].closed
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert house.idle()


async def test_two_questions_at_once_do_not_mix() -> None:
    answered = asyncio.Event()
    slow = in_pieces("x = 3\n", stop_reason="</rewritten>")
    slow.steps = (slow.steps[0], answered.wait, *slow.steps[1:])
    house = House([slow, in_pieces("It sets x.")])
    room = assist(house)
    first = asyncio.create_task(events(room, a_job()))
    await until(lambda: house.wire.sent)
    second = await events(room, a_job("explain"))
    answered.set()
    assert second[-1][1]["explanation"] == "It sets x."
    assert (await first)[-1][1]["status"] == "changed"


def test_an_unfit_prompt_is_an_error_of_the_client() -> None:
    error = UnfitPrompt("x")
    assert isinstance(error, GatewayError)
    assert (error.status, error.code, error.type) == (
        422,
        "unknown_prompt",
        "invalid_request_error",
    )


async def test_an_answer_is_remembered_in_its_session_and_a_preview_is_not() -> None:
    material = Material(FILE, SPAN, "why?", related=(Related("b.py", "x = 1\n"),))
    asked = Task(Question(material, "code/explain", session="s"))
    sessions = Sessions()
    house = House([whole("So.")])
    room = assist(house, sessions=sessions)
    rehearsal = a_job("explain", asked)
    rehearsal.rehearsed = True
    found = await room.answer(rehearsal)
    assert sessions.places(("anonymous", "s")) == {}
    assert house.wire.sent == []
    answer = await room.answer(a_job("explain", asked))
    assert sessions.places(("anonymous", "s")) == {"b.py": 0}
    assert answer["context"] == found["context"]


async def test_hunks_of_a_streamed_rewrite_come_before_its_end() -> None:
    file = source.read("a.py", "a = 1\nb = 2\nc = 3\nd = 4\n")
    question = Question(Material(file, file.whole, "use 5"), "code/rewrite")
    pieces = ("a = 1\nb", " = 5\nc = 3\n", "d = 4\n")
    house = House([in_pieces(*pieces, stop_reason="</rewritten>")])
    found = await events(assist(house), a_job(asked=Task(question)))
    assert names(found) == ["context", "delta", "delta", "delta", "hunk", "result"]
    assert found[4][1] == found[-1][1]["edits"][0]
    assert found[4][1]["new_text"] == "b = 5\n"


async def test_a_large_file_is_worked_on_aside() -> None:
    text = "x = 1\n" * 20_000
    file = source.read("a.py", text)
    span = file.span(source.Selection(source.Position(5, 0), source.Position(6, 0)))
    house = House([whole("x = 3\n", stop_reason="</rewritten>")])
    question = Question(Material(file, span, "use 3"), "code/rewrite")
    result = await assist(house, tokens=FakeTokens(400_000)).answer(a_job(asked=Task(question)))
    assert (result["status"], result["hunks"][0]["old_start"]) == ("changed", 3)


async def test_an_explanation_may_name_lines_of_large_files() -> None:
    related = (Related("b.py", "def f():\n    return 1\n" * 5000),)
    asked = Task(Question(Material(FILE, SPAN, "why?", related=related), "code/explain"))
    house = House([whole("See `b.py:9999`.")])
    result = await assist(house, tokens=FakeTokens(400_000)).answer(a_job("explain", asked))
    (one,) = result["references"]
    assert (one["path"], one["range"]["start"]["line"]) == ("b.py", 9998)


async def test_an_answer_of_search_and_replace_blocks_is_read_as_such() -> None:
    text = "<<<<<<< SEARCH\nx = 1\n=======\nx = 3\n>>>>>>> REPLACE\n"
    house = House([whole(text, stop_reason="</edits>")])
    result = await assist(house).answer(a_job(asked=task(prompt="code/rewrite-edits")))
    assert (result["status"], result["text"]) == ("changed", "x = 3\n")
    messages: Any = house.wire.sent[0].body["messages"]
    assert messages[-1] == {"role": "assistant", "content": "<edits>\n"}


async def test_a_dry_run_walks_as_far_as_a_slot_and_no_model_is_asked() -> None:
    rule = Rule()
    house = House([whole("x = 3\n")], chain=[Link(rule, "r")])
    result = await assist(house).answer(a_job(asked=task(dry_run=True)))
    assert "status" not in result
    assert result["context"]["items"]
    assert len(rule.entered) == len(rule.settled) == 1
    assert (house.wire.sent, house.asked_capacity) == ([], [])
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert house.idle()


async def test_a_streamed_dry_run_is_the_context_and_a_result() -> None:
    house = House([whole("x = 3\n")])
    found = await events(assist(house), a_job(asked=task(dry_run=True)))
    assert names(found) == ["context", "result"]
    assert found[0][1] == found[1][1]["context"]
    assert house.wire.sent == []


async def test_a_prompt_that_needs_a_file_says_so_where_there_is_none() -> None:
    asked = Task(Question(Material(NO_FILE, NO_FILE.whole, "why?"), "code/explain"))
    with pytest.raises(InvalidRequest, match="'file' of the prompt code/explain is missing"):
        await assist(House([])).answer(a_job("chat", asked))


@pytest.mark.parametrize(
    ("action", "limits", "kept"),
    [
        ("review", {}, 1365),
        ("review", {"rewrite_tokens": 300}, 300),
        ("tests", {}, 1024),
        ("tests", {"rewrite_tokens": 300}, 300),
        ("chat", {"explain_tokens": 300}, 300),
    ],
)
async def test_each_kind_of_answer_has_its_own_bound(
    action: str, limits: dict[str, int], kept: int
) -> None:
    house = House([whole("{}")])
    await assist(house, limits=AssistLimits(**limits)).answer(a_job(action, task(action)))  # type: ignore[arg-type]
    assert house.wire.sent[0].body["max_tokens"] == kept
