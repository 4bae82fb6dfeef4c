"""Names for the function that runs tasks, so that another process can import it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

from offload.errors import ConfigError

RunTask: TypeAlias = Callable[[str, bytes], bytes]
"""``(kind, payload) -> output``."""


def reference(run_task: RunTask) -> str:
    """``module:name`` of a function that another process can import.

    Raises:
        ConfigError: it is no top-level function of an importable module.
    """
    module = getattr(run_task, "__module__", None)
    name = getattr(run_task, "__qualname__", "")
    if module in (None, "__main__") or not name.isidentifier():
        raise ConfigError(
            f"run_task is {run_task!r}; workers import it, so it must be a top-level function of "
            "a module other than __main__"
        )
    return f"{module}:{name}"


def function_at(reference: str) -> RunTask:
    """The function of that name, its module imported now if it was not yet."""
    module, name = reference.split(":")
    function: RunTask = getattr(importlib.import_module(module), name)
    return function
