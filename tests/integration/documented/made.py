"""What documented commands are run with: links, runs, results, each made when it is asked for."""

from __future__ import annotations

import json
import re
import socket
from functools import cached_property
from pathlib import Path

from documented.running import run_program
from tests.evidence.made_evaluations import made_evaluation
from tests.evidence.made_runs import made_folder, made_pair

_FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
_ROWS = "".join(f"{t / 2},{20 + t % 7},{8 + t % 3},{40 + t % 5},0.01\n" for t in range(12))


class Made:
    """Files under ``folder``; the attributes are what ``<name>`` stands for in a command's words.

    Attributes:
        out: a folder of the command's own, empty.
        none: a folder that is not there.
        fetch: Python that prints what an address answers; no quote in it that a shell would take.
    """

    fetch = _FETCH

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder
        self.none = folder / "none"

    def words(self, text: str) -> str:
        """``text`` with every ``<name>`` in it made and named."""
        return re.sub(r"<(\w+)>", lambda name: str(getattr(self, name[1])), text)

    @cached_property
    def traces(self) -> Path:
        """Two measured links."""
        folder = self.folder / "traces"
        folder.mkdir()
        for name in ("one", "other"):
            (folder / f"{name}.csv").write_text(f"t_s,down_mbps,up_mbps,rtt_ms,loss\n{_ROWS}")
        return folder

    @property
    def trace(self) -> Path:
        """One of them."""
        return self.traces / "one.csv"

    @cached_property
    def params(self) -> Path:
        """Hyper-parameters of PPO."""
        path = self.folder / "best.json"
        path.write_text(json.dumps({"algo": "ppo", "lanes": 64, "params": {"gamma": 0.7}}))
        return path

    @cached_property
    def run(self) -> Path:
        """A training that is done."""
        runs = self.folder / "runs"
        done = run_program(["python", "train.py", "--steps", "512", "--lanes", "64", "--out", runs])
        assert done.code == 0, done.err
        (folder,) = runs.iterdir()
        return folder

    @cached_property
    def live(self) -> Path:
        """A live run that never was, of 16 tasks."""
        choices = {"always-local": ([0] * 16, [0, 1] * 8), "maui-true": ([0, 1] * 8, [0, 1] * 8)}
        return made_folder(self.folder / "live", [made_pair()] * 16, choices)

    @cached_property
    def calibration(self) -> Path:
        """A simulator refitted to it."""
        out = self.folder / "calibrations"
        done = run_program(["python", "train.py", "--calibrate", self.live, "--out", out])
        assert done.code == 0, done.err
        (file,) = out.glob("*/calibration.json")
        return file

    @cached_property
    def evaluated(self) -> Path:
        """A live evaluation that never was, of six tasks."""
        return made_evaluation(self.folder / "evaluated")

    @property
    def port(self) -> int:
        """A port that nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as found:
            return int(found.getsockname()[1])
