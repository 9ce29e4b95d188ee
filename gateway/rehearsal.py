"""A call that is only thought through: which policies it meets, and what they say. rehearse."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.adapters.counting import Counting
from gateway.adapters.keyring import keys_of
from gateway.chain import own_tools
from gateway.domain.call import Call, Caller
from gateway.domain.document import ConfigError, Problem, did_you_mean
from gateway.domain.endpoints import CHAT, ENDPOINTS
from gateway.domain.errors import GatewayError
from gateway.domain.policy import Link
from gateway.flow.guard import Guard
from gateway.plan import Fleet, fleet_of, plan_of
from gateway.settings import Settings, hash_key, packages

_MESSAGES = [{"role": "user", "content": "Hello."}]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose call (`key`: its id, or the key itself), for which model, by which route; `body` is
    what a client would send, empty for a short greeting."""

    key: str
    model: str
    route: str = CHAT.path
    team: str | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One policy of the chain: its verdict in `before` ("" where it has none), and the rest of what
    there is to say."""

    policy: str
    verdict: str
    seconds: float = 0.0
    says: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """What a call would meet. `refused` is the error's status, 0 for none; `edited` names body
    fields that policies changed."""

    caller: Caller
    steps: list[Step]
    refused: int = 0
    says: str = ""
    edited: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        steps = [
            {"policy": one.policy, "verdict": one.verdict, "seconds": one.seconds, "says": one.says}
            for one in self.steps
        ]
        return {
            "team": self.caller.team,
            "key_id": self.caller.key_id,
            "refused": self.refused,
            "says": self.says,
            "policies": steps,
            "edited": list(self.edited),
            "headers": self.headers,
            "remarks": list(self.remarks),
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [f"caller: team {self.caller.team}, key {self.caller.key_id}"]
        width = max((len(one.policy) for one in self.steps), default=0)
        for one in self.steps:
            took = f"{one.seconds * 1000:.2f} ms" if one.verdict else ""
            words = [f"{one.policy:<{width}}", f"{one.verdict or '-':<12}", f"{took:>10}", one.says]
            found.append("  ".join(words).rstrip())
        found += [f"header {name}: {value}" for name, value in self.headers.items()]
        if self.edited:
            found.append(f"edited: {', '.join(self.edited)}")
        found += [f"note: {remark}" for remark in self.remarks]
        found.append(f"refused with {self.refused}: {self.says}" if self.refused else "let through")
        return found


async def rehearse(settings: Settings, question: Question) -> Explained:
    """Walks the call through the chain of these settings, with counters that are only read.
    ConfigError where the configuration, or the key's id, is of no use."""
    fleet = fleet_of(settings)
    caller = _caller(settings, question)
    _check_model(fleet, question.model)
    packages.check_state(settings)
    counting = Counting(settings.state, _untold)
    async with counting.running():
        tools = replace(own_tools(), counters=counting.counters, audit=_Deaf())
        plan = plan_of(settings, fleet, tools)
        return await _walk(plan.chain, _call(question, caller), counting.place)


async def _walk(chain: list[Link], call: Call, place: str) -> Explained:
    steps: dict[str, Step] = {}

    def told(_: Call, policy: str, verdict: str, seconds: float) -> None:
        steps[policy] = Step(policy, str(verdict), seconds)

    asked, error = copy.deepcopy(call.body), None
    try:
        await Guard(chain, on_verdict=told).before(call)
    except GatewayError as refusal:
        error = refusal
    edited = [n for n in {**asked, **call.body} if asked.get(n) != call.body.get(n)]
    return Explained(
        call.caller,
        [steps.get(link.name) or _silent(link, call, bool(error)) for link in chain],
        error.status if error is not None else 0,
        error.public if error is not None else "",
        tuple(edited),
        dict(call.reply_headers),
        _remarks(chain, place),
    )


def _silent(link: Link, call: Call, ended: bool) -> Step:
    if not link.when.covers(call):
        return Step(link.name, "", says="not for this call (when)")
    if not link.policy.overrides("before"):
        moments = [word for word in ("during", "after") if link.policy.overrides(word)]
        return Step(link.name, "", says=f"looks {' and '.join(moments)} the answer")
    return Step(link.name, "", says="not reached" if ended else "silent")


def _remarks(chain: list[Link], place: str) -> tuple[str, ...]:
    counts = any(hasattr(link.policy.settings, "when_unavailable") for link in chain)
    if not counts or place != "memory":
        return ()
    return (
        "limits count in the memory of the process that serves, which cannot be seen from here: "
        "shown as if nothing were in use; with state.redis_url they are read",
    )


def _caller(settings: Settings, question: Question) -> Caller:
    known = {digest: one.caller for digest, one in keys_of(settings).items()}
    by_id = {caller.key_id: caller for caller in known.values()}
    caller = known.get(hash_key(question.key)) or by_id.get(question.key)
    if caller is None and not known:
        caller = Caller(key_id=question.key)
    if caller is None and question.team is not None:
        caller = Caller(question.team, question.key)
    if caller is None:
        # Never the word itself: it may be a key.
        fix = f"take the id of one: {', '.join(sorted(by_id)[:12])}; or name a --team"
        raise ConfigError([Problem("KEY", 0, "no such key", fix)])
    return replace(caller, team=question.team) if question.team else caller


def _check_model(fleet: Fleet, model: str) -> None:
    if fleet.config is None:
        return  # nobody can tell without asking a replica
    names = {one.model_name for one in fleet.config.model_list}
    names |= set(fleet.config.as_router_kwargs().get("model_group_alias") or ())
    if model not in names:
        raise ConfigError([Problem("MODEL", 0, f"no model {model!r}", did_you_mean(model, names))])


def _call(question: Question, caller: Caller) -> Call:
    endpoint = next((one for one in ENDPOINTS if one.path == question.route), CHAT)
    body = question.body or ({"messages": _MESSAGES} if endpoint is CHAT else {})
    now = time.monotonic()
    call = Call("explained", endpoint, question.model, {**body, "model": question.model}, now, now)
    call.route, call.caller, call.rehearsal = question.route, caller, True
    call.stream = bool(body.get("stream"))
    return call


class _Deaf:
    """An audit log for calls that there never were."""

    def put(self, actor: str, action: str, target: str, facts: object) -> None:
        """Nothing."""


def _untold(metric: object, change: int) -> None:
    """No metric of a command that ends at once is ever read."""
