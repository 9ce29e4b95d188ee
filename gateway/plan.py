"""All of the configuration, read and checked before anything of it is used: Plan, Fleet, check."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from gateway.adapters import litellm_config, prompts, watch
from gateway.adapters.embedded import MODEL
from gateway.adapters.litellm_config import LiteLLMConfig, Source
from gateway.adapters.model_prices import about_prices, prices_of
from gateway.adapters.prompts import PromptFiles
from gateway.adapters.tokens import read_tokenizers
from gateway.chain import about_chain, own_tools, read_chain
from gateway.domain.document import CheckReport, Problem, did_you_mean
from gateway.domain.policy import Link, Tools
from gateway.domain.prices import Prices
from gateway.settings import Settings, database_url, packages
from gateway.settings.identity import Identity
from gateway.settings.paths import CONFIG_FILES
from gateway.settings.redis_url import shown
from gateway.settings.state import State
from gateway.settings.tree import Records


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the models come from: `config` (litellm_config.yaml), or one server at `base_url`
    whose model names it tells itself."""

    source: Source
    config: LiteLLMConfig | None = None
    base_url: str = ""
    api_key: SecretStr | None = None

    @property
    def key(self) -> str | None:
        """The server's key in clear, for the wire alone."""
        return self.api_key.get_secret_value() if self.api_key else None


@dataclass(frozen=True, slots=True)
class Plan:
    """One reading of the configuration, whole and in order. `rules` is the digest of the policies'
    files: while these and `prices` stay, a reload keeps the policies that run, and what they
    remember."""

    settings: Settings
    fleet: Fleet
    chain: list[Link]
    prompts: PromptFiles
    rules: str = ""
    prices: Prices = field(default_factory=Prices)


def check(settings: Settings) -> CheckReport:
    """Everything that `serve` would read, checked without serving and without LiteLLM."""
    return read(settings)[1]


def _about_keys(settings: Settings) -> str:
    if count := sum(len(team.keys) for team in settings.teams):
        return f"keys: {count}"
    if settings.identity.required or settings.identity.jwt is not None:
        return "keys: none here; calls need one all the same (identity)"
    return "keys: none here; with none in the database either, every caller on loopback is let in"


def check_chain(settings: Settings) -> tuple[list[str], list[Problem]]:
    """Of all that only the chain of policies; ConfigError where models cannot be read."""
    fleet, report = fleet_of(settings), CheckReport()
    tools = replace(own_tools(), prices=prices_of(settings, fleet.config))
    names = _names(fleet)
    report.take(lambda: read_chain(settings, tools), lambda links: about_chain(links, names))
    return report.lines, report.problems


def read(
    settings: Settings,
    before: Plan | None = None,
    embedded_url: str = "",
    tools: Tools | None = None,
) -> tuple[Plan | None, CheckReport]:
    """Reads models, policies, prompts and tokenizers; no plan where anything has a problem. What
    has not changed since `before`, and remembers something, is taken from there. `tools` are for
    the policies."""
    report = CheckReport()
    if exposed := settings.exposure_problem():
        report.problems.append(exposed)
    rules = watch.digest({settings.paths.policies_dir: "*.py"})
    fleet = report.take(lambda: fleet_of(settings, embedded_url), _about_fleet)
    if fleet is not None and fleet.config is not None:
        report.problems += _strangers(settings, fleet.config)
    config = fleet.config if fleet is not None else None
    costs = report.take(lambda: prices_of(settings, config), about_prices)
    tools, names = replace(tools or own_tools(), prices=costs or Prices()), _names(fleet)
    chain = report.take(
        lambda: _chain(settings, tools, rules, before), lambda links: about_chain(links, names)
    )
    files = report.take(lambda: prompts.load(settings.paths.prompts_dir), _about_prompts)
    report.take(lambda: read_tokenizers(settings.assist.tokenizers), _about_tokenizers)
    report.take(lambda: packages.check_records(settings), _about_records)
    report.take(lambda: packages.check_state(settings), _about_state)
    report.take(lambda: packages.check_identity(settings), _about_identity)
    report.lines += [_about_keys(settings), *settings.open_pages()]
    if report.problems or fleet is None or chain is None or files is None or costs is None:
        return None, report
    return Plan(settings, fleet, chain, files, rules, costs), report


def plan_of(settings: Settings, fleet: Fleet, tools: Tools | None = None) -> Plan:
    """The plan of a gateway on these models. ConfigError when the rest cannot be used."""
    packages.check_records(settings)
    packages.check_state(settings)
    packages.check_identity(settings)
    rules = watch.digest({settings.paths.policies_dir: "*.py"})
    files = prompts.load(settings.paths.prompts_dir)
    costs = prices_of(settings, fleet.config)
    tools = replace(tools or own_tools(), prices=costs)
    return Plan(settings, fleet, read_chain(settings, tools), files, rules, costs)


def places(settings: Settings) -> watch.Places:
    """Every file whose change makes a new plan."""
    paths = settings.paths
    found = {paths.config_dir / name: "" for name in CONFIG_FILES} | {paths.litellm_config: ""}
    found |= {
        paths.prompts_dir: "*.j2",
        paths.prompts_dir / "labels.yaml": "",
        paths.policies_dir: "*.py",
    }
    return found | dict.fromkeys(settings.assist.tokenizers.values(), "")


def fleet_of(settings: Settings, embedded_url: str = "") -> Fleet:
    """Which models this gateway serves. ConfigError for a broken litellm_config.yaml. For the
    embedded model, `embedded_url` is where it listens."""
    paths, upstream = settings.paths, settings.upstream
    given = paths.litellm_config_given
    config = litellm_config.read(paths.litellm_config, os.environ, required=given)
    source = litellm_config.source(
        given=given, configured=config.configured, upstream=upstream.configured
    )
    if source == "file":
        return Fleet(source, config)
    if source == "upstream":
        return Fleet(source, None, upstream.url, upstream.api_key)
    return Fleet(source, None, embedded_url)


def retry_limit(fleet: Fleet, ours: int) -> int:
    """The smaller of our own limit and LiteLLM's num_retries, where that is set."""
    settings = fleet.config.as_router_kwargs() if fleet.config else {}
    theirs = settings.get("num_retries")
    return min(ours, theirs) if isinstance(theirs, int) else ours


def _chain(settings: Settings, tools: Tools, rules: str, before: Plan | None) -> list[Link]:
    """Policies that are as they were stay, with what they remember."""
    if before is not None and (rules, tools.prices) == (before.rules, before.prices):
        was, folder = before.settings, settings.paths.policies_dir
        if (was.policies, was.paths.policies_dir) == (settings.policies, folder):
            return before.chain
    return read_chain(settings, tools)


def _names(fleet: Fleet | None) -> set[str]:
    """The models that are named in a file."""
    if fleet is None or fleet.config is None:
        return set()
    return {deployment.model_name for deployment in fleet.config.model_list}


def _strangers(settings: Settings, config: LiteLLMConfig) -> list[Problem]:
    """Models that have limits of their own and do not exist: a slip that would lift no limit."""
    names = {deployment.model_name for deployment in config.model_list}
    names |= set(config.as_router_kwargs().get("model_group_alias") or ())
    place = settings.origin("limits", "models")
    return [
        Problem(
            place.file,
            place.line,
            f"limits.models: there is no model {name!r} in litellm_config.yaml",
            did_you_mean(name, names),
        )
        for name in settings.limits.models
        if name not in names
    ]


def _about_fleet(fleet: Fleet) -> list[str]:
    if fleet.source == "embedded":
        return [f"models: none configured, so the embedded {MODEL}"]
    if fleet.config is None:
        return [f"models: those that {fleet.base_url} tells"]
    names = dict.fromkeys(deployment.model_name for deployment in fleet.config.model_list)
    count = len(fleet.config.model_list)
    lines = [f"models: {len(names)} ({', '.join(names)}) on {count} replica(s)"]
    gone = {
        f"{one.model_name} to {one.provider}" for one in fleet.config.model_list if one.translated
    }
    if gone:
        lines.append(f"requests leave this house for: {', '.join(sorted(gone))}")
    if fleet.config.ignored:
        lines.append(f"without effect here: {', '.join(fleet.config.ignored)}")
    return lines


def _about_records(records: Records) -> list[str]:
    if records.redis_url is None or not records.keep:
        return []
    return [f"records: the newest {records.keep} in {shown(records.redis_url)}"]


def _about_state(state: State) -> list[str]:
    lines = [f"state: {database_url.shown(state.url)}"] if state.url is not None else []
    return lines + ([f"counters: {shown(state.redis_url)}"] if state.redis_url is not None else [])


def _about_identity(identity: Identity) -> list[str]:
    return [f"tokens: those of {identity.jwt.issuer}"] if identity.jwt is not None else []


def _about_tokenizers(files: object) -> list[str]:
    return [f"tokenizers: {', '.join(files)}"] if isinstance(files, dict) and files else []


def _about_prompts(files: PromptFiles) -> list[str]:
    return [f"prompts: {len(files.names())} ({', '.join(files.names())})"]
