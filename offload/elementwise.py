"""Elementary functions for one number or for arrays, so that one formula serves both.

To call a NumPy function takes about a microsecond even for a single number. A device decides one
task at a time and would spend most of that time on calls, so plain numbers get Python's own
functions. Results agree to the rounding of the last bit; what Python's floats refuse (a division
by 0, the logarithm of 0) NumPy answers here too, with an infinity or a nan.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

_NUMBER = (float, int)
_BLOCK = 8192
"""Values of an array at once: a formula's intermediate results then stay in the CPU's cache."""


def _or_numpy(exact: Callable[[float], float], general: Callable[[float], Any]) -> Any:
    def function(value: float) -> float:
        try:
            return exact(value)
        except (OverflowError, ValueError):
            return float(general(value))

    return function


def _divide(dividend: float, divisor: float) -> float:
    try:
        return dividend / divisor
    except ZeroDivisionError:
        return float(np.divide(dividend, divisor))


def _where(condition: bool, if_true: Any, if_false: Any) -> Any:
    return if_true if condition else if_false


OF_NUMBERS = SimpleNamespace(
    minimum=min,
    maximum=max,
    where=_where,
    greater=operator.gt,
    less_equal=operator.le,
    divide=_divide,
    sqrt=math.sqrt,
    ceil=_or_numpy(math.ceil, np.ceil),
    exp=_or_numpy(math.exp, np.exp),
    log=_or_numpy(math.log, np.log),
    log2=_or_numpy(math.log2, np.log2),
    log1p=_or_numpy(math.log1p, np.log1p),
    expm1=_or_numpy(math.expm1, np.expm1),
)
"""Those of NumPy's functions that the models use, by NumPy's names, for floats."""


def functions_for(*values: Any) -> Any:
    """:mod:`numpy` if any of the values is an array, else :data:`OF_NUMBERS`."""
    for value in values:
        if type(value) is not float and not isinstance(value, _NUMBER):
            return np
    return OF_NUMBERS


def by_blocks(formula: Callable[..., Any], *values: Any) -> Any:
    """``formula(*values)``; where all are large arrays of one shape (rows, columns), by rows.

    A formula of many operations on megabytes waits for memory more than it computes.

    Args:
        formula: works element by element.
    """
    if isinstance(values[0], _NUMBER):
        return formula(*values)
    shape = np.shape(values[0])
    if len(shape) != 2 or shape[0] * shape[1] <= _BLOCK:
        return formula(*values)
    if any(np.shape(value) != shape for value in values):
        return formula(*values)
    out = np.empty(shape)
    rows = max(_BLOCK // shape[1], 1)
    for start in range(0, shape[0], rows):
        part = slice(start, start + rows)
        out[part] = formula(*(value[part] for value in values))
    return out
