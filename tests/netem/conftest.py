"""What the netem tests share: a guest booted once, and a look for what was left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import left_behind, need_uml, slots_in_use
from proxied import LAN

from netem import Link, open_link
from offload.link_profiles import get_profile


@pytest.fixture
def leaves_nothing() -> Iterator[set[int]]:
    """Fails a test that leaves a link which was not there before it."""
    before = slots_in_use()
    yield before
    assert left_behind(before) == set()


@pytest.fixture(scope="session")
def uml_link() -> Iterator[Link]:
    need_uml()
    before = slots_in_use()
    with open_link(get_profile("lan"), "uml") as link:
        yield link
    assert left_behind(before) == set()


@pytest.fixture(scope="module")
def opened_proxy() -> Iterator[Link]:
    with open_link(LAN, "proxy") as link:
        yield link


@pytest.fixture
def proxy_link(opened_proxy: Link) -> Link:
    """The module's one proxied link, unshaped."""
    opened_proxy.apply(LAN)
    return opened_proxy
