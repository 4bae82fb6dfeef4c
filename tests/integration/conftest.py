from __future__ import annotations

import pytest
from documented.made import Made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What documented commands are run with."""
    return Made(tmp_path_factory.mktemp("documented"))
