"""Serves a gateway over HTTP until it is told to stop: sockets, workers, graceful shutdown."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

import orjson
import uvicorn
from anyio.from_thread import start_blocking_portal
from fastapi import APIRouter, FastAPI

from gateway.adapters import logs, watch
from gateway.adapters.embedded import EmbeddedModel
from gateway.bootstrap import Gateway, House
from gateway.domain.document import ConfigError, Problem
from gateway.plan import Fleet, check, fleet_of, places
from gateway.reload import Reload
from gateway.settings import Settings
from gateway.web import (
    admin,
    admin_keys,
    admin_usage,
    assist,
    live,
    openai,
    ops,
    prompts,
    requests,
)
from gateway.web.app import build_app
from gateway.web.banner import banner
from gateway.web.closing import Closing, signals
from gateway.web.connection import KEEP_ALIVE_SECONDS, connection_class
from gateway.web.process import allow_descriptors, keep_for_good
from gateway.web.scrape import ASK as SCRAPE
from gateway.web.scrape import Scrape
from gateway.web.siblings import Answer, Question, Siblings
from gateway.web.workers import Workers, end_with_supervisor, starting

_READY_SECONDS = 120.0
_BACKLOG = 2048
_FLUSH_SECONDS = 2


def create_app(
    settings: Settings,
    fleet: Fleet,
    again: Callable[[], Settings] | None = None,
    sha: str = "",
    opened: Callable[[], None] = lambda: None,
    folder: Path | None = None,
) -> FastAPI:
    """The application of one process; its lifespan opens and closes the gateway. `again` reads the
    settings anew: without it nothing is reloaded. `sha`: see Reload. `opened` is called once the
    gateway is open, before anything is served. In `folder` worker processes ask each other."""
    gateway = Gateway(settings, fleet)
    server, told, house = settings.server, settings.telemetry, gateway.telemetry.house
    logs.configure(told.log_format, told.log_level, lost=partial(house.dropped, "logs"))
    reload = Reload(gateway, again, sha)
    siblings = Siblings(folder, server.workers)
    scrape = Scrape(gateway.telemetry.meters, siblings, gateway.look)
    closing = Closing(drain=server.drain_s, grace=server.shutdown_grace_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(gateway.running())
            await stack.enter_async_context(siblings.answering(_answers(gateway, scrape)))
            await stack.enter_async_context(scrape.running())
            await stack.enter_async_context(reload.watching(strict=server.workers > 1))
            handlers = signals(closing, reload.now, alone=server.workers == 1)
            await stack.enter_async_context(handlers)
            opened()
            yield

    return build_app(
        _routers(gateway, reload, closing, siblings, scrape),
        version=own_version(),
        settings=settings,
        closing=closing,
        lifespan=lifespan,
        models=gateway.router.models,
    )


def _answers(gateway: Gateway, scrape: Scrape) -> dict[str, Answer]:
    """What other worker processes may ask this one."""

    async def now(_: Question) -> bytes:
        return orjson.dumps(await live.look(gateway, own_version()))

    return {
        live.ASK: now,
        requests.ASK: partial(requests.here, gateway),
        SCRAPE: scrape.own,
    }


def _routers(
    gateway: Gateway, reload: Reload, closing: Closing, siblings: Siblings, scrape: Scrape
) -> list[APIRouter]:
    """Every route that there is."""

    def current() -> House:
        return gateway.house

    return [
        openai.routes(current, gateway.router),
        assist.routes(current),
        requests.routes(gateway, siblings),
        admin.routes(gateway),
        live.routes(gateway, siblings, own_version()),
        admin_keys.routes(gateway),
        admin_usage.routes(gateway),
        prompts.routes(gateway),
        ops.routes(partial(ops.told, gateway, reload, closing), scrape.page, current),
    ]


def own_version() -> str:
    """The installed version of this package."""
    try:
        return version("vllm-gateway")
    except PackageNotFoundError:
        return "0.0.0"


def serve(settings: Settings, again: Callable[[], Settings] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; running requests get `shutdown_grace_s` to finish. 0 after
    an orderly end. ConfigError before anything listens when something cannot be served as set.
    `again` reads the settings anew; with several workers it must be picklable."""
    sha = watch.digest(places(settings))
    if problems := check(settings).problems:
        raise ConfigError(problems)
    _say(f"vllm-gateway {own_version()} is starting …")
    allow_descriptors()
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(settings))
        fleet = fleet_of(settings)
        if fleet.source == "embedded":
            fleet = fleet_of(settings, stack.enter_context(_embedded(settings)))
        folder: Path | None = None
        if settings.server.workers > 1:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
        factory = partial(create_app, settings, fleet, again, sha, keep_for_good, folder)
        config = _uvicorn_config(settings, factory)
        port = listener.getsockname()[1]
        answered = threading.Event()
        told = (settings, fleet, port, answered)
        threading.Thread(target=_announce, args=told, daemon=True).start()
        if settings.server.workers > 1:
            workers = Workers(config, [listener], answered)
            workers.run()
            return 1 if workers.failed else 0
        server = uvicorn.Server(config)
        # uvicorn raises the signal that ended it once more, for whoever had a handler before: we
        # have heard it, and what this stack holds is still to be closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _heard)
        server.run(sockets=[listener])
        return 0 if server.started else 1


def _heard(number: int, frame: FrameType | None) -> None:
    """A signal that has done its work already."""


class _Config(uvicorn.Config):
    """uvicorn's, which is sent to the workers: so it names its class of connections only there."""

    own: tuple[float, int, int] = (60.0, 65_536, 128)

    def load(self) -> None:
        """In the process that serves, before it does."""
        end_with_supervisor()
        with starting():
            super().load()
        self.http_protocol_class = connection_class(*self.own)


def _uvicorn_config(settings: Settings, factory: Callable[[], FastAPI]) -> uvicorn.Config:
    config = _Config(
        factory,
        factory=True,
        workers=settings.server.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # Ours (web/proxies.py) believes those of server.trusted_proxies alone.
        proxy_headers=False,
        # By then Closing has seen to the requests; only their last bytes may be on the way.
        timeout_graceful_shutdown=_FLUSH_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # On a busy machine the imports alone keep a worker from answering for longer than 5 s.
        timeout_worker_healthcheck=60,
        backlog=_BACKLOG,
    )
    server, stall = settings.server, settings.streams.client_stall_s
    config.own = (stall, server.max_header_bytes, server.max_headers)
    return config


def _listen(settings: Settings) -> socket.socket:
    """A listening socket. ConfigError when the address cannot be had; the command line has tried
    it before and said why in more words."""
    host, port = settings.server.host, settings.server.port
    try:
        return socket.create_server(
            (host, port), family=_family(host), backlog=_BACKLOG, dualstack_ipv6=False
        )
    except OSError as error:
        message = f"cannot listen there: {error.strerror}"
        raise ConfigError([Problem(f"{host}:{port}", 0, message, "take another --port")]) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextlib.contextmanager
def _embedded(settings: Settings) -> Iterator[str]:
    """The embedded model, for as long as the block lasts, in an event loop of its own thread: it
    serves all workers. Gives its base URL."""
    chosen = settings.embedded
    with start_blocking_portal() as portal:
        model = EmbeddedModel(chosen.context_tokens, chosen.threads, report=_say)
        with portal.wrap_async_context_manager(model):
            yield model.base_url


def _announce(settings: Settings, fleet: Fleet, port: int, answered: threading.Event) -> None:
    """Print the banner as soon as the gateway answers, and set `answered` before."""
    host = settings.server.host
    reach = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        state = _ready_state(reach, port)
        if state is not None:
            answered.set()
            _say(banner(settings, fleet, f"http://{reach}:{port}", state))
            return
        time.sleep(0.1)


def _ready_state(host: str, port: int) -> dict[str, object] | None:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        state = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return state if isinstance(state, dict) else None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
