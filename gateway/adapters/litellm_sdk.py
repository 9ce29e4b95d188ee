"""LiteLLM itself: the only file that imports it, once the variables that it reads are set.

What others use of it is named in docs/decisions/0002-litellm-chooses.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# LiteLLM reads these three when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no download of a price list
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # no implicit reading of ./.env
os.environ.setdefault("LITELLM_LOG", "ERROR")

import litellm

# It would import this when the first replica is let rest: all streams would stand still for it.
import litellm.integrations.prometheus
from litellm import exceptions
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.router import Router
from litellm.router_utils.pre_call_checks.model_rate_limit_check import ModelRateLimitingCheck
from litellm.types.router import LiteLLM_Params
from litellm.types.utils import all_litellm_params

from gateway.adapters.litellm_schema import provider_of

# It would print advice to standard output for each error.
litellm.suppress_debug_info = True

__all__ = [
    "GLOBAL_LOGGING_WORKER",
    "LiteLLM_Params",
    "ModelRateLimitingCheck",
    "Router",
    "all_litellm_params",
    "exceptions",
    "facts_of",
    "litellm",
]


def facts_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """What LiteLLM's list says of the model of these litellm_params: window, prices; nothing where
    the list does not have it."""
    # Not get_model_info, which asks the network for the models of some providers.
    provider, name = provider_of(params["model"], params.get("custom_llm_provider"))
    for key in (f"{provider}/{name}", name):
        facts: Mapping[str, Any] = litellm.model_cost.get(key) or {}
        if str(facts.get("litellm_provider")).startswith(provider):
            return facts
    return {}
