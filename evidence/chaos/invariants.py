"""The one judge: reads a history and names every rule that was broken in it.

Each rule takes the whole story of the row, knows nothing of what was injected but what the history
says, and works answers out by itself.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

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
from evidence.chaos.tasks import POISON, right_answer

GRACE_S = 0.05
"""A task that has to end by its deadline may end so much after it."""
MARGIN_S = 0.02
"""So much earlier than it has to, at the least, an engine starts a local run (hedged_run)."""
POISON_RUNS = 2
"""So many workers a poison task may kill before it is not run any more."""
ANSWERED = frozenset({"remote_ok", "local_ok", "fallback_ok"})
"""Outcomes with an answer."""
UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, by which task, and how."""

    rule: str
    task: str
    what: str


@dataclass(slots=True)
class Story:
    """A history, task by task.

    Attributes:
        excused: tasks whose clients were killed on purpose before the task's end.
    """

    submitted: dict[str, list[Submitted]] = field(default_factory=lambda: defaultdict(list))
    terminal: dict[str, list[Terminal]] = field(default_factory=lambda: defaultdict(list))
    reported: dict[str, list[Reported]] = field(default_factory=lambda: defaultdict(list))
    started: dict[str, list[Started]] = field(default_factory=lambda: defaultdict(list))
    accepted: set[str] = field(default_factory=set)
    client_pids: set[int] = field(default_factory=set)
    engines: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)

    def held_s(self, given: Submitted, end: Terminal) -> float:
        """Seconds of a task in which the machine, and nobody else, held it up.

        The greater of two signs: how long a thread that only slept was kept from waking, and how
        long the client's threads were ready to run and had no CPU.
        """
        return max(self.stalled_s(given.t_s, end.t_s), end.waited_s)

    def stalled_s(self, from_s: float, to_s: float) -> float:
        """Seconds of that span in which a thread that only slept was kept from waking."""
        return sum(
            max(0.0, min(to_s, stall.t_s) - max(from_s, stall.t_s - stall.lasts_s))
            for stall in self.stalls
        )

    def promised(self) -> dict[str, tuple[Submitted, Terminal]]:
        """Tasks that had to be answered by their deadline, with their (first) end."""
        return {
            task: (self.submitted[task][0], ends[0])
            for task, ends in self.terminal.items()
            if task in self.submitted
            and self.submitted[task][0].promised
            and self.submitted[task][0].kind != POISON
        }


def read_story(events: Sequence[Event]) -> Story:
    """Sort a history's events by the task they are about."""
    story = Story()
    clients_of: dict[str, list[str]] = {}
    killed: set[str] = set()
    for event in events:
        match event:
            case Submitted(task=task):
                story.submitted[task].append(event)
            case Terminal(task=task):
                story.terminal[task].append(event)
            case Reported(task=task):
                story.reported[task].append(event)
            case Started(task=task):
                story.started[task].append(event)
            case Accepted(task=task):
                story.accepted.add(task)
            case ClientStarted(clients=clients, pid=pid):
                story.client_pids.add(pid)
                clients_of[str(pid)] = clients
            case Fault():
                story.faults.append(event)
                if event.what == "kill-client":
                    killed.update(clients_of.get(event.target, []))
            case Stall():
                story.stalls.append(event)
    story.excused = {
        task
        for task, submissions in story.submitted.items()
        if submissions[0].client in killed and task not in story.terminal
    }
    story.engines = {
        story.submitted[task][0].client for task in story.reported if task in story.submitted
    }
    return story


Rule = Callable[[Story], Iterator[tuple[str, str]]]
"""Gives (task, what was wrong) for each breach."""


def lost(story: Story) -> Iterator[tuple[str, str]]:
    """A submitted task has a terminal state."""
    for task in story.submitted:
        if task not in story.terminal and task not in story.excused:
            yield task, "submitted, and never heard of again"


def told_twice(story: Story) -> Iterator[tuple[str, str]]:
    """A task ends once, and its engine reports it once."""
    for task, ends in story.terminal.items():
        if len(ends) > 1:
            yield task, f"ended {len(ends)} times: {', '.join(end.outcome for end in ends)}"
    for task, reports in story.reported.items():
        if len(reports) > 1:
            yield task, f"reported {len(reports)} times"
    for task, ends in story.terminal.items():
        client = story.submitted[task][0].client if task in story.submitted else ""
        if client in story.engines and task not in story.reported and ends[0].outcome != "raised":
            yield task, "ended, and its engine never reported it"


def out_of_nothing(story: Story) -> Iterator[tuple[str, str]]:
    """What ends was submitted, once and before; what has an answer was run somewhere."""
    for task, ends in story.terminal.items():
        if task not in story.submitted:
            yield task, "ended, and was never submitted"
            continue
        if ends[0].t_s < story.submitted[task][0].t_s:
            yield task, "ended before it was submitted"
        if ends[0].outcome in ANSWERED and task not in story.started:
            yield task, "answered, and run nowhere"
    for task, submissions in story.submitted.items():
        if len(submissions) > 1:
            yield task, f"submitted {len(submissions)} times"


def wrong_answer(story: Story) -> Iterator[tuple[str, str]]:
    """An answer is the right one, worked out here from the task's input; no other end has one."""
    for task, ends in story.terminal.items():
        for end in ends:
            if end.outcome not in ANSWERED:
                if end.digest:
                    yield task, f"{end.outcome}, with an answer"
                continue
            for given in story.submitted.get(task, [])[:1]:
                right = right_answer(task, given.n, given.hold_ms, given.padding)
                if end.digest != hashlib.sha256(right).hexdigest():
                    yield task, f"{end.outcome}, with an answer that is not {right.decode()!r}"


def late(story: Story) -> Iterator[tuple[str, str]]:
    """A promised task ends by deadline + 50 ms, but for time in which the machine held it up."""
    for task, (given, end) in story.promised().items():
        over_s, held_s = end.t_s - given.t_s - given.deadline_s, story.held_s(given, end)
        if over_s - held_s > GRACE_S:
            yield task, f"{over_s * 1e3:.0f} ms after its deadline ({held_s * 1e3:.0f} ms held up)"


def given_up(story: Story) -> Iterator[tuple[str, str]]:
    """A promised task has its answer, unless the machine held it up for more than the margin.

    Its deadline leaves time for a local run.
    """
    for task, (given, end) in story.promised().items():
        if end.outcome not in ANSWERED and story.held_s(given, end) <= MARGIN_S:
            yield task, f"{end.outcome}, though a local run could have answered: {end.reason}"


def excused(story: Story) -> list[str]:
    """Promised tasks that ended late, or without an answer, because the machine held them up."""
    blamed = {task for rule in (late, given_up) for task, _ in rule(story)}
    return [
        task
        for task, (given, end) in story.promised().items()
        if task not in blamed
        and (end.t_s - given.t_s - given.deadline_s > GRACE_S or end.outcome not in ANSWERED)
    ]


def left_unanswered(story: Story) -> Iterator[tuple[str, str]]:
    """What the server has accepted or begun it answers, unless it is killed meanwhile."""
    for task, ends in story.terminal.items():
        if ends[0].outcome != UNANSWERED or task not in story.submitted:
            continue
        began = any(start.site == "edge" for start in story.started.get(task, []))
        if task not in story.accepted and not began:
            continue
        from_s, to_s = story.submitted[task][0].t_s, ends[0].t_s
        if not any(
            fault.what == "kill-server" and from_s <= fault.t_s <= to_s for fault in story.faults
        ):
            yield task, "accepted by the server, and never answered"


def poison_spread(story: Story) -> Iterator[tuple[str, str]]:
    """A poison task runs in no client's process, and kills two workers at most."""
    for task, starts in story.started.items():
        given = story.submitted.get(task)
        if given is None or given[0].kind != POISON:
            continue
        if any(start.pid in story.client_pids for start in starts):
            yield task, "a poison task, run in the client's own process"
        at_edge = sum(start.site == "edge" for start in starts)
        if at_edge > POISON_RUNS:
            yield task, f"a poison task, run by {at_edge} workers"


def raised(story: Story) -> Iterator[tuple[str, str]]:
    """A client gets an outcome, not an error it has to catch."""
    for task, ends in story.terminal.items():
        if ends[0].outcome == "raised":
            yield task, ends[0].reason


RULES: dict[str, Rule] = {
    "lost": lost,
    "told twice": told_twice,
    "out of nothing": out_of_nothing,
    "wrong answer": wrong_answer,
    "late": late,
    "given up": given_up,
    "left unanswered": left_unanswered,
    "poison spread": poison_spread,
    "raised": raised,
}
"""Every rule, under the name that tables call it."""


def violations(story: Story) -> list[Violation]:
    """Every breach of every rule."""
    return [
        Violation(name, task, what) for name, rule in RULES.items() for task, what in rule(story)
    ]
