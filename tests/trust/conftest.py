"""What a stranger can do to us, tried: faults, hostile input, secrets, life and death.

`make test` runs the short forms; `make trust` those marked `trust_long`, and prints their counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from kit.twin.app import app
from kit.twin.process import TwinProcess, start
from kit.twin.server import Twin


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinProcess]:
    running = start(speed=200)
    yield running
    running.close()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app(Twin("h200x8", speed=500)), base_url="http://127.0.0.1") as client:
        yield client
