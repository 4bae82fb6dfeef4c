"""Sudoku by constraint propagation and search: tiny data, little work; the RTT decides."""

from __future__ import annotations

import functools

import numpy as np

from offload.errors import TaskError
from offload.tasks.task import Task

_ORDERS = {"small": 3, "medium": 3, "large": 4}
"""Cells a box's side: 3 is the ordinary 9x9 sudoku, 4 the 16x16 one."""
_GIVENS = {"small": (34, 40), "medium": (22, 26), "large": (100, 116)}
"""Fewest and most cells that are filled in."""
_MAKE_GUESSES = {"small": 100, "medium": 600, "large": 1_000}
"""An input that takes more guesses than this is drawn again: no seed takes seconds."""
_MAX_GUESSES = 20_000
_SYMBOLS = ".123456789ABCDEFG"


class SudokuTask(Task):
    """In and out: 81 or 256 characters, row by row, ``.`` for an empty cell."""

    kind = "sudoku"
    max_input_bytes = 256

    def make_input(self, size: str, seed: int) -> bytes:
        """A seeded puzzle that the solver needs few guesses for."""
        rng = self._rng(size, seed)
        order = _ORDERS[size]
        fewest, most = _GIVENS[size]
        while True:
            solution = _shuffled_grid(rng, order)
            keep = rng.permutation(len(solution))[: int(rng.integers(fewest, most + 1))]
            cells = [0] * len(solution)
            for cell in keep:
                cells[int(cell)] = solution[int(cell)]
            if _solve(cells, order, _MAKE_GUESSES[size]) is not None:
                return _encode(cells)

    def _run(self, payload: bytes) -> bytes:
        cells, order = self._decode(payload)
        clash = _clash(cells, order)
        if clash is not None:
            raise TaskError(f"sudoku: {clash}")
        solution = _solve(cells, order, _MAX_GUESSES)
        if solution is None:
            raise TaskError(f"sudoku: no solution found within {_MAX_GUESSES} guesses")
        return _encode(solution)

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """By the rules: the givens kept, and each row, column and box holds each digit once."""
        given, order = self._decode(self.make_input(size, seed))
        try:
            answer, answer_order = self._decode(output)
        except TaskError:
            return False
        if answer_order != order:
            return False
        if any(old not in (0, new) for old, new in zip(given, answer, strict=True)):
            return False
        digits = set(range(1, order * order + 1))
        return all({answer[cell] for cell in unit} == digits for unit in _units(order))

    def _decode(self, payload: bytes) -> tuple[list[int], int]:
        order = {81: 3, 256: 4}.get(len(payload))
        if order is None:
            raise TaskError(f"sudoku: 81 or 256 characters are due, not {len(payload)}")
        symbols = _SYMBOLS[: order * order + 1].encode()
        cells = [symbols.find(character) for character in payload]
        if -1 in cells:
            place = cells.index(-1)
            raise TaskError(
                f"sudoku: character {payload[place : place + 1]!r} at cell {place} is not one of "
                f"{symbols.decode()}"
            )
        return cells, order


def _encode(cells: list[int]) -> bytes:
    return "".join(_SYMBOLS[cell] for cell in cells).encode()


@functools.cache
def _units(order: int) -> tuple[tuple[int, ...], ...]:
    """Every row, column and box, as the cells in it."""
    side = order * order
    rows = [tuple(row * side + column for column in range(side)) for row in range(side)]
    columns = [tuple(row * side + column for row in range(side)) for column in range(side)]
    boxes = [
        tuple((top + row) * side + left + column for row in range(order) for column in range(order))
        for top in range(0, side, order)
        for left in range(0, side, order)
    ]
    return (*rows, *columns, *boxes)


def _clash(cells: list[int], order: int) -> str | None:
    """What breaks the rules among the givens, if anything does."""
    for unit in _units(order):
        seen: dict[int, int] = {}
        for cell in unit:
            digit = cells[cell]
            if digit and digit in seen:
                return f"cells {seen[digit]} and {cell} both hold {_SYMBOLS[digit]}"
            seen[digit] = cell
    return None


@functools.cache
def _neighbours(order: int) -> tuple[tuple[int, ...], ...]:
    """For each cell the cells that must differ from it."""
    near: list[set[int]] = [set() for _ in range(order**4)]
    for unit in _units(order):
        for cell in unit:
            near[cell].update(unit)
    return tuple(tuple(sorted(cells - {cell})) for cell, cells in enumerate(near))


def _solve(cells: list[int], order: int, max_guesses: int) -> list[int] | None:
    """Depth-first search over the cell with fewest candidates (candidates are bits of an int).

    Returns:
        The filled cells, or None: no solution, or none within ``max_guesses`` guesses.
    """
    everything = (1 << order * order) - 1
    start = [everything] * len(cells)
    for cell, digit in enumerate(cells):
        if digit and not _assign(start, cell, 1 << (digit - 1), order):
            return None
    stack = [start]
    guesses = 0
    while stack:
        state = stack.pop()
        counts = [(bits.bit_count(), cell) for cell, bits in enumerate(state)]
        open_cells = [(count, cell) for count, cell in counts if count > 1]
        if not open_cells:
            return [bits.bit_length() for bits in state]
        _, cell = min(open_cells)
        bits = state[cell]
        while bits:
            guesses += 1
            if guesses > max_guesses:
                return None
            bit = bits & -bits
            bits ^= bit
            branch = state.copy()
            if _assign(branch, cell, bit, order):
                stack.append(branch)
    return None


def _assign(state: list[int], cell: int, bit: int, order: int) -> bool:
    """Fix one cell and all that follows from it; False: a cell has no candidate left."""
    if not state[cell] & bit:
        return False
    state[cell] = bit
    queue = [cell]
    neighbours = _neighbours(order)
    while queue:
        fixed = queue.pop()
        gone = state[fixed]
        for near in neighbours[fixed]:
            bits = state[near]
            if bits & gone:
                bits ^= gone
                if not bits:
                    return False
                state[near] = bits
                if not bits & (bits - 1):
                    queue.append(near)
    return True


def _shuffled_grid(rng: np.random.Generator, order: int) -> list[int]:
    """A full, right grid: the cyclic one with its rows, columns and digits shuffled."""
    side = order * order

    def lines() -> list[int]:
        return [
            int(band) * order + int(line)
            for band in rng.permutation(order)
            for line in rng.permutation(order)
        ]

    rows, columns = lines(), lines()
    digits = rng.permutation(side) + 1
    return [
        int(digits[(order * (row % order) + row // order + column) % side])
        for row in rows
        for column in columns
    ]


TASK = SudokuTask()
