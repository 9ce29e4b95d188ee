"""Reads the sections of a litellm_config.yaml and gathers everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.adapters import litellm_schema as schema
from gateway.adapters.provider_names import PROVIDERS
from gateway.domain.document import ConfigError, Document, Problem, did_you_mean
from gateway.settings.explanation import explain

Steps = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_ENVIRON = "os.environ/"
_ROUTER = "router_settings"
_LITELLM = "litellm_settings"
_CHECKS = "optional_pre_call_checks"
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True)
class Item:
    """One valid item of model_list: what it says, and where."""

    at: int
    model_name: str
    params: dict[str, Any]
    info: dict[str, Any]
    line: int


class Reader:
    """Reads one document. `ignored` names, dotted, what has no effect in this gateway."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.ignored: list[str] = []
        self._document = document
        self._environ = dict(environ)
        self._found: list[Problem] = []
        self._unset_lines: set[int] = set()

    def read(self, required: bool) -> tuple[list[Item], dict[str, Any], dict[str, Any]]:
        """The items of model_list; router_settings and litellm_settings as far as they have an
        effect. ConfigError names all that is wrong, by line."""
        top = self._top()
        self._add_variables(top.get("environment_variables"))
        rows = top.get("model_list")
        items = self._items(rows)
        router = self._router(top.get(_ROUTER))
        borrowed = self._borrowed(top.get(_LITELLM))
        if rows:
            self._check_ids(items)
            self._check_names(rows, router, borrowed)
        elif required:
            self._add(("model_list",), "the file names no models", schema.FIXES["model_list"])
        if self._found:
            raise ConfigError(sorted(self._found, key=lambda problem: problem.line))
        return items, router, borrowed

    # Sections

    def _top(self) -> dict[str, Any]:
        top = self._document.data
        if not isinstance(top, dict):
            if top is not None:
                self._add((), "the file should be keys and values", schema.FIXES["model_list"])
            return {}
        for section, rows in top.items():
            if section not in schema.SECTIONS:
                fix = did_you_mean(section, schema.SECTIONS)
                self._add((section,), f"unknown key {section!r}", fix)
            elif section == "include" and rows:
                fix = "paste what the included files say into this one"
                self._add((section,), "include is carried in a later version", fix)
            elif section in schema.PROXY_SECTIONS and rows:
                names = [f"{section}.{key}" for key in rows] if isinstance(rows, dict) else []
                self.ignored += names or [section]
        return top

    def _mapping(self, section: str, rows: Any) -> dict[str, Any]:
        if isinstance(rows, dict):
            return rows
        if rows is not None:
            self._add((section,), f"{section}: should be keys and values", schema.FIXES[section])
        return {}

    def _add_variables(self, rows: Any) -> None:
        """As in LiteLLM's proxy, variables that the file sets win over the environment's. They
        serve os.environ/NAME in this file; the process's environment stays as it is."""
        for name, value in self._mapping("environment_variables", rows).items():
            if not str(value).startswith(_ENVIRON):
                self._environ[name] = str(value)

    def _items(self, rows: Any) -> list[Item]:
        if rows is None:
            return []
        if not isinstance(rows, list):
            self._add(("model_list",), "model_list: should be a list", schema.FIXES["model_list"])
            return []
        items = [self._item(at, row) for at, row in enumerate(rows)]
        return [item for item in items if item is not None]

    def _item(self, at: int, row: Any) -> Item | None:
        path: Steps = ("model_list", at)
        if isinstance(row, dict) and isinstance(row.get("litellm_params"), dict):
            params = self._resolved(row["litellm_params"], (*path, "litellm_params"))
            if "base_url" in params:  # LiteLLM's other word for api_base
                params.setdefault("api_base", params.pop("base_url"))
            self._check_replica(params, (*path, "litellm_params"))
            row = {**row, "litellm_params": params}
        item = self._valid(schema.ModelItem, row, path)
        if item is None:
            return None
        if "*" in item.model_name:
            fix = "write one item for each model"
            self._add((*path, "model_name"), "a wildcard is carried in a later version", fix)
        info = _written(item.model_info)
        params = _written(item.litellm_params)
        return Item(at, item.model_name, params, info, self._document.line(path))

    def _router(self, rows: Any) -> dict[str, Any]:
        settings = self._resolved(self._mapping(_ROUTER, rows), (_ROUTER,))
        values = self._optional(schema.RouterSettings, settings, _ROUTER)
        idle = [key for key in values if key in schema.WITHOUT_EFFECT]
        # What is switched off is as the file wants it.
        self.ignored += [f"{_ROUTER}.{key}" for key in idle if values[key] is not False]
        if checks := values.get(_CHECKS):
            values[_CHECKS] = [check for check in checks if check in schema.CHECKS]
            idle_checks = [check for check in checks if check not in schema.CHECKS]
            self.ignored += [f"{_ROUTER}.{_CHECKS}: {check}" for check in idle_checks]
        return {key: value for key, value in values.items() if key not in idle}

    def _borrowed(self, rows: Any) -> dict[str, Any]:
        settings = self._mapping(_LITELLM, rows)
        known = schema.LiteLLMSettings.model_fields
        used = {key: settings[key] for key in settings if key in known}
        self.ignored += [f"{_LITELLM}.{key}" for key in settings if key not in used]
        used = self._resolved(used, (_LITELLM,))
        return self._optional(schema.LiteLLMSettings, used, _LITELLM)

    # Values

    def _resolved(self, value: Any, path: Steps) -> Any:
        """`value` with every os.environ/NAME replaced; one that is not set stays, and is told."""
        if isinstance(value, dict):
            return {key: self._resolved(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item, (*path, at)) for at, item in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(_ENVIRON):
            return value
        name = value.removeprefix(_ENVIRON)
        if name in self._environ:
            return self._environ[name]
        message = f"{path[-1]}: the environment variable {name} is not set"
        self._found.append(
            self._document.problem(path, message, f"export {name}=…, or write the value here")
        )
        self._unset_lines.add(self._document.line(path))
        return value

    def _optional(
        self, model: type[BaseModel], values: Mapping[str, Any], section: str
    ) -> dict[str, Any]:
        """A section of settings; one that does not fit is told, and the others are kept."""
        try:
            return _written(model.model_validate(values))
        except ValidationError as error:
            self._valid(model, values, (section,))
            broken = {item["loc"][0] for item in error.errors(include_url=False)}
            rest = {key: value for key, value in values.items() if key not in broken}
            return _written(model.model_validate(rest))

    def _valid(self, model: type[Model], value: Any, path: Steps) -> Model | None:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            found = explain(
                self._document, error, known=schema.known_keys, fix=schema.fix_for, prefix=path
            )
            self._found += [one for one in found if one.line not in self._unset_lines]
            return None

    def _add(self, path: Steps, message: str, fix: str) -> None:
        """A problem, unless its line is known to lack a variable: one cause, one message."""
        problem = self._document.problem(path, message, fix)
        if problem.line == 0 or problem.line not in self._unset_lines:
            self._found.append(problem)

    # Sense

    def _check_replica(self, params: Mapping[str, Any], path: Steps) -> None:
        """A replica that can be reached: by our wire, which needs an address, or by LiteLLM."""
        if params.get("litellm_credential_name"):
            fix = "write api_base and api_key here"
            where = (*path, "litellm_credential_name")
            self._add(where, "credential_list is carried in a later version", fix)
        model, custom = params.get("model"), params.get("custom_llm_provider")
        if not isinstance(model, str) or not model or model.startswith(_ENVIRON):
            return
        provider, name = schema.provider_of(model, custom if isinstance(custom, str) else None)
        if provider not in schema.OPENAI_WIRE | PROVIDERS or not name:
            where = (*path, "custom_llm_provider" if custom else "model")
            self._add(where, _provider_message(provider, model), _provider_fix(provider, model))
        elif provider in schema.OPENAI_WIRE and not params.get("api_base"):
            fix = schema.FIXES["api_base"]
            self._add((*path, "api_base"), f"no api_base for {model!r}", f"add {fix}")

    def _check_ids(self, items: Sequence[Item]) -> None:
        seen: dict[str, int] = {}
        for item in items:
            key = item.info.get("id")
            path = ("model_list", item.at, "model_info", "id")
            if key in seen:
                message = f"model_info.id {key!r} is taken by the item at line {seen[key]}"
                self._add(path, message, schema.FIXES["id"])
            elif key:
                seen[key] = item.line

    def _check_names(
        self, rows: Any, router: Mapping[str, Any], borrowed: Mapping[str, Any]
    ) -> None:
        """Fallbacks and aliases name models that the file has. Broken items count as well: what
        is wrong with them has been said."""
        models = _names(rows)
        for alias, target in (router.get("model_group_alias") or {}).items():
            name = target["model"] if isinstance(target, dict) else target
            if name not in models:
                path = (_ROUTER, "model_group_alias", alias)
                message = f"the alias {alias!r} stands for {name!r}, which model_list does not have"
                self._add(path, message, did_you_mean(name, models))
        known = models | set(router.get("model_group_alias") or {})
        for section, settings in ((_ROUTER, router), (_LITELLM, borrowed)):
            for key in _FALLBACKS:
                for at, row in enumerate(settings.get(key) or ()):
                    self._check_fallback((section, key, at), row, known)
            for at, name in enumerate(settings.get("default_fallbacks") or ()):
                self._check_name((section, "default_fallbacks", at), name, known)

    def _check_fallback(self, path: Steps, row: Mapping[str, Any], known: set[str]) -> None:
        for name, targets in row.items():
            if name != "*":
                self._check_name((*path, name), name, known)
            for at, target in enumerate(targets):
                goal = target.get("model") if isinstance(target, dict) else target
                self._check_name((*path, name, at), str(goal), known)

    def _check_name(self, path: Steps, name: str, known: set[str]) -> None:
        if name not in known:
            message = f"{path[1]}: there is no model {name!r} in model_list"
            self._add(path, message, did_you_mean(name, known))


def _written(model: BaseModel | None) -> dict[str, Any]:
    """What the file said, in the types of the model; nulls left out, as LiteLLM reads them."""
    return model.model_dump(exclude_unset=True, exclude_none=True) if model else {}


def _names(rows: Any) -> set[str]:
    """What a fallback may name: models, and replicas by their id."""
    names = set()
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            info = row.get("model_info")
            names |= {row.get("model_name"), info.get("id") if isinstance(info, dict) else None}
    return {str(name) for name in names if name is not None}


def _provider_message(provider: str, model: str) -> str:
    if not provider:
        return f"the model {model!r} names no provider"
    if provider in schema.OPENAI_WIRE | PROVIDERS:
        return f"the model {model!r} names a provider alone"
    return f"the provider {provider!r} is none that LiteLLM knows"


def _provider_fix(provider: str, model: str) -> str:
    if provider in schema.OPENAI_WIRE:
        return schema.FIXES["model"]
    if provider in PROVIDERS:
        return f"model: {provider}/NAME, with the provider's own name of the model"
    meant = did_you_mean(provider, schema.OPENAI_WIRE | PROVIDERS)
    if meant.startswith("did"):
        return meant
    return f"for a vLLM server that serves {model!r}: model: hosted_vllm/{model}"
