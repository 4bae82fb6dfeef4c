"""Runs User-Mode Linux: ``python -I -S uml_launch.py NETNS PARENT SAVE -- COMMAND``.

The guest is a child; this process stays and waits. When its own parent dies, or on SIGTERM, it
kills the guest and the guest's helper processes at once. The guest must not be asked to end: its
own SIGTERM handler runs at most once, and where that interrupts the kernel at a bad moment (its
console has just lost the other end, say) the guest spins for ever at real-time priority.

From SIGUSR1 on, which says that the router is up, it sends the guest SIGIO every millisecond. A tap
signals its reader a moment before it marks the packet as there to read; a guest that looks in
between finds nothing, and the packet would lie there until the next one came (seen at 1 to 3
packets in 1,000 where each waited for the one before).

A program of its own, so that nothing runs between fork and exec of a threaded parent. It uses the
standard library alone.

    NETNS   file of the network namespace the taps are in
    PARENT  pid that must still be its parent: it dies with that one
    SAVE    ``xsave``, or ``fxsave`` on processors whose register state is larger than the 2,696
            bytes User-Mode Linux 6.1 has room for (AMX): the kernel then refuses every
            PTRACE_SETREGSET. A seccomp filter lets that request fail from the first call on, and
            UML falls back to the older one, which carries the x87 and SSE registers alone.
"""

import contextlib
import ctypes
import errno
import os
import signal
import struct
import sys
import time
from typing import NoReturn

_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_REAP_S = 2.0
_LOOK_S = 0.001
_SECCOMP_MODE_FILTER = 2
_SECCOMP_RET_ALLOW, _SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
_AUDIT_ARCH_X86_64 = 0xC000003E
_SYS_PTRACE, _PTRACE_GETREGSET, _PTRACE_SETREGSET = 101, 0x4204, 0x4205
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_FIRST_ARGUMENT = 0, 4, 16


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _check(libc: ctypes.CDLL, result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def refuse_register_sets(libc: ctypes.CDLL) -> None:
    """From here on ptrace's register-set requests fail with EINVAL, for this process and its own.

    Raises:
        OSError: the kernel takes no seccomp filter.
    """
    steps = (
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 0, 6, _AUDIT_ARCH_X86_64),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_EQUAL, 0, 4, _SYS_PTRACE),
        (_LOAD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        (_JUMP_EQUAL, 1, 0, _PTRACE_GETREGSET),
        (_JUMP_EQUAL, 0, 1, _PTRACE_SETREGSET),
        (_RETURN, 0, 0, _SECCOMP_RET_ERRNO | errno.EINVAL),
        (_RETURN, 0, 0, _SECCOMP_RET_ALLOW),
    )
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    _check(libc, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    result = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))
    _check(libc, result, "seccomp filter")


def main(argv: list[str]) -> int:
    """Start the guest and wait for its end, or for that of the parent."""
    namespace, parent, save, separator, *command = argv
    if separator != "--" or save not in {"xsave", "fxsave"}:
        raise ValueError(f"usage: NETNS PARENT xsave|fxsave -- COMMAND..., not {argv!r}")
    libc = ctypes.CDLL(None, use_errno=True)
    # The guest's helpers become this process's to reap, not those of whatever runs as process 1.
    _check(libc, libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")
    # Real-time priority where allowed: a starved router would add delay of its own.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    watcher = os.getpid()
    up: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: up.append(number))
    guest = os.fork()
    if guest == 0:
        _become_guest(libc, watcher, namespace, save, command)
    signal.signal(signal.SIGTERM, lambda *_: _kill(guest))
    _check(libc, libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "parent-death signal")
    if os.getppid() != int(parent):
        _kill(guest)
    # The guest's console must end with the guest, so no copy of it may stay open here.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    while os.waitpid(guest, os.WNOHANG)[0] == 0:
        if up:  # before its handler is in place, the signal would end the guest
            os.kill(guest, signal.SIGIO)
        time.sleep(_LOOK_S if up else 10 * _LOOK_S)
    _kill(guest)  # what is left of its helper processes
    _reap()
    return 0


def _reap() -> None:
    """Wait for the killed helpers, so that none is left as a zombie; in bounded time."""
    until = time.monotonic() + _REAP_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)


def _kill(guest: int) -> None:
    """Kill the guest and its helpers: it makes a process group of its own when it starts."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(guest, signal.SIGKILL)


def _become_guest(
    libc: ctypes.CDLL, watcher: int, namespace: str, save: str, command: list[str]
) -> NoReturn:
    """Turn this new process into the guest; it dies with the watcher."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _check(libc, libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")
    if os.getppid() != watcher:
        os._exit(1)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    _check(libc, libc.setns(descriptor, _CLONE_NEWNET), "setns")
    if save == "fxsave":
        refuse_register_sets(libc)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
