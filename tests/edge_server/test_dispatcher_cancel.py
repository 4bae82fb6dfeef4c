"""What a cancel does to a job, wherever it is: rules by hand, without socket, process or clock."""

from __future__ import annotations

import pytest

from edge_server.dispatcher import Dispatcher
from edge_server.jobs import Answer, GivenUp, Instruction, Job, Kill, Start, TaskResult
from edge_server.schedule import Schedule
from edge_server.waiting import WaitingTasks
from edge_server.workers import Workers

GRACE_S = 2.0
SHORT = TaskResult(compute_s=0.0001)


def job(
    number: int,
    *,
    deadline_s: float = 100.0,
    client: bytes = b"peer",
    task: bytes = b"",
    attempt: int = 1,
    kind: str = "echo",
) -> Job:
    name = task or b"task %d" % number
    return Job(client, number, kind, b"", 0.0, deadline_s, client, name, attempt=attempt)


def cancel(given: Job) -> GivenUp:
    return GivenUp(given.task, given.peer, given.request_id, given.attempt)


def codes(instructions: list[Instruction]) -> list[tuple[int, str | None]]:
    return [
        (i.job.request_id, i.result.code and i.result.code.value)
        for i in instructions
        if isinstance(i, Answer)
    ]


def started(instructions: list[Instruction]) -> list[tuple[int, int]]:
    return [(i.worker, i.job.request_id) for i in instructions if isinstance(i, Start)]


@pytest.fixture
def server() -> Dispatcher:
    """One worker, which has run "echo" before and holds two short jobs behind the one it runs."""
    dispatcher = Dispatcher(10, 60.0, GRACE_S, ahead=2)
    dispatcher.worker_ready(0, 0.0)
    dispatcher.admit(job(100), 0.0)
    dispatcher.worker_result(0, SHORT, 0.0)
    return dispatcher


def long(number: int, *, deadline_s: float = 100.0, client: bytes = b"peer") -> Job:
    return job(number, kind="long", deadline_s=deadline_s, client=client)


def test_one_that_waits_is_never_begun(server):
    server.admit(long(1), 0.0)
    server.admit(long(2), 0.0)
    assert codes(server.cancel(cancel(long(2)), 1.0)) == [(2, "cancelled")]
    assert server.queued == 0
    done = server.worker_result(0, TaskResult(compute_s=2.0), 2.0)
    assert (codes(done), started(done)) == ([(1, None)], [])
    assert server.tick(200.0) == []


def test_one_in_the_middle_of_the_queue_leaves_the_others_in_their_order(server):
    server.admit(long(1), 0.0)
    for number, deadline_s in ((2, 30.0), (3, 10.0), (4, 20.0)):
        server.admit(long(number, deadline_s=deadline_s), 0.0)
    server.cancel(cancel(long(4)), 1.0)
    server.cancel(cancel(long(3)), 1.0)
    done = server.worker_result(0, TaskResult(compute_s=1.0), 1.0)
    assert started(done) == [(0, 2)]


def test_the_first_of_the_queue_leaves_and_the_next_is_first(server):
    server.admit(long(1), 0.0)
    server.admit(long(2, deadline_s=10.0), 0.0)
    server.admit(long(3, deadline_s=30.0), 0.0)
    server.admit(long(4, deadline_s=40.0, client=b"another"), 0.0)
    server.cancel(cancel(long(2)), 1.0)
    assert started(server.worker_result(0, TaskResult(compute_s=0.002), 1.0)) == [(0, 3)]


def test_one_that_waits_at_the_worker_is_answered_and_its_result_dropped(server):
    for number in (1, 2, 3):
        server.admit(job(number), 0.0)
    assert codes(server.cancel(cancel(job(2)), 0.0)) == [(2, "cancelled")]
    results = [codes(server.worker_result(0, SHORT, 0.001 * n)) for n in (1, 2, 3)]
    assert results == [[(1, None)], [], [(3, None)]]
    assert server.ready == 1


def test_one_that_hangs_when_its_turn_comes_costs_its_worker_a_moment_later(server):
    for number in (1, 2, 3):
        server.admit(job(number), 0.0)
    server.cancel(cancel(job(2)), 0.0)
    assert [i for i in server.tick(5.0) if isinstance(i, Kill)] == []  # it has not begun
    server.worker_result(0, TaskResult(compute_s=6.0), 6.0)
    assert server.tick(6.2) == []
    assert server.tick(6.25) == [Kill(0)]
    assert started(server.worker_ready(1, 7.0)) == [(1, 3)]


def test_one_that_runs_is_answered_at_once_and_its_worker_has_the_grace(server):
    server.admit(job(1), 0.0)
    assert codes(server.cancel(cancel(job(1)), 1.0)) == [(1, "cancelled")]
    assert server.tick(1.0) == []
    assert server.next_tick_s() == 1.0 + GRACE_S
    assert server.tick(2.9) == []
    assert server.tick(3.0) == [Kill(0)]
    assert server.worker_result(0, TaskResult(b"late"), 3.1) == []


def test_one_that_ends_by_itself_keeps_its_worker(server):
    server.admit(job(1), 0.0)
    server.cancel(cancel(job(1)), 1.0)
    assert server.worker_result(0, TaskResult(b"late", compute_s=1.5), 1.5) == []
    assert server.tick(100.0) == []
    assert started(server.admit(job(2, deadline_s=200.0), 100.0)) == [(0, 2)]
    assert server.admit(long(3, deadline_s=170.0), 100.0) == []
    assert server.next_tick_s() == 160.0  # job 2's limit: nothing cancelled is left to look after


def test_while_others_wait_the_worker_has_a_quarter_of_a_second(server):
    server.admit(job(1), 0.0)
    server.admit(long(2), 0.0)
    server.cancel(cancel(job(1)), 1.0)
    server.tick(1.0)
    assert server.next_tick_s() == 1.25
    assert server.tick(1.25) == [Kill(0)]
    assert started(server.worker_ready(1, 1.5)) == [(1, 2)]


def test_whoever_comes_later_cuts_the_grace_short_too(server):
    server.admit(job(1), 0.0)
    server.cancel(cancel(job(1)), 1.0)
    server.tick(1.0)
    assert server.admit(long(2), 1.1) == []
    assert server.next_tick_s() == 1.1
    assert server.tick(1.1) == []
    assert server.tick(1.25) == [Kill(0)]


def test_a_worker_new_to_that_kind_has_all_of_the_grace_since_it_may_load_a_model(server):
    server.admit(long(1), 0.0)
    server.admit(long(2), 0.0)
    server.cancel(cancel(long(1)), 1.0)
    assert server.tick(2.9) == []
    assert server.tick(3.0) == [Kill(0)]


@pytest.mark.parametrize("grace_s", [0.0, 0.125])
def test_nobody_has_more_than_the_grace(grace_s):
    strict = Dispatcher(10, 60.0, grace_s)
    strict.worker_ready(0, 0.0)
    strict.admit(job(1), 0.0)
    strict.worker_result(0, SHORT, 0.5)
    strict.admit(job(2), 0.5)
    strict.admit(job(3), 0.5)
    strict.cancel(cancel(job(2)), 1.0)
    killed = strict.tick(1.0)
    assert strict.next_tick_s() == (1.125 if grace_s else 100.0)  # else the deadline of 3
    killed += strict.tick(1.125)
    assert killed == [Kill(0)]


def test_cancelled_tasks_are_never_held_to_be_poison(server):
    worker = 0
    for number in (1, 2, 3):
        server.admit(job(number), 0.0)
        server.cancel(cancel(job(number)), 0.0)
        if number == 1:
            assert server.worker_gone(worker, 0.1) == []
        else:
            assert server.tick(GRACE_S * number) == [Kill(worker)]
        worker += 1
        server.worker_ready(worker, GRACE_S * number)
    assert server.quarantined == 0
    assert started(server.admit(job(9), 10.0)) == [(worker, 9)]


def test_what_is_not_open_is_not_cancelled(server):
    server.admit(job(1), 0.0)
    assert server.cancel(cancel(job(2)), 0.0) == []
    assert codes(server.cancel(cancel(job(1)), 0.0)) == [(1, "cancelled")]
    assert server.cancel(cancel(job(1)), 0.0) == []
    server.worker_result(0, SHORT, 0.1)
    server.admit(job(3), 0.2)
    server.worker_result(0, TaskResult(b"out"), 0.3)
    assert server.cancel(cancel(job(3)), 0.4) == []
    again = server.admit(job(3), 0.5)  # its answer is kept all the same
    assert [(a.job.request_id, a.result.output) for a in again] == [(3, b"out")]


def test_nobody_cancels_what_is_anothers(server):
    """Another user's tasks have other names; without keys the same name says only 'I too'."""
    server.admit(job(1, client=b"a", task=b"user a: t"), 0.0)
    assert server.cancel(GivenUp(b"user b: t", b"b", 1, 100), 0.0) == []
    assert server.cancel(GivenUp(b"user a: t", b"b", 1, 1), 0.0) == []
    assert codes(server.worker_result(0, SHORT, 0.1)) == [(1, None)]


def test_a_cancelled_task_may_be_asked_for_again(server):
    server.admit(job(1, task=b"t"), 0.0)
    server.cancel(cancel(job(1, task=b"t")), 0.1)
    assert started(server.admit(job(2, task=b"t", attempt=2), 0.2)) == []  # behind the first
    assert started(server.worker_result(0, TaskResult(b"of the first"), 0.3)) == [(0, 2)]
    second = server.worker_result(0, TaskResult(b"of the second"), 0.4)
    assert [(a.job.request_id, a.result.output) for a in second if isinstance(a, Answer)] == [
        (2, b"of the second")
    ]


def test_a_later_attempt_keeps_what_an_earlier_one_gave_up(server):
    first, second = (job(n, client=b"c%d" % n, task=b"t", attempt=n) for n in (1, 2))
    server.admit(first, 0.0)
    server.admit(second, 0.1)
    assert codes(server.cancel(cancel(first), 0.2)) == [(1, "cancelled")]
    assert server.cancel(cancel(first), 0.2) == []
    done = server.worker_result(0, TaskResult(b"out"), 1.0)
    assert codes(done) == [(2, None)]
    assert codes(server.admit(job(3, task=b"t", attempt=3), 2.0)) == [(3, None)]


def test_a_later_attempt_gives_up_the_earlier_ones_with_itself(server):
    """Their connections are gone: nobody else can."""
    first, second = (job(n, client=b"c%d" % n, task=b"t", attempt=n) for n in (1, 2))
    server.admit(first, 0.0)
    server.admit(second, 0.1)
    assert codes(server.cancel(cancel(second), 0.2)) == [(1, "cancelled"), (2, "cancelled")]
    assert server.worker_result(0, TaskResult(b"late"), 1.0) == []


def test_a_twin_of_the_same_attempt_is_no_attempt_before(server):
    first, twin = job(1, client=b"a", task=b"t"), job(1, client=b"b", task=b"t")
    server.admit(first, 0.0)
    server.admit(twin, 0.1)
    server.cancel(cancel(twin), 0.2)
    done = server.worker_result(0, SHORT, 1.0)
    assert [a.job.peer for a in done if isinstance(a, Answer)] == [b"a"]


def test_a_client_may_have_as_many_new_requests_as_it_gave_up():
    dispatcher = Dispatcher(100, 60.0, GRACE_S, max_open=2)
    dispatcher.worker_ready(0, 0.0)
    for number in (1, 2):
        assert codes(dispatcher.admit(job(number), 0.0)) == []
    assert codes(dispatcher.admit(job(3), 0.0)) == [(3, "busy")]
    dispatcher.cancel(cancel(job(1)), 0.0)
    assert codes(dispatcher.admit(job(4), 0.0)) == []
    assert codes(dispatcher.admit(job(5), 0.0)) == [(5, "busy")]


def test_what_was_cancelled_does_not_hold_a_drain_up(server):
    server.admit(job(1), 0.0)
    server.admit(job(2), 0.0)
    server.cancel(cancel(job(1)), 0.1)
    server.drain(0.1, 60.0)
    assert not server.drained
    server.cancel(cancel(job(2)), 0.2)
    assert server.drained


class Accounts(WaitingTasks):
    """A queue that adds up what each client is charged."""

    def __init__(self) -> None:
        super().__init__(100, 2**20)
        self.charged: dict[bytes, float] = {}

    def charge(self, client: bytes, seconds: float) -> None:
        self.charged[client] = self.charged.get(client, 0.0) + seconds
        super().charge(client, seconds)


def test_each_client_is_charged_the_seconds_its_jobs_took_cancelled_or_not():
    """Worker 0 runs one of b for 0.4 ms, then one of a, and is killed 3 s after that began."""
    accounts = Accounts()
    workers = Workers(ahead=2, max_task_s=60.0, grace_s=GRACE_S)
    schedule = Schedule(accounts, workers, lambda job, result, now_s: None)
    workers.add(0)
    schedule.put(job(1, client=b"b"), 0.0)
    schedule.finish(0, TaskResult(compute_s=0.0004), 0.0004)
    a, b = job(2, client=b"a"), job(3, client=b"b")
    schedule.put(a, 1.0)
    schedule.put(b, 1.0)
    assert [start.job.request_id for start in schedule.started] == [1, 2, 3]
    schedule.cancel(a, 2.0)
    killed = workers.remove(0)
    schedule.cut_off(killed.popleft(), 4.0)
    schedule.put_back(killed)
    assert accounts.charged == pytest.approx({b"a": 3.0, b"b": 0.0004})
    workers.add(1)
    schedule.fill(5.0)
    schedule.finish(1, TaskResult(compute_s=0.5), 5.5)
    assert accounts.charged == pytest.approx({b"a": 3.0, b"b": 0.5004})


def test_who_runs_long_and_cancels_waits_for_his_share_like_others(server):
    """a's cancelled task took 3 s, so b's goes next though a's has the earlier deadline."""
    server.admit(long(1, client=b"a"), 0.0)
    server.admit(long(2, client=b"a", deadline_s=50.0), 0.0)
    server.admit(long(3, client=b"b", deadline_s=60.0), 0.0)
    server.cancel(cancel(long(1, client=b"a")), 1.0)
    assert started(server.worker_result(0, TaskResult(compute_s=3.0), 3.0)) == [(0, 3)]
