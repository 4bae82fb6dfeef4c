"""A bundle as an ONNX model with the scaling inside: ``python -m agents.onnx_export RUN OUT.onnx``.

Input ``features``: float64, shape (n, N_FEATURES), in physical units, in the order of
:data:`offload.features.FEATURE_NAMES`, as :func:`offload.features.raw_features` gives them.
Outputs: ``placement``, int64, shape (n,), 0 device or 1 edge; ``scores``, float32, shape (n, 2).

Names, units and objective of the features stand in the model's metadata. To write a model the
package onnx is needed (``pip install -r requirements-onnx.txt``); any ONNX runtime can run it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from offload.errors import ConfigError, OffloadError

if TYPE_CHECKING:
    from onnx import ModelProto

    from agents.bundle import PolicyBundle

OPSET = 17
IR_VERSION = 8
"""Of ONNX 1.12, 2022: what runtimes of the years since can read."""


@dataclass(frozen=True)
class Config:
    """What to export, and where to."""

    run: Annotated[Path, tyro.conf.Positional]
    """A folder that ``python train.py`` wrote, or a bundle, e.g. agents/pretrained/ppo-mixed."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write."""


def to_onnx(bundle: PolicyBundle) -> ModelProto:
    """The model of a bundle.

    Raises:
        ConfigError: the package onnx is not installed.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise ConfigError(
            "writing ONNX needs the package onnx; install it: pip install -r requirements-onnx.txt"
        ) from error
    import numpy as np

    from offload.features import FEATURES, N_FEATURES, scaling

    rule = scaling()
    constants = {
        "low": rule.low,
        "inverse_knee": rule.inverse_knee,
        "gain": rule.gain,
        "is_linear": rule.linear,
        "zero": np.float64(0.0),
        "one": np.float64(1.0),
    }
    nodes = [
        helper.make_node("Sub", ["features", "low"], ["above_low"]),
        helper.make_node("Max", ["above_low", "zero"], ["positive"]),
        helper.make_node("Mul", ["positive", "inverse_knee"], ["in_knees"]),
        helper.make_node("Add", ["in_knees", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["logarithm"]),
        helper.make_node("Where", ["is_linear", "positive", "logarithm"], ["measure"]),
        helper.make_node("Mul", ["measure", "gain"], ["share"]),
        helper.make_node("Min", ["share", "one"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["x0"], to=TensorProto.FLOAT),
    ]
    last = len(bundle.layers) - 1
    activation = {"relu": "Relu", "tanh": "Tanh"}[bundle.activation]
    for index, (weight, bias) in enumerate(bundle.layers):
        constants[f"weight_{index}"], constants[f"bias_{index}"] = weight, bias
        out = "scores" if index == last else f"sum{index}"
        parameters = [f"x{index}", f"weight_{index}", f"bias_{index}"]
        nodes.append(helper.make_node("Gemm", parameters, [out], transB=1))
        if index < last:
            nodes.append(helper.make_node(activation, [out], [f"x{index + 1}"]))
    # The first of equal scores: a tie goes to the device.
    nodes.append(helper.make_node("ArgMax", ["scores"], ["placement"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        f"offload-{bundle.algorithm}-{bundle.objective}",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["n", N_FEATURES])],
        [
            helper.make_tensor_value_info("placement", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="offload", opset_imports=[opset])
    model.ir_version = IR_VERSION
    features = [{"name": feature.name, "unit": feature.unit} for feature in FEATURES]
    helper.set_model_props(
        model, {"features": json.dumps(features), "objective": str(bundle.objective)}
    )
    checker.check_model(model, full_check=True)
    return model


def main(config: Config) -> None:
    """Write the model of a run or bundle."""
    from agents.bundle import load_bundle
    from agents.run_directory import BUNDLE_NAME

    inner = config.run / BUNDLE_NAME
    model = to_onnx(load_bundle(inner if inner.is_dir() else config.run))
    partial = config.out.with_name(f".{config.out.name}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        partial.replace(config.out)
    except OSError as error:
        raise ConfigError(f"{config.out} cannot be written: {error.strerror}") from error
    print(f"{config.out}: {config.out.stat().st_size:,} bytes, opset {OPSET}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Config))
    except OffloadError as error:
        sys.exit(f"error: {error}")
