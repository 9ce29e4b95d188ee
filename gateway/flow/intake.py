"""What a client sends, measured before anybody works on it: fields, media, their hosts."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.bounds import Bounds, InputLimits
from gateway.domain.call import Call
from gateway.domain.errors import InvalidRequest
from gateway.domain.media import is_public, refused
from gateway.domain.messages import check_messages
from gateway.domain.parameters import NAMED, check_parameters
from gateway.domain.ports import Names


class Intake:
    """`group` gives the name that all aliases of a model share; `names` looks up hosts."""

    def __init__(self, limits: InputLimits, names: Names, group: Callable[[str], str]) -> None:
        self.json = limits.json
        self._limits = limits
        self._names = names
        self._group = group

    def bounds(self, model: str) -> Bounds:
        """What holds for a model, by this name or by the one it is an alias of."""
        if not self._limits.models:
            return self._limits.usual
        return self._limits.of(model, self._group(model))

    async def check(self, call: Call) -> None:
        """InvalidRequest for the first thing in `call.body` that its model does not take from a
        client. What operators, policies and the gateway itself add later is theirs."""
        bounds = self.bounds(call.model)
        try:
            check_parameters(call.body, bounds)
            hosts = check_messages(call.body.get("messages"), bounds)
            for host, place in hosts.items():
                await self._check_host(place, host)
        except InvalidRequest as error:
            # A record has nothing of a call's contents: not the names that a client made up.
            name = (error.param or "").partition(".")[0].partition("[")[0]
            call.note("input", param=name if name in NAMED else "other", code=error.code)
            raise

    async def _check_host(self, place: str, host: str) -> None:
        """An allowed name must not stand for an address inside: it would be a way around us."""
        addresses = await self._names.addresses(host)
        if not addresses or not all(map(is_public, addresses)):
            raise refused(place, host)
