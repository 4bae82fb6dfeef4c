"""A sweep in sentences: for each task, up to where offloading pays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evidence.sweeps.outcome import Criterion, Curve, place
from evidence.sweeps.settings import Settings
from evidence.sweeps.swept import SWEPT, Swept
from offload.link_profiles import get_profile

_TASKS = {
    "chess": ("chess search", ("2 half-moves deep", "3 half-moves deep", "4 half-moves deep")),
    "sudoku": ("sudoku", ("9x9, easy", "9x9, hard", "16x16")),
    "ocr": ("OCR", ("of a page of 2 lines", "of a page of 4 lines", "of a page of 8 lines")),
    "face": ("face detection", ("in 480x360 pixels", "in 800x600 pixels", "in 1440x1080 pixels")),
    "blur": ("blur", ("of 256x256 pixels", "of 512x512 pixels", "of 1024x1024 pixels")),
    "denoise": ("denoising", ("of 256x256 pixels", "of 512x512 pixels", "of 1024x1024 pixels")),
    "lzma": ("LZMA compression", ("of 0.1 MB", "of 0.7 MB", "of 1.8 MB")),
    "matmul": ("matrix product", ("of order 256", "of order 512", "of order 1024")),
}
_SIZES = ("small", "medium", "large")
CRITERION_NAMES: dict[Criterion, str] = {
    "latency": "latency",
    "energy": "energy (modelled)",
    "energy-awake": "energy with the radio awake (modelled)",
}


def describe_task(name: str) -> str:
    """``ocr/medium`` in words."""
    kind, size = name.split("/")
    what, sizes = _TASKS[kind]
    return f"{what} {sizes[_SIZES.index(size)]}"


def describe_base(settings: Settings, *controls: str) -> str:
    """What is kept while one quantity is swept, and the congestion controls."""
    base = get_profile(settings.profile)
    up, down = base.uplink, base.downlink
    parts = {
        "bandwidth": "no rate limit"
        if up.rate_bps is None or down.rate_bps is None
        else f"{up.rate_bps / 1e6:g} Mbit/s up, {down.rate_bps / 1e6:g} down",
        "rtt": f"{1e3 * (up.delay_s + down.delay_s):g} ms",
        "loss": f"{50 * (up.loss + down.loss):.2g} % loss",
        "device-speed": f"a device {settings.slowdown:g} times slower",
    }
    kept = [text for name, text in parts.items() if name != settings.sweep]
    return f"{base.name}: {', '.join(kept)}; {' and '.join(map(str.upper, controls))}"


def sentence(settings: Settings, curve: Curve) -> str:
    """One curve: the crossover with its interval, the base, and the model's crossover."""
    swept = SWEPT[settings.sweep]
    head = f"{describe_task(curve.task)}, {CRITERION_NAMES[curve.criterion]}"
    model = describe_place(swept, settings.points, curve.model_position)
    tail = f"({describe_base(settings, curve.control)}; model: {model})"
    if curve.measured is None:
        return f"{head}: too many runs were given up to say {tail}"
    found = curve.measured
    known = [p for p, is_known in zip(settings.points, curve.known, strict=True) if is_known]
    interval = describe_interval(swept, known, found.low, found.high)
    side = place(swept, settings, found.position)
    if side == "crosses":
        word = "below" if swept.against_edge else "above"
        value = swept.shown(swept.value(found.position))
        return (
            f"{head}: offload while {swept.noun} is {word} {value} {interval} {swept.unit} {tail}"
        )
    do = "offload" if side == "edge" else "stay on the device"
    reach = f"all the way from {swept.point(known[0])} to {swept.point(known[-1])} {swept.unit}"
    if np.isfinite(found.low) or np.isfinite(found.high):
        reach += f", though the interval of the crossover is {interval}"
    return f"{head}: {do} {reach} {tail}"


def describe_place(swept: Swept, points: Sequence[float], position: float) -> str:
    """A crossover's value with its unit, or on which side of the points it lies."""
    return f"{_end(swept, points, position)} {swept.unit}"


def describe_interval(swept: Swept, points: Sequence[float], low: float, high: float) -> str:
    """``[low, high]`` without the unit; an end outside of the points says so."""
    if math.isnan(low):
        return "[no interval of one repetition]"
    return f"[{_end(swept, points, low)}, {_end(swept, points, high)}]"


def _end(swept: Swept, points: Sequence[float], position: float) -> str:
    if math.isfinite(position):
        return swept.shown(swept.value(position))
    if position > 0:
        return f"beyond {swept.point(points[-1])}"
    # Nothing is less than none of it.
    return f"{'below' if points[0] > 0 else 'not even at'} {swept.point(points[0])}"
