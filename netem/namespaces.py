"""Network namespaces: entering one, starting programs in one, and ending what runs in one."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from offload.errors import BackendError

NAMED_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of an emulated link: a network namespace and its address in it.

    Attributes:
        address: IPv4 address the other end reaches it at.
        namespace: name under /run/netns, or the path of a namespace file.
        interface: name of its network interface.
    """

    address: str
    namespace: str
    interface: str

    @property
    def path(self) -> Path:
        """The namespace's file."""
        return namespace_path(self.namespace)

    def enter(self) -> None:
        """Move the calling thread into the namespace.

        Sockets stay in the namespace they were made in, so enter before making any. Other threads
        stay where they are: call it first thing in a fresh process or a thread of its own.

        Raises:
            BackendError: the link is closed, or the process may not enter namespaces.
        """
        enter_namespace(self.path)

    def call(self, function: Callable[..., _Result], *args: Any) -> _Result:
        """Run ``function(*args)`` in the namespace, in a thread of its own, and return its result.

        The sockets it makes can be used from any thread afterwards.
        """
        return call_in_namespace(self.path, function, *args)

    def popen(self, argv: Sequence[str], **popen_kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in the namespace; its pid is the program's own.

        Args:
            argv: program and arguments.
            popen_kwargs: passed to :class:`subprocess.Popen`.

        Raises:
            FileNotFoundError: there is no such program.
            BackendError: the link is closed.
        """
        path = None if popen_kwargs.get("env") is None else popen_kwargs["env"].get("PATH")
        if shutil.which(argv[0], path=path) is None:
            raise FileNotFoundError(f"no program {argv[0]!r} on the PATH")
        if not self.path.exists():
            raise BackendError(f"namespace {self.namespace} is gone: the link was closed")
        # nsenter replaces itself by the program: no shell between, and no code of ours in a fork.
        return subprocess.Popen(["nsenter", f"--net={self.path}", "--", *argv], **popen_kwargs)


def namespace_path(namespace: str) -> Path:
    """The file of a namespace given by name or path."""
    return Path(namespace) if "/" in namespace else NAMED_NAMESPACES / namespace


def enter_namespace(path: Path) -> None:
    """Move the calling thread into the network namespace of that file."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(f"no namespace at {path}: {error.strerror}") from error
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise BackendError(f"cannot enter namespace {path}: {reason}; run it as root")
    finally:
        os.close(descriptor)


def call_in_namespace(path: Path, function: Callable[..., _Result], *args: Any) -> _Result:
    """Run ``function(*args)`` inside a namespace, in a thread that ends with it."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            enter_namespace(path)
            results.append(function(*args))
        except BaseException as error:  # handed to the caller's thread, below
            errors.append(error)

    thread = threading.Thread(target=target, name=f"in {path.name}", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def run_tool(argv: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a system tool and return its output.

    Raises:
        BackendError: it is missing, failed or hung; the message holds what it said.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=20, check=False
        )
    except FileNotFoundError as error:
        raise BackendError(f"the program {argv[0]!r} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{' '.join(argv)} did not end within 20 s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace("\n", " | ")
        raise BackendError(f"{' '.join(argv)} failed (exit {done.returncode}): {said}")
    return done.stdout


def add_namespace(name: str) -> None:
    """Make a named namespace."""
    run_tool(["ip", "netns", "add", name])


def delete_namespace(name: str) -> None:
    """End what runs in a namespace and remove it; nothing happens where there is none."""
    path = namespace_path(name)
    if path.exists():
        end_processes_in(path)
        run_tool(["ip", "netns", "delete", name])


def end_processes_in(path: Path, grace_s: float = 1.0) -> None:
    """End every process of a namespace: SIGTERM, then SIGKILL after ``grace_s``.

    The calling process and its ancestors are spared.
    """
    for signal_number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2.0)):
        deadline = time.monotonic() + patience_s
        for pid in processes_in(path):
            try:
                os.kill(pid, signal_number)
            except ProcessLookupError:
                continue
        while any(processes_in(path)) and time.monotonic() < deadline:
            time.sleep(0.01)


def processes_in(path: Path) -> Iterator[int]:
    """Pids of the live processes in a namespace, the caller and its ancestors left out."""
    wanted = path.stat()
    spared = _self_and_ancestors()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        try:
            found = (entry / "ns" / "net").stat()
        except OSError:  # ended meanwhile, a zombie, or not ours to look at
            continue
        if (found.st_ino, found.st_dev) == (wanted.st_ino, wanted.st_dev):
            yield int(entry.name)


def process_start(pid: int) -> tuple[int, int] | None:
    """Parent pid and start time (clock ticks since boot) of a process; None: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold anything
    if fields[0] in {"Z", "X"}:
        return None
    return int(fields[1]), int(fields[19])


def _self_and_ancestors() -> set[int]:
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        start = process_start(pid)
        pid = 0 if start is None else start[0]
    return found
