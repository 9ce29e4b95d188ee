"""One request to /api/ai/* on its way: Job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gateway.domain.call import Call, Reply
from gateway.flow.context import Context
from gateway.flow.task import Task

Action = Literal["explain", "rewrite"]


@dataclass(slots=True)
class Job:
    """One request on its way: `task` and `context` are there once the caller is known."""

    action: Action
    read: Callable[[], Task]
    call: Call
    task: Task = field(init=False)
    context: Context = field(init=False)
    reply: Reply | None = None
    rehearsed: bool = False
