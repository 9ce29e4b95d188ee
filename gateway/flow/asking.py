"""What an attempt asks a replica for: Ask, and the body that is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.domain.call import Call
from gateway.domain.graft import Graft
from gateway.domain.ports import Replica

CONTINUOUS = "continuous_usage_stats"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, within one walk. `body` is the client's, or that of a fallback; `reshape`
    makes another request of it once the replica's own fields are in (to go on with a broken
    answer, which `graft` then joins to what was shown). The answer must have begun by `begin_by`,
    in monotonic seconds."""

    body: Mapping[str, Any]
    begin_by: float
    reshape: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    graft: Callable[[], Graft] | None = None


def counts(call: Call, replica: Replica) -> bool:
    """Whether to ask for usage in every chunk, so that an answer that is cut is counted too. Of
    several answers at once vLLM counts each by itself, which says little."""
    if not replica.counts or not call.stream:
        return False
    return choices_of(call) == 1 and not usage_wanted(call)[1]


def usage_wanted(call: Call) -> tuple[bool, bool]:
    """Whether the client wants usage at the end of a stream, and in every chunk; as vLLM reads it:
    options that do not say want it at the end, and without that there is none in chunks."""
    options = call.body.get("stream_options")
    if options is None or not options.get("include_usage", True):
        return False, False
    return True, bool(options.get(CONTINUOUS))


def choices_of(call: Call) -> int:
    """How many answers a request is for."""
    many, prompt = call.body.get("n"), call.body.get("prompt")
    # A list of numbers is one prompt in tokens.
    prompts = isinstance(prompt, list) and not any(isinstance(one, int) for one in prompt)
    count = len(prompt) if prompts and isinstance(prompt, list) else 1
    return max(1, count) * (many if isinstance(many, int) and many > 0 else 1)


def upstream_body(
    call: Call, replica: Replica, ask: Ask | None = None, *, count: bool = False
) -> bytes:
    """The client's body with the replica's own model name and fixed parameters; a stream is asked
    to say its usage at the end, with `count` in every chunk."""
    body = {**replica.params, **(ask.body if ask else call.body)}
    if ask is not None and ask.reshape is not None:
        body = ask.reshape(body)
    body["model"] = replica.upstream_model
    if call.stream:
        options = {**(call.body.get("stream_options") or {}), "include_usage": True}
        options.pop(CONTINUOUS, None)
        each = count or usage_wanted(call)[1]
        body["stream_options"] = {**options, CONTINUOUS: True} if each else options
    return orjson.dumps(body)
