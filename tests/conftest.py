"""The twins of a test run are its own: it shares none with the lessons that are open."""

from __future__ import annotations

import os
import shutil
import tempfile

FOLDER = tempfile.mkdtemp(prefix="kit-twins-")
os.environ["KIT_TWIN_FOLDER"] = FOLDER


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
