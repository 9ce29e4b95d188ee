"""Variants in the assist room, and shadow runs: unseen, bounded, metered apart, ended with us."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from gateway.adapters.prompts import PromptFiles, load
from gateway.domain.call import OutcomeKind
from gateway.domain.errors import GatewayError, LLMError
from gateway.domain.limits import Priority
from gateway.domain.metrics import Metric
from gateway.domain.policy import Link, When
from gateway.flow.assist import Assist, Extras
from gateway.flow.shadow import Shadows
from gateway.testing.fakes import FakeAnswer
from tests.flow.house import House, Rule, forever, turns, until
from tests.flow.test_assist import KEY, KEYS, a_job, assist, events, in_pieces, names, task, whole

SHIPPED = Path(__file__).parents[2] / "prompts" / "code" / "explain.prompt.j2"
VARIANTS = """variants:
  - {id: base, weight: 1}
  - {id: cold, weight: 0, params: {temperature: 0}}
shadow: {variant: cold, ratio: 0.5}
tests:
"""


def varied(root: Path) -> PromptFiles:
    (root / "code").mkdir()
    (root / "_partials").mkdir()
    for partial in SHIPPED.parents[1].glob("_partials/*.j2"):
        (root / "_partials" / partial.name).write_text(partial.read_text("utf-8"), "utf-8")
    text = SHIPPED.read_text("utf-8").replace("tests:\n", VARIANTS, 1)
    (root / "code" / "explain.prompt.j2").write_text(text, "utf-8")
    return load(root)


class Counted:
    def __init__(self) -> None:
        self.results: list[str] = []

    def __call__(self, metric: Metric, result: str) -> None:
        assert metric.name == "gw_shadow_runs_total"
        self.results.append(result)


def room(house: House, prompts: PromptFiles, shadows: Shadows | None = None) -> Assist:
    return assist(house, prompts=prompts, extras=Extras(shadows))


def asked(house: House, number: int) -> dict[str, object]:
    return dict(house.wire.sent[number].body)


async def test_a_variant_that_a_request_names_is_used_and_told(tmp_path: Path) -> None:
    house = House([whole("It prints.")])
    job = a_job("explain", task("explain", prompt_variant="cold"))

    result = await room(house, varied(tmp_path)).answer(job)

    assert result["prompt"]["variant"] == "cold"
    assert asked(house, 0)["temperature"] == 0
    assert job.call.prompt is not None
    assert str(job.call.prompt).endswith("~cold")


async def test_a_session_stays_with_its_variant(tmp_path: Path) -> None:
    prompts = varied(tmp_path)
    house = House([whole("a"), whole("b")])

    shown = [
        (await room(house, prompts).answer(a_job("explain", task("explain", session="s"))))[
            "prompt"
        ]
        for _ in range(2)
    ]

    assert shown[0] == shown[1]
    assert shown[0]["variant"] == "base"


async def test_a_shadow_answers_after_the_client_s_answer_and_is_metered_apart(
    tmp_path: Path,
) -> None:
    counted = Counted()
    shadows = Shadows(lambda: 0.49, counted)
    house = House([whole("seen"), whole("unseen")], keys=KEYS)
    job = a_job("explain")
    job.call.credential = KEY

    result = await room(house, varied(tmp_path), shadows).answer(job)
    await until(lambda: counted.results)

    assert (result["explanation"], result["prompt"]["variant"]) == ("seen", "base")
    assert counted.results == ["ok"]
    assert asked(house, 1)["temperature"] == 0
    assert asked(house, 1)["messages"] == asked(house, 0)["messages"]
    (first, _), (second, outcome) = house.telemetry.ends
    assert (first.shadow, second.shadow) == (False, True)
    assert outcome.kind is OutcomeKind.COMPLETED
    assert (second.route, second.priority) == ("/api/ai/explain#shadow", Priority.BATCH)
    assert (second.caller.team, second.prompt and second.prompt.variant) == ("ide", "cold")
    assert first.id != second.id
    assert house.idle()


async def test_a_shadow_is_for_the_policies_and_the_keys_of_the_route_that_was_asked(
    tmp_path: Path,
) -> None:
    counted, rule = Counted(), Rule()
    route = "/api/ai/explain"
    chain = [Link(rule, "rule", When(paths=(route,)))]
    keys = {digest: replace(caller, routes=(route,)) for digest, caller in KEYS.items()}
    house = House([whole("seen"), whole("unseen")], keys=keys, chain=chain)
    job = a_job("explain")
    job.call.credential, job.call.route, job.call.address = KEY, route, "192.0.2.1"

    await room(house, varied(tmp_path), Shadows(lambda: 0.0, counted)).answer(job)
    await until(lambda: counted.results)

    assert counted.results == ["ok"]
    assert [call.shadow for call in rule.entered] == [False, True]
    assert {call.address for call in rule.entered} == {"192.0.2.1"}


async def test_a_stream_shows_nothing_of_its_shadow(tmp_path: Path) -> None:
    counted = Counted()
    shadows = Shadows(lambda: 0.0, counted)
    house = House([in_pieces("seen"), whole("unseen")])

    found = await events(room(house, varied(tmp_path), shadows), a_job("explain"))
    await until(lambda: counted.results)

    assert names(found) == ["context", "delta", "result"]
    assert "unseen" not in str(found)


async def test_only_its_share_of_calls_has_a_shadow(tmp_path: Path) -> None:
    counted = Counted()
    house = House([whole("seen")])

    await room(house, varied(tmp_path), Shadows(lambda: 0.5, counted)).answer(a_job("explain"))
    await turns()

    assert (len(house.wire.sent), counted.results) == (1, [])


async def test_a_call_that_has_the_shadow_s_variant_needs_none(tmp_path: Path) -> None:
    counted = Counted()
    house = House([whole("seen")])
    job = a_job("explain", task("explain", prompt_variant="cold"))

    await room(house, varied(tmp_path), Shadows(lambda: 0.0, counted)).answer(job)
    await turns()

    assert len(house.wire.sent) == 1


async def test_a_shadow_that_fails_is_only_counted(tmp_path: Path) -> None:
    counted = Counted()
    house = House([whole("seen"), FakeAnswer(status=400)])

    result = await room(house, varied(tmp_path), Shadows(lambda: 0.0, counted)).answer(
        a_job("explain")
    )
    await until(lambda: counted.results)

    assert (result["explanation"], counted.results) == ("seen", ["failed"])
    assert house.idle()


async def test_what_comes_while_enough_run_is_skipped_and_the_end_cancels_the_rest() -> None:
    counted = Counted()
    shadows = Shadows(lambda: 0.0, counted, limit=2)

    async def run() -> None:
        await forever()

    for _ in range(3):
        shadows.offer(1.0, run)
    await turns()
    assert (shadows.running, counted.results) == (2, ["skipped"])

    await shadows.aclose()

    assert (shadows.running, counted.results) == (0, ["skipped", "cancelled", "cancelled"])
    shadows.offer(1.0, run)
    assert shadows.running == 0


async def test_any_error_of_a_shadow_ends_there() -> None:
    counted = Counted()
    shadows = Shadows(lambda: 0.0, counted)
    errors: list[Exception] = [LLMError(detail="x"), GatewayError(detail="x"), ValueError("x")]

    def failing(error: Exception) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            raise error

        return run

    for error in errors:
        shadows.offer(1.0, failing(error))
    await until(lambda: len(counted.results) == 3)

    assert counted.results == ["failed"] * 3


async def test_a_shadow_of_a_review_is_held_to_its_schema_too(tmp_path: Path) -> None:
    prompts = SHIPPED.parents[1]
    shutil.copytree(prompts, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "code" / "review.prompt.j2"
    file.write_text(file.read_text("utf-8").replace("tests:\n", VARIANTS, 1), "utf-8")
    counted = Counted()
    house = House([whole('{"findings": [], "summary": "Fine."}'), whole("unseen")])

    shadows = Shadows(lambda: 0.0, counted)
    result = await room(house, load(tmp_path), shadows).answer(a_job("review", task("review")))
    await until(lambda: counted.results)

    assert (result["status"], counted.results) == ("reviewed", ["ok"])
    assert asked(house, 1)["response_format"] == asked(house, 0)["response_format"]
