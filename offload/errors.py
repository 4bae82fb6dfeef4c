"""The project's one tree of errors.

OffloadError
├── ConfigError          bad option, bad file, unknown name: the caller can put it right
│   ├── UnknownNameError a name that is not in a known set; suggests the nearest one
│   ├── BundleError      a saved policy that is missing, damaged or of another version
│   └── TraceError       a link trace that is missing or not as its format wants it
├── GraphError           a call graph that breaks a rule of CallGraph
├── SolverError          the integer-program solver stopped without an answer
├── TaskError            a task that is unknown, unavailable here, or given bad input
├── BackendError         a network backend that cannot run here, with the way out
│   └── VerifyError      a network setting read back different from what was set
├── VoidRun              a measurement that does not count, because the machine was too busy
└── RemoteError          the edge server did not give a usable answer
    ├── RemoteTimeout    no answer within the budget
    │   └── RemoteDisconnected  no connection, or it broke: nothing is known of the request
    ├── RemoteBusy       the server's queue was full and it said so
    └── RemoteFailure    the server answered with a typed error
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OffloadError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigError(OffloadError):
    """A setting, file or name the caller can put right."""


class UnknownNameError(ConfigError):
    """A name outside a known set.

    Args:
        what: what kind of thing is named, e.g. ``"profile"``.
        name: the name that was given.
        known: the names that would have been right.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(map(str, known))
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {what} {name!r}.{hint} Known: {', '.join(names)}")


class BundleError(ConfigError):
    """A saved policy that is missing, damaged or of another version."""


class TraceError(ConfigError):
    """A link trace that is missing or not as its format wants it; names the file and the line."""


class GraphError(OffloadError):
    """A call graph that breaks a rule of :class:`offload.call_graph.CallGraph`."""


class SolverError(OffloadError):
    """The integer-program solver stopped with neither an optimum nor a proof that there is none."""


class TaskError(OffloadError):
    """A task that is unknown, unavailable on this machine, or given bad input."""


class BackendError(OffloadError):
    """A network backend that cannot run here; the message names the way out."""


class VerifyError(BackendError):
    """A network setting that was read back different from what was set."""


class VoidRun(OffloadError):
    """A measurement that does not count: the machine was too busy for the link to be as set."""


class RemoteError(OffloadError):
    """The edge server did not give a usable answer.

    Attributes:
        unanswered: the request went out, and what became of the task there is not known.
    """

    unanswered = False


class RemoteTimeout(RemoteError):
    """No answer from the edge server within the budget, or the server says that it has ended."""

    def __init__(self, message: str, *, unanswered: bool = True) -> None:
        super().__init__(message)
        self.unanswered = unanswered


class RemoteDisconnected(RemoteTimeout):
    """There is no connection to the edge server, or it broke; the request may have run there."""


class RemoteBusy(RemoteError):
    """The edge server's queue was full, and it said so.

    Attributes:
        retry_after_s: when it expects to have room; 0: it did not say.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RemoteCancelled(RemoteError):
    """The request was given up: by the caller, or by a later attempt at the same task."""


class RemoteFailure(RemoteError):
    """The edge server answered with a typed error.

    Attributes:
        code: the protocol's error code, e.g. ``"unknown_kind"``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.unanswered = code == "bad_reply"
