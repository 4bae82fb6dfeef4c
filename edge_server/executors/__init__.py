"""What runs the server's tasks: :class:`~edge_server.executors.base.Executor` and its kinds."""

from __future__ import annotations

from edge_server.config import ServerConfig
from edge_server.executors.base import Executor
from edge_server.executors.local import LocalExecutor
from offload.task_function import RunTask


def make_executor(config: ServerConfig, run_task: RunTask) -> Executor:
    """The executor that the settings ask for.

    Raises:
        ConfigError: ``run_task`` cannot be imported by a worker, or a package is missing.
        BackendError: no Ray cluster answers, or it is too small.
    """
    limits = config.max_task_memory_bytes, config.max_message_bytes
    if config.executor == "ray":
        from edge_server.executors.ray_cluster import RayExecutor

        assert config.ray_address is not None  # the settings see to it
        return RayExecutor(run_task, config.workers, *limits, config.ray_address)
    return LocalExecutor(run_task, config.workers, *limits)
