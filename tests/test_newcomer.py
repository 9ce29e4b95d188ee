"""What a newcomer does: `gateway serve` with nothing configured, then the lines that it prints."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.served_command import ServedCommand, served_command

pytestmark = pytest.mark.embedded

ANSWERED_WITHIN_S = 110.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCommand]:
    """The command in an empty folder. Ctrl-C must end it in order, with no child left."""
    with served_command(tmp_path_factory.mktemp("empty")) as found:
        yield found
        on_linux = sys.platform == "linux"
        children = found.children() if on_linux else []
        assert bool(children) == on_linux
        assert found.stop(signal.SIGINT) == 0, found.printed
        assert "Traceback" not in found.printed
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def typed(line: str) -> str:
    """What a line of the banner gives; where curl is missing, its request is sent all the same."""
    if shutil.which("curl"):
        shell = ["bash", "-c", line]
        ran = subprocess.run(shell, check=True, capture_output=True, timeout=ANSWERED_WITHIN_S)
        return ran.stdout.decode()
    words = shlex.split(line)
    url, body = words[2], words[words.index("-d") + 1]
    name, value = words[words.index("-H") + 1].split(": ")
    return httpx.post(url, content=body, headers={name: value}, timeout=ANSWERED_WITHIN_S).text


def ask(served: ServedCommand, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{served.url}{path}", json=body, timeout=ANSWERED_WITHIN_S)


def test_the_banner_says_what_runs_and_the_loading_shows_progress(served: ServedCommand) -> None:
    printed = served.printed
    assert "Loading the embedded model SmolLM2-135M" in printed
    assert "Models: smollm2   (embedded" in printed
    assert "No keys are configured" in printed
    chat, explain = served.lines_to_try
    assert chat.startswith(f"curl -N {served.url}/v1/chat/completions ")
    assert explain.startswith(f"curl -N {served.url}/api/ai/explain ")


def test_the_printed_chat_line_streams_a_real_answer(served: ServedCommand) -> None:
    *events, last = typed(served.lines_to_try[0]).strip().split("\n\n")
    assert last == "data: [DONE]"
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).strip()
    assert choices[-1]["finish_reason"] in ("stop", "length")


def test_the_printed_explain_line_explains(served: ServedCommand) -> None:
    said = json.loads(typed(served.lines_to_try[1]))
    assert len(said["explanation"]) > 20
    assert said["context"]["used"] == said["usage"]["prompt_tokens"]
    assert said["context"]["exact"] is True


def test_an_explanation_can_be_watched_as_it_is_written(served: ServedCommand) -> None:
    file = {"path": "mean.py", "content": "def mean(xs):\n    return sum(xs) / len(xs)\n"}
    body = {"file": file, "options": {"max_output_tokens": 24}}
    *events, last = ask(served, "/api/ai/explain/stream", body).text.strip().split("\n\n")
    assert last == "data: [DONE]"
    names = [event.splitlines()[0].removeprefix("event: ") for event in events]
    assert names == ["context", *["delta"] * (len(names) - 2), "result"]
    assert len(names) > 3


def test_a_rewrite_is_a_diff_that_git_applies(served: ServedCommand, tmp_path: Path) -> None:
    content = "def mean(xs):\r\n    return sum(xs) / len(xs)\r\n"
    body = {
        "file": {"path": "mean.py", "content": content},
        "instruction": "Return 0 if the list is empty.",
        "options": {"max_output_tokens": 200},
    }
    said = ask(served, "/api/ai/rewrite", body).json()
    assert said["status"] in ("changed", "no_change", "truncated", "unresolved")
    assert bool(said["diff"]) == (said["status"] == "changed")
    file = tmp_path / "mean.py"
    file.write_bytes(content.encode())
    if said["diff"]:
        diff = said["diff"].encode()
        subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, check=True)
        assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n") > 0
    assert hashlib.sha256(file.read_bytes()).hexdigest() == said["result_sha256"]


def test_openais_client_works_errors_included(served: ServedCommand) -> None:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as api:
        (model,) = (row.id for row in api.models.list())
        asked: Any = {"model": model, "messages": [{"role": "user", "content": "Say hello."}]}
        answer = api.chat.completions.create(**asked, max_tokens=8)
        assert answer.choices[0].message.content
        assert answer.usage is not None
        pieces = api.chat.completions.create(**asked, max_tokens=8, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert api.completions.create(model=model, prompt="def add(", max_tokens=4).choices[0].text
        near = api.embeddings.create(model=model, input=["a cat", "a kitten"])
        assert [len(row.embedding) > 100 for row in near.data] == [True, True]
        with pytest.raises(openai.NotFoundError) as unknown:
            api.chat.completions.create(**{**asked, "model": "nope"})
        assert unknown.value.code == "model_not_found"
        with pytest.raises(openai.APIStatusError) as long:
            api.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "word " * 9000}]
            )
        assert (long.value.status_code, long.value.code) == (413, "context_length_exceeded")


def test_a_mistake_is_answered_with_what_to_send_instead(served: ServedCommand) -> None:
    answer = ask(served, "/api/ai/rewrite", {"file": {"path": "a.py", "content": "x = 1\n"}})
    assert answer.status_code == 422
    assert "say what to change" in answer.json()["error"]["message"]
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
