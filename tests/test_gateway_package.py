"""`import gateway` gives a policy's author what they need, and is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gateway

HERE = Path(__file__).parents[1]
HEAVY = {
    "aiohttp",
    "anyio",
    "asyncio",
    "fastapi",
    "httpx",
    "jinja2",
    "litellm",
    "openai",
    "opentelemetry",
    "prometheus_client",
    "pydantic_settings",
    "starlette",
    "tokenizers",
    "uvicorn",
}


def test_it_exports_what_a_policy_needs_and_no_more() -> None:
    words = ["Call", "Delta", "Outcome", "Policy", "Refusal", "Tools", "Usage"]
    for_limits = ["Amounts", "Balance", "Claim", "Counts", "Every", "Full", "Held"]
    for_limits += ["LimitSettings", "Period", "Quota", "Term", "Window"]
    for_limits += ["amount_for", "at_most", "bounded", "counted", "expected", "reached"]
    for_texts = ["Detectors", "Vault", "Watch", "json_view", "request_texts"]
    assert gateway.__all__ == sorted([*words, *for_limits, *for_texts])
    assert all(hasattr(gateway, name) for name in gateway.__all__)


def test_importing_it_loads_nothing_heavy() -> None:
    show = "import gateway, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", show], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert "gateway" in run.stdout.split()
    assert set(run.stdout.split()) & HEAVY == set()


def test_its_version_is_that_of_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vllm_gateway-9.8.7.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-gateway\nVersion: 9.8.7\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert gateway.__version__ == "9.8.7"


def test_its_version_is_said_to_be_unknown_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert gateway.__version__ == "0.0.0+unknown"


def test_any_other_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Polisy'"):
        gateway.Polisy  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("path", sorted((HERE / "policies").glob("*.py")), ids=lambda p: p.stem)
def test_a_shipped_policy_imports_nothing_of_the_house_but_gateway(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    ours = {name for name in imported if name.partition(".")[0] in ("gateway", "policies")}
    assert ours == {"gateway"}
