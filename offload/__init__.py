"""The model that device, edge server, simulator and agents share, and the door for programs.

This package imports no other package of the project, and neither torch, zmq nor gymnasium,
so it runs on the device as it is. With one exception, taken only when asked for: the names of
:mod:`client_library`, which joins all that a program needs, can be had from here.

    from offload import connect
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client_library import ClientConfig, Offloader, TaskReport, connect

__all__ = ["ClientConfig", "Offloader", "TaskReport", "connect"]


def __getattr__(name: str) -> Any:
    """The names of :mod:`client_library`, imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import client_library

    return getattr(client_library, name)
