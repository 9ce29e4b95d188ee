"""A prompt author's loop, in seconds: `python benchmarks/author_loop.py`.

Edit, lint, render, test, hot reload, the new version answers: each command a process of its own, as
it is typed, against a gateway of this process on a mock vLLM. CPU and wall of each part, the
smallest of several rounds; `loop` is the smallest whole round, in which the gateway reloads while
the commands run. `watch` is what `gateway prompts watch` does after a save, without its pause.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.adapters.prompt_lint import examined
from gateway.settings import ConfigPaths, Settings, load
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on

ROOT = Path(__file__).parents[1]
NAME = "code/explain"
ROUNDS = 5
LONGEST_RELOAD_S = 20.0
PARTS = (("lint", NAME), ("render", NAME), ("test", NAME), ("lint",), ("--help",))
ASKED = {"file": {"path": "a.py", "content": "x = 1\n"}}

Best = dict[str, tuple[float, float]]


def command(folder: Path, *arguments: str) -> tuple[float, float]:
    """CPU and wall seconds of `gateway prompts …`."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "prompts", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return used.ru_utime + used.ru_stime, wall


def timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def keep(best: Best, part: str, spent: tuple[float, float]) -> None:
    before = best.get(part, spent)
    best[part] = (min(before[0], spent[0]), min(before[1], spent[1]))


def answered_by(gateway: ServedGateway) -> str:
    answer = httpx.post(f"{gateway.url}/api/ai/explain", json=ASKED).raise_for_status()
    return str(answer.json()["prompt"]["sha"])


def until_other(gateway: ServedGateway, before: str) -> None:
    ends = time.monotonic() + LONGEST_RELOAD_S
    while answered_by(gateway) == before:
        assert time.monotonic() < ends, f"not reloaded within {LONGEST_RELOAD_S:g} s"
        time.sleep(0.01)


def edited(file: Path, number: int) -> None:
    text = (ROOT / "prompts" / f"{NAME}.prompt.j2").read_text("utf-8")
    assert "You explain" in text
    file.write_text(text.replace("You explain", f"Reader {number}: you explain"), "utf-8")


def one_loop(gateway: ServedGateway, folder: Path, number: int, best: Best) -> None:
    """One round, from the save to the answer of the new text."""
    file = folder / "prompts" / f"{NAME}.prompt.j2"
    before = answered_by(gateway)
    began = time.perf_counter()
    edited(file, number)
    for part in PARTS[:3]:
        keep(best, " ".join(part), command(folder, *part))
    commands = time.perf_counter() - began
    until_other(gateway, before)
    loop = time.perf_counter() - began
    keep(best, "loop", (sum(best[" ".join(part)][0] for part in PARTS[:3]), loop))
    keep(best, "the three commands", (best["loop"][0], commands))


def reload(gateway: ServedGateway, folder: Path, number: int, best: Best) -> None:
    """From a save to an answer of the new text, with nothing else running."""
    before = answered_by(gateway)

    def until_new() -> None:
        edited(folder / "prompts" / f"{NAME}.prompt.j2", number)
        until_other(gateway, before)

    keep(best, "save to answer", timed(until_new))


def measured(folder: Path) -> Best:
    best: Best = {}
    for part in PARTS[3:]:
        for _ in range(ROUNDS):
            keep(best, " ".join(part), command(folder, *part))
    names = (NAME,)
    for number in range(ROUNDS):
        edited(folder / "prompts" / f"{NAME}.prompt.j2", number)
        keep(best, "watch", timed(lambda: examined(folder / "prompts", names)))
    with MockVLLM.start(model="m") as mock:
        models = folder / "litellm_config.yaml"
        models.write_text(
            "model_list:\n  - model_name: m\n    litellm_params: "
            f"{{model: hosted_vllm/m, api_base: '{mock.base_url}'}}\n"
        )

        def again() -> Settings:
            return load(ConfigPaths(prompts=folder / "prompts", litellm_config=models), {}, {})

        with ServedGateway(fleet_on([mock.base_url]), again(), again) as gateway:
            for number in range(ROUNDS):
                one_loop(gateway, folder, 100 + number, best)
                reload(gateway, folder, 200 + number, best)
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(ROOT / "prompts", folder / "prompts")
        best = measured(folder)
    print(f"{'part':24} {'CPU s':>7} {'wall s':>7}")
    for part, (cpu, wall) in best.items():
        print(f"{part:24} {cpu:7.3f} {wall:7.3f}")


if __name__ == "__main__":
    main()
