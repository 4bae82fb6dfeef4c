"""A trained policy as weights and JSON: runs with NumPy alone, holds no code, no pickle.

A bundle is a folder:

- ``policy.json``: format, algorithm, objective, feature names, shapes and activation of the
  network, threshold rules tuned on the same training data, and where it came from.
- ``weights.npz``: arrays ``weight_0, bias_0, weight_1, ...``, float32, shapes (out, in) and (out,).

The network is a multilayer perceptron from the observation (N_FEATURES,) to two scores; the higher
score wins, the device on a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.array_file import read_arrays, write_arrays
from agents.run_directory import read_json, write_json
from offload.errors import BundleError, ConfigError
from offload.features import FEATURE_NAMES, encode
from offload.types import DecisionContext, FloatArray, IntArray, Objective

FORMAT = 1
ACTIVATIONS = ("relu", "tanh")
MAX_WEIGHTS_BYTES = 64 << 20
CHUNK = 128
"""Observations at once in a batch: few enough for the cache, and for one thread of the BLAS."""
_JSON_NAME = "policy.json"
_WEIGHTS_NAME = "weights.npz"

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class PolicyBundle:
    """A network with all that is needed to use it.

    Attributes:
        algorithm: lower-case name, e.g. ``"ppo"``; also the policy's name in results.
        objective: what it was trained to minimise.
        activation: between the layers.
        layers: (weight, bias) pairs, weight of shape (out, in).
        thresholds: rules tuned on the same training data, as dictionaries.
        provenance: seed, steps, versions, command: for people, not read back by code.
    """

    algorithm: str
    objective: Objective
    activation: str
    layers: tuple[Layer, ...]
    thresholds: tuple[dict[str, Any], ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise BundleError(f"activation {self.activation!r} is not one of {ACTIVATIONS}")
        if not self.layers:
            raise BundleError("the bundle holds no layer")
        width = len(FEATURE_NAMES)
        for index, (weight, bias) in enumerate(self.layers):
            if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
                raise BundleError(
                    f"layer {index}: weight {weight.shape} and bias {bias.shape} do not fit an "
                    f"input of {width}"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise BundleError(f"layer {index} holds a value that is not finite")
            width = weight.shape[0]
        if width != 2:
            raise BundleError(f"the last layer gives {width} scores; it must give 2")

    def save(self, folder: Path) -> None:
        """Write the bundle; each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for index, (weight, bias) in enumerate(self.layers):
            arrays[f"weight_{index}"] = weight
            arrays[f"bias_{index}"] = bias
        description = {
            "format": FORMAT,
            "algorithm": self.algorithm,
            "objective": str(self.objective),
            "features": list(FEATURE_NAMES),
            "activation": self.activation,
            "layers": [list(weight.shape) for weight, _ in self.layers],
            "thresholds": list(self.thresholds),
            "provenance": self.provenance,
        }
        write_arrays(folder / _WEIGHTS_NAME, arrays)
        write_json(folder / _JSON_NAME, description)


def load_bundle(folder: Path) -> PolicyBundle:
    """Read a bundle and check all of it.

    Raises:
        BundleError: missing, damaged, of another format, or made for other features.
    """
    description = _read_description(folder / _JSON_NAME)
    try:
        shapes = [(int(out), int(inp)) for out, inp in description["layers"]]
        algorithm = str(description["algorithm"])
        objective = Objective(description["objective"])
        activation = str(description["activation"])
        thresholds = tuple({"name": rule["name"], **rule} for rule in description["thresholds"])
        provenance = dict(description["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / _JSON_NAME} is damaged: {error!r}; train again") from error
    layers = _read_weights(folder / _WEIGHTS_NAME, shapes)
    return PolicyBundle(algorithm, objective, activation, layers, thresholds, provenance)


def _read_description(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise BundleError(f"no policy bundle at {path.parent}; make one: python train.py")
    try:
        description = read_json(path)
    except ConfigError as error:
        raise BundleError(f"{error}; train again") from error
    if description.get("format") != FORMAT:
        raise BundleError(f"{path} is not of format {FORMAT}; train again with this version")
    if description.get("features") != list(FEATURE_NAMES):
        raise BundleError(f"{path} was made for other features; train again with this version")
    return description


def _read_weights(path: Path, shapes: list[tuple[int, int]]) -> tuple[Layer, ...]:
    try:
        arrays = read_arrays(path, MAX_WEIGHTS_BYTES, BundleError)
    except BundleError as error:
        raise BundleError(f"{error}; train again") from error
    layers = []
    for index, shape in enumerate(shapes):
        try:
            weight, bias = arrays[f"weight_{index}"], arrays[f"bias_{index}"]
        except KeyError as error:
            raise BundleError(f"{path} lacks {error}; train again") from None
        if weight.shape != shape or weight.dtype != np.float32 or bias.dtype != np.float32:
            raise BundleError(f"{path}: layer {index} is not as {_JSON_NAME} says; train again")
        layers.append((weight, bias))
    return tuple(layers)


class BundlePolicy:
    """Runs a bundle. It keeps its working memory, so threads need a policy each.

    Args:
        bundle: the network.
        name: its name in results; by default the algorithm's.
    """

    sees_truth = False

    def __init__(self, bundle: PolicyBundle, name: str | None = None) -> None:
        self.bundle = bundle
        self.objective = bundle.objective
        self.name = name or bundle.algorithm
        self._tanh = bundle.activation == "tanh"
        # Transposed copies: dot(x, W) then reads memory in order.
        self._layers = [(weight.T, bias) for weight, bias in bundle.layers]
        self._observation, self._steps = _one_by_one(self._layers)
        # In a batch observations stand side by side, each a column.
        self._columns = [np.hstack([weight, bias[:, None]]) for weight, bias in bundle.layers]
        widths = [len(FEATURE_NAMES), *(len(bias) for _, bias in bundle.layers)]
        self._chunk = [np.ones((width + 1, CHUNK), dtype=np.float32) for width in widths]

    def act(self, observation: FloatArray) -> int:
        """Decide on one observation, shape (N_FEATURES,), float32, without allocating."""
        self._observation[:] = observation
        dot, tanh, maximum, is_tanh = np.dot, np.tanh, np.maximum, self._tanh
        for x, weight, out, zeros in self._steps:
            dot(x, weight, out)
            if zeros is None:
                break
            if is_tanh:
                tanh(out, out)
            else:
                maximum(out, zeros, out=out)
        return 1 if out[1] > out[0] else 0

    def act_batch(self, observations: FloatArray) -> IntArray:
        """Decide on many observations, shape (n, N_FEATURES); returns int8 of shape (n,)."""
        placement = np.empty(len(observations), dtype=np.int8)
        for part, (device, edge) in self._chunks(observations):
            np.greater(edge, device, out=placement[part], casting="unsafe")
        return placement

    def scores(self, observations: FloatArray) -> FloatArray:
        """The two scores of each observation, shape (n, 2)."""
        scores = np.empty((len(observations), 2), dtype=np.float32)
        for part, of_part in self._chunks(observations):
            scores[part] = of_part.T
        return scores

    def _chunks(self, observations: FloatArray) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Scores by chunks, shape (2, at most CHUNK), in memory that the next one uses again."""
        last = len(self._columns) - 1
        for start in range(0, len(observations), CHUNK):
            part = observations[start : start + CHUNK]
            self._chunk[0][:-1, : len(part)] = part.T
            for index, weight in enumerate(self._columns):
                out = self._chunk[index + 1][:-1]
                np.dot(weight, self._chunk[index], out=out)
                if index < last:
                    if self._tanh:
                        np.tanh(out, out=out)
                    else:
                        np.maximum(out, 0.0, out=out)
            yield slice(start, start + len(part)), out[:, : len(part)]

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        observation = encode(context, self.objective)
        if observation.ndim == 1:
            return np.asarray(self.act(observation), dtype=np.int8)
        return self.act_batch(observation)


_Step = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None
]


def _one_by_one(layers: Sequence[Layer]) -> tuple[NDArray[np.float32], list[_Step]]:
    """The memory for deciding on one observation.

    The bias is the last row of the weights, and each input has a 1 behind it, so that a layer is
    one product: for so few numbers a call costs more than what it computes.

    Args:
        layers: weights of shape (in, out), and biases.

    Returns:
        where the observation goes, and for each layer: its input, its weights, its output, and
        zeros of that shape (None: it is the last).
    """
    x = np.ones(len(layers[0][0]) + 1, dtype=np.float32)
    observation = x[:-1]
    steps: list[_Step] = []
    for index, (weight, bias) in enumerate(layers):
        held = np.ones(len(bias) + 1, dtype=np.float32)
        out = held[:-1]
        zeros = np.zeros_like(out) if index < len(layers) - 1 else None
        steps.append((x, np.vstack([weight, bias]), out, zeros))
        x = held
    return observation, steps
