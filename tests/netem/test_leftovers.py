"""What the look for leftovers counts: an owner's own, not another's under the same number."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from netem.conformance import leftovers
from netem.conformance.leftovers import Traces
from netem.namespaces import process_start


def claim(directory: Path, pid: int) -> None:
    """As a link's owner writes it down."""
    start = process_start(pid)
    assert start is not None
    (directory / "owner.json").write_text(json.dumps({"pid": pid, "start": start[1]}))


def test_a_number_taken_by_another_owner_is_none_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "STATE_DIRECTORY", tmp_path)
    state = tmp_path / "link-7"
    state.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    traces = Traces(ended.pid, frozenset(), frozenset({state}), frozenset({"offload7-edge"}))
    assert traces.left() == [str(state)]  # nobody's
    claim(state, os.getpid())
    assert traces.left() == []
    mine = Traces(os.getpid(), frozenset(), frozenset({state}), frozenset())
    assert mine.left() == [str(state)]
    (state / "owner.json").write_text(json.dumps({"pid": ended.pid, "start": 1}))
    assert traces.left() == [str(state)]  # a dead owner's
