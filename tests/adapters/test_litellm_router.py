"""LiteLLM's Router behind our port: what we rely on in it, held to the installed version."""

from __future__ import annotations

import ast
import asyncio
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.adapters import litellm_router
from gateway.adapters.litellm_router import LiteLLMRouter, litellm
from gateway.adapters.litellm_schema import Strategy
from gateway.domain.call import Usage
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.testing.fakes import FakeClock, a_call

ROOT = Path(__file__).parents[2]
CLIENT_FAULTS = [fault for fault in Fault if fault.of_client]
REPLICA_FAULTS = [fault for fault in Fault if not fault.of_client]


def deployment(key: str, model: str = "m", **params: Any) -> dict[str, Any]:
    given = {"model": f"hosted_vllm/{model}", "api_base": f"http://{key}.test/v1", **params}
    return {"model_name": model, "litellm_params": given, "model_info": {"id": key}}


def provided(key: str, model: str, upstream: str) -> dict[str, Any]:
    """A deployment that LiteLLM translates for."""
    return {"model_name": model, "litellm_params": {"model": upstream}, "model_info": {"id": key}}


class House:
    """A router on these deployments, and what a test does with it."""

    def __init__(self, *deployments: dict[str, Any], **settings: Any) -> None:
        self.clock = FakeClock()
        self.router = LiteLLMRouter(self.clock)
        self.load(*deployments, **settings)

    def load(self, *deployments: dict[str, Any], **settings: Any) -> None:
        self.router.load({"model_list": list(deployments), **settings})

    def replica(self, key: str, model: str = "m") -> Replica:
        return next(one for one in self.router.replicas(model) if one.id == key)

    async def pick(self, *tried: str, model: str = "m") -> str | None:
        self.clock.now += 1.0  # what was asked a second ago is asked again
        picked = await self.router.pick(a_call(), model, tried)
        return picked.id if picked else None

    async def picks(self, count: int, *tried: str) -> Counter[str | None]:
        return Counter([await self.pick(*tried) for _ in range(count)])

    async def rotation(self, model: str = "m") -> set[str]:
        self.clock.now += 1.0
        return {replica.id for replica in await self.router.healthy(model)}

    def fail(self, key: str, fault: Fault, times: int = 1, after: float | None = None) -> None:
        for _ in range(times):
            self.router.started(a_call(), self.replica(key))
            self.router.ended(a_call(), self.replica(key), fault, retry_after=after)

    async def serve(self, key: str, seconds: float = 0.1, tokens: int = 10) -> None:
        self.router.started(a_call(), self.replica(key))
        self.router.ended(a_call(), self.replica(key), None)
        usage = Usage(prompt=tokens, completion=tokens)
        await self.router.succeeded(a_call(), self.replica(key), usage, seconds)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Each test ends with LiteLLM's global lists as they were: the next one relies on it."""
    before = registered()
    random.seed(1122)
    yield
    for name, hooks in before.items():
        getattr(litellm, name)[:] = hooks


def registered() -> dict[str, list[object]]:
    """Who listens to LiteLLM's own calls, by the name of the list."""
    return {
        name: list(value)
        for name, value in vars(litellm).items()
        if isinstance(value, list) and "callback" in name
    }


# ---- Import --------------------------------------------------------------------------------------

IMPORT = """
import json, os, socket, sys, threading
asked = []
socket.getaddrinfo = lambda *a, **k: asked.append(a[0]) or []
socket.socket.connect = lambda self, address: asked.append(str(address))
import gateway.adapters.litellm_router
guards = {name: value for name, value in os.environ.items() if name.startswith("LITELLM_")}
threads = [one.name for one in threading.enumerate() if one is not threading.main_thread()]
print(json.dumps([asked, guards, threads, os.environ.get("FROM_DOTENV")]))
"""


def test_the_import_asks_the_network_nothing_and_reads_no_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_DOTENV=1\n")
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    asked, guards, threads, from_dotenv = json.loads(ran.stdout)
    assert asked == threads == []
    assert from_dotenv is None
    assert guards == {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
    }
    assert ran.stderr == ""


# ---- What we use of LiteLLM ----------------------------------------------------------------------


def used() -> set[str]:
    """Every name of LiteLLM's that the adapter touches."""
    folder = Path(litellm_router.__file__).parent
    files = [
        folder / f"litellm_{name}.py"
        for name in ("router", "rotation", "cooldowns", "fallbacks", "sdk", "provider")
    ]
    return set().union(*map(used_in, files)) | set(litellm_router._LOGGERS) | BY_NAME


# Names in texts: of fields, and of keys of a request.
BY_NAME = {
    *("context_window_fallbacks", "content_policy_fallbacks"),
    *("_target_order", "_excluded_deployment_ids", "_skip_mcp_handler"),
}


def used_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    owners = {"self._router", "router", "fresh", "litellm", "exceptions", "logger", "limiter"}
    owners |= {"self._router.cooldown_cache", "cache"}
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in owners
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("litellm"):
            names |= {alias.name for alias in node.names}
    return names


def test_the_decision_page_lists_every_name_of_litellms_that_we_use() -> None:
    page = (ROOT / "docs/decisions/0002-litellm-chooses.md").read_text(encoding="utf-8")
    table = page.split("## What we rely on")[1].split("\n## ")[0]
    listed = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall(r"`(\w+)[^`]*`", row)
    }
    assert listed == used()


# ---- Loading -------------------------------------------------------------------------------------


async def test_before_the_first_load_there_is_no_model() -> None:
    router = LiteLLMRouter(FakeClock())
    assert router.models() == ()
    assert router.replicas("m") == ()
    assert router.fallbacks("m", Fault.TIMEOUT) == ()
    with pytest.raises(ModelNotFound):
        await router.healthy("m")


async def test_models_come_in_the_order_of_the_file_then_the_aliases_that_are_shown() -> None:
    house = House(
        deployment("a", "z"),
        deployment("b", "y"),
        model_group_alias={"gpt-4o": "z", "quiet": {"model": "y", "hidden": True}},
    )
    assert house.router.models() == ("z", "y", "gpt-4o")
    assert await house.pick(model="gpt-4o") == "a"
    assert await house.pick(model="quiet") == "b"


async def test_only_what_litellm_keeps_from_the_request_stays_out_of_the_body() -> None:
    house = House(
        deployment("a", top_k=5, temperature=0.2, rpm=60, weight=2, tags=["x"], cooldown_time=9)
    )
    [replica] = house.router.replicas("m")
    assert replica.params == {"top_k": 5, "temperature": 0.2}


@pytest.mark.parametrize("strategy", get_args(Strategy))
async def test_every_strategy_that_a_file_may_name_chooses(strategy: str) -> None:
    house = House(*map(deployment, "abc"), routing_strategy=strategy)
    for _ in range(5):
        picked = await house.pick()
        assert picked in {"a", "b", "c"}
        await house.serve(picked)
        assert await house.pick("a", "b") == "c"
        assert await house.pick("a", "b", "c") is None


@pytest.mark.parametrize("strategy", get_args(Strategy))
async def test_loading_again_and_closing_leaves_nothing_in_litellms_lists(strategy: str) -> None:
    before = registered()
    house = House(*map(deployment, "ab"), routing_strategy=strategy)
    once = {name: len(hooks) for name, hooks in registered().items()}
    for _ in range(3):
        house.load(*map(deployment, "ab"), routing_strategy=strategy)
    assert all(len(hooks) <= once[name] for name, hooks in registered().items())
    house.router.close()
    assert registered() == before


async def test_a_configuration_that_litellm_refuses_leaves_the_old_one_in_place() -> None:
    house = House(deployment("a"))
    with pytest.raises(ValueError, match="nonsense"):
        house.load(deployment("b"), routing_strategy="nonsense")
    assert house.router.models() == ("m",)
    assert await house.pick() == "a"


async def test_after_the_end_nothing_is_in_rotation_and_late_reports_are_heard() -> None:
    house = House(*map(deployment, "ab"), fallbacks=[{"m": ["m"]}])
    house.router.close()
    house.router.close()
    assert await house.rotation() == set()
    assert await house.pick() is None
    assert house.router.fallbacks("m", Fault.TIMEOUT) == ()
    house.fail("a", Fault.TIMEOUT)
    await house.serve("a")
    assert house.router.load_of(house.replica("a")) == 0


async def test_a_report_on_a_replica_that_is_gone_meanwhile_counts_its_load_down() -> None:
    house = House(*map(deployment, "ab"))
    old = house.replica("a")
    house.router.started(a_call(), old)
    house.load(deployment("b"))
    house.router.ended(a_call(), old, Fault.TIMEOUT)
    await house.router.succeeded(a_call(), old, None, 1.0)
    assert house.router.load_of(old) == 0


# ---- Choosing ------------------------------------------------------------------------------------


async def test_an_unknown_model_is_told() -> None:
    house = House(deployment("a"))
    for asked in (house.router.healthy("n"), house.router.pick(a_call(), "n", ())):
        with pytest.raises(ModelNotFound):
            await asked


async def test_what_is_in_rotation_is_asked_at_most_ten_times_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(*map(deployment, "ab"))
    asked = []
    ask = house.router._rotation._ask

    async def counted(model: str, order: int | None, tags: tuple[str, ...]) -> list[Any]:
        asked.append(model)
        return await ask(model, order, tags)

    monkeypatch.setattr(house.router._rotation, "_ask", counted)
    for _ in range(5):
        await house.router.pick(a_call(), "m", ())
    assert asked == ["m"]
    house.clock.now += 0.11
    await house.router.pick(a_call(), "m", ())
    house.fail("a", Fault.TIMEOUT)
    await house.router.pick(a_call(), "m", ())
    assert asked == ["m"] * 3


async def test_without_weights_all_get_their_share() -> None:
    house = House(*map(deployment, "abc"))
    counts = await house.picks(600)
    assert set(counts) == {"a", "b", "c"}
    assert min(counts.values()) > 130


@pytest.mark.parametrize("key", ["weight", "rpm", "tpm"])
async def test_weights_are_kept(key: str) -> None:
    house = House(deployment("a", **{key: 9}), deployment("b", **{key: 1}))
    counts = await house.picks(600)
    assert 490 < counts["a"] < 590


async def test_a_weight_of_zero_gets_nothing_while_another_is_left() -> None:
    house = House(deployment("a", weight=1), deployment("b", weight=0))
    assert await house.picks(100) == {"a": 100}
    assert await house.pick("a") == "b"


@pytest.mark.parametrize("strategy", ["simple-shuffle", "least-busy"])
async def test_the_busy_one_is_spared(strategy: str) -> None:
    house = House(*map(deployment, "ab"), routing_strategy=strategy)
    for _ in range(3):
        house.router.started(a_call(), house.replica("a"))
    counts = await house.picks(200)
    assert counts["b"] > counts["a"]
    if strategy == "least-busy":
        assert counts["a"] == 0


async def test_latency_based_routing_learns_who_is_fast() -> None:
    house = House(*map(deployment, "ab"), routing_strategy="latency-based-routing")
    for _ in range(10):
        await house.serve("a", seconds=2.0)
        await house.serve("b", seconds=0.1)
    assert (await house.picks(50))["b"] > 45


@pytest.mark.parametrize("strategy", ["usage-based-routing", "usage-based-routing-v2"])
async def test_usage_based_routing_takes_who_has_written_least(strategy: str) -> None:
    house = House(*map(deployment, "ab"), routing_strategy=strategy)
    await house.serve("a", tokens=1000)
    await house.serve("b", tokens=10)
    assert await house.picks(10) == {"b": 10}


@pytest.mark.parametrize("strategy", ["usage-based-routing", "usage-based-routing-v2"])
async def test_usage_based_routing_keeps_to_the_limits(strategy: str) -> None:
    house = House(deployment("a", rpm=5), deployment("b", rpm=5), routing_strategy=strategy)
    served: Counter[str | None] = Counter()
    for _ in range(30):
        picked = await house.pick()
        served[picked] += 1
        if picked:
            await house.serve(picked)
    assert served[None] >= 20
    assert served["a"] <= 5
    assert served["b"] <= 5


async def test_cost_based_routing_takes_the_cheapest() -> None:
    house = House(
        deployment("a", input_cost_per_token=2e-6, output_cost_per_token=2e-6),
        deployment("b", input_cost_per_token=1e-6, output_cost_per_token=1e-6),
        routing_strategy="cost-based-routing",
    )
    assert await house.picks(20) == {"b": 20}


async def test_order_1_comes_before_order_2() -> None:
    house = House(deployment("a", order=2), deployment("b", order=1), deployment("c", order=1))
    assert set(await house.picks(50)) == {"b", "c"}


async def test_order_2_takes_over_when_order_1_rests() -> None:
    house = House(
        deployment("a", order=1), deployment("b", order=2), allowed_fails=0, cooldown_time=60
    )
    house.fail("a", Fault.SERVER_ERROR)
    assert await house.rotation() == {"b"}
    assert await house.pick() == "b"


async def test_a_request_that_order_1_has_failed_goes_to_order_2_at_once() -> None:
    house = House(
        deployment("a", order=1),
        deployment("b", order=2),
        deployment("c", order=3),
        deployment("d"),
    )
    assert await house.rotation() == {"a"}
    assert await house.pick("a") == "b"
    assert await house.pick("a", "b") == "c"
    assert await house.pick("a", "b", "c") is None


async def test_a_tag_on_a_replica_keeps_nobody_out_unless_tags_are_filtered() -> None:
    house = House(deployment("a", tags=["paid"]), deployment("b"))
    assert await house.rotation() == {"a", "b"}
    house.load(
        deployment("a", tags=["paid"]), deployment("b", tags=["default"]), enable_tag_filtering=True
    )
    assert await house.rotation() == {"b"}


# ---- Load ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, *Fault])
async def test_load_is_given_back_whatever_happened(fault: Fault | None) -> None:
    house = House(deployment("a"))
    replica = house.replica("a")
    for _ in range(3):
        house.router.started(a_call(), replica)
    assert house.router.load_of(replica) == 3
    for _ in range(3):
        house.router.ended(a_call(), replica, fault)
    assert house.router.load_of(replica) == 0


# ---- Cooling down --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", REPLICA_FAULTS)
async def test_a_replica_rests_after_more_failures_than_are_allowed(fault: Fault) -> None:
    house = House(*map(deployment, "ab"), allowed_fails=1, cooldown_time=60)
    house.fail("a", fault)
    assert await house.rotation() == {"a", "b"}
    house.fail("a", fault)
    assert await house.rotation() == {"b"}
    assert await house.picks(10) == {"b": 10}


@pytest.mark.parametrize("fault", CLIENT_FAULTS)
async def test_a_clients_fault_never_counts(fault: Fault) -> None:
    house = House(*map(deployment, "ab"), allowed_fails=0, cooldown_time=60)
    house.fail("a", fault, times=20)
    assert await house.rotation() == {"a", "b"}


async def test_a_rest_ends_after_cooldown_time() -> None:
    house = House(*map(deployment, "ab"), allowed_fails=0, cooldown_time=0.2)
    house.fail("a", Fault.CONNECT)
    assert await house.rotation() == {"b"}
    await asyncio.sleep(0.25)  # LiteLLM keeps this time itself: there is no event to wait for
    assert await house.rotation() == {"a", "b"}


async def test_a_replicas_own_cooldown_time_wins() -> None:
    house = House(deployment("a", cooldown_time=0), deployment("b"), allowed_fails=0)
    house.fail("a", Fault.CONNECT)
    house.fail("b", Fault.CONNECT)
    assert await house.rotation() == {"a"}


async def test_at_a_rate_limit_a_replica_rests_for_as_long_as_it_says() -> None:
    house = House(*map(deployment, "ab"), cooldown_time=0.01)
    house.fail("a", Fault.RATE_LIMITED, after=29.5)
    await asyncio.sleep(0.05)
    assert await house.rotation() == {"b"}
    [(key, rest)] = await house.router._router.cooldown_cache.async_get_active_cooldowns(
        model_ids=["a", "b"], parent_otel_span=None
    )
    assert (key, rest["cooldown_time"]) == ("a", 30)


async def test_a_replica_that_refuses_our_key_rests_at_once() -> None:
    house = House(*map(deployment, "ab"), cooldown_time=60)
    house.fail("a", Fault.UPSTREAM_AUTH)
    assert await house.rotation() == {"b"}


async def test_by_default_half_of_five_requests_have_to_fail() -> None:
    house = House(*map(deployment, "ab"), cooldown_time=60)
    house.fail("a", Fault.SERVER_ERROR, times=4)
    assert await house.rotation() == {"a", "b"}
    house.fail("a", Fault.SERVER_ERROR)
    assert await house.rotation() == {"b"}
    for _ in range(6):
        await house.serve("b")
    house.fail("b", Fault.SERVER_ERROR, times=5)
    assert await house.rotation() == {"b"}


async def test_the_only_replica_does_not_rest_for_failures_unless_asked_to() -> None:
    house = House(deployment("a"), cooldown_time=60)
    house.fail("a", Fault.SERVER_ERROR, times=20)
    house.fail("a", Fault.RATE_LIMITED)
    assert await house.rotation() == {"a"}
    house.load(deployment("a"), cooldown_time=60, allowed_fails=1)
    house.fail("a", Fault.SERVER_ERROR, times=2)
    assert await house.rotation() == set()
    assert await house.pick() is None


async def test_with_cooldowns_off_nobody_rests() -> None:
    house = House(*map(deployment, "ab"), allowed_fails=0, disable_cooldowns=True)
    house.fail("a", Fault.CONNECT, times=9)
    assert await house.rotation() == {"a", "b"}


async def test_two_numbers_count_as_left_out() -> None:
    """LiteLLM takes its own default for "not set". The decision page says so."""
    house = House(*map(deployment, "ab"), allowed_fails=3, cooldown_time=0)
    house.fail("a", Fault.SERVER_ERROR, times=4)
    assert await house.rotation() == {"a", "b"}, "or it would rest after the fourth"
    house.fail("a", Fault.SERVER_ERROR)
    assert await house.rotation() == {"b"}, "or it would not rest at all"


async def test_each_kind_of_failure_may_have_its_own_limit() -> None:
    house = House(
        *map(deployment, "ab"),
        cooldown_time=60,
        allowed_fails_policy={"TimeoutErrorAllowedFails": 3, "InternalServerErrorAllowedFails": 0},
    )
    house.fail("a", Fault.TIMEOUT, times=3)
    assert await house.rotation() == {"a", "b"}
    house.fail("b", Fault.SERVER_ERROR)
    assert await house.rotation() == {"a"}


# ---- Fallbacks -----------------------------------------------------------------------------------


def fallen(house: House, model: str, fault: Fault) -> tuple[str, ...]:
    return tuple(one.model for one in house.router.fallbacks(model, fault))


MODELS = [deployment("a", "m"), deployment("b", "n"), deployment("c", "o"), deployment("d", "p")]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.elsewhere])
async def test_a_fleets_trouble_takes_the_general_fallbacks(fault: Fault) -> None:
    house = House(*MODELS, fallbacks=[{"m": ["n", {"model": "o", "temperature": 0}]}])
    assert fallen(house, "m", fault) == ("n", "o")
    assert fallen(house, "n", fault) == ()


async def test_a_prompt_that_is_too_long_or_refused_has_fallbacks_of_its_own() -> None:
    house = House(
        *MODELS,
        fallbacks=[{"m": ["n"]}],
        context_window_fallbacks=[{"m": ["o"]}],
        content_policy_fallbacks=[{"m": ["p"]}],
    )
    assert fallen(house, "m", Fault.CONTEXT_WINDOW) == ("o",)
    assert fallen(house, "m", Fault.CONTENT_POLICY) == ("p",)
    assert fallen(house, "m", Fault.TIMEOUT) == ("n",)


async def test_without_such_a_table_they_take_the_general_ones() -> None:
    house = House(*MODELS, fallbacks=[{"m": ["n"]}])
    assert fallen(house, "m", Fault.CONTEXT_WINDOW) == ("n",)
    assert fallen(house, "m", Fault.CONTENT_POLICY) == ("n",)


async def test_with_such_a_table_that_does_not_name_the_model_they_take_none() -> None:
    house = House(*MODELS, fallbacks=[{"m": ["n"]}], context_window_fallbacks=[{"n": ["o"]}])
    assert fallen(house, "m", Fault.CONTEXT_WINDOW) == ()


@pytest.mark.parametrize("fault", [Fault.REJECTED, Fault.UNSUPPORTED])
async def test_a_wrong_request_has_no_fallbacks(fault: Fault) -> None:
    house = House(*MODELS, fallbacks=[{"m": ["n"]}], default_fallbacks=["o"])
    assert fallen(house, "m", fault) == ()


@pytest.mark.parametrize(
    "settings", [{"default_fallbacks": ["p"]}, {"fallbacks": [{"m": ["n"]}, {"*": ["p"]}]}]
)
async def test_a_default_holds_for_models_that_have_none_of_their_own(
    settings: dict[str, Any],
) -> None:
    house = House(*MODELS, **{"fallbacks": [{"m": ["n"]}], **settings})
    assert fallen(house, "m", Fault.TIMEOUT) == ("n",)
    assert fallen(house, "o", Fault.TIMEOUT) == ("p",)


async def test_an_alias_has_its_own_fallbacks_or_those_of_its_model() -> None:
    house = House(
        *MODELS,
        model_group_alias={"x": "m", "y": "m"},
        fallbacks=[{"m": ["n"]}, {"x": ["o"]}],
    )
    assert fallen(house, "x", Fault.TIMEOUT) == ("o",)
    assert fallen(house, "y", Fault.TIMEOUT) == ("n",)


async def test_there_are_no_more_fallbacks_than_max_fallbacks() -> None:
    house = House(*MODELS, fallbacks=[{"m": ["n", "o", "p"]}], max_fallbacks=2)
    assert fallen(house, "m", Fault.TIMEOUT) == ("n", "o")


async def test_a_fallback_may_be_one_replica() -> None:
    house = House(*MODELS, deployment("b2", "n"), fallbacks=[{"m": ["b2"]}], allowed_fails=0)
    assert fallen(house, "m", Fault.TIMEOUT) == ("b2",)
    assert await house.pick(model="b2") == "b2"
    assert await house.pick("b2", model="b2") is None
    house.router.ended(a_call(), house.replica("b2", "n"), Fault.CONNECT)
    assert await house.pick(model="b2") is None
    assert house.router.replicas("b2") == (), "clients ask for models, not for replicas"


async def test_no_provider_is_looked_up_or_logged_in_to_when_a_file_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", asked)
    # Left to itself, LiteLLM asks for the first two's windows and refuses the third's name.
    names = ("huggingface/org/m", "ollama_chat/m", "ragflow/m", "anthropic/claude-sonnet-4-5")
    house = House(*(provided(name, "m", name) for name in names))
    told = [one.provider for one in house.router.every()]
    assert told == [name.split("/")[0] for name in names]
    assert await house.rotation() == {*names}


async def test_cost_based_routing_knows_the_prices_of_providers() -> None:
    house = House(
        provided("dear", "m", "anthropic/claude-sonnet-4-5"),
        provided("cheap", "m", "anthropic/claude-haiku-4-5"),
        routing_strategy="cost-based-routing",
    )
    assert await house.picks(10) == {"cheap": 10}
