"""What `gateway serve` says when it is up: where, with which models, and the exact lines to try."""

from __future__ import annotations

import json
import shlex

from gateway.plan import Fleet
from gateway.settings import Settings

_SOURCE = "def mean(xs):\n    return sum(xs) / len(xs)\n"


def banner(settings: Settings, fleet: Fleet, url: str, state: dict[str, object]) -> str:
    """The text. `state` is what /readyz says."""
    models = list(state["models"]) if isinstance(state.get("models"), dict) else []  # type: ignore[call-overload]
    lines = [f"\nServing on {url}   (docs: {url}/docs, metrics: {url}/metrics)"]
    if models:
        lines.append(f"Models: {', '.join(models)}   ({_origin(fleet)})")
    if not state.get("ready"):
        lines.append(f"Not ready yet: {state.get('reason')}")
    lines.append(_keys(settings))
    if fleet.config is not None and settings.upstream.configured:
        lines.append(
            f"{settings.paths.litellm_config} names the models; VLLM_BASE_URL and VLLM_API_KEY "
            "count only where it says os.environ/…"
        )
    lines += ["", "Try it:", *_lines_to_try(settings, url, models[0] if models else "MODEL")]
    return "\n".join(lines) + "\n"


def _origin(fleet: Fleet) -> str:
    if fleet.config is not None:
        return fleet.config.file
    if fleet.source == "embedded":
        return "embedded, for trying: set VLLM_BASE_URL or fill litellm_config.yaml for your own"
    return fleet.base_url


def _keys(settings: Settings) -> str:
    if settings.keys_configured:
        return "Keys are configured: calls need 'Authorization: Bearer <key>'."
    return "No keys are configured: on this machine every call is let in (development)."


def _lines_to_try(settings: Settings, url: str, model: str) -> list[str]:
    key = " -H 'Authorization: Bearer <key>'" if settings.keys_configured else ""
    chat = {
        "model": model,
        "stream": True,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    explain = {
        "file": {"path": "mean.py", "content": _SOURCE},
        "options": {"max_output_tokens": 120},
    }
    return [
        f"  curl -N {url}{path}{key} -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body))}"
        for path, body in (("/v1/chat/completions", chat), ("/api/ai/explain", explain))
    ]
