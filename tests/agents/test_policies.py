"""Which bundle a learned policy comes from, and what the user is told about it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.bundle import PolicyBundle
from agents.policies import POLICY_NAMES, collect, parse_names
from agents.rivals.shipped import RIVAL_NAMES
from offload.errors import BundleError, ConfigError, UnknownNameError
from offload.types import Objective


def test_all_policies_ship_for_every_objective(tmp_path: Path) -> None:
    for objective in Objective:
        found = collect(POLICY_NAMES, objective, given=(), runs=tmp_path, seed=0)
        assert tuple(policy.name for policy in found.policies) == POLICY_NAMES
        assert found.notes == ()
        assert set(found.sources) == {"ppo", "dqn", *RIVAL_NAMES}
        for name, source in found.sources.items():
            place = "the one that ships" if name in RIVAL_NAMES else "the pretrained bundle"
            links = r"\d+ measured links \(50%\) and all profiles"
            assert re.match(rf"{place} \(trained on {links}, ", source), source


def test_the_newest_run_of_that_objective_is_taken_and_says_what_it_was_trained_on(
    tmp_path: Path, bundle: PolicyBundle
) -> None:
    said = {"steps": 700, "env": {"profiles": ["wifi", "lte"]}}
    mine = replace(bundle, provenance=said)
    mine.save(tmp_path / "20260101-000000-ppo" / "bundle")
    mine.save(tmp_path / "20260102-000000-ppo" / "bundle")
    replace(mine, objective=Objective.MIXED).save(tmp_path / "20260103-000000-ppo" / "bundle")
    found = collect(("ppo", "threshold-rtt"), Objective.ENERGY, given=(), runs=tmp_path, seed=0)
    newest = tmp_path / "20260102-000000-ppo"
    assert found.sources == {"ppo": f"{newest} (trained on wifi, lte, weights of step 700)"}
    ppo, rule, oracle = found.policies
    assert ppo.bundle.provenance == said  # type: ignore[attr-defined]
    assert rule.max_rtt_s == 0.1  # type: ignore[attr-defined]
    assert oracle.name == "maui-true"


def test_a_given_run_wins_and_must_fit_the_objective(tmp_path: Path, bundle: PolicyBundle) -> None:
    bundle.save(tmp_path / "given")
    found = collect(("dqn",), Objective.ENERGY, given=(tmp_path / "given",), runs=tmp_path, seed=0)
    assert found.sources["ppo"] == str(tmp_path / "given")
    with pytest.raises(BundleError, match="use --objective energy"):
        collect(("ppo",), Objective.MIXED, given=(tmp_path / "given",), runs=tmp_path, seed=0)


def test_a_bundle_cannot_pass_for_the_oracle(tmp_path: Path, bundle: PolicyBundle) -> None:
    replace(bundle, algorithm="maui-true").save(tmp_path / "given")
    with pytest.raises(BundleError, match="names the algorithm 'maui-true'"):
        collect(("ppo",), Objective.ENERGY, given=(tmp_path / "given",), runs=tmp_path, seed=0)


def test_a_policy_without_a_bundle_is_left_out_with_the_way_to_make_one(tmp_path: Path) -> None:
    found = collect(("a2c", "random"), Objective.ENERGY, given=(), runs=tmp_path, seed=0)
    assert [policy.name for policy in found.policies] == ["random", "maui-true"]
    assert "python train.py --algo a2c --objective energy" in found.notes[0]


def test_names_are_checked() -> None:
    assert parse_names("ppo, random") == ("ppo", "random")
    with pytest.raises(UnknownNameError, match="Did you mean 'ppo'"):
        parse_names("pppo")
    with pytest.raises(ConfigError, match="no policy named"):
        parse_names(" , ")


def test_runs_of_one_algorithm_are_its_seeds(tmp_path: Path, bundle: PolicyBundle) -> None:
    folder = tmp_path / "20260101-000000-ppo-energy-seeds8-10"
    for seed in (10, 8, 9):
        said = {**bundle.provenance, "seed": seed, "steps": 100 * seed}
        replace(bundle, provenance=said).save(folder / f"seed{seed}" / "bundle")
    (folder / "seeds").mkdir()
    names = ("ppo-seed8", "ppo-seed9", "ppo-seed10")
    newest = collect(("ppo",), Objective.ENERGY, given=(), runs=tmp_path, seed=0)
    given = collect(("ppo",), Objective.ENERGY, given=(folder,), runs=tmp_path, seed=0)
    for found in (newest, given):
        assert found.seeds == {"ppo": names}
        assert tuple(policy.name for policy in found.policies) == (*names, "maui-true")
    two = (folder / "seed9", folder / "seed10", folder / "seed9")
    found = collect(("random",), Objective.ENERGY, given=two, runs=tmp_path, seed=0)
    assert found.seeds == {"ppo": ("ppo-seed9", "ppo-seed10")}, "a run named twice counts once"
    bundle.save(tmp_path / "copy")
    bundle.save(tmp_path / "again")
    same = (tmp_path / "copy", tmp_path / "again")
    found = collect(("ppo",), Objective.ENERGY, given=same, runs=tmp_path, seed=0)
    assert found.seeds == {"ppo": ("ppo-run1", "ppo-run2")}, "both are of seed 3"


def test_a_run_that_cannot_be_read_is_passed_over_with_a_note(
    tmp_path: Path, bundle: PolicyBundle
) -> None:
    bundle.save(tmp_path / "20260101-000000-ppo" / "bundle")
    for day, name in ((2, "policy.json"), (3, "weights.npz")):
        broken = tmp_path / f"2026010{day}-000000-ppo" / "bundle"
        bundle.save(broken)
        (broken / name).write_bytes(b"{ no")
    found = collect(("ppo",), Objective.ENERGY, given=(), runs=tmp_path, seed=0)
    assert found.sources["ppo"].startswith(str(tmp_path / "20260101-000000-ppo"))
    assert len(found.notes) == 2
    for note, day in zip(sorted(found.notes), (2, 3), strict=True):
        assert note.startswith(f"{tmp_path}/2026010{day}-000000-ppo is passed over: ")
    with pytest.raises(BundleError, match="cannot be read"):
        collect(
            ("ppo",),
            Objective.ENERGY,
            given=(broken.parents[1] / "20260102-000000-ppo",),
            runs=tmp_path,
            seed=0,
        )
