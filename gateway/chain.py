"""The chain of policies as a plan has it: read with the tools of its gateway, and remarked upon."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable

from gateway.adapters import policy_files
from gateway.adapters.memory_counters import MemoryCounters
from gateway.domain.policy import MOMENTS, Link, Tools
from gateway.settings import Settings
from gateway.settings.paths import shipped


def own_tools() -> Tools:
    """Tools of this process alone, for whoever has no gateway."""
    return Tools(now=time.time, random=random.random, counters=MemoryCounters(time.monotonic))


def read_chain(settings: Settings, tools: Tools) -> list[Link]:
    """Every policy of config/policies.yaml, built anew. ConfigError with all that is wrong."""
    paths = settings.paths
    file, ours = str(paths.config_dir / "policies.yaml"), shipped("policies")
    return policy_files.load(settings.policies, paths.policies_dir, tools, file=file, shipped=ours)


def about_chain(links: Collection[Link], models: Collection[str]) -> list[str]:
    """What `gateway check` says of it; `models` are those that are configured."""
    names = ", ".join(link.name for link in links) or "none"
    return [f"policies: {len(links)} ({names})", *_remarks(links, models)]


def lines_of(links: Collection[Link]) -> list[str]:
    """The chain for people, a line for each policy."""
    if not links:
        return ["the chain is empty: config/policies.yaml names no policy"]
    width = max(len(link.name) for link in links)
    return [f"{n}. {link.name:<{width}}  {_about(link)}" for n, link in enumerate(links, start=1)]


def _about(link: Link) -> str:
    when = link.when
    scopes = (("models", when.models), ("teams", when.teams), ("paths", when.paths))
    words = [
        "+".join(moment for moment in MOMENTS if link.policy.overrides(moment)),
        "; ".join(f"{word} {', '.join(names)}" for word, names in scopes if names) or "every call",
        link.mode,
        f"on_error {link.on_error}",
        f"{link.budget_s * 1000:g} ms",
    ]
    return "  ".join(words)


def _remarks(links: Iterable[Link], models: Collection[str]) -> Iterable[str]:
    for link in links:
        for remark in link.policy.remarks([one for one in models if link.when.names(one)]):
            yield f"warning: policy {link.name}: {remark}"
