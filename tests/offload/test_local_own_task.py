"""The device runs a task of the user's own, in its child process."""

from __future__ import annotations

import os

import edge_server_tasks
import pytest

from offload.errors import ConfigError, TaskError
from offload.local_executor import LocalExecutor
from offload.task_function import function_at, reference
from offload.types import Outcome, TaskInstance


def task(kind: str) -> TaskInstance:
    return TaskInstance(kind, "", 0)


def test_it_runs_in_the_child_and_its_errors_are_answers():
    with LocalExecutor(1.0, run_task=edge_server_tasks.run_task) as local:
        done = local.execute(task("pid"), b"", 20.0)
        assert done.outcome is Outcome.LOCAL_OK
        assert int(done.output) == local.pid != os.getpid()
        for kind, said in (
            ("fail", "ValueError: it went wrong"),
            ("bad_input", "not a payload of mine"),
            ("not_bytes", "returned str, not bytes"),
            ("nonsense", "no task 'nonsense'"),
        ):
            with pytest.raises(TaskError, match=said):
                local.execute(task(kind), b"", 20.0)
        assert local.execute(task("echo"), b"still there", 20.0).output == b"still there"
        assert local.execute(task("pid"), b"", 20.0).output == done.output
        assert local.execute(task("crash"), b"", 20.0).outcome is Outcome.FAILED


def test_only_what_another_process_can_import_is_taken():
    def inner(kind: str, payload: bytes) -> bytes:
        return payload

    for function in (inner, lambda kind, payload: payload):
        with pytest.raises(ConfigError, match="top-level function"):
            LocalExecutor(1.0, run_task=function)
    name = reference(edge_server_tasks.run_task)
    assert name == "edge_server_tasks:run_task"
    assert function_at(name) is edge_server_tasks.run_task
