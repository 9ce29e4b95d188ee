"""A call that is only thought through: which policies it meets, and what they say. rehearse."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.adapters.counting import Counting
from gateway.adapters.database import Database
from gateway.adapters.keyring import MergedKeys
from gateway.adapters.model_prices import aliases_of
from gateway.adapters.stored_keys import StoredKeys
from gateway.chain import own_tools
from gateway.domain.call import Call, Caller
from gateway.domain.document import ConfigError, Problem, did_you_mean
from gateway.domain.endpoints import CHAT, ENDPOINTS
from gateway.domain.errors import DatabaseUnavailable, GatewayError, Unauthorized
from gateway.domain.keyring import KeysUnknown, KnownKey
from gateway.domain.policy import Link
from gateway.domain.scope import ROLES
from gateway.flow.guard import Guard
from gateway.flow.identify import Identify
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
    keys, remarks = await _keys(settings)
    key = _key(keys, question, bool(remarks))
    _check_model(fleet, question.model)
    counting = Counting(settings.state, _untold)
    async with counting.running():
        tools = replace(own_tools(), counters=counting.counters, audit=_Deaf())
        plan = plan_of(settings, fleet, tools)
        call = _call(question, key.caller)
        aliases = aliases_of(fleet.config) if fleet.config is not None else {}
        call.alias = call.model, aliases.get(call.model, call.model)
        found = await _walk(plan.chain, call, _door(key, call))
        return replace(found, remarks=(*remarks, *_remarks(plan.chain, counting.place)))


async def _walk(chain: list[Link], call: Call, error: GatewayError | None) -> Explained:
    """`error` is what the key is not good for: then no policy is reached."""
    steps: dict[str, Step] = {}

    def told(_: Call, policy: str, verdict: str, seconds: float) -> None:
        steps[policy] = Step(policy, str(verdict), seconds)

    asked = copy.deepcopy(call.body)
    if error is None:
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


async def _keys(settings: Settings) -> tuple[MergedKeys, tuple[str, ...]]:
    """All that the server would know, and a remark where the database keeps its own to itself. A
    database that does not exist yet is not made."""
    state = packages.check_state(settings)
    if state.url is None or (state.file is not None and not state.file.exists()):
        return MergedKeys(settings, StoredKeys(None)), ()
    try:
        database = await Database.open(state.url)
    except DatabaseUnavailable:
        remark = "the database does not answer: only keys of the files are known here"
        return MergedKeys(settings, StoredKeys(None)), (remark,)
    try:
        stored = StoredKeys(database, state.file)
        await stored.refresh()
        return MergedKeys(settings, stored), ()
    finally:
        await database.aclose()


def _key(keys: MergedKeys, question: Question, unread: bool) -> KnownKey:
    """Whose call it is, and until when its key is good. KeysUnknown where it may be in the database
    that is `unread`."""
    by_id = {key.caller.key_id: key for key in keys.known.values()}
    found = keys.find(hash_key(question.key)) or by_id.get(question.key)
    if found is None and unread and question.team is None:
        raise KeysUnknown
    if found is None and (question.team is not None or not keys.needed):
        found = KnownKey(Caller(key_id=question.key, roles=ROLES))
    if found is None:
        # Never the word itself: it may be a key.
        some = ", ".join(sorted(by_id)[:12]) or "`gateway keys create --team NAME` makes one"
        fix = f"take the id of one: {some}; or name a --team"
        raise ConfigError([Problem("KEY", 0, "no such key", fix)])
    if question.team is None:
        return found
    return replace(found, caller=replace(found.caller, team=question.team))


def _door(key: KnownKey, call: Call) -> GatewayError | None:
    """What the key itself is not good for."""
    try:
        if trouble := key.trouble(time.time()):
            raise Unauthorized(f"This key {trouble}; ask for a new one.")
        Identify.admit(call.caller, call.route)
        Identify.permit(call)
    except GatewayError as error:
        return error
    return None


def _check_model(fleet: Fleet, model: str) -> None:
    if fleet.config is None:
        return  # nobody can tell without asking a replica
    names = {one.model_name for one in fleet.config.model_list}
    names |= aliases_of(fleet.config).keys()
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
