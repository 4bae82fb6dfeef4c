"""Runs a program as root of namespaces of its own: ``python -I -S unprivileged_launch.py COMMAND``.

For ordinary users. In a new user namespace the user is root, over a network, mount and process
namespace made with it and over nothing else: files it writes belong to the user. Three processes:

    the caller's    made the namespaces; passes SIGTERM on, and the program's exit code back
    process 1       of the new process namespace; reaps; when it ends, all else in there is killed
    the program

Whatever ends the first, SIGKILL included, ends process 1, and so everything: processes, network
namespaces, mounts. A program of its own, because only a process without threads may make a user
namespace. It uses the standard library alone.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import stat
import struct
import sys
from types import FrameType
from typing import NoReturn

FAILED = 125
"""Exit code where the namespaces could not be made; standard error says what was refused."""
_NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x40000000 | 0x20000000  # user, mount, network, process
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_OWN_RUN = frozenset({"netns", "offload-netem"})
"""Folders under /run that only root may write; in here they begin empty."""


def main(command: list[str]) -> int:
    """Make the namespaces, run the command in them, return its exit code."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    _check(libc.unshare(_NEW_NAMESPACES), "making a user namespace")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")
    own_group = not has_terminal()
    first_reads, we_hold = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(we_hold)
        _check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")
        if select.select([first_reads], [], [], 0)[0]:
            os._exit(1)  # the caller's process died before the signal was set
        if own_group:
            os.setpgid(0, 0)
        _run_as_first(libc, command)
    _pass_on(first, interrupts_always=own_group)
    return _exit_code(os.waitpid(first, 0)[1])


def _run_as_first(libc: ctypes.CDLL, command: list[str]) -> NoReturn:
    """Process 1: set the mounts, start the program, reap until it ends."""
    try:
        _set_mounts(libc)
        _loopback_up()
    except OSError as error:
        print(f"{error.strerror}", file=sys.stderr, flush=True)
        os._exit(FAILED)
    program = os.fork()
    if program == 0:
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    _pass_on(program, interrupts_always=False)
    while True:
        ended, status = os.wait()
        if ended == program:
            os._exit(_exit_code(status))


def _set_mounts(libc: ctypes.CDLL) -> None:
    """A /proc of this process namespace; a /run in which the two folders of ours can be made."""

    def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        words = (word.encode() for word in (source, target, kind))
        what = f"mounting {kind or source} at {target}"
        _check(libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None), what)

    mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    names = os.listdir("/run")
    old = os.open("/run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for name in sorted(set(names) - _OWN_RUN):
        source, target = f"/proc/self/fd/{old}/{name}", f"/run/{name}"
        # What the user may not reach is left out: it could not be used in here either.
        with contextlib.suppress(OSError):
            mode = os.lstat(source).st_mode
            if stat.S_ISLNK(mode):
                os.symlink(os.readlink(source), target)
                continue
            if stat.S_ISDIR(mode):
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC, 0o600))
            mount(source, target, "", _MS_BIND | _MS_REC)
    os.close(old)


def _loopback_up() -> None:
    import fcntl  # which not every system has, on which the proxy backend runs

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _pass_on(process: int, *, interrupts_always: bool) -> None:
    """From here on SIGTERM goes to ``process``; so does a SIGINT that no terminal sent to all."""

    def forward(signal_number: int, frame: FrameType | None) -> None:
        if signal_number == signal.SIGTERM or interrupts_always or not in_foreground():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal_number)

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, forward)


def has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def in_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches this process; False where that cannot be known."""
    if os.name != "posix":
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise OSError(error.errno, f"writing {path}: {error.strerror}") from error


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as refused:
        print(refused.strerror, file=sys.stderr)
        sys.exit(FAILED)
