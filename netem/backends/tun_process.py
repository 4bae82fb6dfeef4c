"""The emulator's process as its owner sees it: started, asked, ended."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netem
from netem.emulator.forwarding import MESSAGE_BYTES
from offload.errors import BackendError

REPLY_TIMEOUT_S = 5.0
START_TIMEOUT_S = 20.0
_LOG_LINES = 12


def emulator_command(*arguments: str) -> list[str]:
    """Argument list that runs :mod:`netem.emulator` with this interpreter and these sources."""
    return [sys.executable, "-P", "-m", "netem.emulator", *arguments]


def emulator_environment() -> dict[str, str]:
    """The environment it finds the sources in, wherever it is started."""
    sources = str(Path(netem.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{sources}:{inherited}" if inherited else sources}


class EmulatorProcess:
    """A running emulator and the socket to it. Not safe for use by two threads at once.

    Args:
        namespace: file of the network namespace it works in.
        log: file for what it prints.
    """

    def __init__(self, namespace: Path, log: Path) -> None:
        self._log = log
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, log.open("wb") as output:
            descriptor = theirs.fileno()
            command = emulator_command("serve", str(descriptor), str(os.getpid()))
            self._process = subprocess.Popen(
                ["nsenter", f"--net={namespace}", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=emulator_environment(),
                pass_fds=(descriptor,),
                start_new_session=True,  # a Ctrl-C meant for us must not end it before we do
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any], timeout_s: float = REPLY_TIMEOUT_S) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            BackendError: it refused, or it ended (the message says what it printed last), or it is
                silent for ``timeout_s``.
        """
        self._control.settimeout(timeout_s)
        try:
            self._control.send(json.dumps(request).encode())
            answer = self._control.recv(MESSAGE_BYTES)
        except TimeoutError as error:
            raise BackendError(f"the emulator is silent for {timeout_s:g} s") from error
        except OSError:  # a broken pipe, or the link was closed
            answer = b""
        if not answer:
            raise BackendError(f"the emulator ended. It said:\n{self._last_words()}")
        reply: dict[str, Any] = json.loads(answer)
        if "error" in reply:
            raise BackendError(f"the emulator could not start: {reply['error']}")
        return reply

    def close(self) -> None:
        """End it at once. Idempotent."""
        self._control.close()
        self._process.terminate()
        self._process.wait()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        try:
            lines: Sequence[str] = self._log.read_text(errors="replace").splitlines()
        except OSError:
            lines = ()
        return "\n".join(lines[-_LOG_LINES:]) or f"nothing (exit {self._process.returncode})"
