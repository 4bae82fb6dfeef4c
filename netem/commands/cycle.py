"""Command cycle: start and stop links over and over."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Cycle:
    """Open and close a link many times, and look each time for what it left behind.

    Looked for: processes, namespaces, devices, mounts, CPU groups, directories under /run, and this
    process's own file descriptors, threads and children. Exits 1 where anything was left. Example:
    sudo python -m netem cycle --backend uml --times 50
    """

    backend: str = "auto"
    """Backend to use; auto: the first that runs; all: every one that runs here."""
    times: int = 50
    """Starts and stops of each."""

    def run(self) -> int:
        """Cycle one backend or all."""
        from tqdm import tqdm

        from netem.backends import BACKENDS
        from netem.conformance.cycles import run_cycles
        from netem.tables import print_table
        from offload.errors import BackendError, ConfigError

        if self.times < 1:
            raise ConfigError(f"--times is {self.times}; it must be at least 1")
        if not sys.platform.startswith("linux"):
            raise BackendError("what a link leaves behind is read from /proc, which needs Linux")
        names = [self.backend]
        if self.backend == "all":
            names = [backend.name for backend in BACKENDS if backend.probe().runs]
        rows, wrong = [], []
        for name in names:
            with tqdm(total=self.times, unit="cycle", desc=name, disable=None) as bar:
                cycles = run_cycles(name, self.times, bar.update)
            left = [
                f"{name}, cycle {i}: {what}" for i, c in enumerate(cycles, 1) for what in c.left
            ]
            rows.append(
                [
                    name,
                    str(len(cycles)),
                    f"{statistics.median(cycle.open_s for cycle in cycles):.2f}",
                    f"{max(cycle.open_s for cycle in cycles):.2f}",
                    f"{statistics.median(cycle.close_s for cycle in cycles):.2f}",
                    f"{min(c.seen for c in cycles)} to {max(c.seen for c in cycles)}",
                    str(len(left)),
                ]
            )
            wrong += left
        header = ["backend", "cycles", "open s p50", "max", "close s p50", "traces open", "left"]
        print_table(header, rows)
        for line in wrong:
            print(f"left: {line}")
        return 1 if wrong else 0
