"""Running programs as an ordinary user, for the tests of what works without root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from machine import REPOSITORY

UID = 65534 if os.geteuid() == 0 else os.geteuid()
"""Who the programs run as: nobody, where the tests run as root."""
_AS_USER = (
    ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups")
    if os.geteuid() == 0
    else ()
)
LAUNCHER = str(REPOSITORY / "netem" / "unprivileged_launch.py")


def environment() -> dict[str, str]:
    """This process's, with the packages of its interpreter for another of the same version."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([sysconfig.get_path("purelib"), str(REPOSITORY)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
    }


_FINDS_ALL = "import msgspec, numpy, tyro, netem"
_RUNS_ITSELF = (
    f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', '{_FINDS_ALL}']))"
)


def hand_over(folder: Path) -> None:
    """Let the user reach and write one of pytest's temporary folders."""
    above = 3 if "PYTEST_XDIST_WORKER" in os.environ else 2  # a worker has a folder of its own
    for path in (folder, *folder.parents[:above]):
        path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, UID, UID)


def python() -> str:
    """An interpreter that the user may run and that finds this checkout and its packages.

    Skips the test where there is none: a virtual environment may lie in root's home.
    """
    found = _python()
    if found is None:
        pytest.skip(f"uid {UID} can run no Python here that finds the checkout and its packages")
    return found


@functools.cache
def _python() -> str | None:
    named = f"python3.{sys.version_info.minor}"
    candidates = [sys.executable, f"/usr/bin/{named}", shutil.which(named)]
    for candidate in filter(None, candidates):
        # One that root may start may still not start itself as the user.
        tried = subprocess.run(
            [*_AS_USER, candidate, "-c", _RUNS_ITSELF],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            check=False,
        )
        if tried.returncode == 0:
            return candidate
    return None


def argv(*words: str) -> list[str]:
    """The command line of a program run as the user."""
    return [*_AS_USER, *words]


def run(*words: str, timeout_s: float = 60.0, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run a program as the user."""
    return subprocess.run(
        argv(*words),
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **kwargs,
    )


def start(*words: str, **kwargs: Any) -> subprocess.Popen[str]:
    """Start a program as the user; its output is a pipe."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, **kwargs}
    return subprocess.Popen(argv(*words), cwd=REPOSITORY, env=environment(), **settings)


def need_user_namespaces() -> None:
    """Skip where an ordinary user may not make a user namespace; the reason is the program's."""
    refused = _refusal(python())
    if refused:
        pytest.skip(f"as uid {UID}: {refused}")


@functools.cache
def _refusal(interpreter: str) -> str:
    code = "from netem import unprivileged; print(*unprivileged.refusal() or (), sep='; ')"
    tried = run(interpreter, "-c", code)
    return (tried.stdout + tried.stderr).strip()


def packet_backend() -> str:
    """A backend that carries packets for the user; skips where there is none."""
    need_user_namespaces()
    said = _doctor(python())
    for name in ("tc", "uml", "tun"):
        if f"{name}: yes" in said:
            return name
    pytest.skip(f"no backend carries packets for uid {UID}")


@functools.cache
def _doctor(interpreter: str) -> str:
    return run(interpreter, "-m", "netem", "doctor").stdout
