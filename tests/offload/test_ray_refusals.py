"""What is said without a Ray cluster, or without Ray: the tests on a cluster are skipped then."""

from __future__ import annotations

import sys

import pytest

from agents.launcher import ProcessLauncher, make_launcher
from offload.errors import ConfigError
from offload.ray_connection import connect_ray


def test_a_missing_package_is_said_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"ray is missing; pip install -r requirements-ray\.txt"):
        connect_ray("127.0.0.1:6379", 1)


@pytest.mark.parametrize("address", ["head", ":6379", "head:", "head:port", ""])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ConfigError, match="give HOST:PORT of the cluster's head"):
        connect_ray(address, 1)


def test_ray_and_its_address_go_together() -> None:
    assert isinstance(make_launcher("process", None), ProcessLauncher)
    with pytest.raises(ConfigError, match="give both"):
        make_launcher("ray", None)
    with pytest.raises(ConfigError, match="give both"):
        make_launcher("process", "127.0.0.1:6379")
