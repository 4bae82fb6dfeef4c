"""The conversation with the guest's tc, over pipes that the test answers."""

from __future__ import annotations

import os
import threading

import pytest

from netem.backends import uml_console
from netem.backends.uml_console import UmlConsole
from offload.errors import BackendError


def test_late_replies_are_not_those_to_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    we_read, guest_writes = os.pipe()
    guest_reads, we_write = os.pipe()
    console = UmlConsole(we_read, we_write, lambda: True)
    monkeypatch.setattr(uml_console, "REPLY_TIMEOUT_S", 0.2)
    try:
        os.write(guest_writes, b'[{"kind": "tbf"}]\n')
        with pytest.raises(BackendError, match="silent"):
            console.converse(["qdisc show dev a"])  # the answer for lo is still to come
        monkeypatch.setattr(uml_console, "REPLY_TIMEOUT_S", 5.0)
        late = threading.Timer(0.1, os.write, (guest_writes, b'[{"kind": "noqueue"}]\n'))
        late.start()
        # Only after the late one, as the guest would: it reads the questions in order.
        fresh = b'[{"kind": "netem"}]\n[{"kind": "noqueue"}]\n'
        answer = threading.Timer(0.3, os.write, (guest_writes, fresh))
        answer.start()
        assert console.converse(["qdisc show dev a"]) == [[{"kind": "netem"}]]
        assert os.read(guest_reads, 1000).count(b"qdisc show dev lo\n") == 2
        late.join()
        answer.join()
    finally:
        console.close()
        os.close(guest_reads)
        os.close(guest_writes)


def test_a_guest_that_missed_the_question_is_nudged() -> None:
    we_read, guest_writes = os.pipe()
    guest_reads, we_write = os.pipe()
    console = UmlConsole(we_read, we_write, lambda: True)

    def answer_at_the_second_look() -> None:
        asked = b""
        while not asked.endswith(b"\n\n"):  # asleep until an empty line comes behind the question
            asked += os.read(guest_reads, 1000)
        os.write(guest_writes, b'[{"kind": "netem"}]\n[]\n')

    guest = threading.Thread(target=answer_at_the_second_look)
    guest.start()
    try:
        assert console.converse(["qdisc show dev a"]) == [[{"kind": "netem"}]]
        guest.join(timeout=5)
    finally:
        console.close()
        os.close(guest_reads)
        os.close(guest_writes)
