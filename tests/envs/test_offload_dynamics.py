"""What decisions change, against one device played event by event in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from envs.config import EnvConfig, WorkloadConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.cost_model import choice_costs, edge_budget_s
from offload.energy_model import RADIO_NAMES, RADIOS
from offload.oracle import maui_placement
from offload.types import NEVER_S, Objective, RadioPower


@dataclass
class Seen:
    """What a remote run tells: the edge's queueing, and ln(seconds / predicted) of transfers."""

    queue_s: float = 0.0
    upload: float = 0.0
    download: float = 0.0


@dataclass
class EventDevice:
    """A device with a clock: its CPU serves jobs in the order in which they are released."""

    radio: RadioPower
    battery: float
    now_s: float = 0.0
    jobs: list[tuple[float, float]] = field(default_factory=list)
    radio_sleeps_at_s: float = 0.0
    returns: list[tuple[float, float, Seen]] = field(default_factory=list)

    def backlog_s(self) -> float:
        """Work released and not yet done."""
        free_at = 0.0
        for released, work in sorted(job for job in self.jobs if job[0] <= self.now_s):
            free_at = max(free_at, released) + work
        return max(free_at - self.now_s, 0.0)

    def fallback_pending(self) -> bool:
        return any(released > self.now_s for released, _ in self.jobs)

    def tail_left_s(self) -> float:
        return max(self.radio_sleeps_at_s - self.now_s, 0.0)

    def send(self, back_s: float, seen: Seen) -> None:
        """Of several runs in flight the device listens to the one that is back first."""
        in_flight = [run for run in self.returns if run[1] > self.now_s]
        if any(back <= back_s for _, back, _ in in_flight):
            return
        self.returns = [run for run in self.returns if run not in in_flight]
        self.returns.append((self.now_s, back_s, seen))

    def last_run(self) -> tuple[Seen, float]:
        """What the newest run to have come back tells, and its age."""
        back = [(started, seen) for started, at, seen in self.returns if at <= self.now_s]
        if not back:
            return Seen(), NEVER_S
        started, seen = max(back, key=lambda run: run[0])
        return seen, self.now_s - started


@dataclass
class Task:
    """One step of a scenario of one lane, as plain numbers."""

    gap_s: float
    local_s: float
    predicted_local_s: float
    edge_s: float
    input_bytes: float
    output_bytes: float
    deadline_s: float
    upload_s: float
    download_s: float
    edge_queue_s: float
    predicted_upload_s: float
    predicted_download_s: float


def tasks_of(scenario: Scenario) -> list[Task]:
    work = scenario.work
    columns = (
        work.gap_s,
        work.true.local_s,
        work.predicted.local_s,
        work.true.edge_s,
        work.true.input_bytes,
        work.true.output_bytes,
        work.true.deadline_s,
        scenario.true_moved.upload_s,
        scenario.true_moved.download_s,
        scenario.edge.queue_s,
        scenario.predicted_moved.upload_s,
        scenario.predicted_moved.download_s,
    )
    return [Task(*(float(column[step, 0]) for column in columns)) for step in range(scenario.steps)]


def run_local(device: EventDevice, task: Task) -> tuple[float, float]:
    """Seconds and joules."""
    seconds = device.backlog_s() + task.local_s
    device.jobs.append((device.now_s, task.local_s))
    return seconds, 5.0 * task.local_s


def run_at_edge(device: EventDevice, task: Task) -> tuple[float, float, bool]:
    """Seconds, joules, and whether it fell back."""
    radio = device.radio
    seconds = task.upload_s + task.edge_queue_s + task.edge_s + task.download_s
    joules = 0.2 * (task.edge_queue_s + task.edge_s)
    joules += radio.uplink_w_per_bps * 8 * task.input_bytes + radio.uplink_base_w * task.upload_s
    joules += radio.downlink_w_per_bps * 8 * task.output_bytes
    joules += radio.downlink_base_w * task.download_s
    tail_j = 0.0
    awake_s = device.tail_left_s()
    if awake_s == 0.0:
        tail_j += radio.promotion_w * radio.promotion_s
    tail_j += radio.tail_w * (radio.tail_s - min(awake_s, radio.tail_s))

    budget_s = max(
        task.deadline_s - task.predicted_local_s, device.backlog_s() + task.predicted_local_s
    )
    late = seconds > budget_s
    used_s = min(seconds, budget_s)
    device.radio_sleeps_at_s = max(device.radio_sleeps_at_s, device.now_s + used_s + radio.tail_s)
    if late:
        device.jobs.append((device.now_s + budget_s, task.local_s))
        joules = joules * budget_s / seconds + tail_j + 5.0 * task.local_s
        seconds = budget_s + task.local_s
    else:
        joules += tail_j
        upload = math.log(task.upload_s / task.predicted_upload_s)
        download = math.log(task.download_s / task.predicted_download_s)
        device.send(device.now_s + seconds, Seen(task.edge_queue_s, upload, download))
    return seconds, joules, late


@pytest.fixture
def scenario(workload_table: WorkloadTable, busy_config: EnvConfig) -> Scenario:
    return draw_scenario(np.random.default_rng(31), busy_config, workload_table, lanes=40)


def test_every_quantity_of_an_episode(busy_config: EnvConfig, scenario: Scenario) -> None:
    """A random policy, but local while a fallback is pending: the dynamics pool those (below)."""
    config = replace(busy_config, objective=Objective.LATENCY, cost_cap=1e9)
    rng = np.random.default_rng(1)
    fallbacks = queued = tails = seen = 0
    for lane in range(scenario.lanes):
        alone = scenario.lane(lane)
        dynamics = OffloadDynamics(alone, config)
        radio = RADIOS[RADIO_NAMES[int(alone.links.radio[0])]]
        device = EventDevice(radio, float(alone.battery[0]))
        for step, task in enumerate(tasks_of(alone)):
            device.now_s += task.gap_s
            context = dynamics.true_context()
            backlog_s = device.backlog_s()
            assert float(context.device.queue_s[0]) == pytest.approx(backlog_s, abs=1e-9)
            tail_left_s = device.tail_left_s()
            assert context.device.radio_tail_left_s[0] == pytest.approx(tail_left_s, abs=1e-9)
            assert context.device.battery[0] == pytest.approx(device.battery, abs=1e-12)
            assert context.reference_s[0] == pytest.approx(
                alone.reference_queue_s[step, 0] + task.local_s
            )
            measured = dynamics.measured_context()
            believed = measured.edge
            run, age_s = device.last_run()
            assert float(measured.last_run.upload[0]) == pytest.approx(run.upload, abs=1e-9)
            assert float(measured.last_run.download[0]) == pytest.approx(run.download, abs=1e-9)
            assert float(measured.last_run.age_s[0]) == pytest.approx(age_s, abs=1e-9)
            probe_age_s = alone.links.measured.age_s[step, 0]
            if age_s < probe_age_s:
                seen += 1
                assert believed.queue_s[0] == run.queue_s
            else:
                assert believed.queue_s[0] == alone.edge.probed_queue_s[step, 0]
            assert believed.age_s[0] == pytest.approx(min(age_s, probe_age_s), abs=1e-9)

            to_edge = rng.random() < 0.7 and not device.fallback_pending()
            if to_edge:
                seconds, joules, late = run_at_edge(device, task)
            else:
                (seconds, joules), late = run_local(device, task), False
            result = dynamics.step(np.array([int(to_edge)]))
            assert result.seconds[0] == pytest.approx(seconds, rel=1e-9)
            assert result.energy_j[0] == pytest.approx(joules, rel=1e-9)
            assert bool(result.fell_back[0]) == late
            assert bool(result.missed[0]) == (seconds > task.deadline_s)
            expected_cost = seconds / (alone.reference_queue_s[step, 0] + task.local_s)
            assert result.cost[0] == pytest.approx(expected_cost, rel=1e-9)
            idle_s = float(alone.work.gap_s[step + 1, 0]) if step + 1 < alone.steps else 0.0
            device.battery = max(device.battery - (joules + 0.2 * idle_s) / 54_000.0, 0.0)
            fallbacks += late
            queued += backlog_s > 0
            tails += 0 < tail_left_s < radio.tail_s
    assert min(fallbacks, queued, tails, seen) > 50, (fallbacks, queued, tails, seen)


def test_fallback_work_starts_when_the_budget_is_spent(
    workload_table: WorkloadTable, busy_config: EnvConfig
) -> None:
    """One task falls back; the backlog that tasks find at 1 s, 5 s and 8 s is worked out here."""
    config = replace(busy_config, episode_tasks=4)
    drawn = draw_scenario(np.random.default_rng(0), config, workload_table, lanes=1)
    gap_s = np.array([0.0, 1.0, 4.0, 3.0])[:, None]
    seconds = np.full((4, 1), 2.0)
    task = replace(
        drawn.work.true, local_s=seconds, edge_s=seconds, deadline_s=np.full((4, 1), 6.0)
    )
    work = replace(drawn.work, gap_s=gap_s, true=task, predicted=task)
    never = replace(
        drawn.true_moved, upload_s=np.full((4, 1), 99.0), download_s=np.full((4, 1), 99.0)
    )
    dynamics = OffloadDynamics(replace(drawn, work=work, true_moved=never), config)

    result = dynamics.step(np.array([1]))  # budget 6 - 2 = 4 s, done at 6 s
    assert (result.fell_back[0], result.seconds[0]) == (1.0, 6.0)
    assert dynamics.queue_s[0] == 0.0  # 1 s: nothing runs on the device yet
    result = dynamics.step(np.array([0]))
    assert result.seconds[0] == 2.0  # 1 s to 3 s; the fallback runs from 4 s to 6 s
    assert dynamics.queue_s[0] == pytest.approx(1.0)  # 5 s
    dynamics.step(np.array([0]))  # 6 s to 8 s
    assert dynamics.queue_s[0] == 0.0  # 8 s


def test_the_device_never_knows_of_a_run_that_is_not_back(workload_table: WorkloadTable) -> None:
    """Always the edge, and many runs in flight at a time."""
    config = EnvConfig(
        profiles=("wifi", "lte"), workload=WorkloadConfig(load_low=3.0, load_high=6.0)
    )
    scenario = draw_scenario(np.random.default_rng(3), config, workload_table, lanes=200)
    dynamics = OffloadDynamics(scenario, config)
    now_s = np.zeros(200)
    started: list[np.ndarray] = []
    back: list[np.ndarray] = []
    from_runs = 0
    for step in range(scenario.steps):
        now_s = now_s + scenario.work.gap_s[step]
        edge = dynamics.measured_context().edge
        newer = edge.age_s < scenario.links.measured.age_s[step]
        for lane in np.flatnonzero(newer):
            run = int(np.argmin([abs(now_s[lane] - s[lane] - edge.age_s[lane]) for s in started]))
            assert edge.queue_s[lane] == scenario.edge.queue_s[run, lane]
            assert back[run][lane] <= now_s[lane] + 1e-9
            from_runs += 1
        started.append(now_s)
        result = dynamics.step(np.ones(200, dtype=int))
        back.append(np.where(result.fell_back > 0, np.inf, now_s + result.seconds))
    assert from_runs > 500


def test_the_battery_drains_to_empty_and_no_further(
    workload_table: WorkloadTable, busy_config: EnvConfig
) -> None:
    drawn = draw_scenario(np.random.default_rng(4), busy_config, workload_table, lanes=2)
    scenario = replace(drawn, battery=np.array([1e-4, 0.5]))
    dynamics = OffloadDynamics(scenario, busy_config)
    spent_j = np.zeros(2)
    while not dynamics.done:
        spent_j += dynamics.step(np.zeros(2, dtype=int)).energy_j
    idle_j = 0.2 * scenario.work.gap_s.sum(axis=0)
    assert dynamics.battery[0] == 0.0
    assert dynamics.battery[1] == pytest.approx(0.5 - (spent_j + idle_j)[1] / 54_000.0)


def test_what_one_lane_does_leaves_the_others_alone(
    busy_config: EnvConfig, scenario: Scenario
) -> None:
    one, other = OffloadDynamics(scenario, busy_config), OffloadDynamics(scenario, busy_config)
    actions = np.random.default_rng(5).integers(2, size=(scenario.steps, scenario.lanes))
    for row in actions:
        changed = row.copy()
        changed[7] = 1 - changed[7]
        first, second = one.step(row), other.step(changed)
        elsewhere = np.arange(scenario.lanes) != 7
        np.testing.assert_array_equal(first.cost[elsewhere], second.cost[elsewhere])
    assert one.battery[7] != other.battery[7]


def test_the_scenario_is_not_touched_by_playing_it(
    busy_config: EnvConfig, scenario: Scenario
) -> None:
    def play() -> np.ndarray:
        dynamics = OffloadDynamics(scenario, busy_config)
        ones = np.ones(scenario.lanes, dtype=int)
        return np.array([dynamics.step(ones).cost for _ in range(scenario.steps)])

    np.testing.assert_array_equal(play(), play())


@pytest.mark.parametrize("objective", list(Objective))
def test_a_step_is_what_the_models_say_of_its_contexts(
    objective: Objective, workload_table: WorkloadTable, busy_config: EnvConfig
) -> None:
    """The core shares work between these; here each is asked anew, bit by bit the same."""
    config = replace(busy_config, objective=objective, episode_tasks=24)
    scenario = draw_scenario(np.random.default_rng(4), config, workload_table, 40)
    dynamics, optimal = OffloadDynamics(scenario, config), OffloadDynamics(scenario, config)
    rng = np.random.default_rng(5)
    while not dynamics.done:
        true, budget_s = dynamics.true_context(), edge_budget_s(dynamics.measured_context())
        costs = choice_costs(true, objective, budget_s=budget_s)
        best = maui_placement(optimal.true_context(), objective)
        expected = maui_placement(true, objective)
        placement = rng.integers(2, size=40)
        result = dynamics.step(placement)
        np.testing.assert_array_equal(result.optimum, expected)
        cost = np.where(placement == 1, costs.edge_objective, costs.local_objective)
        np.testing.assert_array_equal(result.cost, np.minimum(cost, config.cost_cap))
        taken = optimal.step(None)
        np.testing.assert_array_equal(
            taken.cost, np.where(best == 1, taken.edge_cost, taken.local_cost)
        )
