"""``offload/TaskOffloading-v0``: one device, one task at a time, here or at the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.calibration import table_of
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics, StepResult
from envs.links import link_names
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.errors import ConfigError
from offload.features import N_FEATURES


def observation_space() -> spaces.Box:
    """The space of the table in :class:`TaskOffloadingEnv`."""
    return spaces.Box(0.0, 1.0, shape=(N_FEATURES,), dtype=np.float32)


class TaskOffloadingEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Decide for each arriving task whether the device or the edge server runs it.

    ## Action space
    ``Discrete(2)``: 0 runs the task on the device, behind its queue; 1 sends it to the edge
    server. A remote run that is not back within the budget (the deadline less a local run, or as
    long as a local run would take, whichever is more) is given up and run on the device.

    ## Observation space
    ``Box(0, 1, (36,), float32)``. Values that span decades are scaled as
    ln(1 + x/knee) / ln(1 + high/knee) and clipped, see :mod:`offload.features`. The link's values
    are *estimates with an age*, not the truth.

    | # | feature | unit | knee | high | meaning |
    | --- | --- | --- | --- | --- | --- |
    | 0 | rtt | s | 0.001 | 10 | estimated round-trip time |
    | 1 | jitter | s | 0.001 | 10 | estimated standard deviation of the round-trip time |
    | 2 | loss | 1 | 0.001 | 1 | estimated share of packets lost |
    | 3 | uplink | bit/s | 1e4 | 1e9 | estimated rate from device to edge |
    | 4 | downlink | bit/s | 1e4 | 1e9 | estimated rate from edge to device |
    | 5 | estimate_age | s | 0.1 | 100 | time since these were measured |
    | 6 | local_seconds | s | 0.001 | 100 | predicted seconds on the device |
    | 7 | edge_seconds | s | 0.001 | 100 | predicted seconds on an edge worker |
    | 8 | input_bytes | B | 100 | 1e8 | bytes a remote run sends up |
    | 9 | output_bytes | B | 100 | 1e8 | predicted bytes it sends back |
    | 10 | deadline | s | 0.001 | 1000 | latest completion, from arrival |
    | 11 | local_queue | s | 0.01 | 100 | work waiting on the device |
    | 12 | edge_queue | s | 0.01 | 100 | edge queueing last seen, by a probe or a remote run |
    | 13 | edge_queue_age | s | 0.1 | 1000 | time since then |
    | 14 | battery | 1 | linear | 1 | charge |
    | 15 | radio_tail_left | s | 0.1 | 100 | time the radio still stays awake |
    | 16 | reference_seconds | s | 0.001 | 1000 | all-local seconds, the unit of the time cost |
    | 17 | predicted_local_cost | 1 | 0.1 | 1000 | cost of action 0 if the estimates were true |
    | 18 | predicted_edge_cost | 1 | 0.1 | 1000 | cost of action 1 if the estimates were true |
    | 19 | predicted_advantage | 1 | linear | -2 to 2 | ln(predicted cost of 0 / that of 1) |
    | 20 | uplink_recent | ln | linear | -3 to 3 | rate up: recent probes' mean over the last's |
    | 21 | downlink_recent | ln | linear | -3 to 3 | rate down: recent probes' mean over last's |
    | 22 | rtt_recent | ln | linear | -3 to 3 | RTT: recent probes' mean over the last's |
    | 23 | uplink_mean | ln | linear | -3 to 3 | rate up: all probes' mean over the last's |
    | 24 | downlink_mean | ln | linear | -3 to 3 | rate down: all probes' mean over the last's |
    | 25 | rtt_mean | ln | linear | -3 to 3 | RTT: all probes' mean over the last's |
    | 26 | uplink_spread | ln | linear | 3 | rate up: standard deviation over all probes |
    | 27 | downlink_spread | ln | linear | 3 | rate down: standard deviation over all probes |
    | 28 | rtt_spread | ln | linear | 3 | RTT: standard deviation over all probes |
    | 29 | uplink_before | ln | linear | -3 to 3 | rate up: last probe but one over the last |
    | 30 | downlink_before | ln | linear | -3 to 3 | rate down: last probe but one over the last |
    | 31 | rtt_before | ln | linear | -3 to 3 | RTT: last probe but one over the last |
    | 32 | probe_gap | s | 0.1 | 100 | time between the last two probes |
    | 33 | run_upload | ln | linear | -3 to 3 | last remote run: upload over its prediction |
    | 34 | run_download | ln | linear | -3 to 3 | last remote run: download over its prediction |
    | 35 | run_age | s | 0.1 | 1000 | time since that run was decided on |

    ## Reward
    Minus the objective's cost: w_t seconds/reference_s + w_e joules/reference_j, where the
    references are what an always-local device pays for the same task in the same episode, so
    always-local earns about -1 a step. Weights: ``latency`` (1, 0), ``energy`` (0, 1), ``mixed``
    half and half, moving to energy below 30 % charge. A cost counts at most ``cost_cap`` (10).

    ## Start
    ``reset(seed=...)`` draws a link profile, a mix of tasks, a load, a share of time in which
    others keep the edge busy, and the battery's charge; queue and radio tail start empty.
    ``options={"scenario": Scenario}`` plays that scenario (of one lane) instead.

    ## End
    Terminates after the last of ``episode_tasks`` tasks (64); never truncates. The observation
    after the last task is all zeros.

    ## Info
    Numbers, after each step: ``cost``, ``local_cost``, ``edge_cost``, ``regret`` (above the better
    placement of this step), ``optimum`` (MAUI on the true state), ``correct``, ``seconds``,
    ``energy_j`` (modelled), ``deadline_missed``, ``fell_back``. After reset: ``profile``.

    ## Arguments
    ``config``: an :class:`envs.config.EnvConfig`. ``profile_table``: a file as written by
    ``python -m offload.tasks.profile``; by default the measured table that ships.

    ## Versions
    v0: first.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(self, config: EnvConfig | None = None, profile_table: Path | None = None) -> None:
        self.config = config or EnvConfig()
        self.table = WorkloadTable.of(table_of(self.config, profile_table), self.config.workload)
        self.observation_space: spaces.Space[Any] = observation_space()
        self.action_space = spaces.Discrete(2)
        self._dynamics: OffloadDynamics | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; see the class.

        Raises:
            ConfigError: an unknown option, or a scenario of more than one lane.
        """
        super().reset(seed=seed)
        scenario = self._scenario(options or {})
        self._dynamics = OffloadDynamics(scenario, self.config)
        profile = link_names(self.config)[int(scenario.links.profile[0])]
        return self._dynamics.observation()[0], {"profile": profile}

    def _scenario(self, options: dict[str, Any]) -> Scenario:
        unknown = set(options) - {"scenario"}
        if unknown:
            raise ConfigError(f"unknown reset option {sorted(unknown)}; known: 'scenario'")
        scenario = options.get("scenario")
        if scenario is None:
            return draw_scenario(self.np_random, self.config, self.table, lanes=1)
        if not isinstance(scenario, Scenario) or scenario.lanes != 1:
            raise ConfigError("reset option 'scenario' must be a Scenario of one lane")
        return scenario

    def step(
        self, action: np.int64
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Place the current task; see the class.

        Raises:
            ConfigError: an action other than 0 or 1.
            gymnasium.error.ResetNeeded: before reset, or after the episode's end.
        """
        dynamics = self._dynamics
        if dynamics is None or dynamics.done:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if not self.action_space.contains(action):
            raise ConfigError(f"action {action!r} is not 0 (local) or 1 (edge)")
        result = dynamics.step(np.array([action]))
        observation = (
            np.zeros(N_FEATURES, dtype=np.float32) if dynamics.done else dynamics.observation()[0]
        )
        return observation, -float(result.cost[0]), dynamics.done, False, _info(result, int(action))


def _info(result: StepResult, action: int) -> dict[str, Any]:
    optimum = int(result.optimum[0])
    return {
        "cost": float(result.cost[0]),
        "local_cost": float(result.local_cost[0]),
        "edge_cost": float(result.edge_cost[0]),
        "regret": float(result.regret[0]),
        "optimum": optimum,
        "correct": float(action == optimum),
        "seconds": float(result.seconds[0]),
        "energy_j": float(result.energy_j[0]),
        "deadline_missed": float(result.missed[0]),
        "fell_back": float(result.fell_back[0]),
    }
