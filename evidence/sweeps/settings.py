"""What a sweep is asked for: the command line's options, checked, and kept in its folder."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import tyro

from offload.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from evidence.sweeps.swept import Swept


@dataclass(frozen=True)
class SweepOptions:
    """Options of ``evaluate.py --sweep``."""

    sweep: Literal["rtt", "loss", "bandwidth", "jitter", "device-speed", "edge-load"] | None = None
    """Instead of comparing policies: measure live where offloading stops paying, task by task."""
    points: Annotated[str | None, tyro.conf.arg(metavar="VALUE,...")] = None
    """Points of the sweep, in the unit shown (ms, %, Mbit/s, times slower)."""
    repeats: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Repetitions of the sweep, each with other task instances (default 6; quick: 3)."""
    kinds: Annotated[str | None, tyro.conf.arg(metavar="KIND,...")] = None
    """Tasks of the sweep: a kind, a kind/size, or all (default: one size of every kind)."""
    quick: bool = False
    """A sweep of about a minute: three points, three repetitions, four tasks."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Go on with an interrupted sweep; all other options as they were."""

    @property
    def asked(self) -> bool:
        """Any of them is given."""
        return self != SweepOptions()


class RunOptions(Protocol):
    """What a sweep takes of the other options of ``evaluate.py``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def profile(self) -> str | None:
        """Name of the base; None: the quantity's own."""

    @property
    def mode(self) -> str:
        """``sim`` is refused."""

    @property
    def backend(self) -> str:
        """Network backend."""

    @property
    def max_local(self) -> float:
        """Seconds on the device beyond which a task is left out."""

    @property
    def congestion_control(self) -> str:
        """TCP congestion control, where it is not both."""

    @property
    def seed(self) -> int:
        """Of instances, orders and the bootstrap."""

    @property
    def out(self) -> Path:
        """Where the folder goes."""

    @property
    def report(self) -> bool:
        """Write a report of it."""


DEFAULT_SIZES = {
    "chess": "large",
    "sudoku": "large",
    "ocr": "medium",
    "face": "medium",
    "blur": "large",
    "denoise": "medium",
    "lzma": "medium",
    "matmul": "medium",
}
"""The size of each kind that a sweep takes unless another is named: long enough to be measured,
and short enough that a sweep of all takes minutes."""
QUICK_KINDS = ("chess", "sudoku", "ocr", "face")
REPEATS, QUICK_REPEATS = 6, 3
MAX_REPEATS = 1_000
MAX_RATE_BPS = 200e6
"""What every backend that carries packets carries faithfully."""
LOAD_TASK = ("denoise", "medium")
"""What the edge's other users run: its seconds hardly vary."""


@dataclass(frozen=True)
class Settings:
    """All that decides what a sweep measures, and in which order.

    Attributes:
        sweep: name of the swept quantity.
        profile: name of the base.
        points: values in SI units, rising.
        repeats: repetitions.
        tasks: ``kind/size``.
        controls: TCP congestion controls, one after the other.
        backend: network backend, as asked for.
        slowdown: the device's, where it is not swept.
        seed: of instances, orders and the bootstrap.
    """

    sweep: str
    profile: str
    points: tuple[float, ...]
    repeats: int
    tasks: tuple[str, ...]
    controls: tuple[str, ...]
    backend: str
    slowdown: float
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def check_same(self, stored: dict[str, Any], folder: Path) -> None:
        """Refuse to go on with a sweep that was asked for otherwise.

        Raises:
            ConfigError: naming each difference.
        """
        mine = self.as_dict()
        differ = [
            f"{name} is {mine.get(name)!r} now and was {stored.get(name)!r}"
            for name in sorted({*mine, *stored})
            if mine.get(name) != stored.get(name)
        ]
        if differ:
            raise ConfigError(
                f"{folder} holds another sweep: {'; '.join(differ)}. Resume it with the options"
                " it was started with"
            )


def choose_settings(options: SweepOptions, run: RunOptions) -> tuple[Settings, tuple[str, ...]]:
    """Settings of a sweep, and sentences on what is left out.

    Raises:
        ConfigError, UnknownNameError: an option is wrong; the message says what would be right.
    """
    from evidence.sweeps.swept import SWEPT
    from netem.qdisc import check_direction
    from offload.link_profiles import get_profile
    from offload.tasks.profile_table import load_profile_table

    if options.sweep is None:
        raise ConfigError("--points, --repeats, --kinds, --quick and --resume need --sweep")
    if run.mode == "sim":
        raise ConfigError("--sweep measures on a live link; leave out --mode sim")
    _refuse_the_rest(run)
    if run.seed < 0:
        raise ConfigError(f"--seed is {run.seed}; it must be 0 or more")
    swept = SWEPT[options.sweep]
    base = get_profile(run.profile or swept.base)
    points = _points(options, swept)
    for value in points:
        changed = swept.apply(base, value)
        for direction in (changed.uplink, changed.downlink):
            check_direction(direction)
            if direction.rate_bps is not None and direction.rate_bps > MAX_RATE_BPS:
                raise ConfigError(
                    f"{swept.noun} of {swept.point(value)} {swept.unit} makes a direction of"
                    f" {base.name!r} {direction.rate_bps / 1e6:g} Mbit/s; at most"
                    f" {MAX_RATE_BPS / 1e6:g} are emulated faithfully"
                )
    repeats = options.repeats
    if repeats is None:
        repeats = QUICK_REPEATS if options.quick else REPEATS
    if not 1 <= repeats <= MAX_REPEATS:
        raise ConfigError(f"--repeats is {repeats}; it must be from 1 to {MAX_REPEATS:,}")
    if swept.name == "loss" and run.congestion_control != "cubic":
        raise ConfigError("loss is swept under both; leave out --congestion-control")
    table = load_profile_table()
    tasks, notes = _tasks(options, run.max_local)
    settings = Settings(
        sweep=swept.name,
        profile=base.name,
        points=points,
        repeats=repeats,
        tasks=tasks,
        controls=("cubic", "bbr") if swept.name == "loss" else (run.congestion_control,),
        backend=run.backend,
        slowdown=table.slowdown,
        seed=run.seed,
    )
    return settings, notes


def _refuse_the_rest(run: RunOptions) -> None:
    """An option that a sweep does not heed is an error, not a surprise."""
    heeded = {*vars(RunOptions), "sweeping"}
    for option in dataclasses.fields(run):
        default = option.default
        if default is dataclasses.MISSING:
            continue
        if option.name not in heeded and getattr(run, option.name) != default:
            word = option.name.replace("_", "-")
            raise ConfigError(f"--{word} means nothing to --sweep; leave it out")


def _points(options: SweepOptions, swept: Swept) -> tuple[float, ...]:
    if options.points is None:
        return swept.quick if options.quick else swept.points
    try:
        numbers = [float(word) for word in options.points.split(",")]
    except ValueError:
        raise ConfigError(
            f"--points is {options.points!r}; give numbers in {swept.unit}, separated by commas"
        ) from None
    values = tuple(sorted({number * swept.per_unit for number in numbers}))
    if len(values) < 2:
        raise ConfigError(f"--points is {options.points!r}; a crossover needs two or more")
    for value in values:
        if not (math.isfinite(value) and swept.low <= value <= swept.high):
            low, high = swept.low / swept.per_unit, swept.high / swept.per_unit
            raise ConfigError(
                f"--points holds {value / swept.per_unit:g}; {swept.noun} must be from {low:g} to"
                f" {high:g} {swept.unit}"
            )
    return values


def _tasks(options: SweepOptions, max_local_s: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tasks asked for that run here, and what was left out."""
    from offload.tasks import KINDS, unavailable
    from offload.tasks.profile_table import load_profile_table

    rows = {f"{row.kind}/{row.size}": row for row in load_profile_table().rows}
    if options.kinds is None:
        asked: Sequence[str] = QUICK_KINDS if options.quick else KINDS
    elif options.kinds == "all":
        asked = tuple(rows)
    else:
        asked = tuple(word.strip() for word in options.kinds.split(","))
    names = []
    for word in asked:
        name = f"{word}/{DEFAULT_SIZES[word]}" if word in DEFAULT_SIZES else word
        if name not in rows:
            raise UnknownNameError("task of --kinds", word, [*DEFAULT_SIZES, *rows, "all"])
        if name not in names:
            names.append(name)
    missing = unavailable()
    kept, notes = [], []
    for name in names:
        row = rows[name]
        if row.kind in missing:
            notes.append(f"{name} is left out: {missing[row.kind]}")
        elif row.local_s > max_local_s:
            notes.append(
                f"{name} is left out: it takes the device {row.local_s:.1f} s, and --max-local is"
                f" {max_local_s:g}"
            )
        else:
            kept.append(name)
    if not kept:
        raise ConfigError(f"no task is left: {'; '.join(notes)}")
    return tuple(kept), tuple(notes)
