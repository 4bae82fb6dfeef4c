"""Command profiles: the table of network profiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profiles:
    """Print the table of network profiles: rates, one-way delays, loss, queues, sources."""

    def run(self) -> int:
        """Print the table."""
        from netem.tables import print_table, profile_rows

        print_table(*profile_rows())
        return 0
