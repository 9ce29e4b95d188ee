"""A job knows its task and its context once the caller is known, and not before."""

from __future__ import annotations

import pytest

from gateway.domain.actions import ACTIONS, Action
from gateway.flow.job import Job
from gateway.flow.task import Task
from gateway.testing.fakes import a_call


def test_a_job_has_no_task_before_it_was_read() -> None:
    def read() -> tuple[Action, Task]:
        raise AssertionError("nobody knows the caller yet")

    job = Job(ACTIONS[0], read, a_call())
    with pytest.raises(AttributeError):
        _ = job.task
    assert (job.reply, job.rehearsed) == (None, False)
