"""What goes on in a gateway now, as GET /admin/live tells it: Live, of one process or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from gateway.domain.standing import State

# The oldest calls that are told of; the rest is only counted.
MOST_CALLS = 50

_WORST_FIRST = (State.DRAINED, State.UNHEALTHY, State.COOLING, State.HALF_OPEN, State.HEALTHY)


class LiveCount(TypedDict):
    """What went through a process since it started; only ever grows, but for streams that end
    without their usage. `failed` is failed, timeout and truncated; tokens of streams that still run
    are in it, as far as anybody has told."""

    requests: int
    refused: int
    cancelled: int
    failed: int
    prompt_tokens: int
    completion_tokens: int


class LiveWorker(TypedDict):
    """One process: its id, seconds since it started, its counts in all and by team."""

    pid: int
    uptime: float
    counts: LiveCount
    teams: dict[str, LiveCount]


class LiveQueue(TypedDict):
    """One model: slots in use, how many there are (None: no bound), calls that wait for one."""

    model: str
    running: int
    slots: int | None
    waiting: int


class LiveTeam(TypedDict):
    """Calls of one team that have begun and not ended; `queued` of them wait for a slot."""

    team: str
    running: int
    queued: int


class LiveCall(TypedDict):
    """One call that runs. `seconds` since it came; `tokens` it has been answered with so far, None
    while nobody has told; `attempts` made, this one included; `replica` "" while there is none."""

    id: str
    team: str
    model: str
    route: str
    stream: bool
    priority: str
    phase: str
    replica: str
    seconds: float
    tokens: int | None
    attempts: int


class Live(TypedDict):
    """`at` in epoch seconds; `workers` those that have answered, `silent` how many have not.
    `replicas` are rows of GET /admin/replicas, their `in_flight` summed and `states` saying in how
    many processes' eyes each is in which state; `phases` counts calls; `slowest` oldest first."""

    at: float
    version: str
    workers: list[LiveWorker]
    silent: int
    replicas: list[dict[str, Any]]
    queues: list[LiveQueue]
    phases: dict[str, int]
    slowest: list[LiveCall]
    teams: list[LiveTeam]


def no_count() -> LiveCount:
    """Nothing so far."""
    return LiveCount(
        requests=0, refused=0, cancelled=0, failed=0, prompt_tokens=0, completion_tokens=0
    )


def summed(counts: Iterable[LiveCount]) -> LiveCount:
    """All of them together."""
    found = no_count()
    for one in counts:
        found["requests"] += one["requests"]
        found["refused"] += one["refused"]
        found["cancelled"] += one["cancelled"]
        found["failed"] += one["failed"]
        found["prompt_tokens"] += one["prompt_tokens"]
        found["completion_tokens"] += one["completion_tokens"]
    return found


def joined(own: Live, others: Iterable[Live], silent: int) -> Live:
    """The processes of one gateway as one; `silent` of them have not answered."""
    every = [own, *others]
    phases = Counter[str]()
    for one in every:
        phases.update(one["phases"])
    slowest = sorted(
        (call for one in every for call in one["slowest"]), key=lambda call: -call["seconds"]
    )
    return Live(
        at=own["at"],
        version=own["version"],
        workers=sorted((w for one in every for w in one["workers"]), key=lambda w: w["pid"]),
        silent=silent,
        replicas=_replicas(every),
        queues=_queues(every),
        phases=dict(phases),
        slowest=slowest[:MOST_CALLS],
        teams=_teams(every),
    )


def _replicas(every: Sequence[Live]) -> list[dict[str, Any]]:
    seen: dict[str, list[dict[str, Any]]] = {}
    for one in every:
        for row in one["replicas"]:
            seen.setdefault(row["id"], []).append(row)
    return [_replica(rows) for rows in seen.values()]


def _replica(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As the process sees it that thinks worst of it; what it said of itself is the same to all."""
    worst = min(rows, key=lambda row: _WORST_FIRST.index(State(row["state"])))
    found = {
        **worst,
        "in_flight": sum(row["in_flight"] for row in rows),
        "states": dict(Counter(str(row["state"]) for row in rows)),
    }
    for name in ("waiting", "kv"):
        told = [row[name] for row in rows if row[name] is not None]
        found[name] = max(told) if told else None
    return found


def _queues(every: Sequence[Live]) -> list[LiveQueue]:
    found: dict[str, LiveQueue] = {}
    for queue in (queue for one in every for queue in one["queues"]):
        was = found.get(queue["model"])
        found[queue["model"]] = queue if was is None else _more(was, queue)
    return list(found.values())


def _more(one: LiveQueue, other: LiveQueue) -> LiveQueue:
    bounded = one["slots"] is not None and other["slots"] is not None
    return LiveQueue(
        model=one["model"],
        running=one["running"] + other["running"],
        slots=(one["slots"] or 0) + (other["slots"] or 0) if bounded else None,
        waiting=one["waiting"] + other["waiting"],
    )


def _teams(every: Sequence[Live]) -> list[LiveTeam]:
    running, queued = Counter[str](), Counter[str]()
    for team in (team for one in every for team in one["teams"]):
        running[team["team"]] += team["running"]
        queued[team["team"]] += team["queued"]
    return [LiveTeam(team=name, running=running[name], queued=queued[name]) for name in running]


class Rates(TypedDict):
    """Each a second."""

    requests: float
    refused: float
    cancelled: float
    failed: float
    prompt_tokens: float
    completion_tokens: float


def rates(before: Live, after: Live, seconds: float) -> tuple[Rates, dict[str, Rates]]:
    """What came in between, in all and by team, of processes that both know. `seconds` above 0."""
    known = {worker["pid"]: worker for worker in before["workers"]}
    pairs = [
        (was, now)
        for now in after["workers"]
        if (was := known.get(now["pid"])) is not None and was["uptime"] <= now["uptime"]
    ]
    names = {name for _, now in pairs for name in now["teams"]}
    nothing = no_count()
    by_team = {
        name: _rates(
            [(w["teams"].get(name, nothing), n["teams"].get(name, nothing)) for w, n in pairs],
            seconds,
        )
        for name in sorted(names)
    }
    return _rates([(was["counts"], now["counts"]) for was, now in pairs], seconds), by_team


def _rates(pairs: Sequence[tuple[LiveCount, LiveCount]], seconds: float) -> Rates:
    def each(name: str) -> float:
        grown = sum(_number(now, name) - _number(was, name) for was, now in pairs)
        return max(0.0, grown) / seconds

    return Rates(
        requests=each("requests"),
        refused=each("refused"),
        cancelled=each("cancelled"),
        failed=each("failed"),
        prompt_tokens=each("prompt_tokens"),
        completion_tokens=each("completion_tokens"),
    )


def _number(count: Mapping[str, Any], name: str) -> int:
    return int(count[name])
