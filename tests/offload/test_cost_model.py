"""Seconds, joules and cost of both placements, against a decision worked out by hand."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from offload.cost_model import (
    choice_costs,
    edge_budget_s,
    edge_cost,
    local_cost,
    realised_edge,
    transfer,
)
from offload.energy_model import RADIOS, radio_batch
from offload.errors import UnknownNameError
from offload.objective import prices, weights
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    Objective,
    PlacementCost,
    TaskProfile,
    Transfer,
)

# One window up, half a window down, with 66 bytes of headers a segment and less the 3,200 bytes
# that an idle link lets through at once; the downlink is four times as fast.
UPLOAD_S = 0.05 + 8 * (14_480 + 660 - 3_200) / 1e6
DOWNLOAD_S = 0.05 + 8 * (7_240 + 330 - 3_200) / 4e6
EDGE_S = UPLOAD_S + 0.3 + 0.2 + DOWNLOAD_S
LOCAL_S = 0.4 + 2.0
# LTE: 0.11584 Mbit up, 0.05792 Mbit down, base power while moving, promotion, tail.
RADIO_J = (
    0.43839 * 0.11584
    + 0.05197 * 0.05792
    + 1.28804 * (UPLOAD_S + DOWNLOAD_S)
    + 1.210 * 0.260
    + 1.060 * 11.576
)
EDGE_J = 0.2 * (0.3 + 0.2) + RADIO_J
LOCAL_J = 5.0 * 2.0


@pytest.fixture
def context() -> DecisionContext:
    return DecisionContext(
        link=LinkState(rtt_s=0.1, jitter_s=0.0, loss=0.0, uplink_bps=1e6, downlink_bps=4e6),
        task=TaskProfile(
            local_s=2.0, edge_s=0.2, input_bytes=14_480.0, output_bytes=7_240.0, deadline_s=5.0
        ),
        device=DeviceState(
            queue_s=0.4,
            battery=0.8,
            radio=RADIOS["lte"],
            radio_tail_left_s=0.0,
            cpu_w=5.0,
            idle_w=0.2,
        ),
        edge=EdgeState(queue_s=0.3, age_s=1.0),
        reference_s=3.0,
        reference_j=10.0,
    )


def test_upload_takes_the_uplink_and_download_the_downlink(context: DecisionContext) -> None:
    moved = transfer(context.link, context.task, "cubic")
    assert moved.upload_s == pytest.approx(UPLOAD_S)
    assert moved.download_s == pytest.approx(DOWNLOAD_S)


def test_a_jittery_link_takes_longer(context: DecisionContext) -> None:
    # Ten packets, of which the latest counts: between one and two standard deviations of 20 ms.
    link = replace(context.link, jitter_s=2**0.5 * 0.02)
    late_s = transfer(link, context.task, "cubic").upload_s - UPLOAD_S
    assert 0.01 < late_s < 0.04


def test_the_device_queues_computes_and_draws_cpu_power(context: DecisionContext) -> None:
    local = local_cost(context)
    assert (local.upload_s, local.queue_s, local.compute_s, local.download_s) == (0, 0.4, 2.0, 0)
    assert local.seconds == pytest.approx(LOCAL_S)
    assert local.energy_j == pytest.approx(LOCAL_J)


def test_the_edge_moves_queues_computes_and_draws_radio_and_idle_power(
    context: DecisionContext,
) -> None:
    edge = edge_cost(context)
    assert edge.seconds == pytest.approx(EDGE_S)
    assert edge.cpu_j == pytest.approx(0.1)
    assert edge.radio_j + edge.tail_j == pytest.approx(RADIO_J)
    assert edge.energy_j == pytest.approx(EDGE_J)


def test_known_transfers_take_the_place_of_predicted_ones(context: DecisionContext) -> None:
    edge = edge_cost(replace(context, moved=Transfer(1.5, 0.25)))
    assert edge.seconds == pytest.approx(1.5 + 0.3 + 0.2 + 0.25)


def test_the_budget_leaves_room_for_a_local_run(context: DecisionContext) -> None:
    # Deadline 5 s less 2 s; with a deadline of 2.1 s, as long as a local run takes.
    assert edge_budget_s(context) == pytest.approx(3.0)
    hurried = replace(context, task=replace(context.task, deadline_s=2.1))
    assert edge_budget_s(hurried) == pytest.approx(LOCAL_S)


def test_a_late_edge_run_costs_the_budget_and_a_local_run() -> None:
    local = PlacementCost(0.0, 0.4, 2.0, 0.0, 10.0, 0.0)
    edge = PlacementCost(3.0, 0.5, 0.2, 0.3, 0.14, 6.0, tail_j=2.0)
    late = realised_edge(edge, local, 1.0)
    assert bool(late.fell_back)
    assert late.seconds == pytest.approx(1.0 + 2.0)
    # A quarter of the time: a quarter of waiting and moving, but the whole tail.
    assert late.energy_j == pytest.approx(6.14 / 4.0 + 2.0 + 10.0)
    in_time = realised_edge(edge, local, 4.0)
    assert not bool(in_time.fell_back)
    assert in_time.seconds == pytest.approx(4.0)
    assert in_time.energy_j == pytest.approx(8.14)


def test_an_edge_run_back_at_the_budget_is_in_time() -> None:
    local = PlacementCost(0.0, 0.0, 1.0, 0.0, 5.0, 0.0)
    edge = PlacementCost(0.5, 0.0, 0.25, 0.25, 0.0, 1.0)
    assert not bool(realised_edge(edge, local, 1.0).fell_back)


@pytest.mark.parametrize(
    ("objective", "time_weight", "energy_weight"),
    [(Objective.LATENCY, 1.0, 0.0), (Objective.ENERGY, 0.0, 1.0), (Objective.MIXED, 0.5, 0.5)],
)
def test_both_choices_in_the_objectives_unit(
    context: DecisionContext, objective: Objective, time_weight: float, energy_weight: float
) -> None:
    costs = choice_costs(context, objective)
    assert costs.local_objective == pytest.approx(
        time_weight * LOCAL_S / 3.0 + energy_weight * LOCAL_J / 10.0
    )
    assert costs.edge_objective == pytest.approx(
        time_weight * EDGE_S / 3.0 + energy_weight * EDGE_J / 10.0
    )
    assert costs.budget_s == pytest.approx(3.0)


def test_a_budget_set_by_the_engine_decides_on_the_fallback(context: DecisionContext) -> None:
    costs = choice_costs(context, Objective.LATENCY, budget_s=0.5)
    assert costs.edge_objective == pytest.approx((0.5 + 2.0) / 3.0)


@pytest.mark.parametrize(
    ("battery", "energy_weight"), [(1.0, 0.5), (0.3, 0.5), (0.15, 0.75), (0.03, 0.95), (0.0, 1.0)]
)
def test_a_low_battery_shifts_the_mixed_objective_to_energy(
    battery: float, energy_weight: float
) -> None:
    time_weight, energy = weights(Objective.MIXED, battery)
    assert energy == pytest.approx(energy_weight)
    assert time_weight == pytest.approx(1.0 - energy_weight)
    for objective, fixed in ((Objective.LATENCY, (1.0, 0.0)), (Objective.ENERGY, (0.0, 1.0))):
        assert weights(objective, battery) == fixed


def test_an_objective_by_its_plain_name_is_the_same() -> None:
    for objective in Objective:
        assert weights(str(objective), 0.1) == weights(objective, 0.1)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Did you mean 'latency'"):
        weights("latencie", 0.5)  # type: ignore[arg-type]


def test_the_reference_itself_costs_one() -> None:
    batteries = np.linspace(0.0, 1.0, 101)
    for objective in Objective:
        per_s, per_j = prices(objective, batteries, reference_s=7.3, reference_j=1.9)
        np.testing.assert_allclose(7.3 * per_s + 1.9 * per_j, 1.0, rtol=1e-15)


def _take(part: Any, row: int) -> Any:
    if is_dataclass(part):
        return type(part)(**{f.name: _take(getattr(part, f.name), row) for f in fields(part)})
    return float(part[row]) if isinstance(part, np.ndarray) else part


def test_a_batch_agrees_with_each_context_alone() -> None:
    rng = np.random.default_rng(7)
    n = 100

    def between(low: float, high: float) -> Any:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    batch = DecisionContext(
        link=LinkState(
            rtt_s=between(1e-3, 1.0),
            jitter_s=between(1e-3, 0.1),
            loss=rng.choice([0.0, 0.01, 0.2], n),
            uplink_bps=between(1e5, 1e9),
            downlink_bps=between(1e5, 1e9),
            age_s=between(0.1, 10.0),
        ),
        task=TaskProfile(
            local_s=between(1e-3, 10.0),
            edge_s=between(1e-3, 3.0),
            input_bytes=between(10.0, 1e7),
            output_bytes=between(10.0, 1e7),
            deadline_s=between(1e-2, 30.0),
        ),
        device=DeviceState(
            queue_s=between(1e-3, 5.0),
            battery=rng.uniform(0.0, 1.0, n),
            radio=radio_batch(rng.integers(5, size=n)),
            radio_tail_left_s=rng.choice([0.0, 3.0], n),
            cpu_w=5.0,
            idle_w=0.2,
        ),
        edge=EdgeState(queue_s=between(1e-3, 3.0), age_s=between(0.1, 100.0)),
        reference_s=between(1e-2, 10.0),
        reference_j=between(1e-2, 50.0),
    )
    for objective in Objective:
        costs = choice_costs(batch, objective)
        assert 5 < np.sum(costs.edge_realised.fell_back) < 95
        for row in range(n):
            alone = choice_costs(_take(batch, row), objective)
            assert alone.local_objective == pytest.approx(costs.local_objective[row], rel=1e-12)
            assert alone.edge_objective == pytest.approx(costs.edge_objective[row], rel=1e-12)
            assert bool(alone.edge_realised.fell_back) == bool(costs.edge_realised.fell_back[row])
