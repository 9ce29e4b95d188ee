"""One question of `gateway ai`: its inputs, its warnings, what is streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.ai_session import read_input, session, uncertain
from gateway.client import UnusableFile, questions
from tests.client.contract_server import ContractServer, contract_server

OPTIONS: dict[str, Any] = dict.fromkeys(
    ("url", "key", "timeout", "model", "prompt", "language", "max_tokens")
)


@pytest.fixture
def contract() -> Iterator[ContractServer]:
    with contract_server() as server:
        yield server


def options(contract: ContractServer, **given: Any) -> dict[str, Any]:
    return {**OPTIONS, "url": contract.url, "as_json": False, "no_color": False, **given}


@pytest.mark.parametrize(("as_json", "printed"), [(False, "ab\n"), (True, "")])
def test_text_is_shown_as_it_comes_unless_json_is_wanted(
    contract: ContractServer,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,
    printed: str,
) -> None:
    warnings = [{"code": "w", "message": "look\x1b[2J"}, {"code": "truncated", "message": "cut"}]
    result = {"id": "1", "message": "ab", "warnings": warnings}
    contract.streams(("delta", {"text": "a"}), ("delta", {"text": "b"}), ("result", result))
    with session(options(contract, as_json=as_json, key="k")) as asked:
        answer = asked.answer(questions.chat("hi"), live=True)
        said = capsys.readouterr()
        assert (said.out, said.err) == (printed, "gateway: warning: look^[[2J\n")
        assert asked.shows_json(answer) is as_json
    assert ('"message": "ab"' in capsys.readouterr().out) is as_json
    assert contract.asked[0].headers["authorization"] == "Bearer k"


def test_options_become_fields(contract: ContractServer) -> None:
    given = {"model": "m", "prompt": "p", "language": "ko", "max_tokens": 3, "repair": True}
    with session(options(contract, **given)) as asked:
        assert asked.asking() == {
            "model": "m",
            "prompt": "p",
            "answer_language": "ko",
            "max_output_tokens": 3,
            "repair": 1,
        }


def test_input_is_a_file_in_whatever_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xff")
    assert read_input(str(tmp_path / "x")) == "a\ufffd"


def test_what_is_not_certain_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        uncertain("why", "text\x07\n")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "text^G\ngateway: why\n"


def test_input_without_end_is_refused() -> None:
    with pytest.raises(UnusableFile, match="more than 64 MiB"):
        read_input("/dev/zero")
