"""The server's rules, tested without a socket, a process or a clock."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from edge_server.dispatcher import Dispatcher
from edge_server.jobs import Answer, GivenUp, Job, Kill, Start, TaskResult
from edge_server.protocol import ErrorCode


def job(number: int = 1, deadline_s: float = 100.0) -> Job:
    return Job(b"peer", number, "echo", b"", 0.0, deadline_s, b"peer")


def codes(instructions: list) -> list:
    return [
        (i.job.request_id, i.result.code and i.result.code.value)
        for i in instructions
        if isinstance(i, Answer)
    ]


def started(instructions: list) -> list:
    return [(i.worker, i.job.request_id) for i in instructions if isinstance(i, Start)]


@pytest.fixture
def one_worker() -> Dispatcher:
    dispatcher = Dispatcher(queue_limit=2, max_task_s=10.0, overrun_grace_s=1.0)
    dispatcher.worker_ready(0, 0.0)
    return dispatcher


def test_first_in_first_out_and_busy_when_the_queue_is_full(one_worker):
    assert started(one_worker.admit(job(1), 0.0)) == [(0, 1)]
    assert one_worker.admit(job(2), 0.0) == []
    assert one_worker.admit(job(3), 0.0) == []
    assert codes(one_worker.admit(job(4), 0.0)) == [(4, "busy")]
    assert (one_worker.busy, one_worker.queued) == (1, 2)
    done = one_worker.worker_result(0, TaskResult(b"out"), 1.0)
    assert codes(done) == [(1, None)]
    assert started(done) == [(0, 2)]


def test_one_client_cannot_fill_the_queue():
    dispatcher = Dispatcher(queue_limit=100, max_task_s=10.0, overrun_grace_s=1.0)
    dispatcher.worker_ready(0, 0.0)
    for number in range(1, 17):
        assert codes(dispatcher.admit(job(number), 0.0)) == []
    assert codes(dispatcher.admit(job(17), 0.0)) == [(17, "busy")]
    other = Job(b"another", 1, "echo", b"", 0.0, 100.0, b"another")
    assert codes(dispatcher.admit(other, 0.0)) == []
    dispatcher.worker_result(0, TaskResult(), 0.1)
    assert codes(dispatcher.admit(job(18), 0.2)) == []


def test_no_queue_at_all_still_runs_what_a_worker_is_free_for():
    dispatcher = Dispatcher(0, 10.0, 1.0)
    dispatcher.worker_ready(0, 0.0)
    assert started(dispatcher.admit(job(1), 0.0)) == [(0, 1)]
    assert codes(dispatcher.admit(job(2), 0.0)) == [(2, "busy")]


def test_the_worker_used_last_is_used_next_and_a_new_one_comes_last():
    dispatcher = Dispatcher(2, 10.0, 1.0)
    for worker in (0, 1):
        dispatcher.worker_ready(worker, 0.0)
    ((first, _),) = started(dispatcher.admit(job(1), 0.0))
    dispatcher.worker_result(first, TaskResult(), 0.1)
    dispatcher.worker_ready(2, 0.2)
    assert started(dispatcher.admit(job(2), 0.3)) == [(first, 2)]


def test_expected_queueing_is_what_lies_ahead_over_the_busy_workers():
    dispatcher = Dispatcher(queue_limit=5, max_task_s=10.0, overrun_grace_s=1.0)
    dispatcher.worker_ready(0, 0.0)
    dispatcher.worker_ready(1, 0.0)
    dispatcher.admit(job(1), 0.0)
    dispatcher.worker_result(1, TaskResult(compute_s=2.0), 2.0)
    dispatcher.worker_result(0, TaskResult(compute_s=2.0), 2.0)
    dispatcher.admit(job(2), 3.0)
    assert dispatcher.expected_queue_s() == 0.0  # a worker is idle
    dispatcher.admit(job(3), 3.0)
    assert dispatcher.expected_queue_s() == 0.5  # half a task of 2 s ahead, two workers
    for number in (4, 5):
        dispatcher.admit(job(number), 3.0)
    assert dispatcher.expected_queue_s() == 2.5


def test_expired_jobs_never_start(one_worker):
    assert codes(one_worker.admit(job(1, deadline_s=5.0), 5.0)) == [(1, "expired")]
    one_worker.admit(job(2), 0.0)
    one_worker.admit(job(3, deadline_s=3.0), 0.0)
    assert one_worker.next_tick_s() == 3.0
    assert codes(one_worker.tick(2.9)) == []
    assert codes(one_worker.tick(3.0)) == [(3, "expired")]
    one_worker.admit(job(4, deadline_s=4.0), 3.5)
    done = one_worker.worker_result(0, TaskResult(), 4.5)  # no tick came between
    assert codes(done) == [(2, None), (4, "expired")]
    assert started(done) == []


def test_an_overrun_is_answered_at_once_and_killed_after_the_grace(one_worker):
    one_worker.admit(job(1, deadline_s=2.0), 0.0)
    assert one_worker.next_tick_s() == 2.0
    assert codes(one_worker.tick(2.0)) == [(1, "overrun")]
    assert one_worker.next_tick_s() == 3.0
    assert one_worker.tick(2.9) == []
    assert one_worker.tick(3.0) == [Kill(0)]
    assert one_worker.worker_result(0, TaskResult(b"late"), 3.1) == []
    assert one_worker.worker_gone(0, 1.0) == []
    assert one_worker.ready == 0


def test_an_overrun_that_ends_in_its_grace_keeps_its_worker(one_worker):
    one_worker.admit(job(1, deadline_s=2.0), 0.0)
    one_worker.tick(2.0)
    one_worker.admit(job(2), 2.1)
    done = one_worker.worker_result(0, TaskResult(b"late"), 2.5)
    assert codes(done) == []  # answered already
    assert started(done) == [(0, 2)]


def test_no_budget_is_longer_than_the_servers_own_limit(one_worker):
    one_worker.admit(job(1, deadline_s=3000.0), 5.0)
    assert one_worker.next_tick_s() == 15.0
    assert codes(one_worker.tick(15.0)) == [(1, "overrun")]


def test_a_dead_workers_job_is_answered_and_not_tried_again(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.admit(job(2), 0.0)
    gone = one_worker.worker_gone(0, 1.0)
    assert codes(gone) == [(1, "worker_died")]
    assert started(gone) == []
    assert started(one_worker.worker_ready(1, 1.0)) == [(1, 2)]


def test_an_idle_worker_that_dies_gets_no_job(one_worker):
    assert one_worker.worker_gone(0, 1.0) == []
    assert one_worker.admit(job(1), 0.0) == []
    assert one_worker.queued == 1


def test_draining_answers_what_waits_and_lets_end_what_runs(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.admit(job(2), 0.0)
    assert codes(one_worker.drain(1.0, grace_s=5.0)) == [(2, "shutting_down")]
    assert codes(one_worker.admit(job(3), 1.5)) == [(3, "shutting_down")]
    assert not one_worker.drained
    assert codes(one_worker.worker_result(0, TaskResult(), 2.0)) == [(1, None)]
    assert one_worker.drained


def test_the_grace_period_ends_and_a_second_drain_shortens_it(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.drain(1.0, grace_s=5.0)
    assert one_worker.next_tick_s() == 6.0
    assert one_worker.tick(5.9) == []
    one_worker.drain(2.0, grace_s=0.0)
    instructions = one_worker.tick(2.0)
    assert codes(instructions) == [(1, "shutting_down")]
    assert Kill(0) in instructions
    assert one_worker.drained


def test_busy_says_when_half_of_what_waits_should_be_done(one_worker):
    for number in (1, 2, 3):
        one_worker.admit(job(number), 0.0)
    (first,) = one_worker.admit(job(4), 0.0)
    assert first.result.retry_after_s == 0.1  # no task has ended yet
    one_worker.worker_result(0, TaskResult(compute_s=2.0), 2.0)
    one_worker.admit(job(5), 2.0)
    (second,) = one_worker.admit(job(6), 2.0)
    assert second.result.retry_after_s == (2 / 2 + 0.5) * 2.0


def test_a_job_that_the_quickest_run_would_not_finish_in_time_is_not_begun(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.worker_result(0, TaskResult(compute_s=2.0), 2.0)
    one_worker.admit(job(2), 2.0)
    one_worker.worker_result(0, TaskResult(compute_s=3.0), 5.0)
    assert codes(one_worker.admit(job(3, deadline_s=7.9), 6.0)) == [(3, "expired")]
    assert started(one_worker.admit(job(4, deadline_s=8.1), 6.0)) == [(0, 4)]


def test_what_was_quick_long_ago_is_no_reason_to_refuse(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.worker_result(0, TaskResult(compute_s=2.0), 2.0)
    assert started(one_worker.admit(job(2, deadline_s=20.0), 19.0)) == [(0, 2)]


@pytest.fixture
def ahead() -> Dispatcher:
    """One worker that holds two short jobs behind the one it runs; "echo" is known to be short."""
    dispatcher = Dispatcher(10, 10.0, 1.0, ahead=2)
    dispatcher.worker_ready(0, 0.0)
    dispatcher.admit(job(100), 0.0)
    dispatcher.worker_result(0, TaskResult(compute_s=0.0001), 0.0)
    return dispatcher


def test_short_jobs_wait_at_the_worker_and_others_do_not(ahead):
    assert started(ahead.admit(job(1), 0.0)) == [(0, 1)]
    assert started(ahead.admit(job(2), 0.0)) == [(0, 2)]
    long = Job(b"peer", 3, "long", b"", 0.0, 100.0, b"peer")
    assert started(ahead.admit(long, 0.0)) == []
    assert ahead.queued == 2
    assert started(ahead.worker_result(0, TaskResult(compute_s=0.0001), 0.0)) == []
    assert started(ahead.worker_result(0, TaskResult(compute_s=0.0001), 0.0)) == [(0, 3)]
    assert started(ahead.admit(job(4), 0.0)) == []  # nothing waits behind a long one


def test_no_more_than_the_worker_may_hold(ahead):
    given = [started(ahead.admit(job(number), 0.0)) for number in range(1, 6)]
    assert given == [[(0, 1)], [(0, 2)], [(0, 3)], [], []]
    done = ahead.worker_result(0, TaskResult(compute_s=0.0001), 0.001)
    assert (codes(done), started(done)) == ([(1, None)], [(0, 4)])


def test_a_worker_that_seems_stuck_gets_no_more_behind_its_job(ahead):
    ahead.admit(job(1), 0.0)
    assert started(ahead.admit(job(2), 0.5)) == []


def test_what_waited_at_a_dead_worker_runs_elsewhere(ahead):
    for number in (1, 2, 3):
        ahead.admit(job(number), 0.0)
    gone = ahead.worker_gone(0, 1.0)
    assert (codes(gone), started(gone)) == ([(1, "worker_died")], [])
    assert started(ahead.worker_ready(1, 2.0)) == [(1, 2), (1, 3)]


def test_a_hung_job_with_others_behind_it_is_killed_without_grace(ahead):
    ahead.admit(job(1, deadline_s=2.0), 0.0)
    ahead.admit(job(2), 0.0)
    assert ahead.tick(1.9) == []
    late = ahead.tick(2.0)
    assert codes(late) == [(1, "overrun")]
    assert Kill(0) in late
    assert started(ahead.worker_ready(1, 2.5)) == [(1, 2)]


def test_what_waits_at_a_worker_ends_at_its_own_deadline(ahead):
    ahead.admit(job(1), 0.0)
    ahead.admit(job(2, deadline_s=3.0), 0.0)
    assert ahead.next_tick_s() == 3.0
    assert codes(ahead.tick(3.0)) == [(2, "overrun")]
    assert codes(ahead.worker_result(0, TaskResult(compute_s=3.5), 3.5)) == [(1, None)]
    expired = TaskResult(code=ErrorCode.EXPIRED)
    assert codes(ahead.worker_result(0, expired, 3.5)) == []


def test_a_worker_that_comes_to_what_is_answered_already_is_not_killed_for_it(ahead):
    ahead.admit(job(1), 0.0)
    ahead.admit(job(2, deadline_s=3.0), 0.0)
    ahead.admit(job(3), 0.0)
    assert codes(ahead.tick(3.0)) == [(2, "overrun")]
    assert codes(ahead.worker_result(0, TaskResult(compute_s=3.5), 3.5)) == [(1, None)]
    assert ahead.tick(3.6) == []  # it has not said yet that the second is expired
    assert ahead.worker_result(0, TaskResult(code=ErrorCode.EXPIRED), 3.6) == []
    assert codes(ahead.worker_result(0, TaskResult(), 3.6)) == [(3, None)]


def test_one_that_is_stopped_as_it_comes_to_what_is_answered_is_killed_after_the_grace(ahead):
    ahead.admit(job(1), 0.0)
    ahead.admit(job(2, deadline_s=3.0), 0.0)
    ahead.admit(job(3), 0.0)
    ahead.tick(3.0)
    ahead.worker_result(0, TaskResult(compute_s=3.5), 3.5)
    assert ahead.tick(4.4) == []
    assert ahead.next_tick_s() == 4.5
    assert Kill(0) in ahead.tick(4.5)


def test_out_of_memory_is_a_workers_last_result(ahead):
    for number in (1, 2):
        ahead.admit(job(number), 0.0)
    last = ahead.worker_result(0, TaskResult(code=ErrorCode.OUT_OF_MEMORY), 0.5)
    assert codes(last) == [(1, "out_of_memory")]
    assert Kill(0) in last
    assert ahead.ready == 0
    assert started(ahead.worker_ready(1, 1.0)) == [(1, 2)]


def twin(number: int, deadline_s: float = 100.0, payload: bytes = b"same") -> Job:
    return Job(b"peer", number, "echo", payload, 0.0, deadline_s, b"peer", b"task")


def test_a_duplicate_joins_and_is_answered_with_the_first(one_worker):
    assert started(one_worker.admit(twin(1), 0.0)) == [(0, 1)]
    assert one_worker.admit(twin(2), 0.1) == []
    assert codes(one_worker.admit(twin(3, payload=b"other"), 0.1)) == [(3, "bad_request")]
    done = one_worker.worker_result(0, TaskResult(b"out"), 1.0)
    assert codes(done) == [(1, None), (2, None)]
    again = one_worker.admit(twin(4), 2.0)
    assert [(a.job.request_id, a.result.output) for a in again] == [(4, b"out")]


def test_a_duplicate_may_come_compressed_where_the_first_did_not(one_worker):
    small = Job(b"p", 3, "echo", b"z", 0.0, 9.0, b"p", b"task", 4, True, 2)
    assert started(one_worker.admit(twin(1), 0.0)) == [(0, 1)]
    assert one_worker.admit(small, 0.1) == []
    assert codes(one_worker.worker_result(0, TaskResult(b"out"), 1.0)) == [(1, None), (3, None)]
    assert codes(one_worker.admit(small, 2.0)) == [(3, None)]


def test_a_duplicate_of_what_never_ran_is_admitted_on_its_own(one_worker):
    one_worker.admit(job(1), 0.0)
    one_worker.admit(twin(2, deadline_s=3.0), 0.0)
    one_worker.admit(twin(3, deadline_s=50.0), 1.0)
    assert codes(one_worker.tick(3.0)) == [(2, "expired")]
    assert started(one_worker.worker_result(0, TaskResult(), 4.0)) == [(0, 3)]


def test_answers_kept_are_bounded():
    dispatcher = Dispatcher(2, 10.0, 1.0, answer_bytes=1000)
    dispatcher.worker_ready(0, 0.0)
    for number in range(1, 4):
        named = Job(b"p", number, "echo", b"", 0.0, 100.0, b"p", b"task%d" % number)
        dispatcher.admit(named, 0.0)
        dispatcher.worker_result(0, TaskResult(bytes(400)), 0.0)
    repeated = [
        Job(b"p", 10 + number, "echo", b"", 0.0, 100.0, b"p", b"task%d" % number)
        for number in range(1, 4)
    ]
    assert codes(dispatcher.admit(repeated[2], 0.0)) == [(13, None)]
    assert codes(dispatcher.admit(repeated[1], 0.0)) == [(12, None)]
    assert started(dispatcher.admit(repeated[0], 0.0)) == [(0, 11)]  # forgotten: run again


def test_two_workers_lost_to_one_task_are_enough(one_worker):
    for worker in (0, 1):
        one_worker.admit(job(worker + 1), 0.0)
        assert codes(one_worker.worker_gone(worker, 0.0)) == [(worker + 1, "worker_died")]
        one_worker.worker_ready(worker + 1, 0.0)
    assert codes(one_worker.admit(job(3), 0.0)) == [(3, "quarantined")]
    other = Job(b"peer", 4, "echo", b"x", 0.0, 100.0, b"peer")
    assert started(one_worker.admit(other, 0.0)) == [(2, 4)]
    assert one_worker.quarantined == 1


def test_a_task_that_ends_its_worker_after_its_answer_counts_too(one_worker):
    for worker in (0, 1):
        one_worker.admit(job(worker + 1, deadline_s=1.0), 0.0)
        assert codes(one_worker.tick(1.0)) == [(worker + 1, "overrun")]
        assert one_worker.worker_gone(worker, 1.5) == []
        one_worker.worker_ready(worker + 1, 1.5)
    assert codes(one_worker.admit(job(3), 0.0)) == [(3, "quarantined")]


def test_a_kill_for_a_clients_budget_convicts_nobody(one_worker):
    for worker in (0, 1, 2):
        assert started(one_worker.admit(job(worker + 1, deadline_s=1.0), 0.0)) == [
            (worker, worker + 1)
        ]
        assert codes(one_worker.tick(1.0)) == [(worker + 1, "overrun")]
        assert one_worker.tick(2.0) == [Kill(worker)]
        assert one_worker.worker_gone(worker, 2.0) == []
        one_worker.worker_ready(worker + 1, 2.0)
    assert one_worker.quarantined == 0


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_each_job_is_answered_exactly_once(seed, ahead):
    """A random life of a server; the books are kept outside of the dispatcher."""
    rng = random.Random(seed)
    dispatcher = Dispatcher(queue_limit=3, max_task_s=4.0, overrun_grace_s=0.5, ahead=ahead)
    answers: Counter[int] = Counter()
    running: dict[int, list[int]] = {}
    living: set[int] = set()
    given: dict[int, Job] = {}
    now_s, workers, jobs, cancelled = 0.0, 0, 0, 0

    def act(instructions: list) -> None:
        for instruction in instructions:
            if isinstance(instruction, Answer):
                answers[instruction.job.request_id] += 1
            elif isinstance(instruction, Start):
                assert instruction.worker in living
                held = running.setdefault(instruction.worker, [])
                assert len(held) <= ahead
                held.append(instruction.job.request_id)
            else:
                assert instruction.worker in running

    for _ in range(300):
        now_s += rng.random()
        event = rng.choice(["admit", "admit", "ready", "result", "gone", "tick", "cancel"])
        if event == "admit":
            jobs += 1
            name = b"task%d" % rng.randrange(30)  # so that many are duplicates
            deadline_s = now_s + rng.uniform(0, 8)
            attempt = rng.randrange(1, 4)
            user = rng.choice([b"a", b"b"])
            new = Job(b"p", jobs, "echo", b"", now_s, deadline_s, user, name, attempt=attempt)
            given[jobs] = new
            act(dispatcher.admit(new, now_s))
        elif event == "cancel" and jobs:
            open_jobs = [number for number in given if not answers[number]]
            old = given[rng.choice(open_jobs or [jobs])]
            act(dispatcher.cancel(GivenUp(old.task, b"p", old.request_id, old.attempt), now_s))
            assert answers[old.request_id] == 1
            cancelled += bool(open_jobs)
        elif event == "ready" and len(living) < 3:
            living.add(workers)
            act(dispatcher.worker_ready(workers, now_s))
            workers += 1
        elif event == "result" and running:
            worker = rng.choice(sorted(running))
            running[worker].pop(0)
            if not running[worker]:
                del running[worker]
            seconds = rng.choice([0.0001, 0.0001, 0.0001, 0.5])
            act(dispatcher.worker_result(worker, TaskResult(compute_s=seconds), now_s))
        elif event == "gone" and living:
            worker = rng.choice(sorted(living))
            living.remove(worker)
            running.pop(worker, None)
            act(dispatcher.worker_gone(worker, now_s))
        else:
            act(dispatcher.tick(now_s))
    act(dispatcher.drain(now_s, 1.0))
    act(dispatcher.tick(now_s + 1.0))
    assert dispatcher.drained
    assert answers == Counter(range(1, jobs + 1))
    assert cancelled > 0
