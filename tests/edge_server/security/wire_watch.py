"""Put on the path as ``sitecustomize``: notes what a process does with bytes that came in.

It writes a line, ``[pid, what, detail]``, for each process that starts with it; for each use of
pickle, whatever its bytes; and for each import, compilation, execution, opening of a file, start of
a program or loading of a library whose arguments hold the canary that the test sends.
"""

from __future__ import annotations

import json
import os
import pickle
import sys

_PATH = os.environ["WIRE_WATCH"]
_CANARY = os.environ["WIRE_CANARY"]
_WATCHED = (
    "compile",
    "exec",
    "import",
    "open",
    "os.exec",
    "os.listdir",
    "os.posix_spawn",
    "os.system",
    "subprocess.Popen",
    "ctypes.dlopen",
    "socket.connect",
    "socket.getaddrinfo",
)


def _note(what: str, detail: str) -> None:
    line = json.dumps([os.getpid(), what, detail[:400]]) + "\n"
    descriptor = os.open(_PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    told = arguments[:3] if event == "subprocess.Popen" else arguments  # not the environment
    if event == "pickle.find_class" or (event in _WATCHED and _CANARY in repr(told)):
        _note(event, repr(told))


class _Finder:
    """Sees each import before any other finder does, and finds nothing."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if _CANARY in name:
            _note("import hook", name)


class _NotedUnpickler(pickle.Unpickler):
    def __init__(self, *arguments: object, **keywords: object) -> None:
        _note("pickle", "Unpickler")
        super().__init__(*arguments, **keywords)  # type: ignore[arg-type]


def _noted(name: str):
    original = getattr(pickle, name)

    def noted(*arguments: object, **keywords: object) -> object:
        _note("pickle", name)
        return original(*arguments, **keywords)

    return noted


_note("start", " ".join(sys.orig_argv))
pickle.loads, pickle.load, pickle.Unpickler = _noted("loads"), _noted("load"), _NotedUnpickler
sys.meta_path.insert(0, _Finder)  # type: ignore[arg-type]
sys.addaudithook(_audit)
