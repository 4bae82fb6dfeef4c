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
