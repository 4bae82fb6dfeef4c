"""Colours of the report, by what they stand for, on light ground and on dark.

The hues are those of Okabe and Ito, "Color universal design" (2008), which people who cannot tell
red from green keep apart; where two colours meet, a marker, a line style or a label says the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour.

    Attributes:
        name: of the CSS variable, without ``--fig-``.
        light: on white ground, in figures for a paper too.
        dark: on dark ground.
    """

    name: str
    light: str
    dark: str


INK = Colour("ink", "#1f2429", "#e8eaed")
MUTED = Colour("muted", "#59626d", "#a9b2bc")
GRID = Colour("grid", "#dde1e6", "#3a424b")
PAPER = Colour("paper", "#fefefe", "#171b20")
GREY = Colour("grey", "#7d8792", "#98a2ad")
SKY = Colour("sky", "#56b4e9", "#7fcaf5")
BLUE = Colour("blue", "#0072b2", "#3f9bdc")
GREEN = Colour("green", "#009e73", "#20bd8f")
VERMILLION = Colour("vermillion", "#d55e00", "#f2813a")
PURPLE = Colour("purple", "#cc79a7", "#dc93bb")
ORANGE = Colour("orange", "#e69f00", "#f2b63c")
STAY = Colour("stay", "#e9e5dc", "#343a41")
"""The region of a decision map in which the device is right."""

COLOURS = (
    INK, MUTED, GRID, PAPER, GREY, SKY, BLUE, GREEN, VERMILLION, PURPLE, ORANGE, STAY,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """Policies of one kind.

    Attributes:
        label: what to call them.
        colour: of their bars.
    """

    label: str
    colour: Colour


FIXED = Family("fixed", GREY)
THRESHOLD = Family("thresholds", SKY)
MAUI = Family("MAUI on estimates", BLUE)
RIVAL = Family("bandit, imitators", GREEN)
LEARNED = Family("reinforcement learning", VERMILLION)
OPTIMUM = Family("optimum (sees the truth)", INK)
FAMILIES = (FIXED, THRESHOLD, MAUI, RIVAL, LEARNED, OPTIMUM)

_LEARNED_NAMES = ("ppo", "dqn", "a2c")


def family(policy: str) -> Family:
    """The family of a policy by its name; one that is not known counts as fixed."""
    if policy == "maui-true":
        return OPTIMUM
    if policy.startswith("maui"):
        return MAUI
    if policy.startswith("threshold"):
        return THRESHOLD
    if policy == "linucb" or policy.startswith("imitation"):
        return RIVAL
    if policy.partition("-")[0] in _LEARNED_NAMES:
        return LEARNED
    return FIXED


def css_variables() -> tuple[str, str]:
    """Declarations of the colours as CSS variables, for light ground and for dark."""
    return (
        " ".join(f"--fig-{colour.name}: {colour.light};" for colour in COLOURS),
        " ".join(f"--fig-{colour.name}: {colour.dark};" for colour in COLOURS),
    )
