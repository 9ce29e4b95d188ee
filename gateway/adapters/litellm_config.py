"""litellm_config.yaml, LiteLLM's own file, read and checked without importing LiteLLM.

Also the one-replica configuration of VLLM_BASE_URL, and which of the sources a gateway uses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.adapters.litellm_reader import Item, Reader
from gateway.adapters.litellm_schema import OPENAI_WIRE, provider_of
from gateway.settings.paths import read_document

Source = Literal["file", "upstream", "embedded"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One replica as the file writes it, with variables resolved. `params` is its litellm_params
    (it holds the key), `info` its model_info; `id` is model_info.id, or host:port/model_name,
    or provider/model_name."""

    model_name: str
    id: str
    params: Mapping[str, Any] = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    line: int = 0

    @property
    def provider(self) -> str:
        """LiteLLM's name for the kind of server: hosted_vllm …"""
        return provider_of(self.params["model"], self.params.get("custom_llm_provider"))[0]

    @property
    def translated(self) -> bool:
        """Whether it speaks another API than OpenAI's: what is asked leaves for its provider."""
        return self.provider not in OPENAI_WIRE

    @property
    def upstream_model(self) -> str:
        """The name that the replica itself knows the model by."""
        return provider_of(self.params["model"], self.params.get("custom_llm_provider"))[1]

    def as_dict(self) -> dict[str, Any]:
        """An item of LiteLLM's model_list."""
        return {
            "model_name": self.model_name,
            "litellm_params": dict(self.params),
            "model_info": {**self.info, "id": self.id},
        }


@dataclass(frozen=True, slots=True)
class LiteLLMConfig:
    """What the file says. `router_settings` and `litellm_settings` hold what has an effect here;
    `ignored` names, dotted, what LiteLLM's proxy would use and this gateway does not."""

    model_list: tuple[Deployment, ...] = ()
    router_settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    litellm_settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    file: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def configured(self) -> bool:
        """Whether the file names any model."""
        return bool(self.model_list)

    def as_router_kwargs(self) -> dict[str, Any]:
        """The keyword arguments of litellm.Router. router_settings win over litellm_settings."""
        models = [deployment.as_dict() for deployment in self.model_list]
        return {"model_list": models, **_joined(self.router_settings, self.litellm_settings)}


def source(*, given: bool, configured: bool, upstream: bool) -> Source:
    """Where models come from. `given`: a file was named on the command line; `configured`: the
    file names models; `upstream`: VLLM_BASE_URL or VLLM_API_KEY is set."""
    if given or configured:
        return "file"
    return "upstream" if upstream else "embedded"


def from_upstream(base_url: str, api_key: str | None, names: Sequence[str]) -> LiteLLMConfig:
    """The gateway of one vLLM at `base_url` (…/v1), which serves the models `names`.

    Its only replica never rests: there is no other to go to meanwhile.
    """
    key = {} if api_key is None else {"api_key": api_key}
    return LiteLLMConfig(
        model_list=tuple(
            Deployment(
                model_name=name,
                id=f"{_host(base_url)}/{name}",
                params={"model": f"hosted_vllm/{name}", "api_base": base_url, **key},
            )
            for name in names
        ),
        router_settings={"disable_cooldowns": True},
        file="VLLM_BASE_URL",
    )


def read(path: Path, environ: Mapping[str, str], *, required: bool = False) -> LiteLLMConfig:
    """The file at `path`, with os.environ/NAME taken from `environ`. ConfigError names everything
    that is wrong with it; with `required`, that it names no models is wrong too."""
    reader = Reader(read_document(path), environ)
    items, router, borrowed = reader.read(required)
    return LiteLLMConfig(
        model_list=_deployments(items, _joined(router, borrowed)),
        router_settings=router,
        litellm_settings=borrowed,
        file=str(path),
        ignored=tuple(reader.ignored),
    )


def _joined(router: Mapping[str, Any], borrowed: Mapping[str, Any]) -> dict[str, Any]:
    """Both sections in the words of LiteLLM's Router; router_settings win."""
    words = {"request_timeout": "timeout"}
    return {**{words.get(name, name): value for name, value in borrowed.items()}, **router}


# What a deployment takes from the router's settings where it says nothing itself.
_INHERITED = {
    "timeout": "timeout",
    "stream_timeout": "stream_timeout",
    "max_parallel_requests": "default_max_parallel_requests",
}


def _deployments(items: Sequence[Item], settings: Mapping[str, Any]) -> tuple[Deployment, ...]:
    taken = {item.info["id"] for item in items if "id" in item.info}
    found = []
    for item in items:
        params = dict(item.params)
        for name, wide in _INHERITED.items():
            if wide in settings:
                params.setdefault(name, settings[wide])
        key = item.info.get("id") or _free(f"{_place(params)}/{item.model_name}", taken)
        taken.add(key)
        found.append(Deployment(item.model_name, key, params, item.info, item.line))
    return tuple(found)


def _free(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of name-2, name-3 … that nobody has."""
    later = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain((name,), later) if one not in taken)


def _place(params: Mapping[str, Any]) -> str:
    """Where a replica is: host:port, or the provider."""
    provider = provider_of(params["model"], params.get("custom_llm_provider"))[0]
    return _host(params["api_base"]) if provider in OPENAI_WIRE else provider


def _host(url: str) -> str:
    """host:port of a URL: how a replica is known where it has no id of its own."""
    return urlsplit(url).netloc
