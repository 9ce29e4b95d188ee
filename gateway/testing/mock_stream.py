"""A generation as vLLM's stream of events: which chunks there are and what each says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.testing.mock_script import Behaviour
from gateway.testing.mock_text import Generation, tokenise

Choice = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One `data:` line. A `paced` one waits for a further token to be generated."""

    payload: bytes
    paced: bool = False


@dataclass(frozen=True, slots=True)
class _Tick:
    """One choice of one chunk, and how many tokens that choice has by then."""

    choice: Choice
    tokens: int
    paced: bool = False


def usage_of(said: Generation, completion: int, behaviour: Behaviour, final: bool) -> Choice:
    """vLLM's usage object after `completion` tokens; only the `final` one has details."""
    usage: Choice = {
        "prompt_tokens": said.prompt_tokens,
        "total_tokens": said.prompt_tokens + completion,
        "completion_tokens": completion,
    }
    if final:
        cached = behaviour.cached_tokens
        usage["prompt_tokens_details"] = None if cached is None else {"cached_tokens": cached}
    return usage


def chat_events(
    envelope: Choice, body: Mapping[str, Any], said: Generation, behaviour: Behaviour, role: str
) -> tuple[Event, ...]:
    """The events of a chat stream, without `[DONE]`."""
    count = body.get("n") or 1

    def choice(index: int, delta: Choice) -> Choice:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    opening = [_Tick(choice(i, {"role": role, "content": ""}), 0) for i in range(count)]
    deltas: list[Choice] = [{behaviour.reasoning_key: piece} for piece in said.reasoning]
    deltas += [{"content": piece} for piece in said.deltas]
    deltas += _tool_deltas(said)
    ticks = [*opening, *_ticks(deltas, {"content": ""}, said, count, choice)]
    return tuple(_events(ticks, envelope, body, said, behaviour, count))


def completion_events(
    envelope: Choice,
    body: Mapping[str, Any],
    said: Generation,
    behaviour: Behaviour,
    starts: list[str],
) -> tuple[Event, ...]:
    """The events of a completion stream, without `[DONE]`; choice n begins with `starts[n]`."""

    def choice(index: int, row: Choice) -> Choice:
        text = (starts[index] if row["first"] else "") + row["text"]
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}

    rows: list[Choice] = [{"text": piece, "first": not n} for n, piece in enumerate(said.deltas)]
    ticks = _ticks(rows, {"text": "", "first": not rows}, said, len(starts), choice)
    return tuple(_events(ticks, envelope, body, said, behaviour, len(starts)))


def _tool_deltas(said: Generation) -> Iterator[Choice]:
    for index, call in enumerate(said.tool_calls):
        named = {"index": index, "id": f"chatcmpl-tool-{index}", "type": "function"}
        yield {"tool_calls": [named | {"function": {"name": call["name"], "arguments": ""}}]}
        for piece in tokenise(call["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _ticks(
    deltas: Sequence[Choice],
    last: Choice,
    said: Generation,
    count: int,
    choice: Callable[[int, Choice], Choice],
) -> Iterator[_Tick]:
    """Every delta for every choice; then the finish reason, with `last` as its delta."""
    finish = said.finish_reason
    # vLLM finishes on the token that ended it: a text one for "length", else an empty one.
    alone = finish is not None and not (finish == "length" and deltas)
    rows = [*deltas, last] if alone else deltas
    for n, row in enumerate(rows):
        ending: Choice = {}
        if finish is not None and n == len(rows) - 1:
            ending = {"finish_reason": finish, "stop_reason": said.stop_reason}
        for index in range(count):
            paced = 0 < n < len(deltas) and index == 0
            yield _Tick(choice(index, row) | ending, min(n + 1, len(deltas)), paced)


def _events(
    ticks: Iterator[_Tick] | list[_Tick],
    envelope: Choice,
    body: Mapping[str, Any],
    said: Generation,
    behaviour: Behaviour,
    count: int,
) -> Iterator[Event]:
    asked, continuous = _usage_asked(body)
    total = usage_of(said, said.tokens * count, behaviour, final=True)
    for number, tick in enumerate(ticks):
        chunk = envelope | {"choices": [tick.choice]}
        if behaviour.changing_ids:
            chunk |= {"id": f"{envelope['id']}-{number}", "model": f"other-{number}"}
        if behaviour.usage == "on_finish" and tick.choice["finish_reason"]:
            chunk["usage"] = total
        elif continuous and behaviour.usage != "missing":
            chunk["usage"] = usage_of(said, tick.tokens, behaviour, final=False)
        yield Event(orjson.dumps(chunk), tick.paced)
    wanted = {"asked": int(asked), "always": 1, "twice": 2}.get(behaviour.usage, 0)
    for _ in range(wanted):
        yield Event(orjson.dumps(envelope | {"choices": [], "usage": total}))


def _usage_asked(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether usage is asked for at the end, and in every chunk: vLLM's reading of it."""
    options = body.get("stream_options")
    if not isinstance(options, dict) or not options.get("include_usage", True):
        return False, False
    return True, bool(options.get("continuous_usage_stats"))
