"""Hot reload: files that have changed are read and checked whole, then take over at once, or not
at all."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import plan
from gateway.adapters import watch
from gateway.bootstrap import Gateway, House
from gateway.domain.document import ConfigError, Problem
from gateway.domain.redaction import redact_text
from gateway.plan import Plan
from gateway.settings import Settings

_log = logging.getLogger("gateway.reload")

# A save is often several writes, a deployment many files: wait until nothing moves any more.
_SETTLE_SECONDS = 0.1
_LONGEST_SETTLE_SECONDS = 2.0
# What only a start can set: sockets, processes, the exporter, the pool of connections.
_FIXED: dict[str, tuple[str, ...]] = {
    "server": (),
    "telemetry": (),
    "records": (),
    "state": (),
    "identity": (),
    "health": (),
    "affinity": (),
    "embedded": (),
    "timeouts": ("connect_s",),
    "streams": ("client_stall_s",),
}


@dataclass(frozen=True, slots=True)
class ConfigState:
    """Which configuration holds: `sha` of its files, since `loaded_at` (Unix seconds). `problems`
    are those of newer files that could not take its place; `waiting` are settings that have
    changed and wait for a restart."""

    sha: str
    loaded_at: float
    problems: tuple[Problem, ...] = ()
    waiting: tuple[str, ...] = ()


class Reload:
    """Keeps `gateway` as its files are. `again` reads the settings anew, ConfigError when they are
    broken; without it nothing is ever reloaded. `sha` is the digest of the files that `gateway`
    was built from."""

    def __init__(
        self, gateway: Gateway, again: Callable[[], Settings] | None = None, sha: str = ""
    ) -> None:
        self._gateway = gateway
        self._again = again
        self._started = gateway.house.settings
        self._seen = sha or watch.digest(plan.places(self._started))
        self.state = ConfigState(self._seen, time.time())
        self._asked = asyncio.Event()
        gateway.telemetry.house.configured(self._seen, gateway.house.prompts.sha)

    def now(self) -> None:
        """Reload soon, whether a file has changed or not: what SIGHUP asks for."""
        self._asked.set()

    @asynccontextmanager
    async def watching(self, *, strict: bool = False) -> AsyncIterator[None]:
        """While this lasts, changes are taken over. Those that were made since the files were read
        hold before it begins: a worker that stands in for a dead one is given what was read at
        the first start, where a key may be good that is not any more. If such a change is broken,
        that goes on, or, where it is `strict`, ConfigError."""
        if self._again is None:
            yield
            return
        await self._catch_up(self._again, strict=strict)
        task = asyncio.create_task(self._watch(self._again))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _catch_up(self, again: Callable[[], Settings], *, strict: bool) -> None:
        sha = await asyncio.to_thread(watch.digest, self._places())
        if sha == self._seen:
            return
        try:
            done = await self.load(again, sha)
        except Exception:  # a marked edge, as that of the watch
            self._crashed()
            done = False
        if strict and not done:
            raise ConfigError(list(self.state.problems))

    async def _watch(self, again: Callable[[], Settings]) -> None:
        sight: watch.Sight | None = None
        while True:
            asked = self._asked.is_set()
            self._asked.clear()
            settings = self._gateway.house.settings
            try:
                if asked or sight is None or settings.reload.watch:
                    sight = await self._look(again, sight, asked=asked)
            except Exception:
                self._crashed()
            try:
                async with asyncio.timeout(settings.reload.poll_s):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def _look(
        self, again: Callable[[], Settings], before: watch.Sight | None, *, asked: bool
    ) -> watch.Sight:
        """Reload if anything is other than it was, or if `asked`."""
        places = self._places()
        sight = await asyncio.to_thread(watch.look, places)
        if sight == before and not asked:
            return sight
        sight = await _settled(places, sight)
        sha = await asyncio.to_thread(watch.digest, places)
        if sha != self._seen or asked:
            await self.load(again, sha)
        return sight

    def _places(self) -> watch.Places:
        return plan.places(self._gateway.house.settings)

    async def load(self, again: Callable[[], Settings], sha: str) -> bool:
        """Read everything, and move in if all of it is in order. `sha` is that of the files as
        they were before: should they change meanwhile, the next look finds out."""
        self._seen, places = sha, self._places()
        try:
            house, waiting = await asyncio.to_thread(self._build, again)
            self._move_in(house)
        except ConfigError as error:
            self._failed(sha, error.problems)
            return False
        if self._places() != places:
            self._seen = ""  # other files count now: the next look reads once more, with theirs
        self.state = ConfigState(sha, time.time(), waiting=waiting)
        self._gateway.telemetry.house.configured(sha, house.prompts.sha)
        self._gateway.telemetry.house.reloaded("ok")
        self._tell("config.reload", sha, {"waiting_for_restart": list(waiting)})
        _log.info("configuration reloaded", extra={"sha": sha})
        for name in waiting:
            _log.warning("%s has changed, which takes a restart to have an effect", name)
        return True

    def _build(self, again: Callable[[], Settings]) -> tuple[House, tuple[str, ...]]:
        """In a thread of its own. ConfigError with everything that is wrong."""
        wanted = again()
        before = self._gateway.house.plan
        settings = as_started(wanted, self._started)
        embedded = before.fleet.base_url if before.fleet.source == "embedded" else ""
        fresh, report = plan.read(settings, before, embedded, self._gateway.tools)
        if fresh is None:
            raise ConfigError(report.problems)
        _check_models(fresh, before)
        return self._gateway.build(fresh), waiting_for_restart(wanted, self._started)

    def _move_in(self, house: House) -> None:
        try:
            self._gateway.move_in(house)
        except Exception as error:
            # A marked edge: LiteLLM's Router refuses by any exception, and may quote settings.
            said = redact_text(f"{type(error).__name__}: {error}")[:300]
            file = str(house.settings.paths.litellm_config)
            fix = "undo the last change of it"
            problem = Problem(file, 0, f"LiteLLM does not accept it: {said}", fix)
            raise ConfigError([problem]) from error

    def _crashed(self) -> None:
        # A marked edge: whatever a file's content does to us, the watch must go on.
        _log.exception("the configuration could not be reloaded")
        self._failed(self._seen, [Problem("gateway", 0, "reloading failed; see the log")])

    def _tell(self, action: str, sha: str, facts: dict[str, Any]) -> None:
        self._gateway.audit.put("gateway", action, sha, {"process": os.getpid(), **facts})

    def _failed(self, sha: str, problems: Iterable[Problem]) -> None:
        was = self.state
        self.state = ConfigState(was.sha, was.loaded_at, tuple(problems), was.waiting)
        self._gateway.telemetry.house.reloaded("failed")
        places = [f"{Path(one.file).name}:{one.line}" for one in self.state.problems[:20]]
        self._tell("config.refuse", sha, {"problems": places})
        for problem in self.state.problems:
            _log.error(
                "configuration not reloaded, the last good one stays: %s",
                problem,
                extra={"sha": sha},
            )


async def _settled(places: watch.Places, sight: watch.Sight) -> watch.Sight:
    """What is there once nothing has moved for a moment; a file that never rests waits no longer
    than 2 s."""
    ends = time.monotonic() + _LONGEST_SETTLE_SECONDS
    while time.monotonic() < ends:
        await asyncio.sleep(_SETTLE_SECONDS)
        later = await asyncio.to_thread(watch.look, places)
        if later == sight:
            break
        sight = later
    return sight


def as_started(wanted: Settings, started: Settings) -> Settings:
    """`wanted`, but with what only a start can set as it is in fact: above all, whether this
    process can be reached from outside must be judged by where it listens."""
    fixed = {}
    for section, names in _FIXED.items():
        is_so = getattr(started, section)
        kept = {name: getattr(is_so, name) for name in names}
        fixed[section] = getattr(wanted, section).model_copy(update=kept) if names else is_so
    return wanted.model_copy(update=fixed)


def waiting_for_restart(wanted: Settings, started: Settings) -> tuple[str, ...]:
    """Dotted names of settings that differ, among those that only a start can set."""
    found = []
    for section, names in _FIXED.items():
        new, old = getattr(wanted, section), getattr(started, section)
        fields = names or tuple(type(old).model_fields)
        found += [
            f"{section}.{name}" for name in fields if getattr(new, name) != getattr(old, name)
        ]
    return tuple(found)


def _check_models(fresh: Plan, before: Plan) -> None:
    """Models can move into the file while the gateway runs, but not out of it: a file that is
    empty for a moment must not take all of them away."""
    if fresh.fleet.config is not None or before.fleet.config is None:
        return
    file: Path = fresh.settings.paths.litellm_config
    fix = "name a model in it; for VLLM_BASE_URL or the embedded model, start the gateway anew"
    raise ConfigError([Problem(str(file), 0, "names no model any more", fix)])
