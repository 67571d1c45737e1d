"""Fixtures: a browser for the session, and a notebook open in a JupyterLab of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest

from . import lab as rig
from .lab import Lab, Notebook

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

ROOT = Path(__file__).parents[2]

OpenNotebook = Callable[..., Notebook]


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures go: build/screenshots, or KIT_SCREENSHOTS (docs/images, to renew those)."""
    return ROOT / os.environ.get("KIT_SCREENSHOTS", "build/screenshots")


@pytest.fixture(scope="module")  # while it lives, playwright owns this thread's event loop
def browser() -> Iterator[object]:
    if not Path(rig.CHROMIUM).exists():
        pytest.skip(f"no chromium at {rig.CHROMIUM}: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = rig.launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def open_notebook(
    browser: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenNotebook]:
    """`open_notebook(cells, …)` or `open_notebook(path, …)`: a copy, open in JupyterLab.

    `cells` are sources of code cells. `env` is added to the server's environment, `size` is the
    window's, `theme` Light or Dark.
    """
    with ExitStack() as stack:

        def opened(
            source: list[str] | Path,
            *,
            name: str = "test.ipynb",
            env: dict[str, str] | None = None,
            size: tuple[int, int] = (1280, 900),
            theme: str = "Light",
        ) -> Notebook:
            folder = tmp_path_factory.mktemp("work")
            if isinstance(source, Path):
                name = source.name
                shutil.copy(source, folder / name)
                if (source.parent / "images").is_dir():
                    shutil.copytree(source.parent / "images", folder / "images")
            else:
                cells = [nbformat.v4.new_code_cell(cell) for cell in source]
                node = nbformat.v4.new_notebook(cells=cells, metadata=PYTHON)
                nbformat.write(node, folder / name)
            server = stack.enter_context(Lab(folder, env))
            notebook = Notebook(browser, server, name, size, theme)
            stack.callback(notebook.close)
            return notebook

        yield opened
