"""Becomes User-Mode Linux: run as ``python -I -S uml_launch.py NETNS PARENT SAVE -- COMMAND``.

A program of its own, so that all of this happens in the new process, after the fork and before the
exec, without Python code running between fork and exec of a threaded parent. It uses the standard
library alone.

    NETNS   file of the network namespace the taps are in
    PARENT  pid that must still be its parent: it dies with that one
    SAVE    ``xsave``, or ``fxsave`` on processors whose register state is larger than the 2,696
            bytes User-Mode Linux 6.1 has room for (AMX): the kernel then refuses every
            PTRACE_SETREGSET. A seccomp filter lets that request fail from the first call on, and
            UML falls back to the older one, which carries the x87 and SSE registers alone.
"""

import ctypes
import errno
import os
import signal
import struct
import sys

_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
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
    """Set up this process and replace it; returns only where the parent is gone already."""
    namespace, parent, save, separator, *command = argv
    if separator != "--" or save not in {"xsave", "fxsave"}:
        raise ValueError(f"usage: NETNS PARENT xsave|fxsave -- COMMAND..., not {argv!r}")
    libc = ctypes.CDLL(None, use_errno=True)
    # SIGTERM, not SIGKILL: on SIGTERM UML takes its helper processes along.
    _check(libc, libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "parent-death signal")
    if os.getppid() != int(parent):
        return 1
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    _check(libc, libc.setns(descriptor, _CLONE_NEWNET), "setns")
    if save == "fxsave":
        refuse_register_sets(libc)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
