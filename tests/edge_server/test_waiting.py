"""The queue's order, its fairness and its bounds."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from edge_server.jobs import Job
from edge_server.waiting import QUANTUM_S, WaitingTasks


def job(client: str, number: int = 1, deadline_s: float = 100.0, size: int = 0) -> Job:
    name = client.encode()
    return Job(name, number, "echo", bytes(size), 0.0, deadline_s, name)


def names(jobs: list[Job]) -> list[str]:
    return [f"{job.peer.decode()}{job.request_id}" for job in jobs]


def drained(waiting: WaitingTasks, charge_s: float = 0.0) -> list[str]:
    order = []
    while waiting:
        job = waiting.pop()
        waiting.charge(job.client, charge_s)
        order.append(job)
    return names(order)


def test_the_earliest_deadline_goes_first_whoever_it_belongs_to():
    waiting = WaitingTasks(10, 1000)
    for client, number, deadline_s in [("a", 1, 9), ("b", 1, 3), ("a", 2, 5), ("b", 2, 7)]:
        waiting.push(job(client, number, deadline_s))
    assert names([waiting.peek()]) == ["b1"]
    assert drained(waiting) == ["b1", "a2", "b2", "a1"]
    assert (len(waiting), waiting.n_bytes, waiting.clients) == (0, 0, 0)


def test_equal_deadlines_go_in_the_order_they_came():
    waiting = WaitingTasks(10, 1000)
    for number in range(1, 6):
        waiting.push(job("a", number, 5.0))
    assert drained(waiting) == ["a1", "a2", "a3", "a4", "a5"]


def test_a_client_that_used_its_share_up_waits_though_its_deadlines_are_earlier():
    waiting = WaitingTasks(100, 1000)
    for number in range(1, 5):
        waiting.push(job("greedy", number, deadline_s=1.0 + number))
        waiting.push(job("modest", number, deadline_s=50.0 + number))
    assert drained(waiting, charge_s=QUANTUM_S) == [
        "greedy1", "modest1", "greedy2", "modest2", "greedy3", "modest3", "greedy4", "modest4",
    ]  # fmt: skip


def test_what_was_taken_too_much_is_carried_over():
    waiting = WaitingTasks(100, 1000)
    for number in range(1, 9):
        waiting.push(job("long", number, deadline_s=1.0))
        waiting.push(job("short", number, deadline_s=50.0))
    served: Counter[str] = Counter()
    for _ in range(9):
        taken = waiting.pop()
        client = taken.peer.decode()
        waiting.charge(taken.client, QUANTUM_S * (4 if client == "long" else 1))
        served[client] += 1
    # Tasks four times as long are served a quarter as often: 1 + 4 + 1 + 3.
    assert served == {"long": 2, "short": 7}


def test_a_flood_delays_another_client_by_its_share_only():
    waiting = WaitingTasks(1000, 10**6)
    for number in range(1, 501):
        waiting.push(job("flood", number, deadline_s=1.0))
    for _ in range(50):
        waiting.charge(waiting.pop().client, QUANTUM_S / 4)
    waiting.push(job("late", 1, deadline_s=99.0))
    before = 0
    while (taken := waiting.pop()).peer != b"late":
        waiting.charge(taken.client, QUANTUM_S / 4)
        before += 1
    assert before <= 4  # what one share holds


def test_clients_that_come_and_go_starve_nobody():
    """Whoever's queue runs empty is gone, and back at once: no fresh share for that."""
    waiting = WaitingTasks(100, 10**6)
    for number in range(1, 4):
        waiting.push(job("resting", number, deadline_s=50.0))
    waits: list[int] = []
    since = 0
    for number in range(1, 400):
        for client in "abcd":
            if not any(entry[2].peer == client.encode() for entry in entries(waiting)):
                waiting.push(job(client, number, deadline_s=1.0))
        taken = waiting.pop()
        waiting.charge(taken.client, QUANTUM_S)
        since += 1
        if taken.peer == b"resting":
            waits.append(since)
            since = 0
            waiting.push(job("resting", 1000 + number, deadline_s=50.0))
    assert max(waits) <= 6  # five clients, one task each a round
    assert len(waits) >= 399 / 6


def test_newcomers_without_end_starve_nobody():
    waiting = WaitingTasks(100, 10**6)
    for number in range(1, 30):
        waiting.push(job("patient", number, deadline_s=50.0))
    served = 0
    for number in range(100):
        for place in range(2):
            waiting.push(job(f"new{number}.{place}", 1, deadline_s=1.0))
        for _ in range(3):
            taken = waiting.pop()
            waiting.charge(taken.client, QUANTUM_S)
            served += taken.peer == b"patient"
            if served == 29:
                return
    raise AssertionError(f"the patient client had {served} tasks of 300 run")


def entries(waiting: WaitingTasks) -> list:
    return [entry for client in waiting._clients.values() for entry in client.jobs]


def test_a_full_queue_refuses_the_newcomer_of_the_longest_queue():
    waiting = WaitingTasks(2, 1000)
    jobs = [job("a", number, deadline_s=10.0 - number) for number in range(1, 4)]
    for each in jobs[:2]:
        waiting.push(each)
        assert waiting.shed(each) == []
    waiting.push(jobs[2])
    assert waiting.shed(jobs[2]) == [jobs[2]]
    assert drained(waiting) == ["a2", "a1"]


def test_a_newcomer_with_less_displaces_the_latest_of_the_client_with_most():
    waiting = WaitingTasks(4, 1000)
    for number, deadline_s in enumerate([5.0, 9.0, 7.0, 6.0], 1):
        waiting.push(job("a", number, deadline_s))
    newcomer = job("b", 1, deadline_s=50.0)
    waiting.push(newcomer)
    assert names(waiting.shed(newcomer)) == ["a2"]
    assert drained(waiting) == ["a1", "a4", "a3", "b1"]


def test_bytes_are_bounded_as_well():
    waiting = WaitingTasks(100, 1000)
    for number in (1, 2):
        waiting.push(job("a", number, deadline_s=number, size=400))
    small = job("b", 1, size=300)
    waiting.push(small)
    assert names(waiting.shed(small)) == ["a2"]
    assert waiting.n_bytes == 700
    large = job("b", 2, size=301)
    waiting.push(large)
    assert waiting.shed(large) == [large]


def test_expired_jobs_are_found_among_those_without_a_share_too():
    waiting = WaitingTasks(100, 1000)
    for number, deadline_s in enumerate([1.0, 4.0, 2.0], 1):
        waiting.push(job("a", number, deadline_s))
        waiting.push(job("b", number, deadline_s + 0.5))
    waiting.charge(b"a", 10 * QUANTUM_S)
    assert waiting.next_deadline_s() == 1.0
    assert sorted(names(waiting.expired(2.6))) == ["a1", "a3", "b1", "b3"]
    assert waiting.next_deadline_s() == 4.0
    assert sorted(names(waiting.clear())) == ["a2", "b2"]
    assert waiting.next_deadline_s() == math.inf


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_handed_out_twice(seed):
    rng = random.Random(seed)
    waiting = WaitingTasks(30, 3000)
    inside: dict[int, Job] = {}
    for number in range(1, 2000):
        if rng.random() < 0.6:
            new = job(rng.choice("abcdef"), number, rng.uniform(0, 100), rng.randrange(200))
            inside[number] = new
            waiting.push(new)
            for shed in waiting.shed(new):
                assert inside.pop(shed.request_id) is shed
        elif rng.random() < 0.9:
            assert bool(waiting) == bool(inside)
            if waiting:
                taken = waiting.pop()
                assert inside.pop(taken.request_id) is taken
                waiting.charge(taken.client, rng.uniform(0, 0.05))
        else:
            now_s = rng.uniform(0, 20)
            for late in waiting.expired(now_s):
                assert inside.pop(late.request_id) is late
                assert late.deadline_s <= now_s
            assert all(each.deadline_s > now_s for each in inside.values())
        assert len(waiting) == len(inside) <= 30
        assert waiting.n_bytes == sum(len(each.payload) for each in inside.values()) <= 3000
        earliest_s = min((each.deadline_s for each in inside.values()), default=math.inf)
        assert waiting.next_deadline_s() == earliest_s
