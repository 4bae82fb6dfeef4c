"""How CI runs each documented command: tiny here, in a test of its own, or not, for a reason.

A row stands for every documented command of the same program with the same options; the values do
not matter. In the words of a tiny run ``<name>`` is an attribute of
:class:`documented.made.Made`, made when it is first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """A tiny run of that very program.

    Attributes:
        words: what is run; all options of the row's commands stand in it.
        says: what its output must hold.
        writes: pattern of a file that must be under ``<out>`` afterwards.
        process: in a process of its own, since it starts others, or opens a link.
        link: it opens a link.
    """

    words: str
    says: str = ""
    writes: str = ""
    process: bool = False
    link: bool = False


@dataclass(frozen=True, slots=True)
class ByTest:
    """Tests that run that very thing; the options stand in their files, if not ``elsewhere``.

    Attributes:
        names: each ``folder/file::function`` under ``tests``.
        unnamed: options that only differ in what is written into a dataclass, and where.
    """

    names: tuple[str, ...]
    unnamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """CI cannot: why."""

    reason: str


Row = tuple[tuple[str, ...], Run | ByTest | Not]
