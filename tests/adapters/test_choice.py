"""Our own strategies: by weight and load, the idlest, the one with the prefix in its cache."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from gateway.adapters.choice import Choice
from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.affinity import AffinityRule
from gateway.domain.call import Call
from gateway.domain.endpoints import EMBEDDINGS
from gateway.domain.replica_load import ReplicaLoad
from gateway.testing.fakes import FakeClock, a_call, a_replica

POOL = [a_replica(f"r{number}") for number in range(3)]
ALIKE = [1.0, 1.0, 1.0]


class Made:
    """A choice, and the load that it sees."""

    def __init__(self) -> None:
        random.seed(1122)
        self.clock = FakeClock()
        self.states = ReplicaStates(self.clock)
        self.load: Counter[str] = Counter()
        self.choice = Choice(self.states, AffinityRule(), lambda one: self.load[one.id])

    def choose(
        self, strategy: str, call: Call | None = None, shares: list[float] = ALIKE
    ) -> tuple[str, str]:
        chosen, why = self.choice.choose(strategy, call or a_call(), POOL, shares)
        return chosen.id, why


def talk(text: str, turns: int = 1) -> Call:
    call = a_call()
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for turn in range(1, turns):
        messages.append({"role": "assistant", "content": f"answer {turn}"})
        messages.append({"role": "user", "content": f"and {turn}?"})
    call.body["messages"] = messages
    return call


def favourite_of(made: Made, text: str) -> str:
    return made.choose("prefix_affinity", talk(text))[0]


@pytest.mark.parametrize("strategy", ["simple-shuffle", "least-busy", "prefix_affinity"])
def test_the_only_one_is_taken_whatever_its_load(strategy: str) -> None:
    made = Made()
    made.load["r0"] = 999
    assert made.choice.choose(strategy, a_call(), POOL[:1], [0.0])[0].id == "r0"


def test_the_idlest_is_taken() -> None:
    made = Made()
    made.load.update({"r0": 2, "r1": 1, "r2": 2})
    assert {made.choose("least-busy")[0] for _ in range(20)} == {"r1"}


def test_a_shuffle_keeps_weights_and_spares_the_busy() -> None:
    made = Made()
    counts = Counter(made.choose("simple-shuffle", shares=[8.0, 2.0, 0.0])[0] for _ in range(500))
    assert counts["r2"] == 0
    assert 360 < counts["r0"] < 440
    made.load["r0"] = 50
    counts = Counter(made.choose("simple-shuffle")[0] for _ in range(300))
    assert counts["r0"] < 60


def test_all_turns_of_a_conversation_go_to_one_replica_and_many_conversations_spread() -> None:
    made = Made()
    counts: Counter[str] = Counter()
    for number in range(300):
        found = {
            made.choose("prefix_affinity", talk(f"no {number}", turn))[0] for turn in (1, 2, 4)
        }
        assert len(found) == 1
        counts.update(found)
    assert max(counts.values()) < 2 * min(counts.values())


def test_a_busy_favourite_yields_and_has_it_again_later() -> None:
    made = Made()
    own = favourite_of(made, "hello")
    made.load[own] = 9
    other, why = made.choose("prefix_affinity", talk("hello"))
    assert other != own
    assert own in why
    made.load[own] = 1
    assert favourite_of(made, "hello") == own


def test_a_queue_or_a_full_cache_of_its_own_makes_a_favourite_yield_while_it_is_news() -> None:
    made = Made()
    own = favourite_of(made, "hello")
    for load in (ReplicaLoad(9.0, 0.1, 0.0), ReplicaLoad(0.0, 0.99, 0.0)):
        made.states.heard(own, load)
        made.clock.now = 5.0
        assert favourite_of(made, "hello") != own
        made.clock.now = 11.0
        assert favourite_of(made, "hello") == own
        made.clock.now = 0.0


def test_what_has_no_prefix_goes_to_the_less_pressed_of_two() -> None:
    made = Made()
    call = a_call(endpoint=EMBEDDINGS)
    made.load["r0"] = 5
    counts = Counter(made.choose("prefix_affinity", call)[0] for _ in range(100))
    assert counts["r0"] == 0
    assert min(counts["r1"], counts["r2"]) > 20


def test_no_share_no_conversations() -> None:
    made = Made()
    found = {
        made.choose("prefix_affinity", talk(f"no {number}"), [1.0, 0.0, 1.0])[0]
        for number in range(50)
    }
    assert found == {"r0", "r2"}


def test_an_alias_finds_the_same_replica() -> None:
    made = Made()
    call = talk("hello")
    call.model = "alias"
    assert made.choose("prefix_affinity", call)[0] == favourite_of(made, "hello")
