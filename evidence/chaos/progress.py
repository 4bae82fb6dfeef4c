"""How the suite gets on: a line when a row begins and ends, and bars where there is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from evidence.chaos.result import RowResult
from evidence.chaos.rows import Row


class Progress:
    """A context manager; it writes to standard error."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._console = console
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def began(self, row: Row, count: int) -> None:
        """A row has begun."""
        self._console.print(f"{row.name}: {count:,} {row.unit}", highlight=False)
        self._tasks[row.name] = self._bars.add_task(row.name, total=count)

    def reached(self, row: Row, done: int) -> None:
        """So many of its faults are injected."""
        self._bars.update(self._tasks[row.name], completed=done)

    def ended(self, result: RowResult) -> None:
        """A row has its result."""
        self._bars.remove_task(self._tasks[result.name])
        verdict = "passed" if result.passed else "FAILED"
        self._console.print(f"{result.name}: {verdict}, {result.seconds:.0f} s", highlight=False)
