"""What becomes of an item of model_list: its replica, its share of the traffic, its names."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.adapters.litellm_deployments import (
    Deployments,
    Strategies,
    for_litellm,
    order_of,
    replica_of,
)


def item(key: str, model: str = "m", **params: Any) -> dict[str, Any]:
    """An item as LiteLLM's Router keeps it."""
    given = {"model": f"hosted_vllm/{model}", "api_base": f"http://{key}.test/v1/", **params}
    return {"model_name": model, "litellm_params": given, "model_info": {"id": key}}


def test_an_item_becomes_a_replica() -> None:
    replica = replica_of(
        item(
            "gpu-1",
            model="Qwen/Qwen3",
            api_key="sk-up",
            timeout="30",
            stream_timeout=5,
            max_parallel_requests=7,
        )
        | {"model_name": "coder"},
        {"model", "api_base", "api_key", "timeout", "stream_timeout", "max_parallel_requests"},
    )
    assert (replica.id, replica.model, replica.upstream_model) == ("gpu-1", "coder", "Qwen/Qwen3")
    assert replica.base_url == "http://gpu-1.test/v1"
    assert replica.api_key == "sk-up"
    assert (replica.timeout, replica.stream_timeout, replica.max_parallel) == (30.0, 5.0, 7)
    assert replica.params == {}


@pytest.mark.parametrize(
    ("model", "custom", "served"),
    [
        ("hosted_vllm/Qwen/Qwen3", None, "Qwen/Qwen3"),
        ("Qwen/Qwen3", "hosted_vllm", "Qwen/Qwen3"),
        ("hosted_vllm/Qwen3", "hosted_vllm", "Qwen3"),
    ],
)
def test_the_replica_is_asked_for_the_name_without_its_provider(
    model: str, custom: str | None, served: str
) -> None:
    given = item("a", custom_llm_provider=custom)
    given["litellm_params"]["model"] = model
    assert replica_of(given, ()).upstream_model == served


def test_what_is_not_about_the_deployment_goes_into_the_body() -> None:
    given = item(
        "a",
        temperature=0,
        top_k=5,
        chat_template_kwargs={"enable_thinking": False},
        extra_body={"min_p": 0.1, "top_k": 6},
        tags=["free"],
        seed=None,
        stream=True,
    )
    assert replica_of(given, {"model", "api_base", "tags"}).params == {
        "temperature": 0,
        "top_k": 6,
        "chat_template_kwargs": {"enable_thinking": False},
        "min_p": 0.1,
    }


def test_headers_of_both_spellings_are_sent() -> None:
    given = item("a", headers={"X-Team": "1", "x-rank": "2"}, extra_headers={"X-Rank": 3})
    assert replica_of(given, ()).headers == {"x-team": "1", "x-rank": "3"}


def test_keys_and_headers_are_not_shown() -> None:
    given = item("a", api_key="sk-up", extra_headers={"authorization": "Bearer sk-up"})
    assert "sk-up" not in repr(replica_of(given, {"api_key"}))


def test_the_order_may_stand_in_either_place() -> None:
    assert order_of(item("a", order=2)) == 2
    assert order_of(item("a") | {"model_info": {"id": "a", "order": 3}}) == 3
    assert order_of(item("a")) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, [1, 1]),
        ({"weight": 3}, {"weight": 1}, [3, 1]),
        ({"weight": 3}, {}, [3, 0]),
        ({"weight": 3, "rpm": 1}, {"weight": 1, "rpm": 9}, [3, 1]),
        ({"weight": 0, "rpm": 60}, {"weight": 0, "rpm": 30}, [60, 30]),
        ({"tpm": 10}, {"tpm": 20}, [10, 20]),
        ({"weight": 0}, {"weight": 0}, [1, 1]),
    ],
)
def test_traffic_is_shared_as_litellm_shares_it(
    first: dict[str, int], second: dict[str, int], expected: list[int]
) -> None:
    known = Deployments([item("a", **first), item("b", **second)])
    assert list(known.shares(known.replicas("m"))) == expected


def test_only_those_that_are_left_share() -> None:
    known = Deployments([item("a", weight=1), item("b", weight=0), item("c", weight=0)])
    assert list(known.shares(known.replicas("m")[1:])) == [1, 1]


def test_a_replica_of_an_older_configuration_weighs_nothing() -> None:
    old = Deployments([item("gone", weight=5)])
    new = Deployments([item("a", weight=1)])
    assert list(new.shares([*old.replicas("m"), *new.replicas("m")])) == [0, 1]


def test_an_alias_is_another_name_of_a_model() -> None:
    known = Deployments(
        [item("a"), item("b", "n")],
        {"gpt-4o": "m", "quiet": {"model": "n", "hidden": True}, "open": {"model": "n"}, "n": "m"},
    )
    assert known.names == ("m", "n", "gpt-4o", "open")
    assert [replica.id for replica in known.replicas("gpt-4o")] == ["a"]
    assert [replica.id for replica in known.replicas("quiet")] == ["b"]
    assert known.group("n") == "m"
    assert known.replicas("nobody") == ()


def test_the_orders_are_known_for_every_name() -> None:
    given = [item("a", order=1), item("b", order=3), item("c", order=2), item("d"), item("e", "n")]
    known = Deployments(given, {"alias": "m"})
    assert known.orders("m") == known.orders("alias") == [1, 2, 3]
    assert known.orders("n") == known.orders("nobody") == (None,)


def test_before_the_first_configuration_there_is_nothing() -> None:
    assert Deployments().names == ()
    assert Deployments().replicas("m") == ()


def test_a_model_has_the_strategy_of_its_routing_group_or_that_of_all() -> None:
    group = {"group_name": "g", "models": ["n"], "routing_strategy": "prefix_affinity"}
    strategies = Strategies({"routing_strategy": "least-busy", "routing_groups": [group]})
    assert strategies.of("n") == "prefix_affinity"
    assert strategies.of("m") == "least-busy"
    assert strategies.ours
    assert not Strategies({}).ours
    assert Strategies({}).of("m") == "simple-shuffle"


def test_litellm_is_not_told_of_our_own_strategy() -> None:
    group = {"group_name": "g", "models": ["n"], "routing_strategy": "prefix_affinity"}
    other = {"group_name": "h", "models": ["m"], "routing_strategy": "least-busy"}
    given = {"routing_strategy": "prefix_affinity", "routing_groups": [group, other], "x": 1}
    assert for_litellm(given) == {
        "routing_strategy": "simple-shuffle",
        "routing_groups": [{**group, "routing_strategy": "simple-shuffle"}, other],
        "x": 1,
    }
    assert given["routing_groups"] == [group, other]


def test_tags_choose_where_the_settings_or_a_replica_say_so() -> None:
    assert not Deployments([item("a")]).tagged(False)
    assert Deployments([item("a")]).tagged(True)
    marked = {**item("a"), "model_info": {"id": "a", "enable_tag_filtering": True}}
    assert Deployments([marked]).tagged(False)
