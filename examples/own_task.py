"""A task of one's own, here or there: python examples/own_task.py HOST PORT (of own_server.py)."""

import sys

from word_count import run_task

from offload import connect

TEXT = "to be or not to be, that is the question; " * 20_000

with connect(sys.argv[1], int(sys.argv[2]), run_task=run_task) as offloader:
    for _ in range(5):
        report = offloader.run("word-count", TEXT.encode(), deadline_s=3.0)
        print(report.why)
print(report.output.decode())
