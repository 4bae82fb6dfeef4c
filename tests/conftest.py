"""Signals as a program at a terminal has them, whoever started the tests."""

from __future__ import annotations

import signal

# A shell's background ignores SIGINT, nohup SIGHUP, and the programs that tests start and signal
# would inherit that. Handlers are not inherited: after exec the signal ends a program again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)
