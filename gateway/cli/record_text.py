"""A decision record in words, for people: what was decided when, what was tried, what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]
Facts = Mapping[str, Any]

_PHASES = {
    "checking": "its key, its policies or its prompt are being looked at",
    "queued": "it waits for a slot",
    "choosing": "a replica is being chosen",
    "asked": "a replica has been asked and has not begun to answer",
    "retrying": "a replica failed; another attempt is to come",
    "answering": "the answer is on its way",
    "handing_over": "its stream broke; another replica is to go on with it",
    "ending": "it is over; policies and counters still hear of it",
}
# Faults and words of the record, as somebody says them who has not read the code.
_RESULTS = {
    "ok": "answered",
    "cancelled": "left before it answered",
    "connect_error": "could not be reached",
    "connection_broken": "closed the connection",
    "timeout": "was too slow",
    "server_error": "had an error of its own (5xx)",
    "rate_limited": "had too much to do (429)",
    "upstream_auth": "did not take the gateway's key",
    "unsupported": "cannot do this",
    "rejected": "refused the request (4xx)",
    "context_window": "found the prompt too long",
    "content_policy": "refused what it was asked",
    "garbage": "sent what is no answer",
    "truncated": "broke off its answer",
}


def lines_of(record: Record) -> Iterator[str]:
    """The record as lines of text, without colours."""
    yield from _head(record)
    yield ""
    yield "What was decided, in seconds since it came:"
    yield from _decisions(record)
    yield ""
    yield from _attempts(record)
    yield from _use(record)


def _head(record: Record) -> Iterator[str]:
    status = f" ({record['status']})" if record.get("status") else ""
    code = f", {record['code']}" if record.get("code") else ""
    runs = record["outcome"] == "running"
    took = "so far" if runs else "in all"
    ended = f"{record['outcome']}{status}{code}"
    yield f"{record['request_id']}: {ended}; {_s(record['seconds'])} {took}"
    if runs:
        phase = str(record.get("phase", ""))
        yield f"  now       {_PHASES.get(phase, phase)}"
    kind = "stream" if record["stream"] else "one piece"
    yield f"  asked     {record['route']}, as {kind}, at {record['began']}"
    yield f"  by        team {record['team']}, key {record['key_id']}"
    served = record.get("served_model")
    also = f", served as {served}" if served and served != record["model"] else ""
    yield f"  model     {record['model'] or 'none yet'}{also}"
    if record.get("replica"):
        yield f"  replica   {record['replica']}"
    if record.get("prompt"):
        yield f"  prompt    {record['prompt']}"
    yield f"  trace     {record.get('trace_id') or 'none'}"


def _decisions(record: Record) -> Iterator[str]:
    decisions = record["decisions"]
    for one in decisions:
        yield f"  {one['at']:>8.3f}  {_said(one)}"
    if not decisions:
        yield "  nothing: it did not get that far"
    if dropped := record.get("decisions_dropped"):
        yield f"            and {dropped} more, which were not kept"


def _attempts(record: Record) -> Iterator[str]:
    attempts = record["attempts"]
    if not attempts:
        yield "No replica has been done with yet." if _runs(record) else "No replica was tried."
        return
    yield "Replicas that were tried:"
    width = max(len(one["replica"]) for one in attempts)
    for number, one in enumerate(attempts, 1):
        told = f"{one['replica']:<{width}}  {_s(one['seconds'])}  {_result(one['result'])}"
        yield f"  {number}  {told}"


def _use(record: Record) -> Iterator[str]:
    parts = [f"queue {_s(record['queue_seconds'])}"]
    if record.get("first_token_seconds") is not None:
        parts.append(f"first token after {_s(record['first_token_seconds'])}")
    if record.get("finish_reason"):
        parts.append(f"finish_reason {record['finish_reason']}")
    yield f"Times: {', '.join(parts)}"
    tokens = record.get("tokens")
    if tokens is None:
        yield "Tokens: nobody has told" if _runs(record) else "Tokens: none were counted"
        return
    guess = " (our guess: the replica had not told)" if tokens.get("estimated") else ""
    cached = f" ({tokens['cached']} of them cached)" if tokens.get("cached") else ""
    yield f"Tokens: {tokens['prompt']} in{cached}, {tokens['completion']} out{guess}"
    if (cost := record.get("cost")) is not None:
        told = f"{cost:.6f}".rstrip("0").rstrip(".") or "0"
        yield f"Cost: {told} (in prices.currency)" if cost else "Cost: 0: the model has no price"


def _runs(record: Record) -> bool:
    return bool(record["outcome"] == "running")


def _s(seconds: Any) -> str:
    return "?" if seconds is None else f"{seconds:.3f} s"


def _result(word: Any) -> str:
    told = _RESULTS.get(str(word))
    return f"{word}: {told}" if told else str(word)


def _said(one: Facts) -> str:
    """One decision as a sentence; one of a kind that nobody here knows, as its facts."""
    known = _SENTENCES.get(one["kind"])
    try:
        return known(one) if known is not None else _plain(one)
    except (KeyError, TypeError, ValueError):  # a gateway of another version
        return _plain(one)


def _plain(one: Facts) -> str:
    facts = (f"{name}={value}" for name, value in one.items() if name not in ("at", "kind"))
    return " ".join([f"{one['kind']}:", *facts])


def _policy(one: Facts) -> str:
    return f"policy {one['policy']}: {one['decision']} ({one['seconds'] * 1000:.2f} ms)"


def _queued(one: Facts) -> str:
    where = f"{one['ahead']} ahead of it, {one['waiting']} waiting, {one['running']} running"
    return f"queued as {one['priority']}: {where}"


def _slot(one: Facts) -> str:
    return f"a slot after {_s(one['waited'])}"


def _choice(one: Facts) -> str:
    others = ", ".join(one["candidates"])
    return f"chose {one['replica']} for {one['model']} of {others}: {one['why']}"


def _attempt(one: Facts) -> str:
    told = _RESULTS.get(one["result"], one["result"])
    return f"{one['replica']} {told} ({one['result']}, {_s(one['seconds'])})"


def _hedge(one: Facts) -> str:
    return f"{one['first']} was slow ({_s(one['after'])}): {one['second']} was asked too"


def _fallback(one: Facts) -> str:
    return f"fell back to model {one['model']} after {one['after']}"


def _hand_over(one: Facts) -> str:
    where = f" to {one['to']}" if one.get("to") else ""
    why = f": {one['why']}" if one.get("why") else ""
    tokens = f", {one['tokens']} tokens had come" if one.get("tokens") else ""
    return f"hand-over from {one['from']}{where}: {one['result']} ({one['fault']}){why}{tokens}"


def _refused(one: Facts) -> str:
    soon = f"; told to try again in {one['retry_after']} s" if one.get("retry_after") else ""
    return f"no slot: {one['why']}{soon}"


def _spent(one: Facts) -> str:
    return f"no other attempt after {one['after']}: the retry budget was spent"


def _window(one: Facts) -> str:
    return f"{one['tokens']} tokens do not fit {one['model']}'s window of {one['window']}"


_SENTENCES: dict[str, Callable[[Facts], str]] = {
    "policy": _policy,
    "queued": _queued,
    "slot": _slot,
    "choice": _choice,
    "attempt": _attempt,
    "hedge": _hedge,
    "fallback": _fallback,
    "hand_over": _hand_over,
    "refused": _refused,
    "retry_budget": _spent,
    "window": _window,
}
