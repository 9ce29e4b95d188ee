"""Twenty tasks from end to end, on the embedded model and on real vLLM: honest, if not clever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.actions import BY_NAME
from tests.live.environments import Report
from tests.live.fronted import ask
from tests.live.honesty import assert_honest, status, streamed
from tests.live.tasks import TASKS, LiveTask
from tests.served_command import ServedCommand, served_command

pytestmark = pytest.mark.live

every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCommand]:
    """`gateway serve` with nothing configured: the embedded model."""
    with served_command(tmp_path_factory.mktemp("embedded")) as served:
        yield served


def test_there_are_twenty_tasks_and_each_action_has_one() -> None:
    assert len({task.id for task in TASKS}) == 20
    assert {task.action for task in TASKS} == set(BY_NAME)


@every_task
def test_on_the_embedded_model(
    task: LiveTask, newcomer: ServedCommand, tmp_path: Path, progress: Report
) -> None:
    assert_done(task, newcomer, tmp_path, progress)


@every_task
def test_on_real_vllm(
    task: LiveTask, gateway: ServedCommand, tmp_path: Path, progress: Report
) -> None:
    assert_done(task, gateway, tmp_path, progress)


def assert_done(task: LiveTask, served: ServedCommand, folder: Path, progress: Report) -> None:
    """Both ways of asking, and both answers are honest and of the same shape."""
    plain = ask(served.url, f"/api/ai/{task.action}", task.body)
    assert plain.status_code == 200, plain.text
    stream = ask(served.url, f"/api/ai/{task.action}/stream", task.body)
    assert stream.status_code == 200, stream.text
    both = (plain.json(), streamed(task, stream.text))
    progress(f"{task.id}: {', '.join(status(said) for said in both)}")
    for number, said in enumerate(both):
        place = folder / str(number)
        place.mkdir()
        assert_honest(task, said, place)
