"""The tables of an evaluation: its policies, against hindsight, link by link."""

from __future__ import annotations

from evidence.report.run_data import Result
from evidence.report.table import Cell, Table, interval_columns, spread
from evidence.report.wording import cheapest

_NOT_BY_LINK = ("always-local", "random", "threshold-rtt", "threshold-bandwidth")
"""Left out of the page's table of links, which has little room: they tell least."""


def policies_table(result: Result) -> Table:
    """The result: a row a policy."""
    scores = result.policies
    best = cheapest(result)
    how = "measured" if result.live else "modelled"
    return Table(
        name="policies",
        caption=f"{result.profile}: {result.decisions:,} decisions, objective {result.objective}",
        headings=(
            "policy", "accuracy %", "with ties %", "cost", "regret", "p50 s", "p95 s", "energy J",
            "at the edge %", "late %",
        ),
        rows=tuple(
            (
                Cell(name + (" *" if score.collapsed else "")),
                spread(score.accuracy, 100.0, 1),
                Cell(f"{100 * score.accuracy_ties[0]:.1f}"),
                spread(score.cost),
                spread(score.regret_maui_true, sign="+"),
                Cell(f"{score.latency_p50_s:.3f}"),
                Cell(f"{score.latency_p95_s:.3f}"),
                Cell(f"{score.energy_j:.2f}"),
                Cell(f"{100 * score.offloaded:.0f}"),
                Cell(f"{100 * score.deadline_misses:.1f}"),
            )
            for name, score in scores.items()
        ),
        data={
            "policy": list(scores),
            **interval_columns("accuracy", [s.accuracy for s in scores.values()]),
            **interval_columns("accuracy_ties", [s.accuracy_ties for s in scores.values()]),
            **interval_columns("cost", [s.cost for s in scores.values()]),
            **interval_columns("regret_maui_true", [s.regret_maui_true for s in scores.values()]),
            **{
                name: [getattr(score, name) for score in scores.values()]
                for name in (
                    "latency_p50_s", "latency_p95_s", "energy_j", "offloaded",
                    "deadline_misses", "fallbacks",
                )
            },
        },
        note="Accuracy: agreement with maui-true at the same state; with ties: costs within 2 % of "
        "each other count as right. Cost: 1 is always-local. Brackets: 95 % bootstrap interval. "
        f"Latency {how}, energy {result.energy}. Bold: the lowest cost of a policy that does not "
        "see the truth. * one answer for nearly everything.",
        strong=frozenset(i for i, name in enumerate(scores) if name == best),
    )  # fmt: skip


def hindsight_table(result: Result) -> Table:
    """Against the optimum of whole episodes, and against maui-measured."""
    scores = result.policies
    columns = {
        "regret_hindsight": [score.regret_hindsight for score in scores.values()],
        "gap_closed": [score.gap_closed for score in scores.values()],
        "improvement": [score.improvement for score in scores.values()],
    }
    found = result.hindsight or {}
    return Table(
        name="hindsight",
        caption=f"Against the optimum in hindsight ({found.get('scenarios')} scenarios)",
        headings=("policy", "regret to hindsight", "gap closed %", "better than maui-measured %"),
        rows=tuple(
            (
                Cell(name),
                spread(score.regret_hindsight),
                spread(score.gap_closed, 100.0, 1),
                spread(score.improvement, 100.0, 1),
            )
            for name, score in scores.items()
        ),
        data={
            "policy": list(scores),
            **{
                key: values
                for name, intervals in columns.items()
                for key, values in interval_columns(name, intervals).items()
            },
        },
        note="Regret to a bound that no plan can beat, even one that knows the whole episode. Gap "
        "closed: of the way from the cheapest static rule to that bound. Better: chance to cost "
        "less than maui-measured on a scenario, equal costs counting half.",
    )


def links_table(result: Result) -> Table:
    """Accuracy and cost on each link: a row a link, a column a policy."""
    policies = list(result.policies)
    shown = [name for name in policies if name not in _NOT_BY_LINK] or policies
    links = result.links
    pairs = [(link, name, scores[name]) for link, scores in links.items() for name in policies]
    return Table(
        name="links",
        dense=True,
        caption="Cost on each link",
        headings=("link", *shown),
        rows=tuple(
            (Cell(link), *(spread(scores[name].cost, digits=2) for name in shown))
            for link, scores in links.items()
        ),
        data={
            "link": [link for link, _, _ in pairs],
            "policy": [name for _, name, _ in pairs],
            **interval_columns("accuracy", [score.accuracy for _, _, score in pairs]),
            **interval_columns("cost", [score.cost for _, _, score in pairs]),
            **interval_columns("regret_maui_true", [s.regret_maui_true for _, _, s in pairs]),
        },
        note="Cost: 1 is always-local. Brackets: 95 % bootstrap interval over the link's "
        "scenarios. report/tables/links.csv has the other policies too, and the "
        "accuracy and regret of each.",
    )
