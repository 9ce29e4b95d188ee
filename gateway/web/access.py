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
from gateway.settings.tree import Server

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

METRICS: Place = ("GET", "/metrics")

# None: no key is asked for. Else a key with one of these roles, or any where there is none.
Table = Mapping[Place, frozenset[str] | None]

# Where nothing else is set.
ROUTES: Table = MappingProxyType(
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
        METRICS: ANYBODY,
        ("GET", "/docs"): ANYBODY,
        ("GET", "/docs/oauth2-redirect"): ANYBODY,
        ("GET", "/openapi.json"): ANYBODY,
    }
)


# Numbers of all teams, so for whom GET /admin/usage is for.
_METRICS_KEPT: Table = MappingProxyType({**ROUTES, METRICS: OPERATOR})


def table(server: Server) -> Table:
    """Which route is for whom in a gateway that is set so."""
    return _METRICS_KEPT if server.metrics_need_key else ROUTES


def admit(house: House, request: Request) -> Caller:
    """Who asks. Unauthorized, or NotPermitted where the key may not use the route that is asked
    for; nobody may use one that is not in the table. On a route for anybody no key is looked at."""
    path = request.scope["route"].path
    place = (request.method, path)
    routes = table(house.settings.server)
    if place not in routes:
        raise NotPermitted(detail=f"{place} is not in the table of routes")
    roles = routes[place]
    if roles is None:
        return Caller()
    headers = request.headers
    key = credential(headers.get("authorization"), headers.get("x-api-key"))
    caller = house.identify.caller(key)
    house.identify.admit(caller, path, roles)
    return caller


def told(place: Place, routes: Table = ROUTES) -> str:
    """Whom a route is for, as /docs says it; "" for one that is not in the table."""
    roles = routes.get(place, ANYBODY)
    if place not in routes:
        return ""
    if roles is None:
        return "For anybody."
    return f"For keys with the role {' or '.join(sorted(roles))}." if roles else "For any key."
