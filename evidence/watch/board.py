"""The scalars of a live view as TensorBoard's events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from evidence.watch.standing import Standing
from offload.types import PairedRun

LINK = ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s")


def scalars(pair: PairedRun, standing: Sequence[Standing]) -> dict[str, float]:
    """What is written after a pair, by tag; an edge run that was given up has no seconds."""
    found = {f"live/link/{name}": float(getattr(pair.link, name)) for name in LINK}
    found["live/task/device_s"] = float(pair.local.seconds)
    if pair.edge is not None:
        found["live/task/edge_s"] = float(pair.edge.seconds)
    for each in standing:
        found[f"live/accuracy/{each.name}"] = each.accuracy
        found[f"live/deadline_misses/{each.name}"] = each.missed
        found[f"live/offloaded/{each.name}"] = each.offloaded
        found[f"live/cost/{each.name}"] = each.cost
    return found


class Events:
    """Writes an event file into a folder; each step is on disk when :meth:`add` returns."""

    def __init__(self, folder: Path) -> None:
        self._writer = EventFileWriter(str(folder))

    def add(self, step: int, values: dict[str, float]) -> None:
        """Write the scalars of one step."""
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        """Close the file; its thread ends."""
        self._writer.close()
