"""Where `gateway keys` works: the database that the server has, found from the same settings."""

from __future__ import annotations

import asyncio
import getpass
import re
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

from pydantic import SecretStr, ValidationError

from gateway.adapters.database import Database
from gateway.adapters.key_store import KeyStore
from gateway.adapters.keeping import Keeping
from gateway.adapters.stored_keys import Snapshot
from gateway.cli.options import load_settings, show
from gateway.domain.document import ConfigError, Problem
from gateway.domain.errors import GatewayError
from gateway.settings import Settings
from gateway.settings.state import FOLDER, State
from gateway.settings.teams import Lifetime

Work = Callable[[KeyStore, str], Coroutine[Any, Any, Any]]

_PATHS = ("config", "litellm_config", "prompts", "policies")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST = 366 * _UNITS["d"]


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Those that a server started here would have. Ends the command where they are broken."""
    try:
        return load_settings({name: given[name] for name in _PATHS if name in given}, {})
    except ConfigError as error:
        show(error.problems, "mend them and try again")
        sys.exit(2)
