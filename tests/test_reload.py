"""Hot reload: what is in order takes over whole, what is broken changes nothing, and no request
notices either."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from gateway.adapters.watch import digest
from gateway.bootstrap import Gateway
from gateway.client import chat, new_call
from gateway.domain.document import ConfigError
from gateway.domain.errors import ModelNotFound
from gateway.plan import fleet_of, places
from gateway.reload import _FIXED, Reload
from gateway.settings import ConfigPaths, Settings, load
from gateway.settings.tree import SECTIONS
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway

MESSAGES = [{"role": "user", "content": "hi"}]
QUICK = "reload: {poll_s: 0.02}\nhealth: {probe: false}\n"
# Sections whose settings hold from the next request on.
LIVE = {"retries", "hedging", "queue", "assist", "reload", "timeouts", "streams"}
LIVE |= {"limits", "prices"}


class Files:
    """The configuration of a gateway, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "litellm_config.yaml"
        self.settings = folder / "config" / "gateway.yaml"
        self.settings.parent.mkdir()
        self.settings.write_text(QUICK)

    def name(self, *mocks: MockVLLM, model: str = "m") -> None:
        """These mocks are the replicas of the one model."""
        rows = [
            f"  - model_name: {model}\n    litellm_params: {{model: hosted_vllm/m, "
            f"api_base: '{mock.base_url}'}}\n"
            for mock in mocks
        ]
        # As an editor does: the file is never half there. What a half one does is told below.
        fresh = self.models.with_suffix(".new")
        fresh.write_text("model_list:\n" + "".join(rows))
        fresh.replace(self.models)

    def read(self) -> Settings:
        return load(ConfigPaths(self.settings.parent, self.models), {}, {})


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


@pytest.fixture
def files(tmp_path: Path, mock: MockVLLM) -> Files:
    files = Files(tmp_path)
    files.name(mock)
    return files


@asynccontextmanager
async def reloading(files: Files) -> AsyncIterator[tuple[Gateway, Reload]]:
    settings = files.read()
    gateway = Gateway(settings, fleet_of(settings))
    reload = Reload(gateway, files.read)
    async with gateway.running(), reload.watching():
        yield gateway, reload


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


async def test_a_changed_file_takes_over_and_calls_go_on(files: Files, mock: MockVLLM) -> None:
    async with reloading(files) as (gateway, reload):
        first = reload.state
        files.name(mock, model="renamed")
        await until(lambda: reload.state is not first)
        assert gateway.router.models() == ("renamed",)
        assert reload.state.sha != first.sha
        mock.script(Behaviour(text="from the new one"))
        said = await chat(gateway.answers, MESSAGES, model="renamed")
        assert said.text == "from the new one"


async def test_changed_limits_hold_from_the_next_request_on(files: Files) -> None:
    async with reloading(files) as (gateway, _):
        assert gateway.house.intake.bounds("m").n == 16
        files.settings.write_text(QUICK + "limits: {models: {m: {n: 99}}}\n")
        await until(lambda: gateway.house.intake.bounds("m").n == 99)


async def test_a_broken_file_changes_nothing_and_says_why_until_it_is_mended(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with reloading(files) as (gateway, reload):
        good, house = files.models.read_text(), gateway.house
        sha = reload.state.sha
        with caplog.at_level(logging.ERROR, "gateway.reload"):
            files.models.write_text("model_list: [{model_name: m}]\n")
            await until(lambda: reload.state.problems)
        assert "litellm_config.yaml" in caplog.text
        assert gateway.house is house
        assert reload.state.sha == sha
        assert gateway.router.models() == ("m",)
        files.models.write_text(good)
        await until(lambda: not reload.state.problems)
        assert reload.state.sha == sha
        page = gateway.telemetry.render()[0].decode()
        assert 'gw_config_reload_total{result="failed"} 1.0' in page
        assert 'gw_config_reload_total{result="ok"} 1.0' in page
        assert f'gw_config_info{{sha="{sha}"}} 1.0' in page


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("config/gateway.yaml", "qeue: {size: 3}\n", "unknown key 'qeue'"),
        ("config/policies.yaml", "policies: [{use: alowlist}]\n", "no policy 'alowlist'"),
        ("config/teams.yaml", "teams: [{nam: ide}]\n", "nam"),
        ("litellm_config.yaml", "model_list: []\n", "model"),
        ("litellm_config.yaml", "model_list: [\n", "not valid YAML"),
    ],
)
async def test_whatever_is_broken_is_named(files: Files, file: str, text: str, says: str) -> None:
    async with reloading(files) as (gateway, reload):
        house = gateway.house
        (files.folder / file).write_text(text)
        await until(lambda: reload.state.problems)
        assert says in str(reload.state.problems[0])
        assert gateway.house is house


async def test_settings_that_only_a_start_can_set_are_named_and_the_others_hold(
    files: Files,
) -> None:
    async with reloading(files) as (gateway, reload):
        first = reload.state
        more = "server: {port: 9}\ntimeouts: {connect_s: 1, total_s: 9}\nqueue: {size: 1}\n"
        files.settings.write_text(QUICK + more)
        await until(lambda: reload.state is not first)
        assert set(reload.state.waiting) == {"server.port", "timeouts.connect_s"}
        assert gateway.house.timeouts.total == 9
        assert gateway.admission._limits.size == 1
        assert gateway.house.settings.server.port == 8000


async def test_taking_the_keys_away_from_a_gateway_that_others_reach_is_refused(
    files: Files,
) -> None:
    """Even where the same edit says that it should listen on loopback: it does not, yet."""
    teams = files.settings.parent / "teams.yaml"
    teams.write_text(f"teams: {{ide: {{keys: [{{id: k, sha256: '{'a' * 64}'}}]}}}}\n")
    files.settings.write_text(QUICK + "server: {host: 0.0.0.0}\n")
    async with reloading(files) as (gateway, reload):
        files.settings.write_text(QUICK + "server: {host: 127.0.0.1}\n")
        teams.unlink()
        await until(lambda: reload.state.problems)
        assert "can be reached from other machines" in str(reload.state.problems[0])
        assert gateway.house.settings.keys_configured


async def test_what_was_known_of_windows_goes_with_the_replicas_that_had_them(
    files: Files, mock_vllm_factory: MockFleet
) -> None:
    files.name(mock_vllm_factory(model="m", max_model_len=512))
    async with reloading(files) as (gateway, reload):
        assert await gateway.tools.reach.window("m") == 512
        first = reload.state
        files.name(mock_vllm_factory(model="m", max_model_len=8192))
        await until(lambda: reload.state is not first)
        assert await gateway.tools.reach.window("m") == 8192


async def test_a_request_stays_in_the_house_that_it_came_into(files: Files, mock: MockVLLM) -> None:
    mock.script(Behaviour(tokens=8, delay_between=0.05))
    async with reloading(files) as (gateway, reload):
        first, old = reload.state, gateway.house
        running = asyncio.create_task(chat(old.answers, MESSAGES, model="m"))
        await until(lambda: gateway.admission.running("m"))
        files.settings.write_text(QUICK + "timeouts: {total_s: 0.001}\n")
        await until(lambda: reload.state is not first)
        assert gateway.house is not old
        assert (await running).finish_reason == "stop"


async def test_without_a_watch_only_being_asked_reloads(files: Files) -> None:
    files.settings.write_text(QUICK + "queue: {size: 7}\n")
    quiet = "reload: {poll_s: 0.02, watch: false}\nhealth: {probe: false}\n"
    files.settings.write_text(quiet)
    async with reloading(files) as (gateway, reload):
        # The first look comes by itself: files may have changed while the process started.
        await asyncio.sleep(0)
        house = gateway.house
        files.settings.write_text(quiet + "queue: {size: 3}\n")
        reload.now()
        await until(lambda: gateway.house is not house)
        assert gateway.admission._limits.size == 3


async def test_what_changed_while_the_process_started_is_taken_over(files: Files) -> None:
    settings = files.read()
    gateway = Gateway(settings, fleet_of(settings))
    reload = Reload(gateway, files.read, sha="another")
    async with gateway.running(), reload.watching():
        await until(lambda: reload.state.sha != "another")


async def test_a_worker_that_starts_late_serves_nothing_that_is_no_longer_so(files: Files) -> None:
    settings = files.read()
    sha = digest(places(settings))
    files.settings.write_text(f"{QUICK}qeue: {{size: 3}}\n")
    late = Reload(gateway := Gateway(settings, fleet_of(settings)), files.read, sha=sha)
    with pytest.raises(ConfigError, match="qeue"):
        async with late.watching(strict=True):
            pytest.fail("served")
    files.settings.write_text(f"{QUICK}queue: {{size: 3}}\n")
    reload = Reload(gateway, files.read, sha=sha)
    async with gateway.running(), reload.watching(strict=True):
        assert gateway.house.settings.queue.size == 3
        assert reload.state.sha != sha  # at once
        assert not reload.state.problems


async def test_a_reader_that_crashes_does_not_end_the_watch(files: Files) -> None:
    settings = files.read()
    gateway = Gateway(settings, fleet_of(settings))
    crashes = [RuntimeError("boom")]

    def again() -> Settings:
        if crashes:
            raise crashes.pop()
        return files.read()

    reload = Reload(gateway, again)
    async with gateway.running(), reload.watching():
        reload.now()
        await until(lambda: reload.state.problems)
        reload.now()
        await until(lambda: not reload.state.problems)


def test_every_section_either_holds_from_the_next_request_on_or_waits_for_a_restart() -> None:
    whole = {section for section, names in _FIXED.items() if not names}
    assert whole | LIVE == set(SECTIONS)
    assert not whole & LIVE


async def test_hundreds_of_running_streams_do_not_notice_reloads_good_and_bad(
    files: Files, mock_vllm_factory: MockFleet
) -> None:
    mocks = [mock_vllm_factory(model="m") for _ in range(2)]
    for mock in mocks:
        mock.script(Behaviour(deltas=("ab",) * 20, delay_between=0.1))
    files.name(*mocks)
    settings = files.read()
    asked = {"model": "m", "messages": MESSAGES, "stream": True}
    whole, failed = 0, []

    async def ask(client: httpx.AsyncClient) -> None:
        nonlocal whole
        async with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            text = (await answer.aread()).decode()
        if answer.status_code == 200 and text.count('"ab"') == 20 and text.endswith("[DONE]\n\n"):
            whole += 1
        else:
            failed.append(text[-300:])

    async def reload_until(done: asyncio.Task[object], client: httpx.AsyncClient) -> int:
        changes, seen = cycle([*mocks, None]), 0
        while not done.done():
            mock = next(changes)
            if mock is None:
                files.models.write_text("model_list: [")
            else:
                files.name(mock)
            ok = mock is not None
            async with asyncio.timeout(20):
                while (await client.get("/readyz")).json()["config"]["ok"] is not ok:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            seen += 1
        return seen

    with ServedGateway(fleet_of(settings), settings, files.read) as served:
        limits = httpx.Limits(max_connections=400)
        async with httpx.AsyncClient(base_url=served.url, timeout=60, limits=limits) as client:
            # Three waves, so that there are always new ones as well as running ones.
            waves: list[asyncio.Task[None]] = []
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    waves += [group.create_task(ask(client)) for _ in range(100)]
                    await asyncio.sleep(0.5)  # the waves overlap: each stream takes two seconds
                every = asyncio.ensure_future(asyncio.wait(waves))
                changes = await reload_until(every, client)
            page = (await client.get("/metrics")).text
    assert (failed, whole) == ([], 300)
    assert changes >= 3
    assert 'gw_config_reload_total{result="failed"}' in page


def test_again_is_what_the_command_line_gives(tmp_path: Path) -> None:
    """`gateway serve` hands over how the settings were read: options win at a reload too."""
    (tmp_path / "gateway.yaml").write_text("server: {port: 1}\n")
    again = partial(load, ConfigPaths(config=tmp_path), {}, {"server": {"port": 2}})
    assert again().server.port == 2


async def test_who_waits_while_a_reload_takes_the_model_away_is_still_answered(
    files: Files, mock: MockVLLM
) -> None:
    files.settings.write_text(QUICK + "queue: {slots_per_replica: 1}\n")
    mock.script(Behaviour(tokens=8, delay_between=0.05))
    async with reloading(files) as (gateway, reload):
        first = reload.state
        calls = [asyncio.create_task(chat(gateway.answers, MESSAGES, model="m")) for _ in "abc"]
        await until(lambda: gateway.admission.waiting("m") == 2)
        files.name(mock, model="renamed")
        await until(lambda: reload.state is not first)
        assert gateway.router.models() == ("renamed",)
        said = await asyncio.gather(*calls)
        assert [one.finish_reason for one in said] == ["stop"] * 3
        with pytest.raises(ModelNotFound):
            await chat(gateway.answers, MESSAGES, model="m")
        assert not any(gateway.router._inflight.values())
        assert not gateway.admission.running("m")


async def test_what_was_spent_on_retries_and_learned_for_hedges_outlives_a_reload(
    files: Files,
) -> None:
    files.settings.write_text(QUICK + "hedging: {models: [m]}\n")
    async with reloading(files) as (gateway, reload):
        first, budget, hedging = reload.state, gateway._budget, gateway._hedging
        call = new_call()
        for _ in range(30):
            hedging.learn(call, "m", 0.5)
        budget.take()
        more = "hedging: {models: [m]}\nretries: {budget: 0.0, floor: 1}\n"
        files.settings.write_text(QUICK + more)
        await until(lambda: reload.state is not first)
        means = gateway.answers._engine._gear.means
        assert (means.budget, means.hedging) == (budget, hedging)
        assert hedging.patience(call, "m") == 0.5
        assert budget._retries == 1
        assert budget._floor == 1
