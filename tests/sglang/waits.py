"""Waits that a busy machine makes longer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any


def patience() -> float:
    """How many times longer than on an idle machine things take now."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


def until(what: Callable[[], Any], seconds: float) -> Any:
    """What it gives once that is something; `seconds` are those of an idle machine."""
    began_s = time.monotonic()
    while not (found := what()):
        assert time.monotonic() - began_s < seconds * patience(), "it did not come in time"
        time.sleep(0.1)
    return found
