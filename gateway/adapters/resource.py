"""Who tells: what spans and metrics by OTLP say of this process."""

from __future__ import annotations

from functools import lru_cache
from uuid import uuid4

from opentelemetry.sdk.resources import Resource

from gateway import __version__


@lru_cache(maxsize=8)
def resource(service_name: str) -> Resource:
    """That of this process: the same for all that it sends, another for each worker. What
    OTEL_RESOURCE_ATTRIBUTES says is in it too."""
    return Resource.create(
        {
            "service.name": service_name,
            "service.version": __version__,
            "service.instance.id": str(uuid4()),
        }
    )
