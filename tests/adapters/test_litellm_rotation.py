"""Who may take a request: LiteLLM's word and ours together, with LiteLLM's real Router."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.adapters.litellm_router import LiteLLMRouter, litellm
from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.call import Call
from gateway.domain.ports import Replica
from gateway.domain.record import Record
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard
from gateway.testing.fakes import FakeClock, a_call


def deployment(key: str, model: str = "m", **params: Any) -> dict[str, Any]:
    given = {"model": f"hosted_vllm/{model}", "api_base": f"http://{key}.test/v1", **params}
    return {"model_name": model, "litellm_params": given, "model_info": {"id": key}}


class House:
    """A router on these deployments, and what a test does with it."""

    def __init__(self, *deployments: dict[str, Any], panics: bool = True, **settings: Any) -> None:
        self.clock = FakeClock()
        self.states = ReplicaStates(self.clock)
        self.router = LiteLLMRouter(self.clock, self.states, panics=panics)
        self.router.load({"model_list": list(deployments), **settings})

    def replica(self, key: str) -> Replica:
        return next(one for one in self.router.every() if one.id == key)

    async def pick(self, *tried: str, model: str = "m", call: Call | None = None) -> str | None:
        self.clock.now += 1.0  # what was asked a second ago is asked again
        picked = await self.router.pick(call or a_call(), model, tried)
        return picked.id if picked else None

    async def picks(self, count: int = 30, **given: Any) -> set[str | None]:
        return {await self.pick(**given) for _ in range(count)}

    def down(self, *keys: str) -> None:
        for key in keys:
            self.states.of(key).probe_failed(self.clock(), "GET /health: 503", after=1)

    def on_trial(self, key: str) -> None:
        self.down(key)
        self.states.of(key).probe_passed(self.clock())

    def begin(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.router.started(a_call(), self.replica(key))

    def fail(self, key: str, fault: Fault, after: float | None = None) -> None:
        self.begin(key)
        self.router.ended(a_call(), self.replica(key), fault, retry_after=after)

    async def serve(self, key: str) -> None:
        self.begin(key)
        self.router.ended(a_call(), self.replica(key), None)
        await self.router.succeeded(a_call(), self.replica(key), None, 0.1)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """LiteLLM's global lists are as they were."""
    before = {
        name: list(value)
        for name, value in vars(litellm).items()
        if isinstance(value, list) and "callback" in name
    }
    yield
    for name, hooks in before.items():
        getattr(litellm, name)[:] = hooks


ALL = ["simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing"]
ALL += ["usage-based-routing", "usage-based-routing-v2", "prefix_affinity"]


# ---- Out of rotation -----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ALL)
async def test_no_strategy_takes_a_drained_an_unhealthy_or_a_tried_one(strategy: str) -> None:
    house = House(*map(deployment, "abcd"), routing_strategy=strategy)
    house.states.of("a").drain(0.0, "")
    house.down("b")
    assert await house.picks(12) <= {"c", "d"}
    assert await house.pick("c") == "d"
    assert await house.pick("c", "d") is None
    assert {one.id for one in await house.router.healthy("m")} == {"c", "d"}


async def test_one_on_trial_takes_one_request_at_a_time_until_one_succeeds() -> None:
    house = House(*map(deployment, "ab"), routing_strategy="least-busy")
    house.on_trial("a")
    house.begin("b", 5)
    assert await house.pick() == "a"
    house.begin("a")
    assert await house.picks(10) == {"b"}
    house.router.ended(a_call(), house.replica("a"), None)  # the client left: that proves nothing
    assert await house.pick() == "a"
    await house.serve("a")
    house.begin("a")
    assert await house.pick() == "a"


async def test_a_storm_of_clients_mistakes_takes_nobody_out_nor_off_trial() -> None:
    house = House(*map(deployment, "ab"), allowed_fails=0, cooldown_time=60)
    house.on_trial("a")
    for _ in range(50):
        for fault in (Fault.REJECTED, Fault.CONTEXT_WINDOW, Fault.CONTENT_POLICY):
            house.fail("a", fault)
            house.fail("b", fault)
    states = {one.id: one.state for one in await house.states.look(house.router)}
    assert states == {"a": "half_open", "b": "healthy"}
    assert await house.picks() == {"a", "b"}


async def test_what_litellm_lets_rest_is_told_as_cooling() -> None:
    house = House(*map(deployment, "ab"), allowed_fails=0, cooldown_time=60)
    house.fail("a", Fault.CONNECT)
    house.states.of("a").probe_passed(house.clock())
    states = {one.id: one.state for one in await house.states.look(house.router)}
    assert states == {"a": "cooling", "b": "healthy"}
    assert await house.picks(5) == {"b"}, "a good probe does not end a cooldown"


async def test_a_drain_survives_a_reload() -> None:
    house = House(*map(deployment, "ab"))
    house.states.of("a").drain(0.0, "")
    house.router.load({"model_list": [deployment("a"), deployment("b"), deployment("c")]})
    assert await house.picks() == {"b", "c"}


# ---- Order, room, tags ---------------------------------------------------------------------------


async def test_order_2_takes_over_when_order_1_is_drained_or_down() -> None:
    house = House(deployment("a", order=1), deployment("b", order=1), deployment("c", order=2))
    assert await house.picks() == {"a", "b"}
    house.down("a")
    assert await house.picks(5) == {"b"}
    house.states.of("b").drain(0.0, "")
    assert await house.picks(5) == {"c"}
    assert [one.id for one in await house.router.healthy("m")] == ["c"]


@pytest.mark.parametrize("strategy", ALL)
async def test_a_replica_at_its_own_limit_is_spared_while_another_has_room(strategy: str) -> None:
    limited = deployment("a", max_parallel_requests=2)
    house = House(limited, deployment("b"), routing_strategy=strategy)
    house.begin("a", 2)
    house.begin("b", 9)
    assert await house.picks(12) == {"b"}
    house.router.ended(a_call(), house.replica("a"), None)
    assert "a" in await house.picks(40) or strategy not in ("simple-shuffle", "least-busy")


async def test_room_in_a_later_order_comes_before_a_full_replica_of_the_first() -> None:
    house = House(
        deployment("a", order=1, max_parallel_requests=1),
        deployment("b", order=2, max_parallel_requests=1),
    )
    house.begin("a")
    assert await house.pick() == "b"
    house.begin("b")
    assert await house.pick() == "a", "where all are full, order counts again"


async def test_tags_of_header_and_body_choose() -> None:
    house = House(
        deployment("a", tags=["paid"]),
        deployment("b", tags=["default"]),
        enable_tag_filtering=True,
    )
    assert await house.picks(5) == {"b"}
    by_header, by_body = a_call(), a_call()
    by_header.tags = ("paid",)
    by_body.body["metadata"] = {"tags": ["paid"]}
    for call in (by_header, by_body):
        assert await house.picks(5, call=call) == {"a"}
    house.states.of("a").drain(0.0, "")
    assert await house.pick(call=by_header) is None, "nobody else is allowed"
    assert await house.picks(3) == {"b"}


async def test_without_tag_filtering_tags_say_nothing() -> None:
    house = House(deployment("a", tags=["paid"]), deployment("b"))
    call = a_call()
    call.tags = ("paid",)
    assert await house.picks(call=call) == {"a", "b"}


async def test_clients_cannot_make_us_remember_lists_without_end() -> None:
    house = House(*map(deployment, "ab"), enable_tag_filtering=True)
    for number in range(1100):
        call = a_call()
        call.tags = (f"tag-{number}",)
        await house.router.pick(call, "m", ())
    assert len(house.router._rotation._lists) <= 512


# ---- Limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["simple-shuffle", "prefix_affinity"])
async def test_rpm_is_kept_by_any_strategy_where_litellm_is_asked_to(strategy: str) -> None:
    house = House(
        *(deployment(key, rpm=3) for key in "ab"),
        routing_strategy=strategy,
        optional_pre_call_checks=["enforce_model_rate_limits"],
    )
    counts = Counter([await house.pick() for _ in range(9)])
    assert counts == {"a": 3, "b": 3, None: 3}


# ---- Groups of models ----------------------------------------------------------------------------


async def test_a_routing_group_may_have_prefix_affinity_of_its_own() -> None:
    group = {"group_name": "chat", "models": ["m"], "routing_strategy": "prefix_affinity"}
    house = House(
        *map(deployment, "abc"), *(deployment(key, "n") for key in "xyz"), routing_groups=[group]
    )
    assert house.router.wants_loads()
    assert len(await house.picks(20)) == 1
    assert len(await house.picks(40, model="n")) == 3


# ---- Panic ---------------------------------------------------------------------------------------


async def test_when_all_are_down_all_are_tried_that_are_not_drained() -> None:
    house = House(*map(deployment, "abc"))
    house.down("a", "b", "c")
    house.states.of("c").drain(0.0, "")
    assert await house.router.healthy("m") == ()
    assert await house.picks() == {"a", "b"}
    assert await house.pick("a") == "b"
    assert await house.pick("a", "b") is None


async def test_panic_can_be_turned_off_and_gives_way_to_a_fallback() -> None:
    house = House(*map(deployment, "ab"), panics=False)
    house.down("a", "b")
    assert await house.pick() is None
    house = House(deployment("a"), deployment("x", "n"), fallbacks=[{"m": ["n"]}])
    house.down("a")
    assert await house.pick() is None


async def test_panic_tries_those_that_cool_after_failures_but_not_those_that_asked_for_rest() -> (
    None
):
    house = House(*map(deployment, "abc"), allowed_fails=0, cooldown_time=60)
    house.fail("a", Fault.CONNECT)
    house.fail("b", Fault.RATE_LIMITED, after=30)
    house.fail("c", Fault.UPSTREAM_AUTH)
    assert await house.router.healthy("m") == ()
    assert await house.picks(10) == {"a"}


async def test_one_that_is_up_is_enough_against_panic() -> None:
    house = House(*map(deployment, "abc"))
    house.down("a", "b")
    assert await house.picks(10) == {"c"}
    assert await house.pick("c") is None


# ---- What is counted and written down ------------------------------------------------------------


async def test_slots_are_those_of_replicas_that_are_not_out_or_of_all() -> None:
    house = House(deployment("a", max_parallel_requests=3), deployment("b"))
    assert house.router.slots("m", 64) == 67
    house.states.of("b").drain(0.0, "")
    assert house.router.slots("m", 64) == 3
    house.down("a")
    assert house.router.slots("m", 64) == 67


async def test_the_record_says_which_why_and_among_whom() -> None:
    house = House(*map(deployment, "ab"), routing_strategy="least-busy")
    call = a_call()
    call.record = Record(house.clock)
    house.begin("a")
    assert await house.pick(call=call) == "b"
    house.down("a", "b")
    await house.pick(call=call)
    first, second = [note.facts for note in call.record.notes]
    assert first == {
        "model": "m",
        "replica": "b",
        "why": "fewest in flight",
        "candidates": ["a", "b"],
    }
    assert second["why"] == "none is in rotation"


# ---- A second attempt ----------------------------------------------------------------------------


async def test_a_second_attempt_goes_to_one_that_rests_rather_than_to_none() -> None:
    house = House(deployment("a"), deployment("b"), cooldown_time=60, allowed_fails=0)
    house.fail("b", Fault.SERVER_ERROR)
    assert await house.picks() == {"a"}
    assert await house.pick("a") == "b"
    assert await house.pick("a", "b") is None


@pytest.mark.parametrize("how", ["drained", "down", "asked for rest", "refuses our key"])
async def test_but_never_to_one_that_is_drained_or_down_or_wants_to_rest(how: str) -> None:
    house = House(deployment("a"), deployment("b"), cooldown_time=60, allowed_fails=0)
    faults = {"asked for rest": Fault.RATE_LIMITED, "refuses our key": Fault.UPSTREAM_AUTH}
    house.fail("b", faults.get(how, Fault.SERVER_ERROR))
    if how == "down":
        house.down("b")
    elif how == "drained":
        house.states.of("b").drain(0.0, "tests")
    assert await house.pick("a") is None


async def test_a_second_attempt_goes_where_nothing_has_failed_lately() -> None:
    house = House(deployment("a"), deployment("b"), deployment("c"), disable_cooldowns=True)
    house.fail("b", Fault.SERVER_ERROR)
    house.clock.now += 0.5
    picked = [await house.router.pick(a_call(), "m", {"a"}) for _ in range(9)]
    assert {one.id for one in picked if one} == {"c"}
    assert await house.pick("a", "c") == "b"
    assert "b" in await house.picks(), "a first attempt asks LiteLLM alone"


async def test_what_may_be_asked_of_a_replica_is_said_in_one_word() -> None:
    house = House(deployment("a"), deployment("b"), disable_cooldowns=True)
    one = house.replica("a")
    assert house.router.regard(one) is Regard.TRUSTED
    house.fail("a", Fault.TIMEOUT)
    assert house.router.regard(one) is Regard.DOUBTED
    house.states.of("a").drain(0.0, "tests")
    assert house.router.regard(one) is Regard.OUT
    house.states.of("a").undrain()
    moved = deployment("a", api_base="http://elsewhere.test/v1")
    house.router.load({"model_list": [moved]})
    assert house.router.regard(one) is Regard.GONE
    assert house.router.regard(house.replica("a")) is Regard.DOUBTED, "until it answers"


# ---- Two choices in the same moment --------------------------------------------------------------


@pytest.mark.parametrize("strategy", ALL)
async def test_two_choices_at_once_never_take_the_same_last_place(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(
        deployment("a", max_parallel_requests=1, input_cost_per_token=0.0),
        deployment("b", max_parallel_requests=9, input_cost_per_token=9.0),
        routing_strategy=strategy,
    )
    house.on_trial("b")
    choose = house.router._choose

    async def slowly(*given: Any) -> Any:
        chosen = await choose(*given)
        await asyncio.sleep(0)  # where LiteLLM waits for a cache, say
        return chosen

    monkeypatch.setattr(house.router, "_choose", slowly)

    async def begin() -> str:
        replica = await house.router.pick(a_call(), "m", ())
        assert replica is not None
        house.router.started(a_call(), replica)
        return replica.id

    assert sorted(await asyncio.gather(begin(), begin())) == ["a", "b"]
