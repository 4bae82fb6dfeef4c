"""``python -m agents.pretrain``: what ships, and on which links it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents import pretrain
from agents.found_bundles import described
from agents.pretrain import PretrainOptions, main
from offload.errors import OffloadError


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    lines = [f"{t / 4},20,5,60" for t in range(60)]
    file = tmp_path / "links" / "walk.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["t_s,down_mbps,up_mbps,rtt_ms", *lines]) + "\n")
    return file


def provenance(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "policy.json").read_text())["provenance"])


def test_half_of_the_episodes_on_measured_links(
    tmp_path: Path,
    trace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pretrain, "SHIPPED", {"ppo": 8192})
    main(PretrainOptions("learned", "latency", traces=trace.parent, out=tmp_path))
    said = provenance(tmp_path / "ppo-latency")
    assert (said["env"]["traces"], said["env"]["trace_share"]) == (["walk.csv"], 0.5)
    assert str(tmp_path) not in (tmp_path / "ppo-latency" / "policy.json").read_text()
    text = described("it", said, "weights of step 8192")
    assert text == "it (trained on 1 measured links (50%) and all profiles, weights of step 8192)"
    assert "measured links: 1 from" in capsys.readouterr().out


def test_without_measured_links_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pretrain, "SHIPPED", {"dqn": 2048})
    main(PretrainOptions("learned", "energy", out=tmp_path))
    assert provenance(tmp_path / "dqn-energy")["env"]["traces"] == []
    assert "no measured links (--traces DIR): all episodes on the profiles" in (
        capsys.readouterr().out
    )


def test_bad_input_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(OffloadError, match="missing"):
        main(PretrainOptions("learned", traces=tmp_path / "missing", out=tmp_path / "out"))
    with pytest.raises(OffloadError, match="--decisions is 0; it must be at least 1"):
        main(PretrainOptions(decisions=0, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
