"""What LiteLLM's own configuration file may hold, written down without importing LiteLLM.

Importing it takes seconds, and `gateway check` should take none. A test compares the names here
with the installed LiteLLM, so that a new version cannot make them stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.settings.addresses import Url

# Providers whose servers speak OpenAI's API: our wire carries them.
OPENAI_WIRE = frozenset(
    {
        *("hosted_vllm", "vllm", "openai", "openai_like", "lm_studio", "llamafile"),
        "text-completion-openai",
    }
)

# Arguments of LiteLLM's Router that are objects or have a section of their own: never settings.
NOT_SETTINGS = frozenset(
    {
        *("model_list", "search_tools", "assistants_config", "router_general_settings"),
        *("ignore_invalid_deployments", "fallback_access_check", "fallback_budget_check"),
        "auto_router_capability_limit",
    }
)

# Settings of the Router for what it does while it carries requests (our wire does that, and the
# retries), or for what it reads in a request: messages, tags, sessions (we show it none).
WITHOUT_EFFECT = frozenset(
    {
        "alerting_config",
        "background_health_check_model_groups",
        "cache_kwargs",
        "cache_responses",
        "caching_groups",
        "client_ttl",
        "debug_level",
        "default_litellm_params",
        "default_priority",
        "deployment_affinity_ttl_seconds",
        "enable_health_check_routing",
        "enable_pre_call_checks",
        "enable_weighted_failover",
        "guardrail_list",
        "health_check_ignore_transient_errors",
        "health_check_staleness_threshold",
        "model_group_affinity_config",
        "model_group_retry_policy",
        "plugins",
        "polling_interval",
        "provider_budget_config",
        "retry_after",
        "retry_policy",
        "set_verbose",
    }
)

# Sections of LiteLLM's proxy that say nothing about replicas.
PROXY_SECTIONS = frozenset(
    {
        "agent_list",
        "agents",
        "assistant_settings",
        "callback_settings",
        "credential_list",
        "default_vertex_config",
        "files_settings",
        "finetune_settings",
        "general_settings",
        "guardrails",
        "mcp_servers",
        "mcp_tools",
        "policies",
        "policy_attachments",
        "prompts",
        "sandbox_tools",
        "search_tools",
        "vector_store_registry",
        "worker_registry",
    }
)

SECTIONS = PROXY_SECTIONS | {
    "environment_variables",
    "include",
    "litellm_settings",
    "model_list",
    "router_settings",
}

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Duration = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fallbacks = list[
    Annotated[dict[str, list[str | dict[str, Any]]], Field(min_length=1, max_length=1)]
]

# LiteLLM also knows provider-budget-routing, which needs what its own calls cost, and lar1, which
# reads marks that clients put on requests: not here.
Strategy = Literal[
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
]
# Ours: adapters/choice.py makes it.
OwnStrategy = Literal["prefix_affinity"]
# Of optional_pre_call_checks: the others look into the request, which LiteLLM is not shown.
CHECKS = ("enforce_model_rate_limits",)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, protected_namespaces=())


class Alias(_Strict):
    """The long form of a model_group_alias."""

    model: str
    hidden: bool = False


class RouterSettings(_Strict):
    """`router_settings`: the keyword arguments of LiteLLM's Router that a file can give."""

    alerting_config: dict[str, Any] | None = None
    allowed_fails: Count | None = None
    allowed_fails_policy: dict[str, Count | None] | None = None
    background_health_check_model_groups: list[str] | None = None
    cache_kwargs: dict[str, Any] | None = None
    cache_responses: bool | None = None
    caching_groups: list[Any] | None = None
    client_ttl: Count | None = None
    content_policy_fallbacks: Fallbacks | None = None
    context_window_fallbacks: Fallbacks | None = None
    cooldown_time: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    debug_level: Literal["DEBUG", "INFO"] | None = None
    default_fallbacks: list[str] | None = None
    default_litellm_params: dict[str, Any] | None = None
    default_max_parallel_requests: Positive | None = None
    default_priority: int | None = None
    deployment_affinity_ttl_seconds: Positive | None = None
    disable_cooldowns: bool | None = None
    enable_health_check_routing: bool | None = None
    enable_pre_call_checks: bool | None = None
    enable_tag_filtering: bool | None = None
    enable_weighted_failover: bool | None = None
    fallbacks: Fallbacks | None = None
    guardrail_list: list[Any] | None = None
    health_check_ignore_transient_errors: bool | None = None
    health_check_staleness_threshold: Count | None = None
    max_fallbacks: Count | None = None
    model_group_affinity_config: dict[str, list[str]] | None = None
    model_group_alias: dict[str, str | Alias] | None = None
    model_group_retry_policy: dict[str, dict[str, Count | None]] | None = None
    num_retries: Count | None = None
    optional_pre_call_checks: list[str] | None = None
    plugins: list[Any] | None = None
    polling_interval: Duration | None = None
    provider_budget_config: dict[str, Any] | None = None
    redis_db: Count | None = None
    redis_host: str | None = None
    redis_password: str | None = None
    redis_port: Positive | None = None
    redis_url: str | None = None
    retry_after: Count | None = None
    retry_policy: dict[str, Count | None] | None = None
    routing_groups: list[dict[str, Any]] | None = None
    routing_strategy: Literal[Strategy, OwnStrategy] | None = None
    routing_strategy_args: dict[str, Any] | None = None
    set_verbose: bool | None = None
    stream_timeout: Duration | None = None
    tag_filtering_match_any: bool | None = None
    tag_routing_prefix: str | None = None
    timeout: Duration | None = None


class LiteLLMSettings(_Strict):
    """What the Router takes from `litellm_settings`; the section holds much else."""

    allowed_fails: Count | None = None
    content_policy_fallbacks: Fallbacks | None = None
    context_window_fallbacks: Fallbacks | None = None
    default_fallbacks: list[str] | None = None
    fallbacks: Fallbacks | None = None
    max_fallbacks: Count | None = None
    num_retries: Count | None = None
    request_timeout: Duration | None = None


class LiteLLMParams(BaseModel):
    """`litellm_params`: what we read of it. Anything else goes into the body of each request."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, protected_namespaces=())

    model: Annotated[str, Field(min_length=1)]
    api_base: Url | None = None
    api_key: str | None = None
    custom_llm_provider: str | None = None
    extra_headers: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    max_parallel_requests: Positive | None = None
    order: int | None = None
    rpm: Positive | None = None
    stream_timeout: Duration | None = None
    tags: list[str] | None = None
    timeout: Duration | None = None
    tpm: Positive | None = None
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class ModelInfo(BaseModel):
    """`model_info`: what we read of it."""

    model_config = ConfigDict(
        extra="allow",
        hide_input_in_errors=True,
        protected_namespaces=(),
        coerce_numbers_to_str=True,
    )

    id: Annotated[str, Field(min_length=1)] | None = None


class ModelItem(_Strict):
    """One item of `model_list`."""

    model_name: Annotated[str, Field(min_length=1)]
    litellm_params: LiteLLMParams
    model_info: ModelInfo | None = None


# What to type where a value does not fit, by the name of the key.
FIXES = {
    "model_name": "model_name: the name that clients ask for",
    "litellm_params": "litellm_params: {model: hosted_vllm/NAME, api_base: http://HOST:8000/v1}",
    "model": "model: hosted_vllm/NAME, with the name that the vLLM server serves",
    "api_base": "api_base: http://HOST:8000/v1, or os.environ/NAME to read it from the environment",
    "api_key": "api_key: os.environ/NAME reads it from the environment; put a number in quotes",
    "custom_llm_provider": "custom_llm_provider: hosted_vllm",
    "extra_headers": "extra_headers: {name: text}",
    "headers": "headers: {name: text}",
    "max_parallel_requests": "max_parallel_requests: 64, how many calls the replica takes at once",
    "weight": "weight: a number, the replica's share next to the others",
    "order": "order: 1 is tried before 2",
    "rpm": "rpm: requests a minute, a whole number",
    "tpm": "tpm: tokens a minute, a whole number",
    "tags": "tags: [a, b]",
    "timeout": "timeout: seconds, a number above 0",
    "request_timeout": "request_timeout: seconds, a number above 0",
    "stream_timeout": "stream_timeout: seconds, a number above 0",
    "id": "id: a name of its own for each replica",
    "model_info": "model_info: {id: NAME}",
    "fallbacks": "fallbacks: [{MODEL: [NEXT, …]}]",
    "context_window_fallbacks": "context_window_fallbacks: [{MODEL: [LARGER, …]}]",
    "content_policy_fallbacks": "content_policy_fallbacks: [{MODEL: [NEXT, …]}]",
    "default_fallbacks": "default_fallbacks: [MODEL, …]",
    "model_group_alias": "model_group_alias: {ALIAS: MODEL}",
    "num_retries": "num_retries: 3, a whole number from 0",
    "allowed_fails": "allowed_fails: failures in a minute before a replica rests, from 0",
    "routing_strategy": "routing_strategy: simple-shuffle",
    "cooldown_time": "cooldown_time: seconds that a failing replica rests",
    "model_list": "model_list: a list of items, each with model_name and litellm_params",
    "router_settings": "router_settings: LiteLLM's, `name: value` each",
    "litellm_settings": "litellm_settings: LiteLLM's, `name: value` each",
    "environment_variables": "environment_variables: `NAME: value` each",
}


def provider_of(model: str, custom: str | None) -> tuple[str, str]:
    """The provider ("" when none is named) and the replica's own name of the model."""
    head, slash, tail = model.partition("/")
    if custom:
        return custom, tail if head == custom and slash else model
    return (head, tail) if slash else ("", model)


def known_keys(path: Sequence[str | int]) -> Iterable[str]:
    """The keys that could stand where the last step of `path` does."""
    if path[0] == "model_list":
        return ModelItem.model_fields
    return Alias.model_fields if "model_group_alias" in path[:-1] else RouterSettings.model_fields


def fix_for(path: Sequence[str | int]) -> str:
    """What to type where a value does not fit: of the innermost key that has an example."""
    for step in reversed(path):
        if step in ("router_settings", "litellm_settings") and step != path[-1]:
            return f"see LiteLLM's documentation of {path[1]}"
        if step in FIXES:
            return FIXES[str(step)]
    return FIXES["model_list"]
