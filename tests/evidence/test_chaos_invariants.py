"""The judge of the chaos suite, on histories made by hand: each breach is found, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from made_histories import (
    CLIENT_PID,
    DEADLINE_S,
    WORKER_PID,
    digest,
    ended,
    good_history,
    started,
    submitted,
)

from evidence.chaos.history import (
    Accepted,
    ClientStarted,
    Event,
    Fault,
    Reported,
    Stall,
    Started,
    Submitted,
    Terminal,
)
from evidence.chaos.invariants import RULES, excused, read_story, violations


def broken(events: list[Event]) -> set[tuple[str, str]]:
    """(rule, task) of each breach."""
    story = read_story(sorted(events, key=lambda event: event.t_s))
    return {(breach.rule, breach.task) for breach in violations(story)}


def without(kind: type, task: str) -> list[Event]:
    """The good history less the events of that sort about a task."""
    return [
        event
        for event in good_history()
        if not (isinstance(event, kind) and getattr(event, "task", "") == task)
    ]


def changed(kind: type, task: str, **fields: object) -> list[Event]:
    """The good history with the events of that sort about a task changed."""
    return [
        msgspec.structs.replace(event, **fields)
        if isinstance(event, kind) and getattr(event, "task", "") == task
        else event
        for event in good_history()
    ]


def test_a_good_history_breaks_no_rule():
    assert broken(good_history()) == set()


@dataclass(frozen=True)
class Case:
    rule: str
    task: str
    events: list[Event]


LATE_S = 2.0 + DEADLINE_S + 0.051
ONE_POISON = [
    ClientStarted(0.0, ["c.0"], CLIENT_PID),
    submitted("p", 1.0, "poison", promised=False),
    started("p", 1.1),
    Reported(1.2, "p"),
    ended("p", 1.2, "failed"),
]
BAD = {
    "never heard of again": Case("lost", "a", [*without(Terminal, "a")]),
    "ended twice": Case("told twice", "a", [*good_history(), ended("a", 1.05)]),
    "ended twice, differently": Case("told twice", "a", [*good_history(), ended("a", 1.2, "busy")]),
    "reported twice": Case("told twice", "a", [*good_history(), Reported(1.1, "a")]),
    "never reported": Case("told twice", "a", without(Reported, "a")),
    "never submitted": Case(
        "out of nothing", "x", [*good_history(), started("x", 3.0), ended("x", 3.1, "busy")]
    ),
    "ended before": Case("out of nothing", "a", changed(Terminal, "a", t_s=0.5)),
    "submitted twice": Case("out of nothing", "a", [*good_history(), submitted("a", 1.001)]),
    "run nowhere": Case("out of nothing", "a", without(Started, "a")),
    "wrong answer": Case("wrong answer", "a", changed(Terminal, "a", digest=digest("b"))),
    "no answer": Case("wrong answer", "b", changed(Terminal, "b", digest="")),
    "a refusal with an answer": Case(
        "wrong answer",
        "q",
        [
            *good_history(),
            submitted("q", 3.0, promised=False),
            Reported(3.1, "q"),
            Terminal(3.1, "q", "failed", digest("q")),
        ],
    ),
    "late": Case("late", "b", changed(Terminal, "b", t_s=LATE_S)),
    "given up": Case("given up", "b", changed(Terminal, "b", outcome="failed", digest="")),
    "raised": Case(
        "raised",
        "e",
        [
            *good_history(),
            submitted("e", 3.0, promised=False),
            Terminal(3.1, "e", "raised", reason="KeyError: 7"),
        ],
    ),
    "accepted, never answered": Case(
        "left unanswered",
        "u",
        [
            *good_history(),
            msgspec.structs.replace(submitted("u", 3.0, promised=False), client="raw"),
            Accepted(3.1, "u"),
            Terminal(3.2, "u", "unanswered"),
        ],
    ),
    "begun, never answered": Case(
        "left unanswered",
        "u",
        [
            *good_history(),
            msgspec.structs.replace(submitted("u", 3.0, promised=False), client="raw"),
            started("u", 3.1),
            Terminal(3.2, "u", "unanswered"),
        ],
    ),
    "poison in the client": Case(
        "poison spread", "p", [*ONE_POISON, Started(1.15, "p", "device", CLIENT_PID)]
    ),
    "poison in three workers": Case(
        "poison spread",
        "p",
        [*ONE_POISON, started("p", 1.11, pid=201), started("p", 1.12, pid=202)],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_each_breach_is_found_and_no_other(name):
    case = BAD[name]
    assert broken(case.events) == {(case.rule, case.task)}


def test_every_rule_has_a_history_that_breaks_it():
    assert {case.rule for case in BAD.values()} == set(RULES)


def test_a_poison_task_that_two_workers_and_no_client_ran_is_let_be():
    assert broken([*ONE_POISON, started("p", 1.11, pid=201)]) == set()
    apart = [*ONE_POISON, Started(1.15, "p", "device", WORKER_PID + 1)]
    assert broken(apart) == set()


@pytest.mark.parametrize("over_ms", [49, 51])
def test_50_ms_of_grace(over_ms):
    late = changed(Terminal, "b", t_s=2.0 + DEADLINE_S + over_ms / 1e3)
    assert broken(late) == ({("late", "b")} if over_ms > 50 else set())


def test_what_was_not_promised_may_be_late():
    assert broken([*changed(Submitted, "b", promised=False, deadline_s=0.01)]) == set()


def test_time_in_which_the_machine_held_the_client_up_does_not_count():
    held = changed(Terminal, "b", t_s=LATE_S + 0.2, waited_s=0.21)
    assert broken(held) == set()
    story = read_story(held)
    assert excused(story) == ["b"]
    assert broken(changed(Terminal, "b", t_s=LATE_S + 0.2, waited_s=0.19)) == {("late", "b")}


def test_an_answer_may_be_missing_only_where_the_machine_took_more_than_the_margin():
    def given_up(waited_s: float) -> list[Event]:
        return changed(Terminal, "b", outcome="failed", digest="", waited_s=waited_s)

    assert broken(given_up(0.019)) == {("given up", "b")}
    assert broken(given_up(0.021)) == set()
    assert excused(read_story(given_up(0.021))) == ["b"]


def test_a_stall_counts_only_as_far_as_it_lies_within_the_task():
    late = changed(Terminal, "b", t_s=LATE_S + 0.2)
    within = Stall(2.4, 0.3)
    assert broken([*late, within]) == set()
    half_before = Stall(2.1, 0.3)
    assert broken([*late, half_before]) == {("late", "b")}
    assert broken([*late, half_before, Stall(2.5, 0.15)]) == set()


def test_who_was_killed_owes_no_end_and_who_was_not_does():
    gone = [*without(Terminal, "b"), Fault(2.2, "kill-client", str(CLIENT_PID))]
    gone = [event for event in gone if not (isinstance(event, Reported) and event.task == "b")]
    assert broken(gone) == set()
    other = [
        Fault(2.2, "kill-client", "999") if isinstance(event, Fault) else event for event in gone
    ]
    assert broken(other) == {("lost", "b")}


def test_a_server_that_was_killed_meanwhile_owes_no_answer():
    events = [
        submitted("u", 3.0, promised=False),
        Accepted(3.1, "u"),
        Terminal(3.4, "u", "unanswered"),
    ]
    assert broken(events) == {("left unanswered", "u")}
    assert broken([*events, Fault(3.2, "kill-server", "1")]) == set()
    assert broken([*events, Fault(2.9, "kill-server", "1")]) == {("left unanswered", "u")}
    assert broken([*events, Fault(3.2, "sigterm", "1")]) == {("left unanswered", "u")}


def test_what_was_sent_too_late_to_be_accepted_may_stay_unanswered():
    events = [submitted("u", 3.0, promised=False), Terminal(3.4, "u", "unanswered")]
    assert broken(events) == set()
