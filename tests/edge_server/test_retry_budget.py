from __future__ import annotations

import random

import pytest

from edge_server.retry_budget import RetryBudget


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_never_more_than_its_share_whatever_the_order(share):
    rng, budget = random.Random(3), RetryBudget(share)
    requests = retries = 0
    for _ in range(5000):
        if rng.random() < 0.3:
            budget.saw_request()
            requests += 1
        elif budget.take():
            retries += 1
        assert retries <= share * requests + 1e-6
    assert retries >= 0.9 * share * requests - 1


def test_ten_requests_pay_for_one_retry_and_no_fewer():
    budget = RetryBudget()
    for _ in range(9):
        budget.saw_request()
    assert not budget.take()
    budget.saw_request()
    assert budget.take()
    assert not budget.take()


def test_a_long_quiet_time_does_not_save_up_a_storm():
    budget = RetryBudget()
    for _ in range(100_000):
        budget.saw_request()
    assert sum(budget.take() for _ in range(1000)) == 10
