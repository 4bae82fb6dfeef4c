"""Follows a live run, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.live import Live

from agents.run_directory import TENSORBOARD_NAME, new_run_folder
from envs.config import EnvConfig
from evidence.watch.standing import Standing, standings
from evidence.watch.view import link_words, pair_words, view
from offload.interfaces import Policy
from offload.types import PairedRun

EVERY = 10
"""Where there is no terminal, the policies are told after so many tasks, and after the last."""


@contextmanager
def watching(
    runs: Path | None,
    label: str,
    total: int,
    policies: Sequence[Policy],
    config: EnvConfig,
    radio: str,
    console: Console | None = None,
) -> Iterator[Callable[[PairedRun], None] | None]:
    """Show a live run while it lasts; gives what is to be called with each pair.

    In a terminal the picture is drawn anew after each pair, elsewhere there is a line a pair. The
    work is done between two tasks, never beside one.

    Args:
        runs: gets a folder with the events, where ``make tensorboard`` looks; None: nothing is
            shown, and what is given is None.
        label: the link's name.
        total: pairs to come.
        console: where to show it; None: standard output.
    """
    if runs is None:
        yield None
        return
    from evidence.watch.board import Events, scalars

    console = console or Console()
    folder = new_run_folder(runs, f"{label}-watch")
    console.print(f"live view: TensorBoard events in {folder}", highlight=False, soft_wrap=True)
    pairs: list[PairedRun] = []
    with closing(Events(folder / TENSORBOARD_NAME)) as events, _shown_on(console) as show:

        def seen(pair: PairedRun) -> None:
            pairs.append(pair)
            now = standings(policies, pairs, radio, config)
            events.add(len(pairs), scalars(pair, now))
            show(label, total, pairs, now)

        yield seen


_Show: TypeAlias = Callable[[str, int, Sequence[PairedRun], Sequence[Standing]], None]


@contextmanager
def _shown_on(console: Console) -> Iterator[_Show]:
    """A picture that is drawn anew in a terminal, and lines elsewhere."""

    def write(label: str, total: int, pairs: Sequence[PairedRun], now: Sequence[Standing]) -> None:
        for line in lines(total, pairs, now):
            console.print(line, highlight=False, soft_wrap=True)

    if not console.is_terminal:
        yield write
        return
    with Live(console=console, auto_refresh=False) as live:

        def draw(
            label: str, total: int, pairs: Sequence[PairedRun], now: Sequence[Standing]
        ) -> None:
            live.update(view(label, total, pairs, now), refresh=True)

        yield draw


def lines(total: int, pairs: Sequence[PairedRun], now: Sequence[Standing]) -> list[str]:
    """What is said after these pairs where there is no terminal."""
    count = len(pairs)
    said = [f"{count}/{total} {pair_words(pairs[-1])}; {link_words(pairs[-1].link)}"]
    if count % EVERY == 0 or count == total:
        each = ", ".join(f"{s.name} {s.accuracy:.0%} ({s.missed:.0%} late)" for s in now)
        said.append(f"{count}/{total} right: {each}")
    return said
