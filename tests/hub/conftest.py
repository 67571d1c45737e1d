from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from .hub import BIN, Hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The hub of deploy/jupyterhub, for all tests of the session."""
    if not (BIN.parent / "node_modules").is_dir() or not shutil.which("node"):
        pytest.skip("the hub is not here: install npm, then make test-hub")
    with Hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub
