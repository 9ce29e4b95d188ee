"""Room 3: the chain of policies. Guard asks each one before, during and after a call."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace

import orjson

from gateway.domain.call import Call, Outcome
from gateway.domain.endpoints import EMBEDDINGS
from gateway.domain.errors import Refusal
from gateway.domain.policy import Link, Moment, PolicyFailed, Verdict
from gateway.flow.contain import contained
from gateway.flow.screen import Screen, Strand

OnVerdict = Callable[[Call, str, Verdict, float], None]

_log = logging.getLogger("gateway.guard")

_TEXT = {str}


class Guard:
    """Walks calls through `chain`, in order. Only moments that some policy overrides are run.

    A policy that crashes, or exceeds its time, refuses with PolicyFailed, or is passed over where
    its link says so. A shadow's verdict is told and otherwise without effect. `on_verdict` hears
    of each policy (its name, the verdict, the seconds it took): once for `before`, once for a
    whole answer, and of failures in `after`. `clock` gives monotonic seconds. With `trace`, each of
    these and each `after` is a line of the log: names and times, never content.
    """

    def __init__(
        self,
        chain: Sequence[Link],
        *,
        on_verdict: OnVerdict | None = None,
        clock: Callable[[], float] = time.monotonic,
        trace: bool = False,
    ) -> None:
        self._walked = tuple(
            (link, link.policy.overrides("before"), link.policy.overrides("after"))
            for link in chain
            if link.policy.overrides("before") or link.policy.overrides("after")
        )
        self._during = tuple(link for link in chain if link.policy.overrides("during"))
        self._on_verdict = on_verdict
        self._clock = clock
        self._trace = trace
        # By identity: two calls may bear the same id, since clients can choose it.
        self._entered: dict[int, list[Link]] = {}

    async def before(self, call: Call) -> None:
        """Let each policy edit the call or refuse it: Refusal, or PolicyFailed. Whoever calls this
        calls `after` as well, whatever happens in between."""
        looked: list[str] = []
        for link, looks, settles in self._walked:
            if not link.when.covers(call):
                continue
            if settles:
                self._entered.setdefault(id(call), []).append(link)
            if looks:
                await self._ask(link, call)
                looked.append(link.name)
        if looked:
            _check(call, " or ".join(looked), deep=True)

    async def _ask(self, link: Link, call: Call) -> None:
        # An edit must not stay when its policy is only a shadow, or breaks half-way and is skipped.
        # It is the call itself that is lent and mended: policies know calls by their identity.
        kept = _copy(call) if link.tolerant else call
        began, fault = self._clock(), None
        try:
            await contained(link, link.policy.before, call)
            _check(call, link.name, deep=link.tolerant)
        except (Refusal, PolicyFailed) as error:
            fault = error
        if fault is not None or link.shadow:
            _restore(call, kept)
        self.settle(link, call, fault, self._clock() - began, "before")

    def settle(
        self,
        link: Link,
        call: Call,
        fault: Refusal | PolicyFailed | None,
        seconds: float,
        moment: Moment = "during",
    ) -> None:
        """Tell the verdict that `fault` stands for, and raise it where it is to be enforced."""
        verdict = _verdict(link, fault)
        self._tell(link, call, verdict, seconds)
        if self._trace:
            _traced(call, link, moment, verdict, seconds)
        if fault is None:
            return
        if isinstance(fault, Refusal) and not fault.detail:
            fault.detail = f"policy {link.name}: {fault.public}"
        if verdict in (Verdict.REFUSED, Verdict.FAILED):
            raise fault
        _log.warning("call %s: %s (%s)", call.id, fault.detail, verdict.value)

    def _tell(self, link: Link, call: Call, verdict: Verdict, seconds: float) -> None:
        call.note("policy", policy=link.name, decision=verdict.value, seconds=round(seconds, 6))
        if self._on_verdict is not None:
            self._on_verdict(call, link.name, verdict, seconds)

    def watches(self, call: Call) -> bool:
        """Whether the answer has to go through `filter`."""
        return call.endpoint is not EMBEDDINGS and any(
            link.when.covers(call) for link in self._during
        )

    async def filter(
        self, call: Call, chunks: AsyncIterator[bytes], stream: bool
    ) -> AsyncIterator[bytes]:
        """The answer as its policies let it pass: `chunks` holds whole SSE events when it streams,
        else one JSON body, and so does what comes out. A Refusal or PolicyFailed out of here means
        that nothing more may leave; text that was held back is then lost, as it is when `chunks`
        raises. Closing `chunks` is for whoever opened it."""
        links = [link for link in self._during if link.when.covers(call)]
        screen = Screen(links, lambda link: Strand(link, call, self.settle, self._clock))
        if stream:
            async for chunk in chunks:
                if cleared := await screen.events(chunk):
                    yield cleared
            if rest := await screen.rest():
                yield rest
        else:
            yield await screen.body(b"".join([chunk async for chunk in chunks]))
        screen.end()

    def settles(self, call: Call) -> bool:
        """Whether `after` has anybody to tell."""
        return id(call) in self._entered

    async def after(self, call: Call, outcome: Outcome) -> None:
        """Tell the end to each policy that the call reached, last one first, once. What they raise
        is logged; nothing can be refused any more."""
        for link in reversed(self._entered.pop(id(call), ())):
            began, verdict = self._clock(), Verdict.ALLOWED
            try:
                await contained(link, link.policy.after, call, outcome)
            except (Refusal, PolicyFailed) as error:
                detail = error.detail or f"policy {link.name} refused in `after`"
                _log.error("call %s: %s", call.id, detail)
                verdict = Verdict.SKIPPED
                self._tell(link, call, verdict, self._clock() - began)
            if self._trace:
                _traced(call, link, "after", verdict, self._clock() - began)


def _traced(call: Call, link: Link, moment: Moment, verdict: Verdict, seconds: float) -> None:
    fields = {"request_id": call.id, "policy": link.name, "moment": moment}
    fields |= {"verdict": verdict.value, "ms": f"{seconds * 1000:.3f}"}
    fields |= {"team": call.caller.team, "model": call.model[:256], "route": call.route}
    _log.info("policy.trace", extra={"fields": fields})


def _check(call: Call, names: str, *, deep: bool) -> None:
    """PolicyFailed where a policy left a call that no replica can be sent."""
    broken = ""
    if type(call.body) is not dict or type(call.model) is not str:
        broken = "a body that is no object, or a model that is no name"
    elif not {*map(type, call.reply_headers), *map(type, call.reply_headers.values())} <= _TEXT:
        broken = "a header that is no text"
    elif deep:
        try:
            orjson.dumps(call.body)
        except TypeError:
            broken = "a body that is no JSON"
    if broken:
        raise PolicyFailed(detail=f"policy {names}: left {broken}")


def _copy(call: Call) -> Call:
    """As it is, to be restored; what it holds is still to be given back."""
    return replace(call, body=copy.deepcopy(call.body), reply_headers=dict(call.reply_headers))


def _restore(call: Call, kept: Call) -> None:
    for field in fields(Call):
        setattr(call, field.name, getattr(kept, field.name))


def _verdict(link: Link, fault: Refusal | PolicyFailed | None) -> Verdict:
    if fault is None:
        return Verdict.ALLOWED
    if isinstance(fault, Refusal):
        return Verdict.WOULD_REFUSE if link.shadow else Verdict.REFUSED
    return Verdict.SKIPPED if link.tolerant else Verdict.FAILED
