"""compose.yaml and what it mounts: every file is there, every address is that of a service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.monitoring.__main__ import HERE
from deploy.monitoring.boards import boards

NEEDED = {
    *("gateway", "vllm-0", "vllm-1", "redis", "postgres", "otel-collector", "jaeger"),
    *("prometheus", "alertmanager", "grafana"),
}


def loaded(*path: str) -> Any:
    return YAML(typ="safe").load(HERE.joinpath(*path))


COMPOSE = loaded("compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def mounts() -> list[tuple[str, str, str]]:
    """(service, source, target)."""
    return [
        (name, *one.split(":")[:2])
        for name, service in SERVICES.items()
        for one in service.get("volumes", [])
    ]


def test_all_services_are_there() -> None:
    assert set(SERVICES) == NEEDED


def test_every_mounted_file_exists_and_every_volume_is_declared() -> None:
    for name, source, target in mounts():
        assert target.startswith("/"), name
        if source.startswith("."):
            assert (HERE / source).exists(), f"{name}: {source}"
        else:
            assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_every_address_is_that_of_a_service() -> None:
    files = [
        *("compose.yaml", "compose/litellm_config.yaml", "compose/otel-collector.yml"),
        "grafana/provisioning/datasources/datasources.yml",
    ]
    for file in files:
        text = (HERE / file).read_text(encoding="utf-8")
        hosts = set(re.findall(r"(?:https?|redis)://([\w.-]+):\d+", text)) - {"127.0.0.1"}
        assert hosts <= set(SERVICES), file
    scraped = loaded("prometheus", "prometheus.yml")
    for job in scraped["scrape_configs"]:
        for group in job["static_configs"]:
            assert {one.partition(":")[0] for one in group["targets"]} <= set(SERVICES)


def test_replicas_have_one_name_in_the_gateway_and_in_prometheus() -> None:
    config = loaded("compose", "litellm_config.yaml")
    ids = {one["model_info"]["id"] for one in config["model_list"]}
    [jobs] = [
        one
        for one in loaded("prometheus", "prometheus.yml")["scrape_configs"]
        if one["job_name"] == "vllm"
    ]
    assert {group["labels"]["replica"] for group in jobs["static_configs"]} == ids


def test_dependencies_that_must_be_healthy_can_tell() -> None:
    for service in SERVICES.values():
        wanted = service.get("depends_on", {})
        for name in wanted:
            assert name in SERVICES
            if isinstance(wanted, dict) and wanted[name]["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name]


def test_no_image_is_whatever_is_newest_and_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        if "image" in service:
            tag = service["image"].rpartition(":")[2]
            assert re.match(r"v?\d", tag), name
    text = (HERE / "compose.yaml").read_text(encoding="utf-8")
    for secret in ("GATEWAY_API_KEYS", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"):
        assert f"${{{secret}:?" in text


def test_the_collector_uses_what_it_declares() -> None:
    collector = loaded("compose", "otel-collector.yml")
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(collector[part])


def test_grafana_finds_its_dashboards_and_datasources() -> None:
    [provider] = loaded("grafana", "provisioning", "dashboards", "dashboards.yml")["providers"]
    [folder] = [source for _, source, target in mounts() if target == provider["options"]["path"]]
    there = {file.stem for file in (HERE / folder).glob("*.json")}
    assert there == {board.uid for board in boards()}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (HERE / folder / Path(home).name).exists()
    sources = loaded("grafana", "provisioning", "datasources", "datasources.yml")["datasources"]
    uids = {one["uid"] for one in sources}
    for one in sources:
        for link in one.get("jsonData", {}).get("exemplarTraceIdDestinations", []):
            assert link["datasourceUid"] in uids


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_the_image_is_built_from_files_that_exist(file: str) -> None:
    assert (HERE.parent / file).exists()
    ignored = (HERE.parent / ".dockerignore").read_text(encoding="utf-8").split()
    assert file not in ignored
