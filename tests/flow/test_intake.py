"""The intake: which bounds hold for a call, and hosts that stand for addresses inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.affinity import prefix_key
from gateway.domain.body import fill, parse
from gateway.domain.bounds import Bounds, InputLimits
from gateway.domain.call import Call
from gateway.domain.endpoints import ENDPOINTS, Endpoint
from gateway.domain.errors import InvalidRequest
from gateway.domain.limits import Timeouts
from gateway.domain.prompt_text import prompts_of
from gateway.domain.record import Record
from gateway.flow.asking import choices_of, upstream_body
from gateway.flow.intake import Intake
from gateway.testing.fakes import FakeClock, a_call, a_replica


class Names:
    """Knows these names and remembers what it was asked."""

    def __init__(self, known: Mapping[str, Sequence[str]] = {}) -> None:
        self.asked: list[str] = []
        self._known = known

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self._known.get(host, ())


def a_call_with(model: str = "m", **fields: Any) -> Call:
    call = a_call(model=model)
    call.body |= fields
    return call


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


LIMITS = InputLimits(usual=Bounds(n=2), models={"big": Bounds(n=8)})


async def test_a_call_is_measured_by_its_models_bounds() -> None:
    intake = Intake(LIMITS, Names(), {"alias": "big"}.get)  # type: ignore[arg-type]
    await intake.check(a_call_with("big", n=8))
    await intake.check(a_call_with("alias", n=8))
    with pytest.raises(InvalidRequest, match=r"limits\.n"):
        await intake.check(a_call_with("m", n=3))


async def told(call: Call) -> str:
    """The record of a call that is refused."""
    call.record = Record(FakeClock())
    with pytest.raises(InvalidRequest):
        await Intake(LIMITS, Names(), str).check(call)
    return str(call.record.notes)


async def test_a_refusal_is_in_the_calls_record_without_what_was_sent() -> None:
    note = await told(a_call_with(n=3))
    assert "integer_above_max_value" in note
    assert "'n'" in note
    assert "secret_word" not in await told(a_call_with(secret_word=1))
    tools = [{"parameters": {"properties": {"secret_word": 3}}}]
    assert "secret_word" not in await told(a_call_with(tools=tools))


HOSTS = InputLimits(usual=Bounds(media_hosts=("img.test",)))


@pytest.mark.parametrize(
    "addresses",
    [(), ("127.0.0.1",), ("93.184.216.34", "10.0.0.1"), ("169.254.169.254",), ("::1",)],
)
async def test_an_allowed_host_that_stands_for_an_address_inside_is_refused(
    addresses: tuple[str, ...],
) -> None:
    intake = Intake(HOSTS, Names({"img.test": addresses}), str)
    with pytest.raises(InvalidRequest) as caught:
        await intake.check(a_call_with(messages=image("https://img.test/a.png")))
    assert caught.value.code == "media_not_allowed"
    assert not any(address in caught.value.public for address in addresses)


async def test_an_allowed_host_outside_passes_and_is_looked_up_once() -> None:
    names = Names({"img.test": ("93.184.216.34",)})
    await Intake(HOSTS, names, str).check(a_call_with(messages=image("https://img.test/a") * 3))
    assert names.asked == ["img.test"]


async def test_nothing_is_looked_up_for_a_host_that_is_not_allowed() -> None:
    names = Names()
    with pytest.raises(InvalidRequest):
        await Intake(HOSTS, names, str).check(a_call_with(messages=image("https://evil.test/")))
    assert names.asked == []


NAMES = ["model", "messages", "stream", "n", "stop", "tools", "response_format", "prompt", "input"]
NAMES += ["guided_json", "chat_template_kwargs", "stream_options", "metadata", "content", "role"]
NAMES += ["structured_outputs", "logit_bias", "regex", "function", "parameters", "image_url", "x"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["m", "user", "a", "\ud800", "\x00", "http://a", "file:", "data:", "(", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=30,
)
FIELDS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)


@given(FIELDS, st.sampled_from(ENDPOINTS), st.booleans())
def test_whatever_a_body_says_it_is_taken_or_refused_and_never_a_crash(
    fields: dict[str, Any], endpoint: Endpoint, usual: bool
) -> None:
    needed = {"model": "m", "messages": [{"role": "user", "content": fields.get("content")}]}
    needed |= {"prompt": "a", "input": "a"} if usual else {}
    call = a_call(endpoint=endpoint)
    try:
        body = parse(json.dumps(fields | needed if usual else fields).encode())
        fill(call, body, Timeouts(), None)
        asyncio.run(Intake(HOSTS, Names(), str).check(call))
    except InvalidRequest:
        pass
    else:
        upstream_body(call, a_replica())
        prefix_key(call, "m")
        prompts_of(endpoint, call.body)
        choices_of(call)


@given(st.binary() | st.text().map(str.encode))
def test_whatever_bytes_come_they_are_json_or_refused(raw: bytes) -> None:
    with suppress(InvalidRequest):
        assert isinstance(parse(raw), dict)
