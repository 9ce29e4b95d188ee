"""Every field that a client may send to a replica: free, measured, guarded, or never its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain import measures, structured
from gateway.domain.bounds import Bounds
from gateway.domain.document import did_you_mean
from gateway.domain.errors import InvalidRequest
from gateway.domain.measures import Check

_OF_OPENAI = """
audio frequency_penalty function_call messages metadata modalities model moderation
parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options
prompt_cache_retention reasoning_effort safety_identifier seed service_tier store stream
stream_options temperature tool_choice top_p user verbosity web_search_options echo suffix
dimensions encoding_format
"""
# And of llama.cpp and others that take the same requests.
_OF_SERVERS = """
add_generation_prompt continue_final_message top_k min_p typical_p top_a tfs repeat_penalty
repetition_penalty length_penalty ignore_eos skip_special_tokens spaces_between_special_tokens
include_stop_str_in_output return_tokens_as_token_ids return_token_ids include_reasoning reasoning
thinking reasoning_format thinking_token_budget early_stopping mirostat mirostat_tau mirostat_eta
dynatemp_range dynatemp_exponent xtc_probability xtc_threshold dry_multiplier dry_base
dry_allowed_length repeat_last_n cache_prompt timings_per_token normalize embed_dtype endianness
task input_type
"""

_OF_LITELLM = """
api_base base_url api_key api_version api_type organization custom_llm_provider deployment_id
specific_deployment model_list litellm_params litellm_metadata litellm_credential_name
litellm_session_id user_config fallbacks context_window_fallbacks content_policy_fallbacks
default_fallbacks mock_response mock_tool_calls mock_timeout num_retries max_retries timeout
stream_timeout extra_body extra_headers extra_query headers proxy_server_request
allowed_model_region region_name input_cost_per_token output_cost_per_token guardrails
disable_global_guardrails no-log aws_access_key_id aws_secret_access_key aws_session_token
aws_region_name aws_role_name aws_session_name aws_profile_name aws_web_identity_token
aws_sts_endpoint aws_bedrock_runtime_endpoint vertex_project vertex_location vertex_credentials
azure_ad_token tenant_id client_id client_secret azure_username azure_password
"""

FREE = frozenset((_OF_OPENAI + _OF_SERVERS).split())
"""Passed on as they are: what a model makes of them costs nobody anything."""

MEASURED: Mapping[str, Check] = {
    "n": measures.number("n", least=1),
    "best_of": measures.number("best_of", least=1),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "min_tokens", "n_predict"),
        measures.number("max_tokens"),
    ),
    "logprobs": measures.number("logprobs", flag=True),
    "top_logprobs": measures.number("logprobs"),
    "prompt_logprobs": measures.number("prompt_logprobs"),
    "stop": measures.stop,
    "bad_words": measures.words,
    "stop_token_ids": measures.token_ids,
    "logit_bias": measures.logit_bias,
    "prompt": measures.texts("prompts"),
    "input": measures.texts("inputs"),
    "tools": structured.check_tools,
    "functions": structured.check_tools,
    "response_format": structured.check_response_format,
    "structured_outputs": structured.check_structured_outputs,
    **dict.fromkeys(("guided_json", "json_schema"), structured.check_json),
    **dict.fromkeys(("guided_grammar", "grammar"), structured.check_grammar),
    **dict.fromkeys(("guided_regex", "guided_whitespace_pattern"), structured.check_regex),
    "guided_choice": structured.check_choice,
}
"""Taken within bounds."""

GUARDED: Mapping[str, str] = {
    "chat_template": "it is a program that the engine would run",
    "documents": "the chat template works on them without a bound",
    "mm_processor_kwargs": "it changes how the engine handles images, at any cost",
    "media_io_kwargs": "it changes how the engine reads media, at any cost",
    "logits_processors": "it names code for the engine to run",
    "logits_processor_pattern": "it names code for the engine to run",
    "vllm_xargs": "it reaches into the engine's extensions",
    "extra_args": "it reaches into the engine's extensions",
    "kv_transfer_params": "it moves the engine's cache between machines",
    "ec_transfer_params": "it moves the engine's cache between machines",
    "prompt_embeds": "the engine would unpack a tensor of the client's",
    "truncate_prompt_tokens": "it cuts the prompt without a word",
    "truncation_side": "it cuts the prompt without a word",
    "truncation": "it cuts the prompt without a word",
    "allowed_token_ids": "it is costly at every token",
    "add_special_tokens": "it changes how the prompt is built",
    "cache_salt": "it divides the engine's cache",
    "priority": "it jumps the engine's queue; send the header X-Gateway-Priority",
    "request_id": "it may be another request's; send the header X-Request-Id",
    "use_beam_search": "it multiplies the work for each token",
    "guided_decoding_backend": "the operator chooses the engine's grammar compiler",
    "lora_request": "it names files for the engine to load",
    "lora_path": "it names files for the engine to load",
    "data_parallel_rank": "the gateway chooses who answers",
    "bootstrap_host": "it names a machine for the engine to talk to",
    "bootstrap_port": "it names a machine for the engine to talk to",
    "bootstrap_room": "it names a machine for the engine to talk to",
    "repetition_detection": "it is costly at every token",
    "id_slot": "the gateway chooses who answers",
    "lora": "it changes the engine for others",
    "samplers": "it changes how the engine samples",
    "return_hidden_states": "it sends out the engine's insides",
    "custom_params": "it reaches into the engine's extensions",
    "custom_logit_processor": "it is a program that the engine would run",
}
"""Refused unless the model allows them by name, with the reason that the client reads."""

KEYED = "chat_template_kwargs"
"""Guarded key by key: `chat_template_kwargs.enable_thinking`."""

ROUTING = frozenset(_OF_LITELLM.split())
"""Words of LiteLLM for where a request goes and with whose key. Never a client's, however asked."""

NAMED = FREE | MEASURED.keys() | GUARDED.keys() | ROUTING | {KEYED}
"""All that have a name here."""

_PLAIN_KWARG = bool | int | float | str
_KWARG_CHARS = 256


def check_parameters(body: Mapping[str, Any], bounds: Bounds) -> None:
    """InvalidRequest for the first field of `body` that this model does not take from a client."""
    for name, value in body.items():
        if name in FREE or value is None:
            continue
        check = MEASURED.get(name)
        if check is not None:
            check(name, value, bounds)
        elif name == KEYED:
            _check_kwargs(value, bounds)
        elif name in ROUTING:
            raise _routing(name)
        elif name in bounds.allow:
            continue
        elif (reason := GUARDED.get(name)) is not None:
            raise _guarded(name, reason)
        elif bounds.unknown_parameters == "refuse":
            raise _unknown(name)
    if isinstance(prompts := body.get("prompt"), list):
        _check_answers(prompts, body.get("n"), bounds)


def _check_answers(prompts: list[Any], many: Any, bounds: Bounds) -> None:
    """Each of several prompts is answered `n` times."""
    count = 1 if prompts and isinstance(prompts[0], int) else len(prompts)
    answers = count * (many if isinstance(many, int) else 1)
    if count > 1 and answers > bounds.prompts:
        raise InvalidRequest(
            f"'n' times the prompts makes {answers} answers; at most {bounds.prompts} are given to "
            "one request (the operator sets limits.prompts).",
            param="n",
            code="integer_above_max_value",
        )


def _check_kwargs(value: Any, bounds: Bounds) -> None:
    if KEYED in bounds.allow:
        return
    if not isinstance(value, dict):
        raise measures.wrong(KEYED, "must be an object")
    for key, inner in value.items():
        name = f"{KEYED}.{key[:80]}"
        if name not in bounds.allow:
            raise _guarded(name, "what a chat template makes of it is not bounded")
        plain = inner is None or isinstance(inner, _PLAIN_KWARG)
        if not plain or (isinstance(inner, str) and len(inner) > _KWARG_CHARS):
            raise measures.wrong(name, "must be true, false, a number or a short string")


def _guarded(name: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name!r} is not taken from clients here: {reason}. Leave it out; the operator can allow "
        f"it for a model by limits.models.MODEL.allow: [{name}].",
        param=name,
        code="unsupported_parameter",
    )


def _routing(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name!r} is the operator's to say, in litellm_config.yaml, and never a client's; leave "
        "it out.",
        param=name,
        code="unsupported_parameter",
    )


def _unknown(name: str) -> InvalidRequest:
    known = FREE | MEASURED.keys() | GUARDED.keys()
    meant = did_you_mean(name[:80], known)
    hint = f"; {meant}" if meant.startswith("did") else "."
    return InvalidRequest(
        f"{name[:80]!r} is not a parameter that is known here{hint} Leave it out; the operator can "
        f"allow it by limits.allow: [{name[:80]}], or all by limits.unknown_parameters: pass.",
        param=name[:80],
        code="unknown_parameter",
    )


def reference() -> str:
    """docs/reference/parameters.md, in Markdown."""
    lines = [
        "# Parameters of requests",
        "",
        "<!-- Made by `make docs` from gateway/domain/parameters.py; do not edit. -->",
        "",
        "What a client may send to `/v1/*`. `config/gateway.yaml` has the bounds, in the section",
        "`limits`; [how to change them](../how-to/limit-what-clients-ask-for.md).",
        "",
        "## Passed on as they are",
        "",
        ", ".join(f"`{name}`" for name in sorted(FREE)),
        "",
        "## Passed on within bounds",
        "",
        ", ".join(f"`{name}`" for name in sorted(MEASURED)),
        "",
        "## Refused unless the model allows them",
        "",
        "| parameter | because |",
        "|---|---|",
        f"| `{KEYED}.KEY` | what a chat template makes of it is not bounded |",
    ]
    lines += [f"| `{name}` | {reason} |" for name, reason in sorted(GUARDED.items())]
    lines += ["", "## Always refused", ""]
    lines += ["Where a request goes, and with whose key, is the operator's to say.", ""]
    lines += [", ".join(f"`{name}`" for name in sorted(ROUTING))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
