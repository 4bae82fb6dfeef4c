"""Settings of the simulated world. Unknown keys are errors; every bound is checked."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from envs.switches import LINKS_OWN, SWITCHES
from offload.errors import ConfigError, UnknownNameError
from offload.link_model import CONGESTION_CONTROLS
from offload.link_profiles import PROFILES
from offload.link_trace import DEFAULT_BASE
from offload.types import Objective


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_names(setting: str, names: Any) -> None:
    _require(
        isinstance(names, tuple) and all(isinstance(name, str) for name in names),
        f"{setting} is {names!r}; it must be a tuple of names",
    )


@dataclass(frozen=True)
class LinkProcessConfig:
    """How the simulated link moves around its profile, and how well the device measures it.

    The defaults down to ``disturbance_loss`` are fitted to links measured on drives by
    ``benchmarks/fit_link_process.py``.

    Attributes:
        rate_spread: standard deviation, between episodes, of ln(rate / profile's rate), each
            direction its own.
        rate_sigma: standard deviation of the same within an episode, root mean square over
            episodes.
        rate_memory_s: time in which that deviation is forgotten (1/e).
        rtt_spread, rtt_sigma, rtt_memory_s: the same of ln(RTT / profile's RTT).
        rtt_fast_share: share of its variance within an episode that is forgotten sooner.
        rtt_fast_memory_s: time in which that share is forgotten.
        volatility_sigma: how much the standard deviation within an episode differs between
            episodes: standard deviation of its logarithm.
        disturbance_every_s: mean time between disturbances (handover, burst, outage).
        disturbance_lasts_s: mean length of one.
        disturbance_rate_floor: factor on both rates in the worst disturbance.
        disturbance_rtt_peak: factor on the RTT in the worst disturbance.
        disturbance_loss: share of packets lost on top in the worst disturbance.
        transfer_spread: how far transfers are from the model's seconds: 1 as measured
            (:mod:`offload.transfer_spread`), 0 not at all.
        estimate_age_s: mean age of the device's estimate, which is the mean time between its
            probes (Poisson).
        rtt_noise, rate_noise, jitter_noise: standard deviation of ln(estimate / truth).
        loss_probe_packets: packets from which the device estimates loss (binomial); 0: it knows.
    """

    rate_spread: float = 0.57
    rate_sigma: float = 1.17
    rate_memory_s: float = 35.3
    rtt_spread: float = 0.19
    rtt_sigma: float = 0.196
    rtt_memory_s: float = 20.0
    rtt_fast_share: float = 0.303
    rtt_fast_memory_s: float = 0.126
    volatility_sigma: float = 0.439
    disturbance_every_s: float = 8.9
    disturbance_lasts_s: float = 0.606
    disturbance_rate_floor: float = 0.00133
    disturbance_rtt_peak: float = 4.01
    disturbance_loss: float = 0.052
    transfer_spread: float = 1.0
    estimate_age_s: float = 2.0
    rtt_noise: float = 0.05
    rate_noise: float = 0.05
    jitter_noise: float = 0.15
    loss_probe_packets: int = 250

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            _require(value >= 0, f"link.{entry.name} is {value}; it must be 0 or more")
        for name in (
            "rate_memory_s",
            "rtt_memory_s",
            "rtt_fast_memory_s",
            "disturbance_every_s",
            "disturbance_lasts_s",
            "disturbance_rate_floor",
        ):
            _require(getattr(self, name) > 0, f"link.{name} must be above 0")
        for name in ("rtt_fast_share", "disturbance_rate_floor"):
            value = getattr(self, name)
            _require(value <= 1, f"link.{name} is {value}; it must be at most 1")
        _require(
            self.disturbance_rtt_peak >= 1,
            f"link.disturbance_rtt_peak is {self.disturbance_rtt_peak}; it must be 1 or more",
        )
        _require(
            self.disturbance_loss <= 0.9,
            f"link.disturbance_loss is {self.disturbance_loss}; it must be at most 0.9",
        )


@dataclass(frozen=True)
class WorkloadConfig:
    """Which tasks arrive, and when.

    Attributes:
        kinds: task kinds drawn from the profile table; empty: all of the table.
        max_local_s: table rows slower than this on the device are left out.
        mix_concentration: how even an episode's mix of tasks is (Dirichlet); small: few kinds.
        load_low, load_high: share of the device's CPU that the episode's tasks would need if all
            ran locally, drawn log-uniformly.
        deadline_slack_low, deadline_slack_high: deadline in units of the predicted local seconds.
    """

    kinds: tuple[str, ...] = ()
    max_local_s: float = 60.0
    mix_concentration: float = 0.3
    load_low: float = 0.02
    load_high: float = 0.8
    deadline_slack_low: float = 1.5
    deadline_slack_high: float = 5.0

    def __post_init__(self) -> None:
        _require_names("workload.kinds", self.kinds)
        _require(self.mix_concentration > 0, "workload.mix_concentration must be above 0")
        _require(
            0 < self.load_low <= self.load_high,
            f"workload load range {self.load_low}..{self.load_high}: it must be above 0 and rise",
        )
        _require(
            1.0 <= self.deadline_slack_low <= self.deadline_slack_high,
            "workload deadline slack must be at least 1 and rise: "
            f"{self.deadline_slack_low}..{self.deadline_slack_high}",
        )


@dataclass(frozen=True)
class EdgeProcessConfig:
    """How busy others keep the edge server.

    Attributes:
        busy_share_high: an episode's share of time in which others keep the edge busy, drawn
            uniformly from 0 to this.
        queue_median_s, queue_sigma: log-normal queueing at the edge while it is busy.
        memory_s: time in which the edge's state is forgotten (1/e).
    """

    busy_share_high: float = 0.6
    queue_median_s: float = 0.3
    queue_sigma: float = 1.0
    memory_s: float = 20.0

    def __post_init__(self) -> None:
        _require(
            0 <= self.busy_share_high < 1,
            f"edge.busy_share_high is {self.busy_share_high}; it must be in [0, 1)",
        )
        _require(self.queue_median_s > 0, "edge.queue_median_s must be above 0")
        _require(self.queue_sigma >= 0, "edge.queue_sigma must be 0 or more")
        _require(self.memory_s > 0, "edge.memory_s must be above 0")


@dataclass(frozen=True)
class EnvConfig:
    """The whole environment.

    Attributes:
        objective: what the reward is minus the cost of.
        profiles: link profiles an episode is drawn from, evenly.
        traces: files of measured links; if there are any, episodes replay these.
        trace_share: share of episodes that do; the others are drawn from ``profiles``.
        trace_base: profile that fills what a trace lacks.
        episode_tasks: tasks, so decisions, in an episode.
        congestion_control: TCP congestion control of the simulated connection.
        cost_cap: no decision costs more than this many times the all-local cost. Without it one
            absurd choice (34 MB over 0.3 Mbit/s) outweighs a thousand that matter, in training
            and in every mean. Seconds and joules are never capped.
        low_battery_share: share of episodes that start with less than 30 % charge.
        without: names of :data:`envs.switches.SWITCHES` that are switched off.
        calibration: file of ``python train.py --calibrate``: tasks, server and transfers as they
            are on that machine; None: the table that ships, and the models as they are.
    """

    objective: Objective = Objective.MIXED
    profiles: tuple[str, ...] = tuple(PROFILES)
    traces: tuple[str, ...] = ()
    trace_share: float = 1.0
    trace_base: str = DEFAULT_BASE
    episode_tasks: int = 64
    congestion_control: str = "cubic"
    cost_cap: float = 10.0
    low_battery_share: float = 0.25
    without: tuple[str, ...] = ()
    calibration: str | None = None
    link: LinkProcessConfig = field(default_factory=LinkProcessConfig)
    edge: EdgeProcessConfig = field(default_factory=EdgeProcessConfig)
    workload: WorkloadConfig = field(default_factory=WorkloadConfig)

    def __post_init__(self) -> None:
        if self.objective not in tuple(Objective):
            raise UnknownNameError("objective", str(self.objective), Objective)
        object.__setattr__(self, "objective", Objective(self.objective))
        _require_names("profiles", self.profiles)
        _require(len(self.profiles) > 0, "profiles is empty; name at least one")
        for name in self.profiles:
            if name not in PROFILES:
                raise UnknownNameError("network profile", name, PROFILES)
        _require_names("traces", self.traces)
        _require(
            0 < self.trace_share <= 1,
            f"trace_share is {self.trace_share}; it must be above 0 and at most 1",
        )
        if self.trace_base not in PROFILES:
            raise UnknownNameError("network profile", self.trace_base, PROFILES)
        if self.congestion_control not in CONGESTION_CONTROLS:
            raise UnknownNameError(
                "congestion control", self.congestion_control, CONGESTION_CONTROLS
            )
        _require(
            isinstance(self.episode_tasks, int) and self.episode_tasks >= 1,
            f"episode_tasks is {self.episode_tasks}; it must be a whole number, at least 1",
        )
        _require(self.cost_cap >= 1, "cost_cap must be at least 1, the cost of a local run")
        _require(0 <= self.low_battery_share <= 1, "low_battery_share must be in [0, 1]")
        _require(
            self.calibration is None or isinstance(self.calibration, str),
            f"calibration is {self.calibration!r}; it must be the name of a file, or None",
        )
        _require_names("without", self.without)
        for name in self.without:
            if name not in SWITCHES:
                raise UnknownNameError("switch", name, SWITCHES)
            _require(
                not (self.traces and name in LINKS_OWN),
                f"{name} cannot be switched off: measured links move as they were measured; "
                "leave it out, or use profiles",
            )


def config_from_dict(data: dict[str, Any]) -> EnvConfig:
    """Build an EnvConfig from what :func:`dataclasses.asdict` made of one.

    Raises:
        ConfigError: unknown key (the nearest is suggested), wrong type or value out of bounds.
    """

    def build(cls: type, values: Any, where: str) -> Any:
        if not isinstance(values, dict):
            raise ConfigError(f"{where} must be a table of settings, not {type(values).__name__}")
        known = {entry.name for entry in fields(cls)}
        for key in values:
            if key not in known:
                raise UnknownNameError(f"setting in {where}", key, known)
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    if not isinstance(data, dict):
        raise ConfigError(f"env config must be a table of settings, not {type(data).__name__}")
    data = dict(data)
    try:
        for name, part in (
            ("link", LinkProcessConfig),
            ("edge", EdgeProcessConfig),
            ("workload", WorkloadConfig),
        ):
            if name in data:
                data[name] = build(part, data[name], f"env config, {name}")
        config: EnvConfig = build(EnvConfig, data, "env config")
    except (TypeError, ValueError) as error:
        raise ConfigError(f"bad env config: {error}") from error
    return config
