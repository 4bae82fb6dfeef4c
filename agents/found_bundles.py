"""Where learned policies come from: runs that were named, the newest run, or what ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.bundle import BundlePolicy, PolicyBundle, load_bundle
from agents.chosen_links import links_in_words
from agents.run_directory import bundle_folders, runs_with_bundles
from offload.errors import BundleError, ConfigError
from offload.link_profiles import PROFILES
from offload.types import Objective

PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True, slots=True)
class FoundBundles:
    """The bundles of one algorithm, one a training seed, and where they were found."""

    bundles: tuple[PolicyBundle, ...]
    place: str

    @property
    def policies(self) -> tuple[BundlePolicy, ...]:
        """A policy a seed; one alone is named after its algorithm."""
        name = self.bundles[0].algorithm
        if len(self.bundles) == 1:
            return (BundlePolicy(self.bundles[0]),)
        seeds = [bundle.provenance.get("seed") for bundle in self.bundles]
        if len({str(seed) for seed in seeds}) == len(seeds):
            names = [f"{name}-seed{seed}" for seed in seeds]
        else:
            names = [f"{name}-run{index}" for index in range(1, len(seeds) + 1)]
        return tuple(BundlePolicy(*pair) for pair in zip(self.bundles, names, strict=True))

    @property
    def source(self) -> str:
        """Where they were found, and what they say of their training."""
        steps = [str(bundle.provenance.get("steps")) for bundle in self.bundles]
        several = f"{len(steps)} seeds, " if len(steps) > 1 else ""
        amount = f"{several}weights of step {', '.join(steps)}"
        return described(self.place, self.bundles[0].provenance, amount)


def described(place: str, said: dict[str, Any], amount: str) -> str:
    """A place with what its provenance says of its training: a short run is no surprise then."""
    world = said.get("env")
    profiles = world.get("profiles") if isinstance(world, dict) else None
    traces = world.get("traces") if isinstance(world, dict) else None
    if not isinstance(profiles, list):
        return place
    on = "all profiles" if set(profiles) >= set(PROFILES) else ", ".join(map(str, profiles))
    if isinstance(world, dict) and isinstance(traces, list):
        on = links_in_words(on, len(traces), world.get("trace_share", 1.0))
    return f"{place} (trained on {on}, {amount})"


def given_bundles(
    runs: Sequence[Path], objective: Objective, known: Sequence[str]
) -> dict[str, FoundBundles]:
    """The bundles of runs, folders of seeds or bundles that were named, by algorithm.

    Args:
        known: algorithms there are.

    Raises:
        BundleError: one holds no usable bundle, or one for another objective.
    """
    found: dict[str, list[PolicyBundle]] = {}
    places: dict[str, list[str]] = {}
    for run in dict.fromkeys(runs):
        for bundle in _load_all(run):
            if bundle.objective is not objective:
                raise BundleError(
                    f"{run} was trained for the objective {bundle.objective}, not {objective}; use "
                    f"--objective {bundle.objective}, or: python train.py --objective {objective}"
                )
            if bundle.algorithm not in known:  # it must not pass for the oracle
                raise BundleError(
                    f"{run} names the algorithm {bundle.algorithm!r}; known: {', '.join(known)}"
                )
            found.setdefault(bundle.algorithm, []).append(bundle)
            places.setdefault(bundle.algorithm, []).append(str(run))
    return {
        name: FoundBundles(tuple(bundles), ", ".join(dict.fromkeys(places[name])))
        for name, bundles in found.items()
    }


def newest_bundles(
    name: str, objective: Objective, runs: Path, notes: list[str]
) -> FoundBundles | None:
    """The newest usable run of an algorithm, else the bundle that ships, else None.

    Args:
        notes: gets a line for each newer run that is passed over because it cannot be read.
    """
    for run in runs_with_bundles(runs, name, objective, notes):
        try:
            return FoundBundles(tuple(_load_all(run)), str(run))
        except ConfigError as error:
            notes.append(f"{run} is passed over: {error}")
    shipped = PRETRAINED / f"{name}-{objective}"
    return (
        FoundBundles((load_bundle(shipped),), "the pretrained bundle") if shipped.is_dir() else None
    )


def _load_all(run: Path) -> Iterator[PolicyBundle]:
    for folder in bundle_folders(run) or [run]:
        yield load_bundle(folder)
