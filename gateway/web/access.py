"""Which route is for whom: one table, which every handler asks and the tests walk through."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request

from gateway.bootstrap import House
from gateway.domain.actions import ACTIONS
from gateway.domain.call import Caller
from gateway.domain.endpoints import ENDPOINTS
from gateway.domain.keyring import NotPermitted
from gateway.domain.scope import USUAL, Role
from gateway.flow.identify import credential

# A method and a path as the router writes it.
Place = tuple[str, str]

ANYBODY: frozenset[str] | None = None
ANY_KEY: frozenset[str] | None = frozenset()
USER: frozenset[str] | None = USUAL
AUTHOR: frozenset[str] | None = frozenset({Role.AUTHOR, Role.OPERATOR})
OPERATOR: frozenset[str] | None = frozenset({Role.OPERATOR})

# Calls: the pipeline asks for the key, so that what it refuses is counted too.
CALLS: Mapping[Place, frozenset[str] | None] = MappingProxyType(
    {("POST", endpoint.path): USER for endpoint in ENDPOINTS}
    | {
        ("POST", f"/api/ai/{action.name}{ending}"): USER
        for action in ACTIONS
        for ending in ("", "/stream")
    }
    | {("POST", "/api/ai/context/preview"): USER}
)

# None: no key is asked for. Else a key with one of these roles, or any where there is none.
ROUTES: Mapping[Place, frozenset[str] | None] = MappingProxyType(
    {
        **CALLS,
        ("GET", "/v1/models"): ANY_KEY,
        ("GET", "/requests/{request_id}"): ANY_KEY,
        ("GET", "/usage"): ANY_KEY,
        ("GET", "/prompts"): ANY_KEY,
        ("POST", "/prompts/{name:path}/render"): AUTHOR,
        ("GET", "/admin/live"): OPERATOR,
        ("GET", "/admin/replicas"): OPERATOR,
        ("GET", "/admin/usage"): OPERATOR,
        ("POST", "/admin/replicas/{replica:path}/drain"): OPERATOR,
        ("POST", "/admin/replicas/{replica:path}/undrain"): OPERATOR,
        ("GET", "/admin/keys"): OPERATOR,
        ("POST", "/admin/keys"): OPERATOR,
        ("POST", "/admin/keys/{key_id}/rotate"): OPERATOR,
        ("DELETE", "/admin/keys/{key_id}"): OPERATOR,
        ("GET", "/admin/teams"): OPERATOR,
        ("PUT", "/admin/teams/{name}"): OPERATOR,
        ("DELETE", "/admin/teams/{name}"): OPERATOR,
        ("GET", "/healthz"): ANYBODY,
        ("GET", "/readyz"): ANYBODY,
        ("GET", "/metrics"): ANYBODY,
        ("GET", "/docs"): ANYBODY,
        ("GET", "/docs/oauth2-redirect"): ANYBODY,
        ("GET", "/openapi.json"): ANYBODY,
    }
)


def admit(house: House, request: Request) -> Caller:
    """Who asks. Unauthorized, or NotPermitted where the key may not use the route that is asked
    for; nobody may use one that is not in the table."""
    path = request.scope["route"].path
    place = (request.method, path)
    if place not in ROUTES:
        raise NotPermitted(detail=f"{place} is not in the table of routes")
    headers = request.headers
    key = credential(headers.get("authorization"), headers.get("x-api-key"))
    caller = house.identify.caller(key)
    house.identify.admit(caller, path, ROUTES[place] or frozenset())
    return caller


def told(place: Place) -> str:
    """Whom a route is for, as /docs says it; "" for one that is not in the table."""
    roles = ROUTES.get(place, ANYBODY)
    if place not in ROUTES:
        return ""
    if roles is None:
        return "For anybody."
    return f"For keys with the role {' or '.join(sorted(roles))}." if roles else "For any key."
