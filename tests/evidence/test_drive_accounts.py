"""Accounts and scores of drives, on records made up for it; figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.scores import RESAMPLES
from evidence.driving.accounts import Account, account, radio_tails_s
from evidence.driving.messages import Arrival, Driven
from evidence.driving.schedule import LEAD_S, arrival_times, make_arrivals
from evidence.driving.scores import REFERENCE, block_counts, block_length, score_drives
from offload.tasks.profile_table import ProfileRow
from offload.types import (
    LinkState,
    Objective,
    Outcome,
    PlacementCost,
    RadioPower,
    TaskInstance,
    TaskProfile,
)
from testbed.paired import Calibration

RADIO = RadioPower(
    uplink_w_per_bps=1e-6,
    downlink_w_per_bps=2e-6,
    uplink_base_w=0.5,
    downlink_base_w=0.25,
    tail_w=1.0,
    tail_s=4.0,
    promotion_w=2.0,
    promotion_s=0.5,
)
LINK = LinkState(0.05, 0.0, 0.0, uplink_bps=1e6, downlink_bps=2e6, age_s=1.0)


def arrival(due_s: float, local_s: float = 2.0, deadline_s: float = 4.0) -> Arrival:
    predicted = TaskProfile(local_s, 0.5, 100_000.0, 1000.0, deadline_s)
    return Arrival(TaskInstance("face", "small", 1), due_s, predicted, reference_s=local_s)


def driven(
    decided_s: float,
    done_s: float,
    outcome: Outcome,
    cost: PlacementCost,
    lost_s: float = 0.0,
    to_edge: bool = True,
) -> Driven:
    return Driven(
        called_s=decided_s,
        decided_s=decided_s,
        done_s=done_s,
        to_edge=to_edge,
        outcome=outcome,
        cost=cost,
        lost_s=lost_s,
        budget_s=3.0,
        output_bytes=1000,
        reason="",
        link=LINK,
        queue_s=0.0,
        edge_queue_s=0.0,
        edge_age_s=0.0,
    )


def cost(upload_s=0.0, queue_s=0.0, compute_s=0.0, download_s=0.0) -> PlacementCost:
    return PlacementCost(upload_s, queue_s, compute_s, download_s, 0.0, 0.0)


ARRIVALS = [arrival(10.0), arrival(11.0), arrival(20.0), arrival(30.0)]
TASKS = [
    driven(10.0, 12.5, Outcome.LOCAL_OK, cost(queue_s=0.5, compute_s=2.0), to_edge=False),
    driven(11.0, 12.0, Outcome.REMOTE_OK, cost(0.4, 0.1, 0.3, 0.2)),
    # Tried for 3 s on the edge, waited 0.2 s for the CPU, ran 2 s: 5.2 s, late.
    driven(20.0, 25.2, Outcome.FALLBACK_OK, cost(queue_s=3.2, compute_s=2.0), lost_s=3.0),
    driven(30.0, 31.0, Outcome.FAILED, cost(queue_s=1.0), lost_s=1.0),
]


def accounted(objective: Objective) -> Account:
    return account(ARRIVALS, TASKS, objective=objective, radio=RADIO, cost_cap=10.0)


def test_seconds_count_from_the_arrival_and_a_failure_misses_its_deadline():
    found = accounted(Objective.LATENCY)
    assert found.seconds == pytest.approx([2.5, 1.0, 5.2, 1.0])
    assert found.missed.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert found.to_edge.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert found.fell_back.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert found.cost == pytest.approx([1.25, 0.5, 2.6, 10.0])  # over 2 s; a failure costs the cap


def test_energy_is_modelled_from_the_seconds_measured():
    found = accounted(Objective.ENERGY)
    waking, tail = 2.0 * 0.5, 1.0 * 4.0
    local = 5.0 * 2.0
    # 800,000 bit up and 8,000 down; 0.4 s of sending, 0.2 s of receiving, 0.4 s of waiting.
    remote = 0.8 + 0.016 + 0.4 * 0.5 + 0.2 * 0.25 + 0.2 * 0.4 + waking + tail
    # All of the input fits into 3 s at 1 Mbit/s; the radio fell asleep at 11 + 1 + 4 s.
    fallback = 0.8 + 3.0 * 0.5 + waking + tail + local
    # In 1 s so much of it as 1 Mbit/s carries; the radio was awake until 20 + 3 + 4 s.
    failed = 0.8 + 1.0 * 0.5 + waking + tail
    assert found.energy_j == pytest.approx([local, remote, fallback, failed])
    assert found.cost[:3] == pytest.approx([1.0, remote / 10.0, fallback / 10.0])


def test_a_run_within_the_tail_of_another_pays_for_what_it_prolongs():
    tasks = [
        driven(10.0, 11.0, Outcome.REMOTE_OK, cost(1.0)),
        driven(10.5, 12.0, Outcome.REMOTE_OK, cost(1.5)),  # the first is still under way
        driven(15.0, 15.5, Outcome.REMOTE_OK, cost(0.5)),  # the second was done at 12
        driven(40.0, 41.0, Outcome.REMOTE_OK, cost(1.0)),
    ]
    assert radio_tails_s(tasks, 4.0) == pytest.approx([0.0, 4.5, 1.0, 0.0])


def test_tasks_arrive_at_random_and_not_before_the_lead():
    due_s = arrival_times(np.random.default_rng(0), 20_000, 0.8)
    assert due_s[0] == LEAD_S
    gaps_s = np.diff(due_s)
    # The mean of 20,000 exponentials has a standard error of 0.7 %.
    assert gaps_s.mean() == pytest.approx(0.8, rel=0.03)
    assert gaps_s.std() == pytest.approx(0.8, rel=0.06)
    again = arrival_times(np.random.default_rng(0), 20_000, 0.8)
    assert (again == due_s).all()


def test_a_schedule_holds_deadlines_and_what_an_all_local_device_would_take():
    row = ProfileRow("face", "small", 2.0, 0.5, 0.0, 0.0, 100.0, 10.0, 0.0, 0.0, 1)
    instances = [(TaskInstance("face", "small", seed), row) for seed in range(3)]
    made = make_arrivals(
        instances,
        np.array([6.0, 7.0, 30.0]),
        np.array([1.5, 2.0, 3.0]),
        [111, 222, 333],
        Calibration(local=1.5, edge=2.0),
    )
    assert [a.predicted.local_s for a in made] == [3.0, 3.0, 3.0]
    assert [a.predicted.edge_s for a in made] == [1.0, 1.0, 1.0]
    assert [a.predicted.deadline_s for a in made] == [4.5, 6.0, 9.0]
    assert [a.predicted.input_bytes for a in made] == [111.0, 222.0, 333.0]
    assert [a.reference_s for a in made] == [3.0, 5.0, 3.0]  # the second waits 2 s for the first


def test_blocks_are_drawn_whole_and_go_round():
    assert [block_length(n) for n in (2, 8, 27, 40)] == [2, 2, 3, 4]
    counts = block_counts(40, np.random.default_rng(0))
    assert counts.shape == (RESAMPLES, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert counts.mean() == 1.0
    # Neighbours in a block of four occur together three times of four; strangers do not.
    neighbours = np.corrcoef(counts[:, 10], counts[:, 11])[0, 1]
    strangers = np.corrcoef(counts[:, 10], counts[:, 25])[0, 1]
    assert neighbours == pytest.approx(0.74, abs=0.1)
    assert abs(strangers) < 0.15


def test_scores_are_means_and_differences_on_the_same_resamples():
    def made(costs: list[float]) -> Account:
        n = np.zeros(len(costs))
        return Account(np.array(costs), n + 2.0, np.array(costs), n, n + 1.0, n, n)

    base = [1.0, 2.0, 3.0, 4.0]
    scores = score_drives(
        {"ppo": made([c + 0.5 for c in base]), REFERENCE: made(base)},
        {"ppo": 1, REFERENCE: 0},
        np.random.default_rng(0),
    )
    ppo = scores["ppo"]
    assert (ppo.cost.value, ppo.latency_p50_s, ppo.tasks, ppo.wrong) == (3.0, 3.0, 4, 1)
    assert ppo.cost.low < 2.6 < 3.4 < ppo.cost.high
    assert ppo.cost_above is not None
    assert ppo.cost_above.as_list() == pytest.approx([0.5, 0.5, 0.5])  # paired: no spread
    assert (ppo.energy_j.value, ppo.offloaded, ppo.failures) == (2.0, 1.0, 0.0)
