"""One request to /api/ai/* on its way: Job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.actions import Action
from gateway.domain.call import Call, Reply
from gateway.flow.context import Context
from gateway.flow.task import Task

__all__ = ["Action", "Job"]


@dataclass(slots=True)
class Job:
    """One request on its way: `task` and `context` are there once the caller is known, and only
    then is `action` the one that the body means, as `read` says. It must not know the job: the two
    would keep each other. A `rehearsed` job asks no model."""

    action: Action
    read: Callable[[], tuple[Action, Task]]
    call: Call
    task: Task = field(init=False)
    context: Context = field(init=False)
    reply: Reply | None = None
    rehearsed: bool = False
