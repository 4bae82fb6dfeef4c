"""Many tasks at once under asyncio: python examples/many_tasks.py HOST PORT."""

import asyncio
import sys
from collections import Counter

from offload import connect
from offload.tasks import get_task


async def main(host: str, port: int) -> None:
    """Compress twenty texts, each within its deadline, and say where that was done."""
    task = get_task("lzma")
    async with connect(host, port) as offloader:
        reports = await asyncio.gather(
            *(
                offloader.run_async("lzma", task.make_input("small", seed), deadline_s=20.0)
                for seed in range(20)
            )
        )
    print(dict(Counter(report.site or "failed" for report in reports)))
    print("slowest:", max(reports, key=lambda report: report.seconds).why)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
