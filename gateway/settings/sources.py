"""The sources of settings in their order, joined into one tree: `load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from gateway.domain.document import ConfigError, Document, Problem, did_you_mean
from gateway.settings import policies, teams
from gateway.settings.environment import read_environment
from gateway.settings.explanation import dotted, faults, reason
from gateway.settings.identity import Jwt
from gateway.settings.limits import ModelLimits
from gateway.settings.paths import ConfigPaths, read_document, resolve
from gateway.settings.tree import SECTIONS, Place, Settings, Upstream

GATEWAY_FILE = "gateway.yaml"

# In gateway.yaml these may say os.environ/NAME, as litellm_config.yaml does.
_SECRETS = {("records", "redis_url"), ("state", "database_url")}
_ENVIRON = "os.environ/"

Values = dict[str, dict[str, Any]]

# Keys that people may look for in gateway.yaml, and where they live.
_ELSEWHERE = {
    "upstream": "set VLLM_BASE_URL and VLLM_API_KEY in the environment instead",
    "teams": f"teams and keys live in {teams.FILE}, beside this file",
    "policies": f"the chain of policies lives in {policies.FILE}, beside this file",
    "paths": "give paths on the command line: gateway serve --help",
    "model_list": "models and replicas live in litellm_config.yaml",
    "router_settings": "models and replicas live in litellm_config.yaml",
}


@dataclass(slots=True)
class Layer:
    """What one source sets, and where each value stands in it."""

    values: Values = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)


class _Given(PydanticBaseSettingsSource):
    """A source whose values are here already."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(Settings)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Part of pydantic's protocol: the value, its key, whether it is JSON still to parse."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values."""
        return dict(self._values)


def load(
    paths: ConfigPaths, environ: Mapping[str, str], overrides: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """Defaults < files < `environ` < `overrides` (section → name → value, from the command line).
    KeyError for an override that no setting is called like; ConfigError names everything that
    is wrong in any of them."""
    where, found = resolve(paths)
    file = _gateway_file(where.config_dir, environ, found)
    values, names, wrong = read_environment(environ)
    found += wrong
    variables = Layer(values, {path: Place(name) for path, name in names.items()})
    options = _options(overrides)
    who = _teams(where.config_dir, environ, found)
    chain = _policies(where.config_dir, found)
    fixed = {"teams": who, "policies": chain, "paths": where}
    layers = (file, variables, options)
    settings = _join(layers, fixed, found)
    if settings is not None:
        settings = _with_tokenizers(settings, found)
    if found or settings is None:
        raise ConfigError(found)
    return settings


def _document(path: Path, found: list[Problem]) -> Document | None:
    """The file's content; None when there is no such file, which means the defaults."""
    if not path.exists():
        return None
    try:
        return read_document(path)
    except ConfigError as error:
        found += error.problems
        return None


def _gateway_file(config_dir: Path, environ: Mapping[str, str], found: list[Problem]) -> Layer:
    document = _document(config_dir / GATEWAY_FILE, found)
    layer = Layer()
    if document is None or document.data is None:
        return layer
    if not isinstance(document.data, dict):
        found.append(document.problem((), "the file should be keys and values", "see its comments"))
        return layer
    for section, rows in document.data.items():
        if section not in SECTIONS:
            fix = _ELSEWHERE.get(section) or did_you_mean(section, SECTIONS)
            found.append(document.problem((section,), f"unknown key {section!r}", fix))
        elif isinstance(rows, dict):
            _section(document, section, rows, layer, found)
        elif rows is not None:
            fix = "put its settings below it, indented: " + ", ".join(
                SECTIONS[section].model_fields
            )
            found.append(document.problem((section,), f"{section}: should be keys and values", fix))
    _borrow(document, layer, environ, found)
    return layer


def _borrow(
    document: Document, layer: Layer, environ: Mapping[str, str], found: list[Problem]
) -> None:
    """Secrets that stand in the environment, put into their place."""
    for section, name in _SECRETS:
        rows = layer.values.get(section, {})
        value = rows.get(name)
        if not isinstance(value, str) or not value.startswith(_ENVIRON):
            continue
        variable = value.removeprefix(_ENVIRON)
        if environ.get(variable, "").strip():
            rows[name] = environ[variable]
        else:
            message = f"{section}.{name}: the environment variable {variable} is not set"
            fix = f"export {variable}=…, or take the line out"
            found.append(document.problem((section, name), message, fix))
            del rows[name]


def _section(
    document: Document, section: str, rows: Mapping[str, Any], layer: Layer, found: list[Problem]
) -> None:
    known = SECTIONS[section].model_fields
    for name, value in rows.items():
        path = (section, name)
        if name in known:
            layer.values.setdefault(section, {})[name] = value
            layer.places[path] = Place(document.file, document.line(path))
        else:
            message = f"unknown key {dotted(path)!r}"
            found.append(document.problem(path, message, did_you_mean(name, known)))


def _options(overrides: Mapping[str, Mapping[str, Any]]) -> Layer:
    layer = Layer()
    for section, rows in overrides.items():
        for name, value in rows.items():
            if name not in SECTIONS[section].model_fields:
                raise KeyError(f"{section}.{name}")
            layer.values.setdefault(section, {})[name] = value
            layer.places[section, name] = Place("--" + name.replace("_", "-"))
    return layer


def _teams(
    config_dir: Path, environ: Mapping[str, str], found: list[Problem]
) -> tuple[teams.Team, ...]:
    named: tuple[teams.Team, ...] = ()
    document = _document(config_dir / teams.FILE, found)
    if document is not None:
        named, wrong = teams.read_teams(document)
        found += wrong
    value = environ.get(teams.VARIABLE, "").strip()
    if not value:
        return named
    more, wrong = teams.teams_of_variable(value)
    found += wrong
    return teams.merge(named, more)


def _policies(config_dir: Path, found: list[Problem]) -> tuple[policies.PolicyEntry, ...]:
    document = _document(config_dir / policies.FILE, found)
    if document is None:
        return ()
    chain, wrong = policies.read_policies(document)
    found += wrong
    return chain


def _join(
    layers: tuple[Layer, Layer, Layer], fixed: Mapping[str, Any], found: list[Problem]
) -> Settings | None:
    """The tree, or None with what does not fit added to `found`."""
    origins: dict[tuple[str, str], Place] = {}
    for layer in layers:
        origins.update(layer.places)
    # pydantic-settings joins its sources field by field; the first has the last word.
    sources = [_Given(layer.values) for layer in reversed(layers)]
    try:
        settings = _build(Settings, [*sources, _Given(fixed)])
    except ValidationError as error:
        found += [_misfit(item, origins) for item in faults(error)]
        return None
    settings._origins = origins
    return settings


def _build(tree: Any, sources: list[PydanticBaseSettingsSource]) -> Settings:
    """`tree` is Any because pydantic-settings declares `_build_sources` to its mypy plugin only."""
    built: Settings = tree(_build_sources=(tuple(sources), {}))
    return built


def _misfit(item: Any, origins: Mapping[tuple[str, str], Place]) -> Problem:
    section, name = str(item["loc"][0]), str(item["loc"][1])
    place = origins.get((section, name), Place(f"{section}.{name}"))
    if item["type"] == "extra_forbidden":  # a section's own keys have been looked at
        fields = Jwt.model_fields if section == "identity" else ModelLimits.model_fields
        meant = did_you_mean(str(item["loc"][-1]), fields)
        return Problem(place.file, place.line, f"unknown key {dotted(item['loc'])!r}", meant)
    about = (SECTIONS | {"upstream": Upstream})[section].model_fields[name]
    usual = about.get_default(call_default_factory=True)
    fix = f"{name} is: {about.description}" + ("" if usual is None else f"; default {usual}")
    return Problem(place.file, place.line, f"{dotted(item['loc'])}: {reason(item)}", fix)


def _with_tokenizers(settings: Settings, found: list[Problem]) -> Settings:
    """Tokenizer files as paths from the folder of gateway.yaml; a missing one is a problem."""
    if not settings.assist.tokenizers:
        return settings
    place = settings.origin("assist", "tokenizers")
    full = {
        model: settings.paths.config_dir / path
        for model, path in settings.assist.tokenizers.items()
    }
    for model, path in full.items():
        if not path.is_file():
            message = f"assist.tokenizers: no file {path} for model {model!r}"
            fix = "give the path of a tokenizer.json, absolute or from the folder of gateway.yaml"
            found.append(Problem(place.file, place.line, message, fix))
    assist = settings.assist.model_copy(update={"tokenizers": full})
    return settings.model_copy(update={"assist": assist})
