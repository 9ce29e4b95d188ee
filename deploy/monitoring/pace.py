"""Times in rules: as they are, or shortened for a test that cannot wait an hour."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}
_LEAST_S = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """`divide` 60 makes minutes of hours."""

    divide: float = 1.0

    def __call__(self, time: str) -> str:
        """A time such as `5m` at this pace, in Prometheus' words; at least 4 s where shortened, or
        a window would hold no two samples."""
        match = re.fullmatch(r"(\d+)([smhdw])", time)
        if match is None:
            raise ValueError(f"{time!r} is no time: 30s, 5m, 1h, 3d")
        if self.divide == 1:
            return time
        seconds = int(match[1]) * _UNITS[match[2]] / self.divide
        return f"{max(_LEAST_S, round(seconds))}s"
