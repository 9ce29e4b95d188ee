"""What deploy/ ships, held to the types and schemas of those who will read it: Grafana's own types
for each dashboard and each panel, the schema of compose files for compose.yaml."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from deploy.monitoring.__main__ import HERE
from tests.live import node_tools

pytestmark = pytest.mark.live

BOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))
# What Grafana's files call each kind of panel that we draw.
KINDS = {
    "timeseries": "TimeSeries",
    "stat": "Stat",
    "table": "Table",
    "heatmap": "Heatmap",
    "state-timeline": "StateTimeline",
}
KIND = "@grafana/schema/dist/esm/raw/composable/{lower}/panelcfg/x/{name}PanelCfg_types.gen"
# JSON has the values of TypeScript's enumerations, and not their names.
SAID = """
type Said<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends readonly (infer One)[] ? Said<One>[]
  : T extends object ? { [Key in keyof T]: Said<T[Key]> } : T;
"""


@pytest.fixture(scope="module")
def tools() -> Path:
    """npm's packages; without node there is nothing to run them with."""
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")
    return node_tools.fetched()


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of them, those in collapsed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def typed(board: dict[str, Any]) -> str:
    """TypeScript that compiles where Grafana knows each key: of the dashboard, and of the options
    and field settings of each panel, which the dashboard's own type leaves open."""
    board = copy.deepcopy(board)
    lines = ['import type { Dashboard } from "@grafana/schema";', SAID]
    for name in KINDS.values():
        where = json.dumps(KIND.format(lower=name.lower(), name=name))
        lines.append(f"import type * as {name} from {where};")
    # What is Prometheus' in an annotation is declared beside its queries, which npm has not.
    for one in board["annotations"]["list"]:
        del one["target"]["expr"], one["titleFormat"]
    for panel in panels(board):
        if panel["type"] == "row":
            continue
        name, number = KINDS[panel["type"]], panel["id"]
        lines.append(_const(f"options{number}", f"{name}.Options", panel["options"]))
        if (custom := panel["fieldConfig"]["defaults"].get("custom")) is not None:
            lines.append(_const(f"custom{number}", f"{name}.FieldConfig", custom))
    lines.append(_const("board", "Dashboard", board))
    return "\n".join(lines) + "\n"


def _const(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: Said<Partial<{kind}>> = {json.dumps(value)};"


def complaints(tools: Path, folder: Path, board: dict[str, Any]) -> str:
    """What the compiler says; empty where it is content."""
    (folder / "board.ts").write_text(typed(board), encoding="utf-8")
    (folder / "node_modules").symlink_to(tools / "node_modules")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler"]
    kind = ["--module", "esnext", "--target", "es2022"]
    compiler = tools / "node_modules" / "typescript" / "bin" / "tsc"
    ran = subprocess.run(
        ["node", str(compiler), *options, *kind, "board.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1, 2), ran.stderr
    return ran.stdout


def compose_schema(tools: Path) -> jsonschema.Draft7Validator:
    """The one that is published with the specification, as a linter of compose files ships it."""
    file = tools / "node_modules" / "dclint" / "schemas" / "compose.schema.json"
    return jsonschema.Draft7Validator(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.stem)
def test_grafanas_own_types_know_all_that_a_dashboard_says(
    tools: Path, tmp_path: Path, file: Path
) -> None:
    assert complaints(tools, tmp_path, json.loads(file.read_text(encoding="utf-8"))) == ""


@pytest.mark.parametrize("place", ["board", "panel", "options", "custom"])
def test_the_types_would_tell_of_a_key_that_grafana_does_not_know(
    tools: Path, tmp_path: Path, place: str
) -> None:
    board = json.loads((HERE / "grafana" / "dashboards" / "llm-gateway.json").read_text())
    graph = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    spot = {
        "board": board,
        "panel": graph["gridPos"],
        "options": graph["options"]["legend"],
        "custom": graph["fieldConfig"]["defaults"]["custom"],
    }[place]
    spot["showLegendd"] = True
    assert "showLegendd" in complaints(tools, tmp_path, board)


def test_compose_yaml_is_what_the_specification_calls_one(tools: Path) -> None:
    compose = YAML(typ="safe").load(HERE / "compose.yaml")
    schema = compose_schema(tools)
    assert [error.message for error in schema.iter_errors(compose)] == []
    wrong = copy.deepcopy(compose)
    wrong["services"]["gateway"]["volums"] = []
    assert not schema.is_valid(wrong)


def test_docker_compose_takes_compose_yaml() -> None:
    """The tool itself, where it is there: it needs no daemon to read a file."""
    if not shutil.which("docker") or _docker("version").returncode:
        pytest.skip("no docker compose on this machine")
    ran = _docker("--file", str(HERE / "compose.yaml"), "config", "--quiet")
    assert (ran.returncode, ran.stderr) == (0, "")


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = dict.fromkeys(("GATEWAY_API_KEYS", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"), "x")
    return subprocess.run(
        ["docker", "compose", *arguments],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
