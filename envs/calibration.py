"""What a machine's own logs say of the simulator: seconds of its tasks, its server, its transfers.

The file is written by ``python train.py --calibrate RUN``; it is JSON, checked when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path

import msgspec

from envs.config import EnvConfig
from envs.edge_process import EdgeSamples
from offload.errors import ConfigError
from offload.link_model import CONGESTION_CONTROLS
from offload.tasks.profile_table import ProfileTable, check_table, load_profile_table
from offload.types import Quantity, Transfer

SCHEMA = 1
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TransferFit:
    """How transfers of one congestion control compare with the link model's.

    Attributes:
        upload, download: measured over predicted seconds.
        spread: how far single transfers are from that, over what the simulator draws: 1 as much.
    """

    upload: float = 1.0
    download: float = 1.0
    spread: float = 1.0

    def applied(self, moved: Transfer) -> Transfer:
        """Both transfers, as long as they take on this machine."""
        return Transfer(moved.upload_s * self.upload, moved.download_s * self.download)


@dataclass(frozen=True, slots=True)
class ServerFit:
    """Time that the server takes for a run besides the task and the wait for a worker.

    Attributes:
        fixed_s: of any run.
        per_byte_s: of each byte that it takes or gives.
    """

    fixed_s: float = 0.0
    per_byte_s: float = 0.0

    def seconds(self, n_bytes: Quantity) -> Quantity:
        """Seconds for a run that moves so many bytes in all."""
        return self.fixed_s + self.per_byte_s * n_bytes

    def applied(self, edge: EdgeSamples, n_bytes: Quantity) -> EdgeSamples:
        """Edge states with that time in them: it is met, and a calibrated device expects it."""
        if self == ServerFit():
            return edge
        own_s = self.seconds(n_bytes)
        return replace(
            edge, queue_s=edge.queue_s + own_s, probed_queue_s=edge.probed_queue_s + own_s
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration file.

    Attributes:
        schema: of the file.
        table: what the tasks take on this machine.
        server: what its server takes.
        transfers: by congestion control; one that is not there is as the link model has it.
        runs: names of the run folders it was fitted to.
        pairs: tasks measured in them.
        created, command: when and how it was made.
        notes: what was not fitted, and why.
    """

    schema: int
    table: ProfileTable
    server: ServerFit
    transfers: dict[str, TransferFit]
    runs: tuple[str, ...]
    pairs: int
    created: str
    command: str
    notes: tuple[str, ...] = field(default=())

    def transfer_fit(self, congestion_control: str) -> TransferFit:
        """Of that congestion control."""
        return self.transfers.get(congestion_control, TransferFit())


@lru_cache(maxsize=8)
def load_calibration(path: Path) -> Calibration:
    """Read a calibration, once.

    Raises:
        ConfigError: the file is missing, no calibration, or holds impossible numbers.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"calibration {path} cannot be read ({error.strerror}); make one: "
            "python train.py --calibrate RUN"
        ) from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"calibration {path} holds more than {MAX_BYTES:,} bytes")
    try:
        found = msgspec.json.decode(text, type=Calibration)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"calibration {path} is not a calibration: {error}") from error
    if found.schema != SCHEMA:
        raise ConfigError(f"calibration {path} has schema {found.schema}; {SCHEMA} is read here")
    check_table(found.table, f"calibration {path}")
    for control, fit in found.transfers.items():
        if control not in CONGESTION_CONTROLS:
            raise ConfigError(
                f"calibration {path}: unknown congestion control {control!r}; "
                f"known: {', '.join(CONGESTION_CONTROLS)}"
            )
        for name in ("upload", "download"):
            _check(path, f"transfers.{control}.{name}", getattr(fit, name), 0.01, 100.0)
        _check(path, f"transfers.{control}.spread", fit.spread, 0.0, 10.0)
    for entry in fields(ServerFit):
        _check(path, f"server.{entry.name}", getattr(found.server, entry.name), 0.0, 10.0)
    return found


def _check(path: Path, name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"calibration {path}: {name} is {value}; it must lie from {low:g} to {high:g}"
        )


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n")


def table_of(config: EnvConfig, path: Path | None = None) -> ProfileTable:
    """The table of tasks: that of ``path`` if given, else the calibration's, else the shipped one.

    Raises:
        ConfigError: a file that cannot be read or is damaged.
    """
    if path is None and config.calibration is not None:
        return load_calibration(Path(config.calibration)).table
    return load_profile_table(path)


def models_of(config: EnvConfig) -> tuple[TransferFit, ServerFit]:
    """How transfers and server differ from the models; without a calibration not at all."""
    if config.calibration is None:
        return TransferFit(), ServerFit()
    found = load_calibration(Path(config.calibration))
    return found.transfer_fit(config.congestion_control), found.server
