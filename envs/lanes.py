"""Taking lanes out of blocks and putting blocks side by side; the last axis counts the lanes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from offload.types import IntArray

_PartT = TypeVar("_PartT")


def take(part: _PartT, lanes: slice | IntArray) -> _PartT:
    """Some lanes of an array, or of a dataclass of such, at any depth."""
    if is_dataclass(part) and not isinstance(part, type):
        values = {f.name: take(getattr(part, f.name), lanes) for f in fields(part)}
        return type(part)(**values)
    array: Any = part
    taken: _PartT = array[..., lanes]
    return taken


def side_by_side(first: _PartT, second: _PartT) -> _PartT:
    """The lanes of one block and then those of another like it."""
    if is_dataclass(first) and not isinstance(first, type):
        values = {
            f.name: side_by_side(getattr(first, f.name), getattr(second, f.name))
            for f in fields(first)
        }
        return type(first)(**values)
    both: Any = np.concatenate([first, second], axis=-1)
    joined: _PartT = both
    return joined
