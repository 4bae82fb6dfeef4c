"""The documented commands that open a link, run tiny; never beside another test of links."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented.made import Made
from documented.row import Run
from documented.trying import check_run, parameters

from netem.link import choose_backend
from offload.errors import BackendError


@pytest.mark.parametrize(("commands", "how"), parameters(Run, link=True))
def test_it_runs_over_a_link(
    commands: tuple[str, ...], how: Run, made: Made, tmp_path: Path
) -> None:
    if "--backend tun" in how.words:
        try:
            choose_backend("tun")
        except BackendError as error:
            pytest.skip(f"no link can be opened here: {error}")
    check_run(commands, how, made, tmp_path)
