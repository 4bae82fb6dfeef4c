"""How this project's tables look in a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table


def plain_table(title: str, caption: str | None, first: str, *headings: str) -> Table:
    """An empty table; its first column is to the left, the others to the right."""
    table = Table(
        title=title,
        caption=caption,
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
