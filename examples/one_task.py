"""Solve one sudoku, here or on the edge server: python examples/one_task.py HOST PORT."""

import sys

from offload import connect
from offload.tasks import get_task

puzzle = get_task("sudoku").make_input("medium", seed=1)  # any encoded input
with connect(sys.argv[1], int(sys.argv[2])) as offloader:
    report = offloader.run("sudoku", puzzle, deadline_s=5.0)
print(report.why)
print(report.output.decode() if report.ok else report.reason)
