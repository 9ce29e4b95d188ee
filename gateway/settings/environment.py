"""Settings from environment variables: GATEWAY_<SECTION>__<NAME>, and three that others named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_origin

from gateway.domain.document import Problem, did_you_mean
from gateway.settings.teams import VARIABLE as API_KEYS
from gateway.settings.tree import SECTIONS

PREFIX = "GATEWAY_"

# Read before GATEWAY_*, which wins where both name the same setting.
BORROWED: Mapping[str, tuple[str, str]] = {
    "VLLM_BASE_URL": ("upstream", "base_url"),
    "VLLM_API_KEY": ("upstream", "api_key"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint"),
}

# Kubernetes gives each pod such variables for every service of its namespace; one that is named
# "gateway" or "gateway-…" is no mistake of the operator.
_KUBERNETES = re.compile(
    r"GATEWAY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


def variables() -> dict[str, tuple[str, str]]:
    """Every GATEWAY_* variable of the tree, with the section and name that it sets."""
    return {
        f"{PREFIX}{section}__{name}".upper(): (section, name)
        for section, model in SECTIONS.items()
        for name in model.model_fields
    }


def read_environment(
    environ: Mapping[str, str],
) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], str], list[Problem]]:
    """Values by section and name; the variable that each came from; what is wrong.

    An empty variable counts as unset: what a compose file makes of one that nobody set.
    """
    known = variables()
    values: dict[str, dict[str, Any]] = {}
    origins: dict[tuple[str, str], str] = {}
    found: list[Problem] = []
    for name, place in {**BORROWED, **known}.items():
        text = environ.get(name, "").strip()
        if text:
            section, field = place
            values.setdefault(section, {})[field] = _value(text, section, field)
            origins[place] = name
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not _foreign(name, environ[name]):
            found.append(Problem(name, 0, "unknown variable", _meant(name, known)))
    return values, origins, found


def _foreign(name: str, value: str) -> bool:
    if name == API_KEYS or _KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _KUBERNETES_PORT.match(value) is not None


def _value(text: str, section: str, name: str) -> Any:
    """Lists as `1,2,3` or JSON, mappings as JSON; anything else stays text for the tree to read."""
    if section not in SECTIONS:
        return text
    kind = get_origin(SECTIONS[section].model_fields[name].annotation)
    if kind in (tuple, dict) and text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [item.strip() for item in text.split(",")] if kind is tuple else text


def _meant(name: str, known: Mapping[str, tuple[str, str]]) -> str:
    """The variable that was likely meant: one underscore for two, the section left out, a slip."""
    flat = {variable.replace("__", "_"): variable for variable in known}
    squeezed = re.sub("_+", "_", name)
    if squeezed in flat:
        return f"did you mean {flat[squeezed]!r}?"
    tail = name.removeprefix(PREFIX).rpartition("__")[2].lower()
    same = [variable for variable, place in known.items() if place[1] == tail]
    if len(same) == 1:
        return f"did you mean {same[0]!r}?"
    if squeezed.startswith("GATEWAY_UPSTREAM_"):
        return "did you mean 'VLLM_BASE_URL' or 'VLLM_API_KEY'?"
    return did_you_mean(name, [*known, API_KEYS])
