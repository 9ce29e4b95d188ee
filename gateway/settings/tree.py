"""The tree of settings: every name, default, range and unit. Times in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.domain.document import Problem
from gateway.domain.screening import Secrets
from gateway.settings.addresses import Network, UpstreamUrl, is_loopback
from gateway.settings.attempts import Hedging, Retries, Timeouts
from gateway.settings.identity import Identity
from gateway.settings.limits import Limits
from gateway.settings.paths import Paths
from gateway.settings.policies import PolicyEntry
from gateway.settings.prices import Prices
from gateway.settings.redis_url import RedisUrl
from gateway.settings.replicas import Affinity, Health
from gateway.settings.section import Seconds, Section, Wait, Weight
from gateway.settings.state import State
from gateway.settings.teams import Team
from gateway.settings.telemetry import Telemetry

DEFAULT_UPSTREAM = "http://localhost:8001/v1"


class Server(Section):
    """Where the gateway listens, and what it takes in."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 takes any free one")
    workers: int = Field(default=1, ge=1, le=256, description="processes")
    admin_team: str = Field(
        default="operators", min_length=1, description="the team whose keys may use /admin/*"
    )
    metrics_need_key: bool = Field(
        default=False, description="GET /metrics asks for a key with the role operator"
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="networks whose X-Forwarded-For is believed"
    )
    max_body_bytes: int = Field(default=33_554_432, ge=1024, description="bytes of a request body")
    max_header_bytes: int = Field(
        default=65_536, ge=4096, le=16_777_216, description="bytes of a request's line and headers"
    )
    max_headers: int = Field(default=128, ge=16, le=10_000, description="headers of a request")
    drain_s: Wait = Field(
        default=0.0, description="seconds after SIGTERM in which only /readyz changes"
    )
    shutdown_grace_s: Wait = Field(
        default=30.0, description="seconds for running requests to finish"
    )


class Upstream(Section):
    """The one vLLM of a gateway without litellm_config.yaml: from the environment only."""

    base_url: UpstreamUrl | None = Field(default=None, description="VLLM_BASE_URL: a vLLM's …/v1")
    api_key: SecretStr | None = Field(
        default=None, description="VLLM_API_KEY: the key vLLM asks for"
    )

    @property
    def configured(self) -> bool:
        """Whether either variable is set."""
        return self.base_url is not None or self.api_key is not None

    @property
    def url(self) -> str:
        """VLLM_BASE_URL, or its default."""
        return self.base_url or DEFAULT_UPSTREAM


class Queue(Section):
    """What happens when every replica of a model is busy."""

    slots_per_replica: int = Field(
        default=64, ge=1, description="calls at once, where no max_parallel_requests is set"
    )
    size: int = Field(default=256, ge=0, description="calls that may wait, for each model")
    wait_s: Wait = Field(default=30.0, description="seconds that a call may wait")
    team_weights: dict[str, Weight] = Field(
        default_factory=dict, description="team: its share of turns in the queue, 1 if not named"
    )
    relief: int = Field(
        default=10,
        ge=2,
        le=1000,
        description="of so many turns, one is for a lower priority that waits",
    )


class Streams(Section):
    """What holds for streams towards the client."""

    keepalive_s: Wait = Field(
        default=15.0, description="seconds of silence before a comment is sent; 0: none is"
    )
    client_stall_s: Seconds = Field(
        default=60.0, description="seconds that a client may leave its answer unread"
    )


class Assist(Section):
    """The code assistant, /api/ai/*."""

    model: str | None = Field(
        default=None, min_length=1, description="its model; null is the first one"
    )
    explain_max_tokens: int = Field(
        default=1024, ge=1, description="tokens of an answer that is a text"
    )
    rewrite_max_tokens: int = Field(
        default=4096, ge=1, description="tokens of a rewrite, a review or a new file"
    )
    tokenizers: dict[str, Path] = Field(
        default_factory=dict, description="model: tokenizer.json, from the folder of this file"
    )
    denied_paths: tuple[str, ...] = Field(
        default=(), description="files no model may see, as in .gitignore"
    )
    secrets: Secrets = Field(
        default="redact", description="keys in code: redact, refuse the file, or allow"
    )


class Reload(Section):
    """Changed files are taken over without a restart; a broken one changes nothing."""

    watch: bool = Field(default=True, description="look for changes; else only SIGHUP reloads")
    poll_s: Seconds = Field(default=0.5, description="seconds between two looks at the files")


class Records(Section):
    """What was decided for each call, for GET /requests/{id}: in memory, with redis_url for all."""

    keep: int = Field(default=10_000, ge=0, le=1_000_000, description="calls, the newest; 0: none")
    max_bytes: int = Field(default=33_554_432, ge=65_536, description="bytes of all of them")
    redis_url: RedisUrl | None = Field(
        default=None, description="redis://HOST:6379/0 or os.environ/NAME: workers share them"
    )
    redis_ttl_s: float = Field(
        default=86_400, ge=1, le=31_536_000, description="seconds that one stays in Redis"
    )


class Embedded(Section):
    """The small built-in model that answers when no other is configured."""

    context_tokens: int = Field(default=2048, ge=256, le=8192, description="tokens of its window")
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value came from: a file and its line, an environment variable, an option."""

    file: str
    line: int = 0


class Settings(BaseSettings):
    """Everything an operator can set. What may hold a password is hidden: the upstream's key, URLs
    of Redis and of the database."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server: Server = Server()
    limits: Limits = Limits()
    upstream: Upstream = Upstream()
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    hedging: Hedging = Hedging()
    queue: Queue = Queue()
    health: Health = Health()
    affinity: Affinity = Affinity()
    streams: Streams = Streams()
    assist: Assist = Assist()
    telemetry: Telemetry = Telemetry()
    reload: Reload = Reload()
    records: Records = Records()
    state: State = State()
    prices: Prices = Prices()
    identity: Identity = Identity()
    embedded: Embedded = Embedded()
    teams: tuple[Team, ...] = ()
    policies: tuple[PolicyEntry, ...] = ()
    paths: Paths = Field(default_factory=Paths)

    _origins: Mapping[tuple[str, str], Place] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`Settings(...)` takes what it is given and no more: only `load` reads the world."""
        return (init_settings,)

    @property
    def keys_configured(self) -> bool:
        """Whether calls need a key, whatever is in the database."""
        own = self.identity
        return own.required or own.jwt is not None or any(team.keys for team in self.teams)

    def origin(self, section: str, name: str) -> Place:
        """Where the value of a setting came from; its own dotted name for a default."""
        return self._origins.get((section, name), Place(f"{section}.{name}"))

    def exposure_problem(self) -> Problem | None:
        """What is wrong with serving as set: reachable from outside with no key asked for."""
        if self.keys_configured or is_loopback(self.server.host):
            return None
        place = self.origin("server", "host")
        return Problem(
            place.file,
            place.line,
            f"{self.server.host} can be reached from other machines, and no keys are configured",
            "make one with `gateway keys create --team NAME --print` and paste what it prints into "
            f"{self.paths.config_dir / 'teams.yaml'}, set identity.required where keys are in the "
            "database, or serve on this machine alone: --host 127.0.0.1",
        )

    def open_pages(self) -> list[str]:
        """What can be read from other machines without a key, as a line of `gateway check`."""
        if self.server.metrics_need_key or is_loopback(self.server.host):
            return []
        return [
            f"metrics: whoever reaches {self.server.host} reads teams and costs; "
            "server.metrics_need_key: true asks for a key"
        ]


# The sections that config/gateway.yaml and GATEWAY_* may set.
SECTIONS: dict[str, type[Section]] = {
    "server": Server,
    "limits": Limits,
    "timeouts": Timeouts,
    "retries": Retries,
    "hedging": Hedging,
    "queue": Queue,
    "health": Health,
    "affinity": Affinity,
    "streams": Streams,
    "assist": Assist,
    "telemetry": Telemetry,
    "reload": Reload,
    "records": Records,
    "state": State,
    "prices": Prices,
    "identity": Identity,
    "embedded": Embedded,
}
