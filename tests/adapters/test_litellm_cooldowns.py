"""Cooldowns of one LiteLLM Router: who hears that a rest begins, and a rest begun elsewhere."""

from __future__ import annotations

from gateway.adapters.litellm_router import LiteLLMRouter
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard
from gateway.testing.fakes import FakeClock, a_call
from tests.adapters.test_litellm_router import deployment

Heard = list[tuple[str, float, Fault]]


def a_router(heard: Heard, **settings: object) -> LiteLLMRouter:
    router = LiteLLMRouter(
        FakeClock(), rests=lambda one, seconds, fault: heard.append((one.id, seconds, fault))
    )
    router.load({"model_list": [deployment("a"), deployment("b")], **settings})
    return router


def fail(router: LiteLLMRouter, key: str, fault: Fault, after: float | None = None) -> Replica:
    replica = next(one for one in router.every() if one.id == key)
    router.started(a_call(), replica)
    router.ended(a_call(), replica, fault, retry_after=after)
    return replica


async def test_a_rest_that_begins_is_told_with_its_seconds_and_its_fault() -> None:
    heard: Heard = []
    router = a_router(heard, allowed_fails=0, cooldown_time=60)
    fail(router, "a", Fault.SERVER_ERROR)
    fail(router, "b", Fault.RATE_LIMITED, after=17.2)
    assert heard == [("a", 60.0, Fault.SERVER_ERROR), ("b", 18.0, Fault.RATE_LIMITED)]
    router.close()


async def test_a_failure_that_is_allowed_begins_none() -> None:
    heard: Heard = []
    router = a_router(heard, allowed_fails=1, cooldown_time=60)
    fail(router, "a", Fault.SERVER_ERROR)
    assert heard == []
    router.close()


async def test_with_cooldowns_off_none_is_told() -> None:
    heard: Heard = []
    router = a_router(heard, allowed_fails=0, disable_cooldowns=True)
    fail(router, "a", Fault.SERVER_ERROR)
    assert heard == []
    router.close()


async def test_one_that_failed_elsewhere_rests_here_and_is_not_told_again() -> None:
    heard: Heard = []
    router = a_router(heard, cooldown_time=60)
    replica = next(one for one in router.every() if one.id == "a")
    router.rest(replica, 30.0, Fault.TIMEOUT)
    assert {one.id for one in await router.healthy("m")} == {"b"}
    assert await router.cooling() == {"a"}
    [told] = [row for row in await router.states.look(router) if row.id == "a"]
    assert (told.state, told.last_fault) == ("cooling", Fault.TIMEOUT)
    # It is no failure that this process has seen.
    assert router.regard(replica) is Regard.TRUSTED
    assert heard == []
    router.close()


async def test_a_replica_that_is_not_here_as_it_is_there_is_left_alone() -> None:
    router = a_router([])
    router.rest(Replica("a", "m", "m", "http://elsewhere.test/v1"), 30.0, Fault.TIMEOUT)
    router.rest(Replica("zzz", "m", "m", "http://elsewhere.test/v1"), 30.0, Fault.TIMEOUT)
    assert await router.cooling() == set()
    router.close()
    router.rest(Replica("a", "m", "m", "http://a.test/v1"), 30.0, Fault.TIMEOUT)
