"""Boosted decision trees as arrays: trained by scikit-learn, run by NumPy alone.

A folder holds ``policy.json`` and ``trees.npz`` with arrays of shape (trees, nodes): ``feature``
(int8), ``threshold`` (float64), ``left`` and ``right`` (int16, children's places; a leaf is its own
child) and ``value`` (float64; 0 but at leaves), and ``base`` (float64). A tree goes left where
the feature is at most the threshold; the edge is chosen where base and the leaves reached add up
to more than 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.array_file import read_arrays, write_arrays
from agents.run_directory import read_json, write_json
from offload.errors import BundleError, ConfigError
from offload.features import FEATURE_NAMES, N_FEATURES, encode
from offload.types import DecisionContext, FloatArray, IntArray, Objective

FORMAT = 1
MAX_BYTES = 8 << 20
_DTYPES = {
    "feature": np.int8,
    "threshold": np.float64,
    "left": np.int16,
    "right": np.int16,
    "value": np.float64,
}
_JSON_NAME, _ARRAYS_NAME = "policy.json", "trees.npz"


@dataclass(frozen=True)
class TreeBundle:
    """Trees with all that is needed to use them; arrays as in the module's description.

    Raises:
        BundleError: shapes, types or places of children that cannot be.
    """

    algorithm: str
    objective: Objective
    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    base: float
    depth: int
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.value.shape
        if len(shape) != 2 or 0 in shape:
            raise BundleError(f"trees of shape {shape}; it must be (trees, nodes)")
        for name, dtype in _DTYPES.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise BundleError(
                    f"{name} is {array.dtype} of shape {array.shape}, not {np.dtype(dtype)} {shape}"
                )
        for name, high in (("feature", N_FEATURES), ("left", shape[1]), ("right", shape[1])):
            array = getattr(self, name)
            if array.min() < 0 or array.max() >= high:
                raise BundleError(f"{name} goes from {array.min()} to {array.max()}, beyond {high}")
        if not (np.isfinite(self.value).all() and np.isfinite(self.base)):
            raise BundleError("a leaf holds a value that is not finite")
        if np.isnan(self.threshold).any():
            raise BundleError("a threshold is not a number")
        if not 0 <= self.depth <= shape[1]:
            raise BundleError(f"depth is {self.depth}; of {shape[1]} nodes it cannot be")

    def save(self, folder: Path) -> None:
        """Write the bundle; each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _DTYPES}
        write_arrays(folder / _ARRAYS_NAME, arrays)
        description = {
            "format": FORMAT,
            "algorithm": self.algorithm,
            "objective": str(self.objective),
            "features": list(FEATURE_NAMES),
            "base": self.base,
            "depth": self.depth,
            "provenance": self.provenance,
        }
        write_json(folder / _JSON_NAME, description)


def load_trees(folder: Path) -> TreeBundle:
    """Read a bundle and check all of it.

    Raises:
        BundleError: missing, damaged, of another format, or made for other features.
    """
    again = "make it again: python -m agents.pretrain"
    try:
        said = read_json(folder / _JSON_NAME)
        if said.get("format") != FORMAT or said.get("features") != list(FEATURE_NAMES):
            raise BundleError(f"{folder} is of another format or made for other features; {again}")
        arrays = read_arrays(folder / _ARRAYS_NAME, MAX_BYTES, BundleError)
        return TreeBundle(
            algorithm=str(said["algorithm"]),
            objective=Objective(said["objective"]),
            base=float(said["base"]),
            depth=int(said["depth"]),
            provenance=dict(said["provenance"]),
            **{name: arrays[name] for name in _DTYPES},
        )
    except BundleError:
        raise
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} is damaged: {error!r}; {again}") from error


class TreePolicy:
    """Runs boosted trees."""

    sees_truth = False

    def __init__(self, bundle: TreeBundle) -> None:
        self.bundle = bundle
        self.objective = bundle.objective
        self.name = bundle.algorithm
        self._trees = np.arange(len(bundle.value))

    def scores(self, observations: FloatArray) -> FloatArray:
        """Log-odds that the edge is the better side, for observations of shape (n, N_FEATURES)."""
        trees, bundle = self._trees, self.bundle
        x = np.asarray(observations, dtype=np.float64)
        rows = np.arange(len(x))[:, None]
        node = np.zeros((len(x), len(trees)), dtype=np.int64)
        for _ in range(bundle.depth):
            goes_left = x[rows, bundle.feature[trees, node]] <= bundle.threshold[trees, node]
            node = np.where(goes_left, bundle.left[trees, node], bundle.right[trees, node])
        total: FloatArray = bundle.base + bundle.value[trees, node].sum(axis=1)
        return total

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        observation = encode(context, self.objective)
        placement = (self.scores(np.atleast_2d(observation)) > 0.0).astype(np.int8)
        return placement if observation.ndim == 2 else placement[0]
